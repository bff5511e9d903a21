/* SPDX-License-Identifier: MIT */
/* What bindings share of processes. */
#ifndef VAI_PROCESSLIB_H
#define VAI_PROCESSLIB_H

#include "bind/arg.h"
#include "proc/process.h"

/* Pushes what a wait for p has given, and returns how many values. */
int vai__lib_push_exit(lua_State *L, vai_g *g, vai_process *p, int rc, const struct vai__exit *end);

#endif
