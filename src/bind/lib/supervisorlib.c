/* SPDX-License-Identifier: MIT */
/* supervisor: Lua code (supervisor.lua beside this file), which lies in the module and is loaded in the states that
 * call it. */
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/lua_source.h"
#include "bind/report/host_log.h"
#include "transfer/codec.h"

VAI_LUA_SOURCE(vai__supervisor_source, "src/bind/lib/supervisor.lua");

static const char constructor_key;

/* Reports assignments that would be lost in the function in the options. It is sent inside of a table, where
 * functions are not checked for that. */
static void look_at_functions(lua_State *L, vai_g *g)
{
	if (!lua_istable(L, 1))
		return;
	lua_pushliteral(L, "on_failure");
	if (lua_rawget(L, 1) == LUA_TFUNCTION)
		vai__encode_look(L, vai__bind_vm(g), lua_gettop(L));
	lua_pop(L, 1);
}

/* supervisor([options]); or supervisor(false, text), by which the goroutines of supervisors have a text reported. */
int vai__lib_supervisor(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	if (lua_type(L, 1) == LUA_TBOOLEAN && lua_type(L, 2) == LUA_TSTRING) {
		vai__host_log("%s", lua_tostring(L, 2));
		return 0;
	}
	lua_settop(L, 1);
	look_at_functions(L, g);
	vai__lib_push_source(
		L, &constructor_key, vai__supervisor_source, vai__supervisor_source_end, "=vai.supervisor", NULL);
	lua_insert(L, 1);
	lua_call(L, 1, 1);
	return 1;
}
