/* SPDX-License-Identifier: MIT */
/* A lock for Lua code: held across anything, waited for by parking. After Go's sync.Mutex. Any goroutine may call; the
 * caller holds a reference. Only vai__mutex_lock and vai__mutex_relock park. */
#ifndef VAI_MUTEX_H
#define VAI_MUTEX_H

#include "base/obj.h"
#include "sched/sched.h"

typedef struct vai_mutex vai_mutex; /* a struct vai_obj */
extern const struct vai_class vai__mutex_class;

/* Makes a free mutex; the caller gets the one reference. NULL: out of memory. */
vai_mutex *vai__mutex_new(void);
/* Waits until `deadline` (absolute; 0: not at all). VAI_OK: self holds it. VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK,
 * ...: it does not. */
int vai__mutex_lock(vai_g *self, vai_mutex *m, int64_t deadline);
/* The same for a goroutine that has to hold it again whatever happens (vai__cond_wait): it waits even if it is canceled
 * meanwhile, and is told of that when it next waits for something else. VAI_OK: self holds it. VAI_EDEADLOCK;
 * VAI_ECANCELED: self is canceled, and the holder has ended without an unlock. */
int vai__mutex_relock(vai_g *self, vai_mutex *m);
/* Locks it without waiting. True: it was free, and self holds it. */
bool vai__mutex_trylock(vai_g *self, vai_mutex *m);
/* Unlocks it; any goroutine may, not the holder alone. If goroutines wait, the first one is woken to take it, or gets
 * it at once if it has waited for long (mutex.c). VAI_EINVAL: it is not locked. */
int vai__mutex_unlock(vai_mutex *m);
/* Called by the holder, which has a guard that unlocks the mutex in any case. It counts until the unlock. */
void vai__mutex_set_guarded(vai_mutex *m);
/* Whether it is held so. */
bool vai__mutex_is_guarded(vai_mutex *m);
/* A guard's unlock: does nothing unless goroutine `id` holds it. Any thread. */
void vai__mutex_release(vai_mutex *m, uint64_t id);
/* Goroutine `id` has ended. True: it holds m without a guard, so m will stay locked. Dumps tell of that, and goroutines
 * in vai__mutex_relock that are canceled wait no longer. Any thread. */
bool vai__mutex_left(vai_mutex *m, uint64_t id);

struct vai__mutex_info {
	uint64_t holder; /* 0: it is free */
	bool left;       /* the holder has ended */
	int waiting;
};
/* What dumps tell of it, at one moment. Any thread. */
void vai__mutex_info(vai_mutex *m, struct vai__mutex_info *info);

#endif
