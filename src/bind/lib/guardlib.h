/* SPDX-License-Identifier: MIT */
/* Guards as Lua sees them: for `<close>`, and for functions that undo what they did however they
 * are left. */
#ifndef VAI_GUARDLIB_H
#define VAI_GUARDLIB_H

#include <lua.h>
#include "sched/sched.h"
#include "sync/guard.h"

/* Pushes the handle of a new guard, not armed yet. May raise: before what is to be undone is done. */
vai_guard *vai__guard_push(
	lua_State *L, vai_g *g, struct vai_obj *what, void (*undo)(struct vai_obj *what, uint64_t id));
/* Calls the function at stack index 2 with what lies from 3 to below the guard on top of the stack, which
 * is armed, and closes the guard, also where that raises. Returns the function's results. For
 * the end of a method, `return vai__guard_call(L)`: a coroutine may yield in there. */
int vai__guard_call(lua_State *L);

#endif
