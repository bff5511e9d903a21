/* SPDX-License-Identifier: MIT */
/* Waiting until another goroutine says that something has changed; the mutex that guards it is unlocked meanwhile.
 * After Go's sync.Cond. */
#ifndef VAI_COND_H
#define VAI_COND_H

#include "base/obj.h"
#include "sched/sched.h"
#include "sync/mutex.h"

typedef struct vai_cond vai_cond; /* a struct vai_obj */
extern const struct vai_class vai__cond_class;

/* Makes a condition, which takes a reference of its own to m; the caller gets the one reference. NULL: out of
 * memory. */
vai_cond *vai__cond_new(vai_mutex *m);
/* Unlocks the mutex and waits for a signal, both in one step, until `deadline` (absolute). Parks. VAI_OK, VAI_ETIMEOUT,
 * VAI_ECANCELED and so on. self holds the mutex (VAI_EINVAL: it is not locked) and holds it again when this returns,
 * whatever the result. The exceptions are VAI_EDEADLOCK, and VAI_ECANCELED if the mutex's holder has ended without an
 * unlock, since no goroutine would unlock it then. */
int vai__cond_wait(vai_g *self, vai_cond *c, int64_t deadline);
/* Wakes the goroutine that has waited longest, if any waits. Any goroutine may call, with the mutex or without; nothing
 * parks here and below. */
void vai__cond_signal(vai_cond *c);
/* Wakes all that wait now, in the order in which they came. */
void vai__cond_broadcast(vai_cond *c);
/* How many goroutines wait at this moment. */
int vai__cond_waiting(vai_cond *c);

#endif
