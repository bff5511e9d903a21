/* SPDX-License-Identifier: MIT */
/* Locks that a goroutine still holds when it ends: reported on stderr, and in dumps. */
#ifndef VAI_HELD_H
#define VAI_HELD_H

#include "base/obj.h"
#include "sched/sched.h"

/* Registers the hook by which states report what they release. Before the first state is made. */
void vai__held_install(void);

/* Notes that the calling goroutine has locked `lock` for reading once more. Without memory for the note nothing is
 * reported for it. */
void vai__held_read(vai_g *g, struct vai_obj *lock);
/* Notes that it has unlocked `lock` for reading once. */
void vai__held_unread(vai_g *g, struct vai_obj *lock);

#endif
