/* SPDX-License-Identifier: MIT */
/* fork() in a process whose runtime runs. In the child only the calling thread lives on, so the runtime does not:
 * vai's functions raise there, shared objects are no longer released, and Lua code goes on until it returns, exits
 * or calls exec. What such code needs (memory, modules) is behind locks that are held over the fork, so that they
 * are free in both processes. */
#ifndef VAI_FORK_H
#define VAI_FORK_H

#include "base/lock.h"

/* True in such a child. Written once, by its only thread. */
extern bool vai__forked;

/* From now on l, which has that rank, is held over every fork. Called at load time. */
void vai__fork_holds(struct vai_lock *l, enum vai_rank rank);
/* Called once per process. `child` is called in the child of every fork at which running() was true. */
int vai__fork_watch(bool (*running)(void), void (*child)(void));

#endif
