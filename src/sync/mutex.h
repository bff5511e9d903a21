/* SPDX-License-Identifier: MIT */
/* A lock for Lua code: held across anything, waited for by parking. After Go's sync.Mutex. Any goroutine may call; the
 * caller holds a reference. Only vai__mutex_lock and vai__mutex_relock park. */
#ifndef VAI_MUTEX_H
#define VAI_MUTEX_H

#include "base/obj.h"
#include "sched/sched.h"

typedef struct vai_mutex vai_mutex; /* a struct vai_obj */
extern const struct vai_class vai__mutex_class;

/* One that is free, with one reference. NULL when out of memory. */
vai_mutex *vai__mutex_new(void);
/* Waits until `deadline` (absolute; 0: not at all). VAI_OK: self holds it. VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK,
 * ...: it does not. */
int vai__mutex_lock(vai_g *self, vai_mutex *m, int64_t deadline);
/* The same for who has to hold it again whatever happens: a goroutine that is canceled meanwhile still waits, and is
 * told when it next waits for something else. VAI_OK or VAI_EDEADLOCK, or VAI_ECANCELED: it is canceled, and the holder
 * has ended without an unlock, so it does not hold it. */
int vai__mutex_relock(vai_g *self, vai_mutex *m);
/* True: it was free, and self holds it. */
bool vai__mutex_trylock(vai_g *self, vai_mutex *m);
/* Any goroutine may. VAI_EINVAL: it is not locked. */
int vai__mutex_unlock(vai_mutex *m);
/* The holder has a guard, which unlocks it in any case: said by the holder, until its unlock. */
void vai__mutex_set_guarded(vai_mutex *m);
/* Whether it is held so. */
bool vai__mutex_is_guarded(vai_mutex *m);
/* A guard's unlock: does nothing unless goroutine `id` holds it. Any thread. */
void vai__mutex_release(vai_mutex *m, uint64_t id);
/* Goroutine `id` has ended: true if it holds m without a guard. Dumps tell of it then, and who relocks m although it
 * is canceled waits no longer. */
bool vai__mutex_left(vai_mutex *m, uint64_t id);

struct vai__mutex_info {
	uint64_t holder; /* 0: it is free */
	bool left;       /* the holder has ended */
	int waiting;
};
/* What dumps tell of it: one moment's truth. */
void vai__mutex_info(vai_mutex *m, struct vai__mutex_info *info);

#endif
