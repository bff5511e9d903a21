/* SPDX-License-Identifier: MIT */
/* pcall, xpcall, error and assert of goroutines. They do what Lua 5.4's lbaselib.c does, and also notice that the end
 * of the goroutine was caught, or is raised again. */
#include "bind/life/life.h"
#include "bind/life/shed.h"
#include <lauxlib.h>

lua_CFunction vai__protect_stock_pcall, vai__protect_stock_xpcall, vai__protect_stock_error, vai__protect_stock_assert;

static VAI_NOINLINE int failed(lua_State *L, int status, int handler)
{
	if (vai__end_caught(L, NULL, status) && handler) {
		lua_pushvalue(L, handler);
		lua_insert(L, -2);
		lua_call(L, 1, 1);
	}
	lua_pushboolean(L, 0);
	lua_insert(L, -2);
	return 2;
}

/* Returns the results of pcall or xpcall. extra: how many values lie below the results; the second of them is
 * xpcall's handler. */
static int finish(lua_State *L, int status, lua_KContext extra)
{
	if (VAI_UNLIKELY(status != LUA_OK && status != LUA_YIELD))
		return failed(L, status, extra ? 2 : 0);
	return lua_gettop(L) - (int)extra;
}

/* The continuation for a protected call in L: NULL in a goroutine's body, where a wait in such a call keeps its stack
 * (shed.h). */
static inline lua_KFunction continuation(const lua_State *L)
{
	return vai__shed_is_body(L) ? NULL : finish;
}

int vai__protect_pcall(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_pushboolean(L, 1);
	lua_insert(L, 1);
	int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, continuation(L));
	return finish(L, status, 0);
}

int vai__protect_xpcall(lua_State *L)
{
	int n = lua_gettop(L);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_pushboolean(L, 1);
	lua_pushvalue(L, 1);
	lua_rotate(L, 3, 2);
	int status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, continuation(L));
	return finish(L, status, 2);
}

int vai__protect_error(lua_State *L)
{
	if (lua_gettop(L) > 0)
		vai__end_rethrow(L, 1);
	return vai__protect_stock_error(L);
}

int vai__protect_assert(lua_State *L)
{
	if (VAI_LIKELY(lua_toboolean(L, 1)))
		return lua_gettop(L);
	if (lua_gettop(L) > 1)
		vai__end_rethrow(L, 2);
	return vai__protect_stock_assert(L);
}
