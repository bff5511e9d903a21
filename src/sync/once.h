/* SPDX-License-Identifier: MIT */
/* A once is done by the first goroutine that asks, while others wait, and may leave a value. Any goroutine may call;
 * the caller holds a reference. Only vai__once_begin parks. */
#ifndef VAI_ONCE_H
#define VAI_ONCE_H

#include "base/obj.h"
#include "sched/sched.h"

typedef struct vai_once vai_once; /* a struct vai_obj */
extern const struct vai_class vai__once_class;

/* Makes a once; the caller gets the one reference. drop: for its value. NULL: out of memory. */
vai_once *vai__once_new(vai_drop_fn *drop);
/* Begins the once or waits for its end. 1: self is the first, and has to call vai__once_end in any case. VAI_OK: it
 * is done. VAI_EINVAL: self is doing it already. Other results: why the wait for the first has failed. */
int vai__once_begin(vai_g *self, vai_once *once);
/* Whether it is done: true for ever then. */
bool vai__once_is_done(const vai_once *once);
/* Sets the value, which is taken over, and whether it is an error. Called before vai__once_end by the same
 * goroutine. */
void vai__once_set(vai_once *once, vai_msg *value, bool failed);
/* Goroutine `id`, which was the first, is done: the others are woken. Any thread. Does nothing if another is doing
 * it. */
void vai__once_end(vai_once *once, uint64_t id);
/* The value, or NULL; immutable. Called when the once is done. */
const vai_msg *vai__once_value(const vai_once *once, bool *failed);
/* The id of the goroutine that is doing it, or 0. */
uint64_t vai__once_runner(vai_once *once);

#endif
