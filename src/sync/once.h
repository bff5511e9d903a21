/* SPDX-License-Identifier: MIT */
/* Something that is done by the first who asks, while the others wait, and that may leave a value. */
#ifndef VAI_ONCE_H
#define VAI_ONCE_H

#include "base/obj.h"
#include "sched/sched.h"

typedef struct vai_once vai_once; /* a struct vai_obj */
extern const struct vai_class vai__once_class;

/* drop: for the value. NULL when out of memory. */
vai_once *vai__once_new(vai_drop_fn *drop);
/* 1: self is the first, and calls vai__once_end in any case. VAI_OK: it is done. VAI_EINVAL: self is just doing it.
 * Else how waiting for the first has failed. */
int vai__once_begin(vai_g *self, vai_once *once);
bool vai__once_is_done(const vai_once *once);
/* Before vai__once_end, by who calls that: the value, which is taken over, and whether it is an error. */
void vai__once_set(vai_once *once, vai_msg *value, bool failed);
/* Goroutine `id` is through. On any thread. */
void vai__once_end(vai_once *once, uint64_t id);
/* Once it is done: the value, or NULL. Immutable. */
const vai_msg *vai__once_value(const vai_once *once, bool *failed);
/* Who is doing it, or 0. */
uint64_t vai__once_runner(vai_once *once);

#endif
