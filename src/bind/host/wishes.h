/* SPDX-License-Identifier: MIT */
/* What the host wishes for a state of its own before that opens vai (vai_lua.h: vai_lua_sandbox, vai_lua_init). The
 * wishes lie in the state's registry and stay there. Thread of the state. */
#ifndef VAI_WISHES_H
#define VAI_WISHES_H

#include <lua.h>
#include "sched/sched.h"
#include "stdlib/sandbox.h"

/* Notes which C functions may cross in the sandbox, with the help of L, a state of the host's. False: out of memory. */
typedef bool vai__wishes_notes(struct vai__sandbox *s, void *L);
/* A sandbox, whose reference is taken over, with bounds. False: out of memory. */
bool vai__wishes_sandbox(
	lua_State *L, struct vai__sandbox *s, const struct vai__sandbox_bounds *bounds, vai__wishes_notes *notes);
/* None. */
void vai__wishes_no_sandbox(lua_State *L);
/* What init leaves in goroutines' states (NULL: nothing), where userdata with finalizers may be among that. False: out
 * of memory. */
bool vai__wishes_init(lua_State *L, lua_CFunction init, bool finalizers);
/* The same for all states for which it is not called. Any thread, under the gate of sched/home.h. */
void vai__wishes_init_of_all(lua_CFunction init, bool finalizers);
/* When the state has been attached to the calling main's home: gives that what was wished. As vai__setup_open. */
int vai__wishes_grant(lua_State *L, struct vai__home *home);

#endif
