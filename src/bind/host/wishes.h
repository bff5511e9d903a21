/* SPDX-License-Identifier: MIT */
/* What the host sets for a state of its own before that opens vai (vai_lua.h: vai_lua_sandbox, vai_lua_init). It lies
 * in the state's registry and stays there. On the state's thread, unless said otherwise. */
#ifndef VAI_WISHES_H
#define VAI_WISHES_H

#include <lua.h>
#include "sched/sched.h"
#include "stdlib/sandbox.h"

/* Notes in s which C functions may cross, with the help of L, a state of the host's. False: out of memory. */
typedef bool vai__wishes_notes(struct vai__sandbox *s, void *L);
/* Sets a sandbox, whose reference is taken over, and its bounds. False: out of memory. */
bool vai__wishes_sandbox(
	lua_State *L, struct vai__sandbox *s, const struct vai__sandbox_bounds *bounds, vai__wishes_notes *notes);
/* Sets that there is no sandbox. */
void vai__wishes_no_sandbox(lua_State *L);
/* Sets the function that prepares goroutines' states (NULL: none); finalizers: it may leave userdata with finalizers
 * there. False: out of memory. */
bool vai__wishes_init(lua_State *L, lua_CFunction init, bool finalizers);
/* The same for all states without one of their own. Any thread, under the gate of sched/home.h. */
void vai__wishes_init_of_all(lua_CFunction init, bool finalizers);
/* Applies all that to the home of the calling main, to which the state has been attached. Results: as
 * vai__setup_open. */
int vai__wishes_grant(lua_State *L, struct vai__home *home);

#endif
