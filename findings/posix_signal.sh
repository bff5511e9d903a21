#!/bin/bash
# SPDX-License-Identifier: MIT
# lua-posix keeps one Lua state for all signals: the last that has loaded posix.signal. Where a second state of the process only
# requires the module, the handlers of the first are looked up in the second, which has none: the signal is lost.
. "$(dirname "$0")/packages.sh"
unpack bookworm liblua5.3-0=5.3.6-2 liblua5.3-dev=5.3.6-2 lua-posix=33.4.0-3+b1
root=$folder/bookworm
export LUA_PATH="$root/usr/share/lua/5.3/?.lua;$root/usr/share/lua/5.3/?/init.lua" LUA_CPATH="$root/usr/lib/$triplet/lua/5.3/?.so"
cat >"$folder/p.c" <<'C'
#include <lua5.3/lauxlib.h>
#include <lua5.3/lua.h>
#include <lua5.3/lualib.h>
#include <signal.h>
#include <stdio.h>

static void run(lua_State *L, const char *chunk)
{
	if (luaL_dostring(L, chunk))
		puts(lua_tostring(L, -1));
}

static lua_State *opened(void)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	run(L, "posix = require 'posix.signal'");
	return L;
}

static void try(lua_State *L)
{
	fprintf(stderr, "raised, ");
	raise(SIGUSR1);
	run(L, "for i = 1, 100000 do end io.stderr:write 'went on; '");
}

int main(void)
{
	lua_State *first = opened();
	run(first, "posix.signal(posix.SIGUSR1, function() io.stderr:write 'handled, ' end)");
	try(first);
	opened();
	try(first);
	return 0;
}
C
compile "$folder/p.c" "$folder/p" -llua5.3
export LD_LIBRARY_PATH=$root/usr/lib/$triplet
saw "$("$folder/p" 2>&1)" "raised, handled, went on; raised, went on; "
echo "so: programs take signals by vai.signal; doc/SHARED.md tells of posix.signal"
