/* SPDX-License-Identifier: MIT */
/* print, io.write and file:write whose output of one call comes out in one piece, otherwise as in Lua 5.4's
 * lbaselib.c and liolib.c, and the list of all stock functions that are replaced. Everything that may raise comes
 * before the file is locked. */
#include "bind/stock/baselib.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lualib.h>
#include "bind/life/life.h"
#include "bind/stock/blocking.h"
#include "bind/stock/corolib.h"
#include "runtime/prepare.h"
#include "stdlib/lazy.h"
#include "stdlib/catalog.h"

enum { NUMBER_SIZE = 32 }; /* of most numbers, as text */

/* In the host's state it is noted for goroutines whether warnings are on. */
static int base_warn(lua_State *L)
{
	int n = lua_gettop(L);
	luaL_checkstring(L, 1);
	for (int i = 2; i <= n; i++)
		luaL_checkstring(L, i);
	for (int i = 1; i < n; i++)
		lua_warning(L, lua_tostring(L, i), 1);
	lua_warning(L, lua_tostring(L, n), 0);
	const char *control = n == 1 && !vai__state_of(L) ? lua_tostring(L, 1) : "";
	if (strcmp(control, "@on") == 0 || strcmp(control, "@off") == 0)
		vai__prepare_warn(control[2] == 'n');
	return 0;
}

static int base_print(lua_State *L)
{
	int n = lua_gettop(L);
	size_t size = (size_t)n + 1;
	for (int i = 1; i <= n; i++) {
		size_t len;
		luaL_tolstring(L, i, &len);
		lua_replace(L, i);
		size += len;
	}
	vai__blocking_lock_output(L, stdout, size, true);
	for (int i = 1; i <= n; i++) {
		size_t len;
		const char *s = lua_tolstring(L, i, &len);
		if (i > 1)
			putc_unlocked('\t', stdout);
		fwrite(s, 1, len, stdout);
	}
	putc_unlocked('\n', stdout);
	fflush(stdout);
	funlockfile(stdout);
	return 0;
}

static bool write_one(lua_State *L, int idx, FILE *f)
{
	if (lua_type(L, idx) == LUA_TNUMBER) {
		int len = lua_isinteger(L, idx) ? fprintf(f, LUA_INTEGER_FMT, (LUAI_UACINT)lua_tointeger(L, idx))
										: fprintf(f, LUA_NUMBER_FMT, (LUAI_UACNUMBER)lua_tonumber(L, idx));
		return len > 0;
	}
	size_t len;
	const char *s = lua_tolstring(L, idx, &len);
	return fwrite(s, 1, len, f) == len;
}

/* The values from stack index `first` to `last`; the file's handle is on top. */
static int write_values(lua_State *L, FILE *f, int first, int last)
{
	bool ok = true;
	size_t size = 0;
	for (int i = first; i <= last; i++) {
		size_t len = NUMBER_SIZE;
		if (lua_type(L, i) != LUA_TNUMBER)
			luaL_checklstring(L, i, &len);
		size += len;
	}
	vai__blocking_lock_output(L, f, size, false);
	for (int i = first; i <= last; i++)
		ok = write_one(L, i, f) && ok;
	int error = errno;
	funlockfile(f);
	if (VAI_LIKELY(ok))
		return 1;
	errno = error;
	return luaL_fileresult(L, 0, NULL);
}

/* Pushes the default output file. A captured io.write may come before io itself. */
static luaL_Stream *push_output(lua_State *L)
{
	struct vai_vm *vm;
	if (lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output") == LUA_TNIL && (vm = vai__state_of(L)) != NULL) {
		vai__lazy_require(L, vm, "io");
		lua_pop(L, 2);
		lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output");
	}
	luaL_Stream *out = luaL_testudata(L, -1, LUA_FILEHANDLE);
	if (!out)
		luaL_error(L, "default output file is missing");
	return out;
}

static int io_write(lua_State *L)
{
	int last = lua_gettop(L);
	luaL_Stream *out = push_output(L);
	if (!out->closef)
		return luaL_error(L, "default output file is closed");
	return write_values(L, out->f, 1, last);
}

static int file_write(lua_State *L)
{
	int last = lua_gettop(L);
	luaL_Stream *out = luaL_checkudata(L, 1, LUA_FILEHANDLE);
	if (!out->closef)
		return luaL_error(L, "attempt to use a closed file");
	lua_pushvalue(L, 1);
	return write_values(L, out->f, 2, last);
}

/* lib: the name in package.loaded, or of a metatable whose methods are meant. */
static struct {
	const char *lib, *name;
	lua_CFunction f;
} overrides[] = {
	{"os", "exit", NULL}, /* OS_EXIT: whose function comes from above */
	{"_G", "print", base_print},
	{"_G", "warn", base_warn},
	{"io", "write", io_write},
	{"io", "popen", vai__popen},
	{LUA_FILEHANDLE, "write", file_write},
	{"os", "execute", vai__blocking_os_execute},
	{LUA_FILEHANDLE, "read", vai__blocking_file_read},
	{LUA_FILEHANDLE, "lines", vai__blocking_file_lines},
	{"coroutine", "resume", vai__corolib_resume},
	{"coroutine", "wrap", vai__corolib_wrap},
	{"coroutine", "close", vai__corolib_close},
	{"debug", "sethook", vai__hook_sethook},
	{"debug", "gethook", vai__hook_gethook},
};

enum { OVERRIDES = sizeof overrides / sizeof overrides[0], OS_EXIT = 0 };

void vai__base_register(lua_CFunction os_exit)
{
	overrides[OS_EXIT].f = os_exit;
	for (int i = 0; i < OVERRIDES; i++)
		vai__catalog_override(overrides[i].lib, overrides[i].name, overrides[i].f, NULL);
	vai__catalog_override("_G", "pcall", vai__protect_pcall, &vai__protect_stock_pcall);
	vai__catalog_override("_G", "xpcall", vai__protect_xpcall, &vai__protect_stock_xpcall);
	vai__catalog_override("_G", "error", vai__protect_error, &vai__protect_stock_error);
	vai__catalog_override("_G", "assert", vai__protect_assert, &vai__protect_stock_assert);
}

/* Pushes the table that entry i is about, or false. */
static bool push_table(lua_State *L, int i)
{
	const char *lib = overrides[i].lib;
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

/* Argument: where the stock functions of a fresh state go. */
static int collect_stock(lua_State *L)
{
	lua_CFunction *stock = lua_touserdata(L, 1);
	luaL_openlibs(L);
	for (int i = 0; i < OVERRIDES; i++) {
		if (push_table(L, i)) {
			lua_getfield(L, -1, overrides[i].name);
			stock[i] = lua_tocfunction(L, -1);
		}
		lua_settop(L, 1);
	}
	return 0;
}

/* A stock state to compare with is made for the moment; without memory for it all stays. */
void vai__base_install(lua_State *L)
{
	lua_CFunction stock[OVERRIDES] = {NULL};
	lua_State *S = luaL_newstate();
	if (!S)
		return;
	lua_pushcfunction(S, collect_stock);
	lua_pushlightuserdata(S, stock);
	lua_pcall(S, 1, 0, 0);
	lua_close(S);
	int top = lua_gettop(L);
	for (int i = 0; i < OVERRIDES; i++) {
		vai__blocking_stock(overrides[i].f, stock[i]);
		if (stock[i] && push_table(L, i)) {
			lua_getfield(L, -1, overrides[i].name);
			if (lua_tocfunction(L, -1) == stock[i]) {
				lua_pushcfunction(L, overrides[i].f);
				lua_setfield(L, -3, overrides[i].name);
			}
		}
		lua_settop(L, top);
	}
}
