/* SPDX-License-Identifier: MIT */
/* New states that get only some of the libraries. */
#include "stdlib/only_libs.h"
#include <lauxlib.h>
#include <string.h>
#include "base/atomic.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy_private.h"
#include "stdlib/sandbox.h"

unsigned vai__only_libs_bit(const char *name)
{
	int i = vai__catalog_lib(name);
	return i < 0 ? 0 : 1u << i;
}

void vai__only_libs_host(lua_State *L, struct vai__home *home)
{
	unsigned lacks = 0;
	int top = lua_gettop(L);
	if (!lua_checkstack(L, 4) || lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) != LUA_TTABLE) {
		lua_settop(L, top);
		return;
	}
	for (int i = 0; i < VAI__LIBS; i++) {
		const char *name = vai__catalog_lib_name(i);
		lua_pushstring(L, name);
		if (lua_rawget(L, -2) == LUA_TNIL && strcmp(name, "package") != 0 &&
			vai__sandbox_allows_any(home->sandbox, name))
			lacks |= 1u << i;
		lua_pop(L, 1);
	}
	lua_settop(L, top);
	atomic_store_relaxed(&home->lacks, lacks);
}

static void clear(lua_State *L, const char *name)
{
	lua_pushstring(L, name);
	lua_pushnil(L);
	lua_rawset(L, -3);
}

/* Takes away library i by settling its name as nil. _G is on top. */
static void take_away(lua_State *L, struct vai_vm *vm, int i)
{
	const char *name = i == vai__catalog_lib("package") ? "require" : NULL;
	if (vm->hidden) {
		vai__lazy_settle(vm, (unsigned)vai__catalog.libs[i].global);
		vai__lazy_settle(vm, vai__lazy_loaded_bit(i));
		if (name)
			vai__lazy_settle(vm, (unsigned)vai__catalog_global(name, strlen(name)));
		return;
	}
	if (name)
		clear(L, name);
	name = vai__catalog_lib_name(i);
	clear(L, name);
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	clear(L, name);
	lua_pop(L, 1);
}

static void take_methods(lua_State *L)
{
	lua_pushliteral(L, "");
	lua_pushnil(L);
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

static int keep_libs(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	lua_pushglobaltable(L);
	for (int i = 0; i < VAI__LIBS; i++)
		if (vm->without >> i & 1)
			take_away(L, vm, i);
	if (vm->without & vai__only_libs_bit("string"))
		take_methods(L);
	return 0;
}

int vai__only_libs_keep(struct vai_vm *vm, unsigned libs)
{
	vm->without |= (~libs | vai__only_libs_lacking(vai__home_self())) & ((1u << VAI__LIBS) - 1);
	lua_pushcfunction(vm->L, keep_libs);
	if (lua_pcall(vm->L, 0, 0, 0) == LUA_OK)
		return VAI_OK;
	lua_settop(vm->L, 0);
	return VAI_ENOMEM;
}
