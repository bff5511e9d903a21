/* SPDX-License-Identifier: MIT */
/* What hosts and C modules do to a state's libraries, and what they find of them in goroutines. */
#include "host/host.h"
#include <stdlib.h>
#include <string.h>

/* What C code sees of a state: package.loaded and preload in the registry, all globals by lua_next, a global and
 * a library's field without metamethods, where the methods of strings are. */
static int look(lua_State *L)
{
	int n = 0;
	lua_pushstring(L, lua_typename(L, lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE)));
	lua_pushstring(L, lua_typename(L, lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE)));
	lua_pushglobaltable(L);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		n++;
	lua_pushinteger(L, n);
	lua_pushglobaltable(L);
	lua_pushliteral(L, "string");
	lua_rawget(L, -2);
	lua_pushliteral(L, "format");
	lua_rawget(L, -2);
	lua_pushboolean(L, lua_iscfunction(L, -1));
	lua_pushboolean(L, lua_getmetatable(L, -3));
	luaL_getmetafield(L, 2, "__index");
	lua_pushstring(L, luaL_typename(L, -1));
	lua_pushfstring(
		L, "%s %s %d %d %s", lua_tostring(L, 2), lua_tostring(L, 4), n, lua_toboolean(L, -4), lua_tostring(L, -1));
	return 1;
}

/* A C function that goes through everything that package.loaded reaches in one step. */
static int walk(lua_State *L)
{
	int n = 0;
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (!lua_istable(L, -1) || strcmp(lua_tostring(L, -2), LUA_GNAME) == 0)
			continue;
		for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
			n++;
	}
	lua_pushinteger(L, n);
	return 1;
}

static void test_c_code_sees_full_libraries(void **state)
{
	(void)state;
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_pushcfunction(L, look);
	lua_pushliteral(L, "");
	lua_call(L, 1, 1);
	lua_setglobal(L, "stock");
	lua_pushcfunction(L, walk);
	lua_call(L, 0, 1);
	lua_setglobal(L, "size");
	lua_register(L, "look", look);
	lua_register(L, "walk", walk);
	host_run(L,
		"local vai = require 'vai'\n"
		"local function same(a, b) if a ~= b then error(('%s, and stock has %s'):format(a, b), 2) end end\n"
		"same(select(2, vai.async(look, ''):join()), stock)\n"
		"same(select(2, vai.async(walk):join()), size)\n"
		"same(select(2, vai.async(function() return walk() end):join()), size)\n"
		"same(select(2, vai.async(function() return type(debug.getregistry()._PRELOAD) end):join()), 'table')\n"
		"local ch = vai.chan(1)\n"
		"ch:send(look)\n"
		"same(select(2, vai.async(function() return ch:recv() '' end):join()), stock)\n");
	lua_close(L);
}

static int heard;
static int own_print(lua_State *L)
{
	(void)L;
	heard++;
	return 0;
}

static void test_print_of_the_host(void **state)
{
	(void)state;
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_register(L, "print", own_print);
	heard = 0;
	host_run(L, "local vai = require 'vai' vai.async(function() print 'not on stdout' end):join()");
	assert_int_equal(heard, 1);
	lua_close(L);
}

static int of_nobody(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

/* C functions that belong to no module cross, unless the host forbids it before vai starts. */
static void test_forbidden_functions(void **state)
{
	(void)state;
	static const char sends[] = "vai = require 'vai'\n"
								"local f = f\n"
								"return vai.async(function() f() end):join()";
	for (int i = 0; i < 3; i++) {
		lua_State *L = host_open();
		lua_pushstring(L, i == 0 ? "any" : "modules");
		lua_setfield(L, LUA_REGISTRYINDEX, "vai.c_functions");
		lua_pushinteger(L, 1);
		lua_pushcclosure(L, of_nobody, i == 2);
		lua_setglobal(L, "f");
		lua_register(L, "g", own_print);
		if (i == 0)
			host_run(L, sends);
		else
			host_fails(L, sends,
				"upvalue 'f': a C function that belongs to no loaded module cannot be sent: the host forbids it");
		if (i > 0) {
			host_fails(L, "vai.chan(1):send(f)", "belongs to no loaded module");
			host_fails(L, "vai.chan(1):send({ f })", "belongs to no loaded module");
			host_fails(L, "vai.go(f)", "belongs to no loaded module");
			host_fails(L, "vai.async(function(...) return f and 1 end):join()", "global 'f': a C function");
		}
		host_run(L, "local fine, up = print, math.random vai.async(function() return fine, up, vai.now() end):join()");
		host_run(L,
			"package.preload.mine = function() return { g = g } end require 'mine' assert(vai.async(function() g() "
			"end):join())");
		lua_close(L);
	}
	lua_State *L = host_open();
	lua_pushliteral(L, "none");
	lua_setfield(L, LUA_REGISTRYINDEX, "vai.c_functions");
	host_fails(L, "require 'vai'", "the registry's 'vai.c_functions' is neither \"any\" nor \"modules\"");
	lua_close(L);
}

static void test_libraries_that_the_host_has_not(void **state)
{
	(void)state;
	lua_State *L = luaL_newstate();
	luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
	luaL_requiref(L, LUA_LOADLIBNAME, luaopen_package, 1);
	luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
	lua_pop(L, 3);
	host_run(L,
		"local vai = require 'vai'\n"
		"local function f() return os, io, debug, table, ('x'):upper(), pcall(require, 'os') end\n"
		"for _ = 1, 5 do\n"
		"  local ok, os, io, debug, table, x, found = vai.async(f):join()\n"
		"  assert(ok and not os and not io and not debug and not table and x == 'X' and not found)\n"
		"end\n");
	luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
	lua_pop(L, 1);
	host_run(L,
		"local vai = require 'vai'\n"
		"assert(select(2, vai.async(function() return table.concat { 'a', 'b' } end):join()) == 'ab')\n");
	lua_close(L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c_code_sees_full_libraries),
		cmocka_unit_test(test_print_of_the_host),
		host_test(test_forbidden_functions),
		cmocka_unit_test(test_libraries_that_the_host_has_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
