/* SPDX-License-Identifier: MIT */
/* Cases of vai.select that are not channels: connections and packet sockets to read from, listeners to accept from,
 * processes to wait for. Called by the goroutine that selects. */
#ifndef VAI_SELECTIO_H
#define VAI_SELECTIO_H

#include "bind/arg.h"
#include "sync/select.h"

struct vai__selectio;

/* Whether the value on top of the stack is such an object. If so c becomes its case (VAI_DIR_OTHER). */
bool vai__selectio_case(lua_State *L, struct vai__case *c);
/* Pushes the record that a select with such cases needs. n: the number of all its cases. Raises if memory is out. */
struct vai__selectio *vai__selectio_new(lua_State *L, vai_g *g, struct vai__case *cases, int n);
/* As vai__select, for cases of both kinds. Parks until `deadline` (absolute, ns). Does not raise. */
int vai__selectio_run(struct vai__selectio *io, int64_t deadline);
/* Pushes the values that select returns for the chosen case, and returns their number. */
int vai__selectio_push(lua_State *L, struct vai__selectio *io);

#endif
