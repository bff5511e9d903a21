/* SPDX-License-Identifier: MIT */
/* Guards: for to-be-closed variables in Lua, and for functions in C that must undo something however they are left. */
#ifndef VAI_GUARDLIB_H
#define VAI_GUARDLIB_H

#include <lua.h>
#include "sched/sched.h"
#include "sync/guard.h"

/* Pushes the handle of a new guard, which is not armed yet. May raise, so it is called before the thing is done that
 * the guard will undo. */
vai_guard *vai__guard_push(
	lua_State *L, vai_g *g, struct vai_obj *what, void (*undo)(struct vai_obj *what, uint64_t id));
/* Calls the function at stack index 2 with the values from index 3 up to the guard, which is on top and armed. Closes
 * the guard, also if the function raises. Returns the function's results. Used as `return vai__guard_call(L)` at the
 * end of a method, as a coroutine may yield in the function. */
int vai__guard_call(lua_State *L);

#endif
