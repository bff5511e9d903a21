/* SPDX-License-Identifier: MIT */
/* Timers as objects (`vai.timer`): a function that is called once at a given time, unless it is stopped before. Any
 * goroutine may call; the caller holds a reference during the call. Nothing here parks. */
#ifndef VAI_TIMER_OBJECT_H
#define VAI_TIMER_OBJECT_H

#include "base/obj.h"
#include "sched/sched.h"

typedef struct vai_timer_object vai_timer_object; /* a struct vai_obj */
extern const struct vai_class vai__timer_object_class;

/* Runs fire(arg) at `when`, on some M, under the timers' lock: it may start goroutines (vai__g_new, vai__g_start with
 * self NULL) and nothing that waits. Where it answers false, for want of memory, it is called again 10 ms later. It is
 * called also when nobody holds the object any more. A timer that was stopped or has fired can be reset and fires
 * again. release(arg), if not NULL, is called once, at the end, without locks. idle: what it starts wakes nobody, so it
 * is no hope for the deadlock detector. With one reference, or NULL: out of memory, and arg remains the caller's. */
vai_timer_object *vai__timer_object_new(
	vai_g *self, int64_t when, bool (*fire)(void *arg), void (*release)(void *arg), void *arg, bool idle);
/* Stops it. True: it was pending. */
bool vai__timer_object_stop(vai_timer_object *t);
/* Stops it, and starts it again for `when`. *was: it was pending. VAI_OK or VAI_ENOMEM. */
int vai__timer_object_reset(vai_g *self, vai_timer_object *t, int64_t when, bool *was);
/* Releases timers that have fired and to which no reference is left, and calls of contexts that have been made, because
 * the callbacks cannot do that under their locks. Called, without a lock, by functions that make timers or tasks or end
 * tasks; cheap when there is nothing to do. */
void vai__timer_object_reap(void);

#endif
