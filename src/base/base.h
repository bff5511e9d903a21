/* SPDX-License-Identifier: MIT */
/* What every layer shares: result codes and the opaque message (vai.h), compiler helpers. Deadlines within vai are
 * absolute, in nanoseconds of vai__clock_now(); VAI_FOREVER is none. */
#ifndef VAI_BASE_H
#define VAI_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vai.h"

/* A value on its way between goroutines. It is opaque below transfer/ and bind/: channels and tasks move it by plain
 * copy and drop it with the function that they were given. A message that is all zero owns nothing and means nil. */
typedef vai_value vai_msg;

/* Releases what a message owns that nothing will receive. Called without any lock held, on any thread that may call
 * the runtime. */
typedef void vai_drop_fn(vai_msg *msg);

#define VAI_NOINLINE __attribute__((noinline))
#define VAI_LIKELY(x) __builtin_expect(!!(x), 1)
#define VAI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define VAI_CONTAINER(ptr, type, field) ((type *)(void *)((char *)(ptr)-offsetof(type, field)))
#define VAI_CACHELINE 64

/* Points at which spec/sim puts a bug into its build, to see that its tests find it (spec/sim/bugs.h). VAI_BUG:
 * whether this bug is on. VAI_BUG_DO: what the bug does then. VAI_BUG_TEAR: the next read-modify-write of this
 * thread becomes a load and a store. */
#ifndef VAI_BUG
#define VAI_BUG(name) false
#define VAI_BUG_DO(name, ...) ((void)0)
#define VAI_BUG_TEAR(name) ((void)0)
#endif

#endif
