/* SPDX-License-Identifier: MIT */
/* Tables that fill themselves (lazy tables). They share one hidden metatable. Its __index finds a name in the catalog
 * and stores the value in the table, so a name costs one C call in a state; its __newindex notes what the script sets
 * or deletes itself. Functions that would show that a table is not full (next, rawget, getmetatable, ...) are
 * replaced in new states (lazy_functions.c): the replacements first fill the table and remove the metatable.
 *
 * The hidden metatable also holds these tables, by their VAI__LAZY_ number, so they live as long as it does.
 *
 * Invariants: a name is settled once its value lies in the table or the script has assigned it (nil counts, too);
 * from then on only the table counts. A library is opened once in a state, for _G and package.loaded together. Bits
 * are set after everything that may raise, so running out of memory leaves a name as it was. */
#include "stdlib/lazy.h"
#include <lauxlib.h>
#include <string.h>
#include "base/atomic.h"
#include "stdlib/catalog.h"
#include "state/handle.h"
#include "state/uses.h"
#include "stdlib/lazy_private.h"
#include "stdlib/sandbox.h"

/* The module's functions: all states without a sandbox give the same list, and the first state writes it. gcc 12 reads
 * an atomic pointer that is indexed as a plain one, so all reads go through module_list. */
static _Atomic(const luaL_Reg *) module_funcs;

static const luaL_Reg *module_list(const struct vai_vm *vm)
{
	const struct vai__sandbox *s = vai__sandbox_of(vm);
	return VAI_UNLIKELY(s != NULL) ? s->functions : atomic_load_relaxed(&module_funcs);
}

enum { MODULE_BIT = VAI__CATALOG_BITS, MODULE_MAX = 64 };

/* ---- the tables ---- */

/* The list of a lazy table's names; package.loaded and the module have none here. */
static const struct vai__names *names_of(int table)
{
	if (table == VAI__LAZY_GLOBALS)
		return &vai__catalog.globals;
	return table >= VAI__LAZY_LIBS ? &vai__catalog.libs[table - VAI__LAZY_LIBS].names : NULL;
}

bool vai__lazy_awaits(const struct vai_vm *vm, int table, int k)
{
	return vm->hidden && !vm->filled && !vai__lazy_settled(vm, names_of(table)->bit + (unsigned)k);
}

static int lazy_index(lua_State *L);
static int lazy_newindex(lua_State *L);

void vai__lazy_make_hidden(lua_State *L)
{
	if (vai__lazy_push_hidden(L))
		return;
	lua_pop(L, 1);
	lua_createtable(L, 0, 2);
	lua_pushcfunction(L, lazy_index);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, lazy_newindex);
	lua_setfield(L, -2, "__newindex");
	lua_pushvalue(L, -1);
	vai__lazy_set_hidden(L);
}

/* ---- names ---- */

/* Stores the value of name k into its table at idx. */
static void settle_name(lua_State *L, struct vai_vm *vm, int table, int k, int idx)
{
	const struct vai__names *names = names_of(table);
	const struct vai__entry *e = &names->entries[k];
	if (vai__lazy_settled(vm, names->bit + (unsigned)k))
		return;
	vai__lazy_need_loaded(L, vm);
	switch (e->kind) {
	case VAI__KIND_LIB:
		vai__lazy_fill_lib(L, vm, (int)(e->u.lib - vai__catalog.libs));
		lua_pop(L, 1);
		return;
	case VAI__KIND_REQUIRE:
		vai__lazy_push_require(L, vm);
		lua_pop(L, 1);
		return;
	case VAI__KIND_CLOSURE: vai__lazy_open_closures(L, vm, &vai__catalog.libs[table - VAI__LAZY_LIBS], idx); return;
	default: break;
	}
	lua_pushlstring(L, e->name, e->len);
	if (e->kind == VAI__KIND_GLOBALS)
		lua_pushvalue(L, idx);
	else
		vai__catalog_push(L, e);
	lua_rawset(L, idx);
	vai__lazy_settle(vm, names->bit + (unsigned)k);
}

/* Sets the entry r. If its name begins with a dot, its function pushes the value of the field. */
static void set_entry(lua_State *L, const luaL_Reg *r, int idx)
{
	lua_pushstring(L, r->name + (*r->name == '.'));
	lua_pushcfunction(L, r->func);
	if (*r->name == '.')
		lua_call(L, 0, 1);
	lua_rawset(L, idx);
}

/* Stores entry k of the module into its table at idx. */
static void settle_module(lua_State *L, struct vai_vm *vm, unsigned k, int idx)
{
	if (vai__lazy_settled(vm, MODULE_BIT + k))
		return;
	set_entry(L, &module_list(vm)[k], idx);
	vai__lazy_settle(vm, MODULE_BIT + k);
}

static int find_in_module(const struct vai_vm *vm, const char *name)
{
	const luaL_Reg *f = module_list(vm);
	for (int k = 0; f && f[k].name; k++)
		if (strcmp(f[k].name + (*f[k].name == '.'), name) == 0)
			return k;
	return -1;
}

/* The index of the string at stack index 2 among the names of a lazy table, or -1. */
static int find_name(lua_State *L, const struct vai_vm *vm, int table)
{
	size_t len;
	if (lua_type(L, 2) != LUA_TSTRING)
		return -1;
	const char *name = lua_tolstring(L, 2, &len);
	switch (table) {
	case VAI__LAZY_GLOBALS: return vai__catalog_global(name, len);
	case VAI__LAZY_LOADED: return vai__catalog_lib(name);
	case VAI__LAZY_MODULE: return find_in_module(vm, name);
	default: return vai__catalog_find(names_of(table), name, len);
	}
}

static void note_use(struct vai_vm *vm, int table, int k)
{
	if (VAI_UNLIKELY(vm->profiled != NULL))
		vai__uses_note(vm, VAI__USE_LAZY + (unsigned)table, (unsigned)k);
}

void vai__lazy_touch(lua_State *L, struct vai_vm *vm, int table)
{
	int k = find_name(L, vm, table);
	if (k < 0) {
		if (VAI_UNLIKELY(vm->changed_libs) && table >= VAI__LAZY_LIBS)
			vai__lazy_change(L, vm, table - VAI__LAZY_LIBS, 1);
		return;
	}
	if (table == VAI__LAZY_MODULE) {
		settle_module(L, vm, (unsigned)k, 1);
		note_use(vm, table, k);
	} else if (table != VAI__LAZY_LOADED) {
		settle_name(L, vm, table, k, 1);
		note_use(vm, table, k);
	} else if (!vai__lazy_settled(vm, vai__lazy_loaded_bit(k))) {
		vai__lazy_fill_lib(L, vm, k);
		lua_pop(L, 1);
	}
}

static int lazy_index(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	int table = vm ? vai__lazy_which(L, vm, 1) : -1;
	if (table < 0)
		return vai__handle_resolve(L);
	vai__lazy_touch(L, vm, table);
	lua_settop(L, 2);
	lua_rawget(L, 1);
	return 1;
}

void vai__lazy_set(lua_State *L, struct vai_vm *vm, int table)
{
	int k = find_name(L, vm, table);
	if (k >= 0 && table == VAI__LAZY_LOADED && !vai__lazy_settled(vm, (unsigned)vai__catalog.libs[k].global)) {
		vai__lazy_fill_lib(L, vm, k); /* for _G; its field becomes stock's own nevertheless */
		lua_pop(L, 1);
	}
	if (VAI_UNLIKELY(vm->changed_libs) && k < 0 && table >= VAI__LAZY_LIBS) /* a value that is set from now on stays */
		vai__lazy_change(L, vm, table - VAI__LAZY_LIBS, 1);
	lua_rawset(L, 1);
	if (k >= 0)
		vai__lazy_settle(vm,
			table == VAI__LAZY_LOADED       ? vai__lazy_loaded_bit(k)
				: table == VAI__LAZY_MODULE ? MODULE_BIT + (unsigned)k
											: names_of(table)->bit + (unsigned)k);
}

static int lazy_newindex(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	int table = vm ? vai__lazy_which(L, vm, 1) : -1;
	if (lua_isnil(L, 2))
		return luaL_error(L, "table index is nil");
	if (lua_type(L, 2) == LUA_TNUMBER && lua_tonumber(L, 2) != lua_tonumber(L, 2))
		return luaL_error(L, "table index is NaN");
	if (table >= 0)
		vai__lazy_set(L, vm, table);
	else
		lua_rawset(L, 1);
	return 0;
}

void vai__lazy_complete(lua_State *L, struct vai_vm *vm, int table, int idx)
{
	luaL_checkstack(L, 12, "completing a table");
	idx = lua_absindex(L, idx);
	if (table == VAI__LAZY_LOADED) {
		for (int i = 0; i < VAI__LIBS; i++) {
			if (vai__lazy_settled(vm, vai__lazy_loaded_bit(i)))
				continue;
			vai__lazy_fill_lib(L, vm, i);
			lua_pop(L, 1);
		}
	} else if (table == VAI__LAZY_MODULE) {
		for (unsigned k = 0; module_list(vm)[k].name; k++)
			settle_module(L, vm, k, idx);
	} else {
		for (int k = 0; k < names_of(table)->n; k++)
			settle_name(L, vm, table, k, idx);
		if (table >= VAI__LAZY_LIBS)
			vai__lazy_change(L, vm, table - VAI__LAZY_LIBS, idx);
	}
	vai__lazy_unhide(L, vm, table, idx);
}

/* Fills library or module `table`, if it is still lazy. */
static void fill_one(lua_State *L, struct vai_vm *vm, int table)
{
	vai__lazy_push_hidden(L);
	if (lua_rawgeti(L, -1, table) == LUA_TTABLE)
		vai__lazy_complete(L, vm, table, lua_gettop(L));
	lua_pop(L, 2);
}

void vai__lazy_fill(lua_State *L, struct vai_vm *vm)
{
	if (VAI_LIKELY(vm->filled) || !vm->hidden)
		return;
	luaL_checkstack(L, 16, "filling the libraries");
	vm->filled = true; /* opening a library may call this function again */
	if (!(vm->without >> vai__catalog_lib("package") & 1)) {
		vai__lazy_push_require(L, vm);
		lua_pop(L, 1);
	}
	vai__lazy_need_loaded(L, vm);
	for (int table = VAI__LAZY_LOADED; table >= VAI__LAZY_GLOBALS; table--) {
		if (!vai__lazy_push_known(L, vm, table))
			continue;
		vai__lazy_complete(L, vm, table, lua_gettop(L));
		lua_pop(L, 1);
	}
	for (int table = VAI__LAZY_MODULE; table < VAI__LAZY_TABLES; table++)
		fill_one(L, vm, table);
	if (!(vm->without >> vai__catalog_lib("string") & 1))
		vai__lazy_open_string(L, vm);
}

lua_CFunction vai__lazy_cfunction_in(lua_State *L, struct vai_vm *vm, lua_CFunction f)
{
	const struct vai__sandbox *sandbox = vai__sandbox_of(vm);
	bool stock = vm->is_host && (!sandbox || sandbox->trusts_main);
	lua_CFunction fresh = stock ? f : vai__catalog_fresh(f);
	if (VAI_LIKELY(fresh != NULL))
		return fresh;
	if (vm->is_host)
		return f;
	vai__state_got_function(L, vm, f);
	vai__lazy_fill(L, vm);
	return f;
}

/* Whether the value is the same in every state: it holds no random numbers and no search paths. */
static bool is_timeless(const struct vai__entry *e)
{
	if (e->kind == VAI__KIND_LIB)
		return e->u.lib != &vai__catalog.libs[vai__catalog_lib("package")];
	return e->kind != VAI__KIND_CLOSURE && e->kind != VAI__KIND_REQUIRE;
}

static void use_module(lua_State *L, struct vai_vm *vm, int k)
{
	if (!vai__catalog_preload_open)
		return;
	vai__lazy_require(L, vm, vai__catalog_preload_name);
	if (k != VAI__USE_TABLE && vai__lazy_which(L, vm, -1) == VAI__LAZY_MODULE)
		settle_module(L, vm, (unsigned)k, lua_gettop(L));
	lua_pop(L, 1);
}

void vai__lazy_use(lua_State *L, struct vai_vm *vm, int table, int k)
{
	const struct vai__names *names = names_of(table);
	if (table == VAI__LAZY_MODULE)
		use_module(L, vm, k);
	if (!names || k >= names->n || !is_timeless(&names->entries[k]))
		return;
	if (table == VAI__LAZY_GLOBALS)
		lua_pushglobaltable(L);
	else
		lua_getglobal(L, vai__catalog.libs[table - VAI__LAZY_LIBS].name);
	if (vai__lazy_which(L, vm, -1) == table)
		settle_name(L, vm, table, k, lua_gettop(L));
	lua_pop(L, 1);
}

void vai__lazy_change_libraries(lua_State *L, struct vai_vm *vm, unsigned libs, unsigned stock_names)
{
	luaL_checkstack(L, 12, "changing libraries");
	vm->changed_libs = libs & ~vm->without;
	for (int i = 0; i < VAI__LIBS; i++) {
		const bool now = stock_names >> i & 1, open = !vm->hidden || vai__lazy_settled(vm, vai__lazy_loaded_bit(i));
		if (!(vm->changed_libs >> i & 1) || !(now || open))
			continue;
		vai__lazy_require(L, vm, vai__catalog.libs[i].name);
		const int table = vai__lazy_which(L, vm, -1);
		if (table >= 0 && now)
			vai__lazy_complete(L, vm, table, -1);
		else if (table < 0 && lua_istable(L, -1))
			vai__lazy_change(L, vm, i, -1);
		lua_pop(L, 1);
	}
}

/* ---- the state ---- */

void vai__lazy_module(lua_State *L, struct vai_vm *vm, const luaL_Reg *funcs)
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
		if (module_list(vm) != funcs) /* the list of a sandbox's functions is never stored */
			atomic_store_relaxed(&module_funcs, funcs);
		vai__lazy_new(L, VAI__LAZY_MODULE);
		note_use(vm, VAI__LAZY_MODULE, VAI__USE_TABLE);
	} else {
		lua_createtable(L, 0, n + 1);
		for (int k = 0; k < n; k++)
			set_entry(L, &funcs[k], lua_gettop(L));
	}
}

void vai__lazy_complete_at(lua_State *L, struct vai_vm *vm, int idx)
{
	int table = vm->hidden ? vai__lazy_which(L, vm, idx) : -1;
	if (VAI_UNLIKELY(table >= 0))
		vai__lazy_complete(L, vm, table, idx);
}

void vai__lazy_prepare(lua_State *L, struct vai_vm *vm)
{
	vai__lazy_make_hidden(L);
	vm->hidden = lua_topointer(L, -1);
	lua_pushglobaltable(L);
	vm->lazy[VAI__LAZY_GLOBALS] = lua_topointer(L, -1);
	lua_rotate(L, -2, 1);
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
	if (vai__sandbox_allows_any(vai__sandbox_self(), "string"))
		vai__lazy_prepare_strings(L);
}
