/* SPDX-License-Identifier: MIT */
/* `require` in a goroutine. The function itself is stock's; vai gives its package table searchers of its own
 * (install_searchers). For a Lua file (search_lua):
 *
 *   1. A preload of the script comes first (paths.c).
 *   2. package.path is searched as stock does, on the disk, for the file's name.
 *   3. The module in that file has returned a frozen table before: every state gets that one, and nothing is run.
 *   4. The file is what it was when it was read (modcache.c): its bytecode is loaded, not its text.
 *   5. Otherwise stock's searcher reads it, and the cache remembers the bytecode.
 *
 * The module's body then runs in the goroutine's state, once for each state, as in stock Lua. C libraries are stock's
 * matter (search_c); a state that has one can hold anything, and nothing in it fills itself any more. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "require/require.h"
#include <lauxlib.h>
#include <string.h>
#include "base/buffer.h"
#include "code/dump_function.h"
#include "require/modcache.h"
#include "require/paths.h"
#include "state/handle.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"
#include "stdlib/sandbox.h"
#include "transfer/codec.h"

/* ---- frozen results ---- */

/* If the value at idx is a frozen table, replaces it by the one that the module in that file has returned first. */
static bool share_at(lua_State *L, struct vai_vm *vm, int idx, const char *filename, const struct vai__mark *mark)
{
	struct vai_obj *o = NULL;
	if (lua_type(L, idx) != LUA_TTABLE || !vai__codec_stand_in(L, idx, &o) || !o)
		return false;
	vai__handle_push(L, vm, vai__modcache_share(filename, mark, o), false);
	lua_replace(L, idx);
	return true;
}

bool vai__require_share(lua_State *L, struct vai_vm *vm, int idx, const char *filename)
{
	struct vai__mark mark;
	return vai__modcache_look(filename, &mark) && share_at(L, vm, idx, filename, &mark);
}

/* A loader that returns its upvalue, the module's result. */
static int give_result(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

/* A loader that calls another one. Upvalues: that one, the file's name, its mark. */
static int load_and_share(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	struct vai__mark mark;
	size_t len;
	lua_settop(L, 2);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 2, 1);
	const char *p = lua_tolstring(L, lua_upvalueindex(3), &len);
	if (vm && p && len == sizeof mark) {
		memcpy(&mark, p, len);
		share_at(L, vm, 1, lua_tostring(L, lua_upvalueindex(2)), &mark);
	}
	return 1;
}

/* Whether the function at idx has this word among its constants. */
static bool mentions(lua_State *L, int idx, const char *word)
{
	struct vai__buffer code = {0};
	lua_pushvalue(L, idx);
	bool found = vai__dump_function(L, &code) && memmem(code.p, code.n, word, strlen(word));
	lua_pop(L, 1);
	vai__buffer_free(&code);
	return found;
}

/* Wraps the loader on top if its module may return a frozen table. */
static void wrap_loader(lua_State *L, const char *filename, const struct vai__mark *mark)
{
	if (!mentions(L, lua_gettop(L), "freeze"))
		return;
	lua_pushstring(L, filename);
	lua_pushlstring(L, (const char *)mark, sizeof *mark);
	lua_pushcclosure(L, load_and_share, 3);
}

/* ---- searching ---- */

/* Pushes the name of the file that stock's searcher would read for the module, or nil. */
static const char *push_filename(lua_State *L, int name)
{
	lua_pushvalue(L, lua_upvalueindex(3));
	lua_pushvalue(L, name);
	lua_getfield(L, lua_upvalueindex(1), "path");
	if (lua_type(L, -1) != LUA_TSTRING) {
		lua_settop(L, name);
		lua_pushnil(L);
		return NULL;
	}
	lua_call(L, 2, 1);
	return lua_tostring(L, -1);
}

/* Replaces stock's searcher for Lua files. Upvalues: package, stock's searcher, package.searchpath. */
static int search_lua(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	struct vai__mark mark;
	lua_settop(L, 1);
	struct vai_vm *vm = vai__state_of(L);
	if (vm)
		vm->new_modules = true;
	if (vm && vai__paths_preload(L, vm, name)) {
		lua_pushliteral(L, ":preload:");
		return vai__paths_found(L, name);
	}
	const char *filename = push_filename(L, 1);
	memset(&mark, 0, sizeof mark);
	bool known = filename && vai__modcache_look(filename, &mark);
	struct vai_obj *result = known && vm ? vai__modcache_result(filename, &mark) : NULL;
	if (result) {
		vai__handle_push(L, vm, result, false);
		lua_pushcclosure(L, give_result, 1);
		lua_pushvalue(L, 2);
		return 2;
	}
	if (known && vai__modcache_push(L, filename, &mark)) {
		wrap_loader(L, filename, &mark);
		lua_pushvalue(L, 2);
		return vai__paths_found(L, name);
	}
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_pushvalue(L, 1);
	lua_call(L, 1, 2);
	if (known && lua_isfunction(L, 3) && !lua_iscfunction(L, 3)) {
		if (lua_rawequal(L, 2, 4))
			vai__modcache_remember(L, 3, filename, &mark);
		lua_insert(L, 3);
		wrap_loader(L, filename, &mark);
		lua_insert(L, 3);
	}
	return vai__paths_found(L, name);
}

/* Replaces stock's searchers for C libraries. Upvalue: stock's searcher. */
static int search_c(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	const char *name = luaL_checkstring(L, 1);
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, 1);
	lua_call(L, 1, 2);
	if (vm && lua_isfunction(L, -2)) {
		vai__state_got_function(L, vm, lua_tocfunction(L, -2));
		vai__lazy_fill(L, vm);
	}
	return vai__paths_found(L, name);
}

static void install_searchers(lua_State *L, int package)
{
	if (lua_getfield(L, package, "searchers") == LUA_TTABLE) {
		lua_pushvalue(L, package);
		lua_rawgeti(L, -2, 2);
		lua_getfield(L, package, "searchpath");
		lua_pushcclosure(L, search_lua, 3);
		lua_rawseti(L, -2, 2);
		for (int i = 3; i <= 4; i++) {
			lua_rawgeti(L, -1, i);
			lua_pushcclosure(L, search_c, 1);
			lua_rawseti(L, -2, i);
		}
		vai__paths_apply_searchers(L, lua_gettop(L));
	}
	lua_pop(L, 1);
	vai__sandbox_searchers(L, package, search_c);
}

void vai__require_install(lua_State *L)
{
	int package = lua_gettop(L);
	vai__paths_apply(L, package);
	install_searchers(L, package);
	vai__catalog_apply(L, "package");
	if (vai__catalog_preload_open && lua_getfield(L, package, "preload") == LUA_TTABLE) {
		lua_pushcfunction(L, vai__catalog_preload_open);
		lua_setfield(L, -2, vai__catalog_preload_name);
	}
	if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE) {
		lua_pushnil(L);
		lua_setmetatable(L, -2);
	}
	lua_settop(L, package);
}
