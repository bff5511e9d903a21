/* SPDX-License-Identifier: MIT */
/* What is found out about this Lua by trying (probe_lua.c). */
#ifndef VAI_PROBE_LUA_H
#define VAI_PROBE_LUA_H

#include <lua.h>
#include "base/base.h"

/* The prototype of a Lua closure as lua_topointer gives it, or NULL where this Lua's
 * closures could not be made out (probe_lua.c). */
const void *vai__probe_proto_of(const void *closure);
/* Whether what lua_upvalueid gives of a Lua function is still a local on some stack; false where this Lua's upvalues
 * could not be made out. */
bool vai__probe_is_open(const void *upvalue);
/* Whether this Lua's opcodes are those that bytewalk.c knows. */
bool vai__probe_opcodes_known(void);
/* Whether the collector tells that it is running a finalizer (5.4.4 and later); earlier ones seem to be stopped
 * meanwhile. */
bool vai__probe_gc_tells(void);
/* How many nested C calls this Lua allows: 200, in some releases 2,000. */
int vai__probe_c_levels(void);
/* Whether the main thread of a state may be resumed, with as many nested C calls there (from 5.4.2 on). */
bool vai__probe_resumes(void);
/* Whether closing a coroutine that has failed gives its closers the error and fails with it, or with theirs (from
 * 5.4.3 on). */
bool vai__probe_close_fails(void);
/* Whether the warnings of the state with that main thread are on, by the library's own function for them (lua.c's,
 * luaL_newstate's). False for a host's own, and where this cannot be made out. */
bool vai__probe_warns(lua_State *L);
/* Whether the C function that runs was called for no results, so that whatever it returns is thrown away. False where
 * this cannot be made out. */
bool vai__probe_discards(lua_State *L);
/* Finds these out, once per process; host thread, before the first of them. VAI_ENOMEM:
 * to be tried again. */
int vai__probe_lua(void);

#endif
