/* SPDX-License-Identifier: MIT */
/* What undoes something when its last handle goes, at the latest: unlocks, as a rule. */
#ifndef VAI_GUARD_H
#define VAI_GUARD_H

#include "base/obj.h"

typedef struct vai_guard vai_guard; /* a struct vai_obj */
extern const struct vai_class vai__guard_class;

/* undo(what, id): where nothing is left to be undone for id, it does nothing. On any thread, with
 * no lock held; without a goroutine where the runtime has ended. The guard has a reference of its
 * own to `what`. NULL when out of memory. */
vai_guard *vai__guard_new(struct vai_obj *what, void (*undo)(struct vai_obj *what, uint64_t id));
/* There is something to undo now. id: not 0. */
void vai__guard_arm(vai_guard *guard, uint64_t id);
/* Undoes it now, if it has not been. Any goroutine. */
void vai__guard_fire(vai_guard *guard);

#endif
