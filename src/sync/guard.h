/* SPDX-License-Identifier: MIT */
/* A guard undoes something, as a rule by unlocking, at the latest when the last reference to the guard goes: so a lock
 * is released even if its holder ends by an error. */
#ifndef VAI_GUARD_H
#define VAI_GUARD_H

#include "base/obj.h"

typedef struct vai_guard vai_guard; /* a struct vai_obj */
extern const struct vai_class vai__guard_class;

/* Makes a guard, not armed yet. undo(what, id) does nothing if nothing is left to undo for id. It is called on any
 * thread with no lock held, and without a goroutine if the runtime has ended. The guard has a reference of its own
 * to `what`. NULL: out of memory. */
vai_guard *vai__guard_new(struct vai_obj *what, void (*undo)(struct vai_obj *what, uint64_t id));
/* Arms the guard: from now on there is something to undo for id, which is not 0. */
void vai__guard_arm(vai_guard *guard, uint64_t id);
/* Undoes it now, unless that was done. Any goroutine may call. */
void vai__guard_fire(vai_guard *guard);
/* What it has a reference to; borrowed. */
struct vai_obj *vai__guard_what(const vai_guard *guard);

#endif
