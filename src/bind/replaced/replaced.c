/* SPDX-License-Identifier: MIT */
/* See replaced.h. A function that is replaced everywhere is registered in the catalog, so that new states have the
 * replacement from their first instruction; in the host's state it is set once, unless the script has set another one
 * before. */
#include "bind/replaced/replaced.h"
#include <string.h>
#include <lauxlib.h>
#include <lualib.h>
#include "bind/life/life.h"
#include "bind/replaced/blocking.h"
#include "bind/replaced/coroutine.h"
#include "bind/replaced/print.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"

/* lib: a library's name in package.loaded, or the name of the metatable whose method is replaced. */
static struct {
	const char *lib, *name;
	lua_CFunction f;
} replaced[] = {
	{"os", "exit", NULL}, /* OS_EXIT: set by vai__replaced_register */
	{"_G", "print", vai__print},
	{"_G", "warn", vai__print_warn},
	{"io", "write", vai__print_io_write},
	{"io", "popen", vai__popen},
	{LUA_FILEHANDLE, "write", vai__print_file_write},
	{"os", "execute", vai__blocking_os_execute},
	{LUA_FILEHANDLE, "read", vai__blocking_file_read},
	{LUA_FILEHANDLE, "lines", vai__blocking_file_lines},
	{"coroutine", "resume", vai__coroutine_resume},
	{"coroutine", "wrap", vai__coroutine_wrap},
	{"coroutine", "close", vai__coroutine_close},
	{"coroutine", "yield", vai__coroutine_yield},
	{"coroutine", "isyieldable", vai__coroutine_isyieldable},
	{"debug", "sethook", vai__hook_sethook},
	{"debug", "gethook", vai__hook_gethook},
};

enum { REPLACED = sizeof replaced / sizeof replaced[0], OS_EXIT = 0 };

void vai__replaced_register(lua_CFunction os_exit)
{
	replaced[OS_EXIT].f = os_exit;
	for (int i = 0; i < REPLACED; i++)
		vai__catalog_override(replaced[i].lib, replaced[i].name, replaced[i].f, NULL);
	vai__catalog_override("_G", "pcall", vai__protect_pcall, &vai__protect_stock_pcall);
	vai__catalog_override("_G", "xpcall", vai__protect_xpcall, &vai__protect_stock_xpcall);
	vai__catalog_override("_G", "error", vai__protect_error, &vai__protect_stock_error);
	vai__catalog_override("_G", "assert", vai__protect_assert, &vai__protect_stock_assert);
}

/* Pushes the table with entry i. False: there is none, and nothing is pushed. */
static bool push_table(lua_State *L, int i)
{
	const char *lib = replaced[i].lib;
	if (strcmp(lib, LUA_FILEHANDLE) == 0) {
		lua_getfield(L, LUA_REGISTRYINDEX, lib);
		lib = "__index";
	} else {
		lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	}
	if (lua_istable(L, -1))
		lua_getfield(L, -1, lib);
	if (lua_istable(L, -1))
		return true;
	lua_pushboolean(L, 0);
	return false;
}

/* Collects the stock functions of the stock state L. Argument: the array for them. */
static int collect_stock(lua_State *L)
{
	lua_CFunction *stock = lua_touserdata(L, 1);
	luaL_openlibs(L);
	for (int i = 0; i < REPLACED; i++) {
		if (push_table(L, i)) {
			lua_getfield(L, -1, replaced[i].name);
			stock[i] = lua_tocfunction(L, -1);
		}
		lua_settop(L, 1);
	}
	return 0;
}

/* Replaces only functions that are those of a stock state, which is made for the comparison. If there is no memory
 * for that state, nothing is replaced. */
void vai__replaced_install(lua_State *L)
{
	lua_CFunction stock[REPLACED] = {NULL};
	lua_State *S = luaL_newstate();
	if (!S)
		return;
	lua_pushcfunction(S, collect_stock);
	lua_pushlightuserdata(S, stock);
	lua_pcall(S, 1, 0, 0);
	lua_close(S);
	int top = lua_gettop(L);
	for (int i = 0; i < REPLACED; i++) {
		vai__blocking_stock(replaced[i].f, stock[i]);
		if (stock[i] && push_table(L, i)) {
			lua_getfield(L, -1, replaced[i].name);
			if (lua_tocfunction(L, -1) == stock[i]) {
				lua_pushcfunction(L, replaced[i].f);
				lua_setfield(L, -3, replaced[i].name);
			}
		}
		lua_settop(L, top);
	}
}
