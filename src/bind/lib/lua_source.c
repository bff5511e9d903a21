/* SPDX-License-Identifier: MIT */
/* See lua_source.h. */
#include "bind/lib/lua_source.h"
#include "stdlib/lazy.h"

void vai__lib_push_source(
	lua_State *L, const void *key, const char *from, const char *to, const char *name, lua_CFunction extra)
{
	vai_g *g = vai__bind_self(L);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL)
		return;
	lua_pop(L, 1);
	if (luaL_loadbuffer(L, from, (size_t)(to - from), name) != LUA_OK)
		lua_error(L);
	vai__lazy_require(L, vai__bind_vm(g), "vai");
	if (extra)
		lua_pushcfunction(L, extra);
	else
		lua_pushnil(L);
	lua_call(L, 2, 1);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}
