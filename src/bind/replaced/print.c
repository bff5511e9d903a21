/* SPDX-License-Identifier: MIT */
/* print, io.write and file:write, each call of which writes in one piece, otherwise as in Lua 5.4's lbaselib.c and
 * liolib.c; and warn. Nothing raises while the file is locked. */
#include "bind/replaced/print.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <lauxlib.h>
#include <lualib.h>
#include "bind/replaced/blocking.h"
#include "runtime/prepare.h"
#include "state/state.h"
#include "stdlib/lazy.h"

enum { NUMBER_SIZE = 32 }; /* bytes that suffice for most numbers as text */

/* In the host's state this also notes whether warnings are on, for goroutines that begin later. */
int vai__print_warn(lua_State *L)
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

int vai__print(lua_State *L)
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

/* Writes the values from stack index `first` to `last`; the file's handle is on top. */
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

/* Pushes the default output file. A captured io.write may be called before io is opened. */
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

int vai__print_io_write(lua_State *L)
{
	int last = lua_gettop(L);
	luaL_Stream *out = push_output(L);
	if (!out->closef)
		return luaL_error(L, "default output file is closed");
	return write_values(L, out->f, 1, last);
}

int vai__print_file_write(lua_State *L)
{
	int last = lua_gettop(L);
	luaL_Stream *out = luaL_checkudata(L, 1, LUA_FILEHANDLE);
	if (!out->closef)
		return luaL_error(L, "attempt to use a closed file");
	lua_pushvalue(L, 1);
	return write_values(L, out->f, 2, last);
}
