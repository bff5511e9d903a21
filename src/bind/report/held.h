/* SPDX-License-Identifier: MIT */
/* Locks that goroutines end with: told on stderr, and in dumps. */
#ifndef VAI_HELD_H
#define VAI_HELD_H

#include "base/obj.h"
#include "sched/sched.h"

/* Before vai__vm_start: states tell it what they let go of. */
void vai__held_install(void);

/* The calling goroutine holds `lock` for reading once more. For want of memory nobody is told of it. */
void vai__held_read(vai_g *g, struct vai_obj *lock);
/* Or once less. */
void vai__held_unread(vai_g *g, struct vai_obj *lock);

#endif
