/* SPDX-License-Identifier: MIT */
/* defer: a call that is made when a block ends. The value that stands for the call stays in its state and is no
 * object of vai's, so the call may refer to anything in that state. */
#include "bind/arg.h"
#include "bind/lib/lib.h"

static const char *const type_name = "vai.deferred";

static int called(lua_State *L, int status, lua_KContext context)
{
	(void)L;
	(void)status;
	(void)context;
	return 0;
}

/* Makes the call, once. The function and its arguments lie in a table that is the userdata's user value. */
static int deferred_close(lua_State *L)
{
	luaL_checkudata(L, 1, type_name);
	lua_settop(L, 1);
	if (lua_getiuservalue(L, 1, 1) != LUA_TTABLE)
		return 0;
	lua_pushnil(L);
	lua_setiuservalue(L, 1, 1);
	lua_getfield(L, 2, "n");
	int n = (int)lua_tointeger(L, -1);
	lua_pop(L, 1);
	luaL_checkstack(L, n + 2, "too many arguments");
	for (int i = 1; i <= n; i++)
		lua_rawgeti(L, 2, i);
	lua_callk(L, n - 1, 0, 0, called);
	return 0;
}

static void push_metatable(lua_State *L)
{
	if (!luaL_newmetatable(L, type_name))
		return;
	lua_pushcfunction(L, deferred_close);
	lua_setfield(L, -2, "__close");
	lua_pushliteral(L, "a deferred call");
	lua_setfield(L, -2, "__metatable");
}

int vai__lib_defer(lua_State *L)
{
	int n = lua_gettop(L);
	if (!lua_isfunction(L, 1))
		vai__arg_type_error(L, 1, 1, "defer", "function");
	luaL_checkstack(L, 6, NULL);
	lua_createtable(L, n, 1);
	lua_insert(L, 1);
	for (int i = n; i > 0; i--)
		lua_rawseti(L, 1, i);
	lua_pushinteger(L, n);
	lua_setfield(L, 1, "n");
	lua_newuserdatauv(L, 0, 1);
	lua_insert(L, 1);
	lua_setiuservalue(L, 1, 1);
	push_metatable(L);
	lua_setmetatable(L, 1);
	return 1;
}
