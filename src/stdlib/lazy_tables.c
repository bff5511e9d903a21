/* SPDX-License-Identifier: MIT */
/* The lazy tables themselves: making them and their hidden metatable, telling which of them a table is, and
 * package.loaded. lazy.c fills them. */
#include <lauxlib.h>
#include "stdlib/lazy_private.h"

static const char hidden_key;

bool vai__lazy_push_hidden(lua_State *L)
{
	return lua_rawgetp(L, LUA_REGISTRYINDEX, &hidden_key) == LUA_TTABLE;
}

void vai__lazy_set_hidden(lua_State *L)
{
	lua_rawsetp(L, LUA_REGISTRYINDEX, &hidden_key);
}

int vai__lazy_which(lua_State *L, const struct vai_vm *vm, int idx)
{
	const void *p = lua_topointer(L, idx);
	for (int i = 0; i < VAI__LAZY_KNOWN; i++)
		if (vm->lazy[i] == p && p)
			return i;
	if (!p)
		return -1;
	if (!vai__lazy_push_hidden(L)) { /* the host's state */
		lua_pop(L, 1);
		return -1;
	}
	int table = VAI__LAZY_TABLES - 1;
	for (; table >= VAI__LAZY_KNOWN; table--) {
		bool same = lua_rawgeti(L, -1, table) == LUA_TTABLE && lua_topointer(L, -1) == p;
		lua_pop(L, 1);
		if (same)
			break;
	}
	lua_pop(L, 1);
	return table >= VAI__LAZY_KNOWN ? table : -1;
}

void vai__lazy_new(lua_State *L, int table)
{
	vai__lazy_push_hidden(L);
	if (lua_rawgeti(L, -1, table) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_createtable(L, 0, 1);
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, table);
		lua_pushvalue(L, -2);
		lua_setmetatable(L, -2);
	}
	lua_remove(L, -2);
}

void vai__lazy_unhide(lua_State *L, struct vai_vm *vm, int table, int idx)
{
	if (table < VAI__LAZY_KNOWN) {
		vm->lazy[table] = NULL;
	} else {
		vai__lazy_push_hidden(L);
		lua_pushnil(L);
		lua_rawseti(L, -2, table);
		lua_pop(L, 1);
	}
	lua_pushnil(L);
	lua_setmetatable(L, idx);
}

/* Makes package.loaded, when a library is looked up or a name settled for the first time: a goroutine that does
 * neither needs none. If other code has made the table, that one is used. */
static void make_loaded(lua_State *L, struct vai_vm *vm)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushliteral(L, LUA_GNAME);
	lua_pushglobaltable(L);
	lua_rawset(L, -3);
	vai__lazy_push_hidden(L);
	lua_setmetatable(L, -2);
	vm->lazy[VAI__LAZY_LOADED] = lua_topointer(L, -1);
	vm->has_loaded = true;
	lua_pop(L, 1);
}

void vai__lazy_need_loaded(lua_State *L, struct vai_vm *vm)
{
	if (!vm->has_loaded)
		make_loaded(L, vm);
}

bool vai__lazy_push_known(lua_State *L, struct vai_vm *vm, int table)
{
	if (table == VAI__LAZY_GLOBALS) {
		lua_pushglobaltable(L);
	} else {
		vai__lazy_need_loaded(L, vm);
		lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	}
	if (lua_topointer(L, -1) == vm->lazy[table] && vm->lazy[table])
		return true;
	lua_pop(L, 1);
	return false;
}

bool vai__lazy_push_loaded(lua_State *L, struct vai_vm *vm)
{
	if (vm->hidden)
		vai__lazy_need_loaded(L, vm);
	if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE)
		return true;
	lua_pop(L, 1);
	return false;
}

void vai__lazy_store(lua_State *L, struct vai_vm *vm, int table, const char *name)
{
	if (!vai__lazy_push_known(L, vm, table))
		return;
	lua_pushstring(L, name);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}
