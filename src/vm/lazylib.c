/* SPDX-License-Identifier: MIT */
/* Tables that fill themselves. They share one hidden metatable whose __index finds a name
 * in the catalog and stores its value, so that every name costs one C call a state, and
 * whose __newindex notes what the script sets or deletes itself. Functions that would see
 * the difference (next, rawget, getmetatable, ...) are replaced in fresh states
 * (standin.c): they complete the table first and take the metatable off.
 *
 * The hidden metatable also knows the tables, by their VAI__LAZY_ number, so that they live
 * as long as it does.
 *
 * Invariants: a name is settled once its value lies in the table or the script has
 * assigned it (nil too): from then on the table alone counts. A library opens once a
 * state, for _G and package.loaded at the same time. Bits are set after what may raise,
 * so that running out of memory leaves a name as it was. */
#include "vm/lazylib.h"
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include "vm/catalog.h"
#include "vm/handle.h"
#include "vm/image.h"
#include "vm/modcache.h"

static const char hidden_key, require_key;
static _Atomic(const luaL_Reg *) module_funcs;
enum { MODULE_BIT = VAI__CATALOG_BITS, MODULE_MAX = 64 };

/* ---- what is settled ---- */

static bool settled(const struct vai_vm *vm, unsigned bit)
{
	return vm->settled[bit / 64] >> (bit % 64) & 1;
}

static void settle(struct vai_vm *vm, unsigned bit)
{
	vm->settled[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static void unsettle(struct vai_vm *vm, unsigned bit)
{
	vm->settled[bit / 64] &= ~((uint64_t)1 << (bit % 64));
}

static unsigned loaded_bit(int lib)
{
	return (unsigned)(vai__catalog.globals.n + lib);
}

/* Where a lazy table's names come from; package.loaded and the module have no list here. */
static const struct vai__names *names_of(int which)
{
	if (which == VAI__LAZY_GLOBALS)
		return &vai__catalog.globals;
	return which >= VAI__LAZY_LIBS ? &vai__catalog.libs[which - VAI__LAZY_LIBS].names : NULL;
}

static int lazy_index(lua_State *L);
static int lazy_newindex(lua_State *L);

void vai__lazy_push_hidden(lua_State *L)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hidden_key) == LUA_TTABLE)
		return;
	lua_pop(L, 1);
	lua_createtable(L, 0, 2);
	lua_pushcfunction(L, lazy_index);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, lazy_newindex);
	lua_setfield(L, -2, "__newindex");
	lua_pushvalue(L, -1);
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
	vai__lazy_push_hidden(L);
	int which = VAI__LAZY_TABLES - 1;
	for (; which >= VAI__LAZY_KNOWN; which--) {
		bool same = lua_rawgeti(L, -1, which) == LUA_TTABLE && lua_topointer(L, -1) == p;
		lua_pop(L, 1);
		if (same)
			break;
	}
	lua_pop(L, 1);
	return which >= VAI__LAZY_KNOWN ? which : -1;
}

/* Pushes a table that fills itself, not one of the known two; a new one, but where memory
 * ran out after it was made. */
static void new_lazy(lua_State *L, int which)
{
	vai__lazy_push_hidden(L);
	if (lua_rawgeti(L, -1, which) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_createtable(L, 0, 1);
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, which);
		lua_pushvalue(L, -2);
		lua_setmetatable(L, -2);
	}
	lua_remove(L, -2);
}

/* The lazy table at idx becomes an ordinary one. */
static void unhide(lua_State *L, struct vai_vm *vm, int which, int idx)
{
	if (which < VAI__LAZY_KNOWN) {
		vm->lazy[which] = NULL;
	} else {
		vai__lazy_push_hidden(L);
		lua_pushnil(L);
		lua_rawseti(L, -2, which);
		lua_pop(L, 1);
	}
	lua_pushnil(L);
	lua_setmetatable(L, idx);
}

/* Makes package.loaded, for whoever looks a library up or settles a name: goroutines that
 * do neither go without. One that others have made is taken over. */
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

static inline void need_loaded(lua_State *L, struct vai_vm *vm)
{
	if (!vm->has_loaded)
		make_loaded(L, vm);
}

/* Pushes _G or package.loaded if it still is what we know; else nothing and false. */
static bool push_known(lua_State *L, struct vai_vm *vm, int which)
{
	if (which == VAI__LAZY_GLOBALS) {
		lua_pushglobaltable(L);
	} else {
		need_loaded(L, vm);
		lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	}
	if (lua_topointer(L, -1) == vm->lazy[which] && vm->lazy[which])
		return true;
	lua_pop(L, 1);
	return false;
}

bool vai__lazy_push_loaded(lua_State *L, struct vai_vm *vm)
{
	if (vm->hidden)
		need_loaded(L, vm);
	if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE)
		return true;
	lua_pop(L, 1);
	return false;
}

/* known[name] = value on top, which stays. */
static void store(lua_State *L, struct vai_vm *vm, int which, const char *name)
{
	if (!push_known(L, vm, which))
		return;
	lua_pushstring(L, name);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

/* ---- libraries ---- */

/* The methods of strings, in the template, are one function that opens the library. */
static int string_index(lua_State *L)
{
	struct vai_vm *vm = vai__vm_of(L);
	lua_settop(L, 2);
	vai__lazy_open_string(L, vm);
	if (!lua_getmetatable(L, 1) || lua_getfield(L, -1, "__index") != LUA_TTABLE)
		return 0;
	lua_pushvalue(L, 2);
	lua_gettable(L, -2);
	return 1;
}

/* Pushes the metatable of strings if string_index still is in it. */
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

/* luaopen_package with `require` kept out of _G until all is done. Pushes the library. */
static void open_package(lua_State *L, struct vai_vm *vm, const struct vai__lib *lib)
{
	unsigned bit = (unsigned)vai__catalog_global("require", 7);
	bool had = settled(vm, bit);
	lua_pushglobaltable(L);
	lua_pushliteral(L, "require");
	lua_rawget(L, -2); /* the script's own, or nil */
	lua_pushcfunction(L, lib->open);
	lua_pushstring(L, lib->name);
	lua_call(L, 1, 1); /* _G, old, package */
	lua_pushliteral(L, "require");
	lua_rawget(L, -4);
	lua_pushliteral(L, "require");
	lua_pushvalue(L, -4);
	lua_rawset(L, -6);
	if (!had)
		unsettle(vm, bit);
	lua_rotate(L, -2, 1); /* _G, old, require, package */
	vai__modcache_install(L);
	lua_pushvalue(L, -2);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &require_key);
	if (!had) {
		lua_pushliteral(L, "require");
		lua_pushvalue(L, -3);
		lua_rawset(L, -6);
		settle(vm, bit);
	}
	lua_replace(L, -4);
	lua_pop(L, 2);
}

/* Overrides of the methods of files, which have no library of their own. */
static void apply_to_files(lua_State *L)
{
	if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_FILEHANDLE) == LUA_TTABLE) {
		if (lua_getfield(L, -1, "__index") == LUA_TTABLE)
			vai__catalog_apply(L, LUA_FILEHANDLE);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* Pushes the table of a library that is not open yet. */
static void open_lib(lua_State *L, struct vai_vm *vm, int i)
{
	const struct vai__lib *lib = &vai__catalog.libs[i];
	if (!lib->opens) {
		new_lazy(L, VAI__LAZY_LIBS + i);
	} else if (lib->open == luaopen_package) {
		open_package(L, vm, lib);
	} else {
		lua_pushcfunction(L, lib->open);
		lua_pushstring(L, lib->name);
		lua_call(L, 1, 1);
	}
	if (lib->opens)
		vai__catalog_apply(L, lib->name);
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

/* Pushes the library for _G or package.loaded, which one does not have it yet. */
static void settle_lib(lua_State *L, struct vai_vm *vm, int i)
{
	const struct vai__lib *lib = &vai__catalog.libs[i];
	bool in_globals = settled(vm, (unsigned)lib->global), in_loaded = settled(vm, loaded_bit(i));
	if (in_loaded && !in_globals && push_known(L, vm, VAI__LAZY_LOADED)) {
		lua_pushstring(L, lib->name); /* memory ran out between the two */
		lua_rawget(L, -2);
		lua_remove(L, -2);
	} else {
		open_lib(L, vm, i);
	}
	if (!in_loaded) {
		store(L, vm, VAI__LAZY_LOADED, lib->name);
		settle(vm, loaded_bit(i));
	}
	if (!in_globals) {
		store(L, vm, VAI__LAZY_GLOBALS, lib->name);
		settle(vm, (unsigned)lib->global);
	}
}

/* Opens library i under those of its names that are free. */
static void open_anyway(lua_State *L, struct vai_vm *vm, int i)
{
	if (settled(vm, (unsigned)vai__catalog.libs[i].global) && settled(vm, loaded_bit(i)))
		open_lib(L, vm, i);
	else
		settle_lib(L, vm, i);
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

/* Two words of a process-wide sequence (splitmix64), so that goroutines that start in the
 * same second at the same address do not draw the same numbers. */
static void push_seed(lua_State *L)
{
	static _Atomic(uint64_t) sequence;
	uint64_t x = sequence += 0x9e3779b97f4a7c15u;
	x ^= (uint64_t)(uintptr_t)&sequence ^ (uint64_t)(uintptr_t)L << 20;
	for (int i = 0; i < 2; i++) {
		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
		x = (x ^ x >> 27) * 0x94d049bb133111ebu;
		x ^= x >> 31;
		lua_pushinteger(L, (lua_Integer)x);
	}
}

/* The closures of the library whose table is at idx, all at once: they share a state. */
static void open_closures(lua_State *L, struct vai_vm *vm, const struct vai__lib *lib, int idx)
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
		if (lib->names.entries[k].kind != VAI__KIND_CLOSURE || settled(vm, bit))
			continue;
		lua_pushstring(L, lib->names.entries[k].name);
		lua_pushvalue(L, -1);
		lua_rawget(L, -3);
		lua_rawset(L, idx);
		settle(vm, bit);
	}
	lua_pop(L, 1);
}

/* ---- names ---- */

/* Stores the value of name k into its table at idx. */
static void settle_name(lua_State *L, struct vai_vm *vm, int which, int k, int idx)
{
	const struct vai__names *names = names_of(which);
	const struct vai__entry *e = &names->entries[k];
	if (settled(vm, names->bit + (unsigned)k))
		return;
	need_loaded(L, vm);
	switch (e->kind) {
	case VAI__KIND_LIB:
		settle_lib(L, vm, (int)(e->u.lib - vai__catalog.libs));
		lua_pop(L, 1);
		return;
	case VAI__KIND_REQUIRE:
		vai__lazy_push_require(L, vm);
		lua_pop(L, 1);
		return;
	case VAI__KIND_CLOSURE: open_closures(L, vm, &vai__catalog.libs[which - VAI__LAZY_LIBS], idx); return;
	default: break;
	}
	lua_pushlstring(L, e->name, e->len);
	if (e->kind == VAI__KIND_GLOBALS)
		lua_pushvalue(L, idx);
	else
		vai__catalog_push(L, e);
	lua_rawset(L, idx);
	settle(vm, names->bit + (unsigned)k);
}

/* Function k of the module into its table at idx. */
static void settle_module(lua_State *L, struct vai_vm *vm, const luaL_Reg *f, unsigned k, int idx)
{
	if (settled(vm, MODULE_BIT + k))
		return;
	lua_pushstring(L, f[k].name);
	lua_pushcfunction(L, f[k].func);
	lua_rawset(L, idx);
	settle(vm, MODULE_BIT + k);
}

static int find_in_module(const char *name)
{
	const luaL_Reg *f = module_funcs;
	for (int k = 0; f && f[k].name; k++)
		if (strcmp(f[k].name, name) == 0)
			return k;
	return -1;
}

/* The string at stack index 2 among the names of a lazy table. */
static int find_name(lua_State *L, int which)
{
	size_t len;
	if (lua_type(L, 2) != LUA_TSTRING)
		return -1;
	const char *name = lua_tolstring(L, 2, &len);
	switch (which) {
	case VAI__LAZY_GLOBALS: return vai__catalog_global(name, len);
	case VAI__LAZY_LOADED: return vai__catalog_lib(name);
	case VAI__LAZY_MODULE: return find_in_module(name);
	default: return vai__catalog_find(names_of(which), name, len);
	}
}

void vai__lazy_touch(lua_State *L, struct vai_vm *vm, int which)
{
	int k = find_name(L, which);
	if (k < 0)
		return;
	if (which == VAI__LAZY_MODULE) {
		settle_module(L, vm, module_funcs, (unsigned)k, 1);
	} else if (which != VAI__LAZY_LOADED) {
		settle_name(L, vm, which, k, 1);
		if (VAI_UNLIKELY(vm->profiled != NULL))
			vai__image_note(vm, VAI__USE_LAZY + (unsigned)which, (unsigned)k);
	} else if (!settled(vm, loaded_bit(k))) {
		settle_lib(L, vm, k);
		lua_pop(L, 1);
	}
}

static int lazy_index(lua_State *L)
{
	struct vai_vm *vm = vai__vm_of(L);
	int which = vm ? vai__lazy_which(L, vm, 1) : -1;
	if (which < 0)
		return vai__handle_resolve(L);
	vai__lazy_touch(L, vm, which);
	lua_settop(L, 2);
	lua_rawget(L, 1);
	return 1;
}

void vai__lazy_set(lua_State *L, struct vai_vm *vm, int which)
{
	int k = find_name(L, which);
	if (k >= 0 && which == VAI__LAZY_LOADED && !settled(vm, (unsigned)vai__catalog.libs[k].global)) {
		settle_lib(L, vm, k); /* for _G, which gets stock's own all the same */
		lua_pop(L, 1);
	}
	lua_rawset(L, 1);
	if (k >= 0)
		settle(vm, which == VAI__LAZY_LOADED  ? loaded_bit(k)
				: which == VAI__LAZY_MODULE ? MODULE_BIT + (unsigned)k
											: names_of(which)->bit + (unsigned)k);
}

static int lazy_newindex(lua_State *L)
{
	struct vai_vm *vm = vai__vm_of(L);
	int which = vm ? vai__lazy_which(L, vm, 1) : -1;
	if (lua_isnil(L, 2))
		return luaL_error(L, "table index is nil");
	if (lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) != lua_tonumber(L, 2))
		return luaL_error(L, "table index is NaN");
	if (which >= 0)
		vai__lazy_set(L, vm, which);
	else
		lua_rawset(L, 1);
	return 0;
}

void vai__lazy_complete(lua_State *L, struct vai_vm *vm, int which, int idx)
{
	luaL_checkstack(L, 12, "completing a table");
	idx = lua_absindex(L, idx);
	if (which == VAI__LAZY_LOADED) {
		for (int i = 0; i < VAI__LIBS; i++) {
			if (settled(vm, loaded_bit(i)))
				continue;
			settle_lib(L, vm, i);
			lua_pop(L, 1);
		}
	} else if (which == VAI__LAZY_MODULE) {
		for (unsigned k = 0; module_funcs[k].name; k++)
			settle_module(L, vm, module_funcs, k, idx);
	} else {
		for (int k = 0; k < names_of(which)->n; k++)
			settle_name(L, vm, which, k, idx);
	}
	unhide(L, vm, which, idx);
}

void vai__lazy_use(lua_State *L, struct vai_vm *vm, int which, int k)
{
	const struct vai__names *names = names_of(which);
	if (!names || k >= names->n || names->entries[k].kind > VAI__KIND_FLOAT)
		return;
	if (which == VAI__LAZY_GLOBALS)
		lua_pushglobaltable(L);
	else
		lua_getglobal(L, vai__catalog.libs[which - VAI__LAZY_LIBS].name);
	if (vai__lazy_which(L, vm, -1) == which)
		settle_name(L, vm, which, k, lua_gettop(L));
	lua_pop(L, 1);
}

/* ---- the state ---- */

void vai__vm_module(lua_State *L, struct vai_vm *vm, const luaL_Reg *funcs)
{
	int n = 0;
	while (funcs[n].name)
		n++;
	bool lazy = !vm->is_host && vm->hidden && n <= MODULE_MAX;
	if (lazy) {
		vai__lazy_push_hidden(L);
		lazy = lua_rawgeti(L, -1, VAI__LAZY_MODULE) == LUA_TNIL;
		lua_pop(L, 2);
	}
	if (lazy) {
		module_funcs = funcs;
		new_lazy(L, VAI__LAZY_MODULE);
	} else {
		lua_createtable(L, 0, n);
		luaL_setfuncs(L, funcs, 0);
	}
}

void vai__vm_complete(lua_State *L, struct vai_vm *vm, int idx)
{
	int which = vm->hidden ? vai__lazy_which(L, vm, idx) : -1;
	if (VAI_UNLIKELY(which >= 0))
		vai__lazy_complete(L, vm, which, idx);
}

static void prepare_strings(lua_State *L)
{
	const struct vai__names *names = &vai__catalog.arithmetic;
	lua_pushliteral(L, "");
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

void vai__lazy_prepare(lua_State *L, struct vai_vm *vm)
{
	vai__lazy_push_hidden(L);
	vm->hidden = lua_topointer(L, -1);
	lua_pushglobaltable(L);
	vm->lazy[VAI__LAZY_GLOBALS] = lua_topointer(L, -1);
	lua_rotate(L, -2, 1);
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
	prepare_strings(L);
}

void vai__lazy_prepare_full(lua_State *L, struct vai_vm *vm)
{
	luaL_openlibs(L);
	vm->needs_close = true;
	vm->has_io = true;
	lua_getglobal(L, "require");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &require_key);
	lua_getglobal(L, "package");
	vai__modcache_install(L);
	lua_pop(L, 1);
}
