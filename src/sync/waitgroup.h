/* SPDX-License-Identifier: MIT */
/* A counter; goroutines wait for it to reach zero. As Go's sync.WaitGroup. Any goroutine may call; the caller holds a
 * reference. Only vai__waitgroup_wait parks. */
#ifndef VAI_WAITGROUP_H
#define VAI_WAITGROUP_H

#include "base/obj.h"
#include "sched/sched.h"

struct vai__rest;
typedef struct vai_waitgroup vai_waitgroup; /* a struct vai_obj */
extern const struct vai_class vai__waitgroup_class;

/* Makes a counter that stands at 0; the caller gets the one reference. NULL: out of memory. */
vai_waitgroup *vai__waitgroup_new(void);
/* Adds n, which may be negative; at 0 all that wait are woken. VAI_ERANGE: the counter would fall below zero or
 * overflow; it is then unchanged. */
int vai__waitgroup_add(vai_waitgroup *wg, int64_t n);
/* Where it stands. */
int64_t vai__waitgroup_count(vai_waitgroup *wg);
/* Waits until it stands at 0, or until `deadline` (absolute; 0: not at all). VAI_OK, VAI_ETIMEOUT, VAI_ECANCELED,
 * VAI_EDEADLOCK. */
int vai__waitgroup_wait(vai_g *self, vai_waitgroup *wg, int64_t deadline);
/* The same in two calls, for a goroutine that sheds its stack if it has to wait: as those of chan.h. */
int vai__waitgroup_wait_begin(vai_g *self, vai_waitgroup *wg, int64_t deadline, struct vai__rest *rest);
int vai__waitgroup_wait_end(vai_g *self, vai_waitgroup *wg, struct vai__rest *rest);

#endif
