/* SPDX-License-Identifier: MIT */
/* What one Lua state is charged for outside of it: bytes of messages that it has put somewhere, until they are freed.
 * Any thread adds and takes; who refers to it holds a reference. */
#ifndef VAI_ACCOUNT_H
#define VAI_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/atomic.h"
#include "base/mem.h"

struct vai__account {
	atomic_uint refs;
	atomic_bool closed; /* the state has closed, so nobody asks for the sum any more */
	_Atomic(int64_t) bytes;
};

/* A new account with nothing charged to it. The caller gets one reference. NULL: out of memory. */
static inline struct vai__account *vai__account_new(void)
{
	struct vai__account *a = vai__mem_zalloc(sizeof *a);
	if (a)
		atomic_init(&a->refs, 1);
	return a;
}

/* NULL is fine. */
static inline struct vai__account *vai__account_ref(struct vai__account *a)
{
	if (a)
		atomic_fetch_add_relaxed(&a->refs, 1);
	return a;
}

/* NULL is fine. */
static inline void vai__account_unref(struct vai__account *a)
{
	if (a && atomic_fetch_sub_acq_rel(&a->refs, 1) == 1)
		vai__mem_free(a, sizeof *a);
}

#endif
