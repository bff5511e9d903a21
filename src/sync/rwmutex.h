/* SPDX-License-Identifier: MIT */
/* A lock that one writer or any number of readers hold: after Go's sync.RWMutex. Any goroutine may call; the caller
 * holds a reference. Only the two that wait for a lock, lock and rlock, park. */
#ifndef VAI_RWMUTEX_H
#define VAI_RWMUTEX_H

#include "base/obj.h"
#include "sched/sched.h"

typedef struct vai_rwmutex vai_rwmutex; /* a struct vai_obj */
extern const struct vai_class vai__rwmutex_class;

/* Makes a free lock; the caller gets the one reference. NULL: out of memory. */
vai_rwmutex *vai__rwmutex_new(void);
/* As those of mutex.h, for the writer. */
int vai__rwmutex_lock(vai_g *self, vai_rwmutex *m, int64_t deadline);
bool vai__rwmutex_trylock(vai_g *self, vai_rwmutex *m);
int vai__rwmutex_unlock(vai_rwmutex *m);
void vai__rwmutex_set_guarded(vai_rwmutex *m);
void vai__rwmutex_release(vai_rwmutex *m, uint64_t id);
bool vai__rwmutex_left(vai_rwmutex *m, uint64_t id);
/* For readers, with the same results. A writer that waits keeps new ones out, so a reader does not lock twice. */
int vai__rwmutex_rlock(vai_g *self, vai_rwmutex *m, int64_t deadline);
bool vai__rwmutex_tryrlock(vai_g *self, vai_rwmutex *m);
/* VAI_EINVAL: no reader holds it. */
int vai__rwmutex_runlock(vai_rwmutex *m);

struct vai__rwmutex_info {
	uint64_t writer; /* 0: none */
	bool left;       /* it has ended */
	uint64_t readers;
	int writers_waiting, readers_waiting;
};
/* What dumps tell of it, at one moment. Any thread. */
void vai__rwmutex_info(vai_rwmutex *m, struct vai__rwmutex_info *info);

#endif
