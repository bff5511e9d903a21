/* SPDX-License-Identifier: MIT */
/* An integer that all goroutines share. Any thread may call, and no call parks. Every call is one atomic operation,
 * sequentially consistent with all others; sums wrap around as Lua's do. */
#ifndef VAI_DATA_ATOMIC_H
#define VAI_DATA_ATOMIC_H

#include "base/base.h"
#include "base/obj.h"

typedef struct vai_atomic vai_atomic; /* a struct vai_obj */
extern const struct vai_class vai__atomic_class;

/* A new integer with the value n and one reference for the caller. NULL: out of memory. */
vai_atomic *vai__atomic_new(int64_t n);
/* Reads and writes the value. */
int64_t vai__atomic_get(vai_atomic *a);
void vai__atomic_set(vai_atomic *a, int64_t n);
/* Adds n and returns the new value. */
int64_t vai__atomic_add(vai_atomic *a, int64_t n);
/* Writes n and returns the old value. */
int64_t vai__atomic_swap(vai_atomic *a, int64_t n);
/* Writes `now` if the value is `old`. True: it was, and now is written. */
bool vai__atomic_cas(vai_atomic *a, int64_t old, int64_t now);

#endif
