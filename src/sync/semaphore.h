/* SPDX-License-Identifier: MIT */
/* Permits that goroutines take and give back, first come, first served: after Go's semaphore.Weighted. */
#ifndef VAI_SEMAPHORE_H
#define VAI_SEMAPHORE_H

#include "base/obj.h"
#include "sched/sched.h"

#define VAI_SEMAPHORE_MAX ((int64_t)1 << 60)

typedef struct vai_semaphore vai_semaphore; /* a struct vai_obj */
extern const struct vai_class vai__semaphore_class;

/* n: 0 to VAI_SEMAPHORE_MAX. NULL when out of memory. */
vai_semaphore *vai__semaphore_new(int64_t n);
int64_t vai__semaphore_size(const vai_semaphore *s);
/* Takes k permits (0 or more). VAI_OK: self has them. VAI_ERANGE: there are never so many. */
int vai__semaphore_acquire(vai_g *self, vai_semaphore *s, int64_t k, int64_t deadline);
/* Takes k permits if they are free. True: the caller has them. */
bool vai__semaphore_try_acquire(vai_semaphore *s, int64_t k);
/* Gives k permits back. VAI_ERANGE: so many were not taken. */
int vai__semaphore_release(vai_semaphore *s, int64_t k);
void vai__semaphore_info(vai_semaphore *s, int64_t *available, int *waiting);

#endif
