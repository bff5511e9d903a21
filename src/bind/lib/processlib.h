/* SPDX-License-Identifier: MIT */
/* What bindings share of processes: `wait` and `select` return the same values for an end. */
#ifndef VAI_PROCESSLIB_H
#define VAI_PROCESSLIB_H

#include "bind/arg.h"
#include "proc/process.h"

/* Pushes the values for a wait for p that has ended with rc, and returns their number: the exit code; nil, "signal" and
 * its name if a signal has killed the process; nil, the reason and "ECHILD" if other code has fetched the status; for
 * another rc < 0 what vai__io_failed pushes. *end is read for VAI_OK only. Called by the goroutine that has waited; may
 * raise. */
int vai__lib_push_exit(lua_State *L, vai_g *g, vai_process *p, int rc, const struct vai__exit *end);

#endif
