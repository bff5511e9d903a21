/* SPDX-License-Identifier: MIT */
/* Opening libraries in new states: most become tables that fill themselves, io and package are opened as by stock
 * Lua. */
#include "base/random.h"
#include "sched/replay.h"
#include "stdlib/lazy_private.h"
#include "stdlib/sandbox.h"
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include "base/atomic.h"

static const char require_key;

void (*vai__lazy_package_opened)(lua_State *L);

/* __index of strings in a state that has not opened their library: opens it. */
static int string_index(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	lua_settop(L, 2);
	vai__lazy_open_string(L, vm);
	if (!lua_getmetatable(L, 1) || lua_getfield(L, -1, "__index") != LUA_TTABLE)
		return 0;
	lua_pushvalue(L, 2);
	lua_gettable(L, -2);
	return 1;
}

/* Pushes the metatable of strings and returns true, if its __index still is string_index; otherwise pushes nothing
 * and returns false. */
static bool push_closed_string(lua_State *L)
{
	lua_pushliteral(L, "");
	bool closed = false;
	if (lua_getmetatable(L, -1)) {
		lua_pushliteral(L, "__index");
		lua_rawget(L, -2);
		closed = lua_tocfunction(L, -1) == string_index;
		lua_pop(L, 1);
		lua_remove(L, -2);
	}
	if (!closed)
		lua_pop(L, 1);
	return closed;
}

/* Calls luaopen_package, with `require` kept out of _G until all is done. Pushes the library. */
static void open_package(lua_State *L, struct vai_vm *vm, const struct vai__lib *lib)
{
	unsigned bit = (unsigned)vai__catalog_global("require", 7);
	bool had = vai__lazy_settled(vm, bit);
	lua_pushglobaltable(L);
	lua_pushliteral(L, "require");
	lua_rawget(L, -2); /* the script's own one, or nil */
	lua_pushcfunction(L, lib->open);
	lua_pushstring(L, lib->name);
	lua_call(L, 1, 1); /* _G, old, package */
	lua_pushliteral(L, "require");
	lua_rawget(L, -4);
	lua_pushliteral(L, "require");
	lua_pushvalue(L, -4);
	lua_rawset(L, -6);
	if (!had)
		vai__lazy_unsettle(vm, bit);
	lua_rotate(L, -2, 1); /* _G, old, require, package */
	vai__lazy_package_opened(L);
	lua_pushvalue(L, -2);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &require_key);
	if (!had) {
		lua_pushliteral(L, "require");
		lua_pushvalue(L, -3);
		lua_rawset(L, -6);
		vai__lazy_settle(vm, bit);
	}
	lua_replace(L, -4);
	lua_pop(L, 2);
}

/* Sets the replacements of the methods of files, which belong to no library. */
static void apply_to_files(lua_State *L)
{
	if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_FILEHANDLE) == LUA_TTABLE) {
		if (lua_getfield(L, -1, "__index") == LUA_TTABLE)
			vai__catalog_apply(L, LUA_FILEHANDLE);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

void (*vai__lazy_change_library)(lua_State *L, struct vai_vm *vm, int lib, int idx);

void vai__lazy_change(lua_State *L, struct vai_vm *vm, int i, int idx)
{
	if (!(vm->changed_libs >> i & 1))
		return;
	vm->changed_libs &= ~(1u << i);
	luaL_checkstack(L, 12, "changing a library");
	vai__lazy_change_library(L, vm, i, lua_absindex(L, idx));
}

/* Opens a library and pushes its table. */
static void open_lib(lua_State *L, struct vai_vm *vm, int i)
{
	const struct vai__lib *lib = &vai__catalog.libs[i];
	if (!lib->opens) {
		vai__lazy_new(L, VAI__LAZY_LIBS + i);
	} else if (lib->open == luaopen_package) {
		open_package(L, vm, lib);
	} else {
		lua_pushcfunction(L, lib->open);
		lua_pushstring(L, lib->name);
		lua_call(L, 1, 1);
	}
	if (lib->opens)
		vai__catalog_apply(L, lib->name);
	if (lib->opens && lib->open != luaopen_package) /* an open package is never seen by scripts of a sandbox */
		vai__sandbox_strip(L, lib->name);
	if (lib->opens)
		vai__lazy_change(L, vm, i, -1);
	if (lib->open == luaopen_io) {
		apply_to_files(L);
		vm->has_io = true;
	}
	if (lib->open == luaopen_string && push_closed_string(L)) {
		lua_pushliteral(L, "__index");
		lua_pushvalue(L, -3);
		lua_rawset(L, -3);
		lua_pop(L, 1);
	}
}

void vai__lazy_fill_lib(lua_State *L, struct vai_vm *vm, int i)
{
	const struct vai__lib *lib = &vai__catalog.libs[i];
	bool in_globals = vai__lazy_settled(vm, (unsigned)lib->global),
		 in_loaded = vai__lazy_settled(vm, vai__lazy_loaded_bit(i));
	if (in_loaded && !in_globals && vai__lazy_push_known(L, vm, VAI__LAZY_LOADED)) {
		lua_pushstring(L, lib->name); /* an earlier try set it in only one of the two, then ran out of memory */
		lua_rawget(L, -2);
		lua_remove(L, -2);
	} else {
		open_lib(L, vm, i);
	}
	if (!in_loaded) {
		vai__lazy_store(L, vm, VAI__LAZY_LOADED, lib->name);
		vai__lazy_settle(vm, vai__lazy_loaded_bit(i));
	}
	if (!in_globals) {
		vai__lazy_store(L, vm, VAI__LAZY_GLOBALS, lib->name);
		vai__lazy_settle(vm, (unsigned)lib->global);
	}
}

/* Opens library i and stores it under those of its names that are not settled. */
static void open_anyway(lua_State *L, struct vai_vm *vm, int i)
{
	if (vai__lazy_settled(vm, (unsigned)vai__catalog.libs[i].global) && vai__lazy_settled(vm, vai__lazy_loaded_bit(i)))
		open_lib(L, vm, i);
	else
		vai__lazy_fill_lib(L, vm, i);
	lua_pop(L, 1);
}

void vai__lazy_open_string(lua_State *L, struct vai_vm *vm)
{
	if (!push_closed_string(L))
		return;
	lua_pop(L, 1);
	open_anyway(L, vm, vai__catalog_lib("string"));
}

void vai__lazy_need(lua_State *L, struct vai_vm *vm, const char *lib)
{
	luaL_checkstack(L, 12, lib);
	if (strcmp(lib, "io") == 0) {
		if (!vm->has_io)
			open_anyway(L, vm, vai__catalog_lib(lib));
		return;
	}
	vai__lazy_push_require(L, vm);
	lua_pop(L, 1);
}

void vai__lazy_push_require(lua_State *L, struct vai_vm *vm)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &require_key) != LUA_TNIL)
		return;
	lua_pop(L, 1);
	open_anyway(L, vm, vai__catalog_lib("package"));
	lua_rawgetp(L, LUA_REGISTRYINDEX, &require_key);
}

/* Pushes two words of a sequence for the whole process (splitmix64), so that goroutines which start in the same second
 * at the same address do not draw the same random numbers. */
static void push_seed(lua_State *L)
{
	static _Atomic(uint64_t) sequence;
	uint64_t x = atomic_fetch_add_relaxed(&sequence, VAI__RANDOM_STEP);
	x ^= (uint64_t)(uintptr_t)&sequence ^ (uint64_t)(uintptr_t)L << 20;
	vai__replay_seed(&x);
	for (int i = 0; i < 2; i++) {
		x = vai__random_mix(x);
		lua_pushinteger(L, (lua_Integer)x);
	}
}

void vai__lazy_open_closures(lua_State *L, struct vai_vm *vm, const struct vai__lib *lib, int idx)
{
	lua_pushcfunction(L, lib->open);
	lua_pushstring(L, lib->name);
	lua_call(L, 1, 1);
	if (lib->open == luaopen_math) {
		lua_getfield(L, -1, "randomseed");
		push_seed(L);
		lua_call(L, 2, 0);
	}
	for (int k = 0; k < lib->names.n; k++) {
		unsigned bit = lib->names.bit + (unsigned)k;
		if (lib->names.entries[k].kind != VAI__KIND_CLOSURE || vai__lazy_settled(vm, bit))
			continue;
		lua_pushstring(L, lib->names.entries[k].name);
		lua_pushvalue(L, -1);
		lua_rawget(L, -3);
		lua_rawset(L, idx);
		vai__lazy_settle(vm, bit);
	}
	lua_pop(L, 1);
}

void vai__lazy_prepare_strings(lua_State *L)
{
	const struct vai__names *names = &vai__catalog.arithmetic;
	lua_pushliteral(L, "__index"); /* this string exists already, so nothing is allocated */
	lua_createtable(L, 0, names->n + 1);
	lua_pushcfunction(L, string_index);
	lua_setfield(L, -2, "__index");
	for (int k = 0; k < names->n; k++) {
		vai__catalog_push(L, &names->entries[k]);
		lua_setfield(L, -2, names->entries[k].name);
	}
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
}

void vai__lazy_prepare_full(lua_State *L, struct vai_vm *vm)
{
	luaL_openlibs(L);
	vm->needs_close = true;
	vm->has_io = true;
	lua_getglobal(L, "require");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &require_key);
	lua_getglobal(L, "package");
	vai__lazy_package_opened(L);
	lua_pop(L, 1);
}

/* Pushes package.loaded[name] if it is a true value; otherwise nothing and false. */
static bool push_loaded(lua_State *L, struct vai_vm *vm, const char *name)
{
	if (!vai__lazy_push_loaded(L, vm))
		return false;
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	if (lua_toboolean(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}

void vai__lazy_require(lua_State *L, struct vai_vm *vm, const char *name)
{
	luaL_checkstack(L, 6, "require");
	int lib = vai__catalog_lib(name);
	if (VAI_UNLIKELY(lib >= 0 && vm->without >> lib & 1))
		luaL_error(L, "this goroutine does not have the library '%s'", name);
	if (push_loaded(L, vm, name))
		return;
	if (vai__catalog_preload_open && !vm->is_host && strcmp(name, vai__catalog_preload_name) == 0) {
		luaL_requiref(L, name, vai__catalog_preload_open, 0);
		return;
	}
	if (vm->is_host)
		lua_getglobal(L, "require");
	else
		vai__lazy_push_require(L, vm);
	lua_pushstring(L, name);
	lua_call(L, 1, 1);
}

void vai__lazy_closure_in(lua_State *L, struct vai_vm *vm, int number)
{
	const char *lib, *name;
	vai__catalog_closure(number, &lib, &name);
	if (lib) {
		vai__lazy_require(L, vm, lib);
		lua_getfield(L, -1, name);
		lua_remove(L, -2);
	} else if (vm->is_host) {
		lua_getglobal(L, name);
	} else {
		vai__lazy_push_require(L, vm); /* `require` is the only global that is a closure with a state of its own */
	}
}
