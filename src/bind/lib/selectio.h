/* SPDX-License-Identifier: MIT */
/* Cases of select that are no channels: connections and packet sockets to read from, listeners to accept from,
 * processes to wait for. */
#ifndef VAI_SELECTIO_H
#define VAI_SELECTIO_H

#include "bind/arg.h"
#include "sync/select.h"

struct vai__selectio;

/* Whether the value on top of the stack is such an object: c is a case of it then (VAI_DIR_OTHER). */
bool vai__selectio_case(lua_State *L, struct vai__case *c);
/* Pushes what is kept of all of the n cases that are such. Raises when memory is out. */
struct vai__selectio *vai__selectio_new(lua_State *L, vai_g *g, struct vai__case *cases, int n);
/* vai__select for all cases, such and others. Raises nothing. */
int vai__selectio_run(struct vai__selectio *io, int64_t deadline);
/* Pushes what the chosen case gives. Returns how many values. */
int vai__selectio_push(lua_State *L, struct vai__selectio *io);

#endif
