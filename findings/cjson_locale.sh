#!/bin/bash
# SPDX-License-Identifier: MIT
# lua-cjson asks the process's locale for the decimal point whenever a Lua state loads it, and keeps the answer in one static
# variable for all states. A state that has decoded numbers well so far no longer does after another one has loaded the
# module under another locale, even though the locale has been set back since.
. "$(dirname "$0")/packages.sh"
unpack bookworm lua5.4=5.4.4-3+deb12u1 liblua5.4-0=5.4.4-3+deb12u1 liblua5.4-dev=5.4.4-3+deb12u1 \
	lua-cjson=2.1.0+dfsg-2.2 locales-all=2.36-9+deb12u14
root=$folder/bookworm
export LOCPATH=$root/usr/lib/locale LUA_CPATH="$root/usr/lib/$triplet/lua/5.4/?.so"
cat >"$folder/p.c" <<'C'
#include <lua5.4/lauxlib.h>
#include <lua5.4/lua.h>
#include <lua5.4/lualib.h>
#include <stdio.h>

static lua_State *opened(const char *locale)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_pushstring(L, locale);
	lua_setglobal(L, "locale");
	if (luaL_dostring(L, "assert(os.setlocale(locale, 'numeric')) cjson = require 'cjson' assert(os.setlocale('C', 'numeric'))"))
		puts(lua_tostring(L, -1));
	return L;
}

static void encode(lua_State *L)
{
	luaL_dostring(L, "io.write(' ', cjson.encode { 1.5 }, ' ', pcall(cjson.decode, '[1.5]') and 'read' or 'not read')");
}

int main(void)
{
	lua_State *first = opened("C"), *second;
	printf("first:"), fflush(stdout);
	encode(first), fflush(stdout);
	second = opened("de_DE.utf8");
	printf("; a second was loaded:"), fflush(stdout);
	encode(first), encode(second), fflush(stdout);
	putchar('\n');
	return 0;
}
C
compile "$folder/p.c" "$folder/p" -llua5.4
export LD_LIBRARY_PATH=$root/usr/lib/$triplet
saw "$("$folder/p")" "first: [1.5] read; a second was loaded: [1.5] not read [1.5] not read"
echo "so: goroutines load cjson under one locale only; doc/SHARED.md tells what is shared after all"
