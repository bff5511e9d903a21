/* SPDX-License-Identifier: MIT */
/* Permits that goroutines take and give back, first come, first served: after Go's semaphore.Weighted. Any goroutine
 * may call; the caller holds a reference. Only vai__semaphore_acquire parks. */
#ifndef VAI_SEMAPHORE_H
#define VAI_SEMAPHORE_H

#include "base/obj.h"
#include "sched/sched.h"

#define VAI_SEMAPHORE_MAX ((int64_t)1 << 60)

typedef struct vai_semaphore vai_semaphore; /* a struct vai_obj */
extern const struct vai_class vai__semaphore_class;

/* Makes a semaphore with n permits, 0 to VAI_SEMAPHORE_MAX; the caller gets the one reference. NULL: out of memory. */
vai_semaphore *vai__semaphore_new(int64_t n);
/* How many permits there are in all; constant. */
int64_t vai__semaphore_size(const vai_semaphore *s);
/* Takes k permits (0 or more), all at once, and waits for them until `deadline` (absolute; 0: not at all). VAI_OK: self
 * has them. VAI_ERANGE: there are never so many. VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK: it has none. */
int vai__semaphore_acquire(vai_g *self, vai_semaphore *s, int64_t k, int64_t deadline);
/* Takes k permits if they are free and nobody waits. True: the caller has them. */
bool vai__semaphore_try_acquire(vai_semaphore *s, int64_t k);
/* Gives k permits back. VAI_ERANGE: so many were not taken. */
int vai__semaphore_release(vai_semaphore *s, int64_t k);
/* How many permits are free, and how many goroutines wait, at this moment. */
void vai__semaphore_info(vai_semaphore *s, int64_t *available, int *waiting);

#endif
