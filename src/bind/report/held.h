/* SPDX-License-Identifier: MIT */
/* Locks that goroutines end with: told on stderr, and in dumps. */
#ifndef VAI_HELD_H
#define VAI_HELD_H

#include "base/obj.h"
#include "sched/sched.h"

/* Before vai__vm_start: states tell it what they let go of. */
void vai__held_install(void);

/* Notes that the calling goroutine holds `lock` for reading once more. If there is no memory for the note, nothing
 * is told at its end. */
void vai__held_read(vai_g *g, struct vai_obj *lock);
/* Notes that it holds `lock` for reading once less. */
void vai__held_unread(vai_g *g, struct vai_obj *lock);

#endif
