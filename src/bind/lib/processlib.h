/* SPDX-License-Identifier: MIT */
/* What bindings share of processes: `wait` and `select` tell of an end in the same values. */
#ifndef VAI_PROCESSLIB_H
#define VAI_PROCESSLIB_H

#include "bind/arg.h"
#include "proc/process.h"

/* Pushes what a wait for p has given, and returns how many values: the exit code; nil, "signal" and its name for one
 * that a signal has killed; nil, why and "ECHILD" where somebody else has taken the status; or for another rc < 0 what
 * vai__io_failed pushes. *end is read for VAI_OK only. Called by the goroutine that has waited; may raise. */
int vai__lib_push_exit(lua_State *L, vai_g *g, vai_process *p, int rc, const struct vai__exit *end);

#endif
