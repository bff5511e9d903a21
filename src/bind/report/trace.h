/* SPDX-License-Identifier: MIT */
/* Tracebacks of Lua states that stand still, from any thread: nothing in the state is changed, and no memory of it is
 * used. */
#ifndef VAI_TRACE_H
#define VAI_TRACE_H

#include <lua.h>
#include "bind/report/text.h"

/* The number of levels of L's stack. */
int vai__trace_levels(lua_State *L);
/* Adds the levels from first to last - 1 (last < 0: to the end), a line each, in the form of luaL_traceback. Of very
 * many levels the middle is left out. */
void vai__trace_add(struct vai__buffer *t, lua_State *L, int first, int last);

#endif
