/* SPDX-License-Identifier: MIT */
/* What is kept for each module, in the table `noted` of names.c: a list of two tables, the light fields that it had at
 * FIRST and those that it had LATELY, when goroutines were last told; as long as it has not changed they are one table.
 * A field that the module's own functions set has a mark there, a light userdata, and does not count.
 *
 * Each spawn of a function that requires modules looks at all of them. So such a look is one pass over the fields,
 * which makes a hash of the addresses of keys and values. LATELY keeps all of these alive, so an address is still that
 * of the same value. */
#include "transfer/module_changes.h"
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <string.h>
#include "base/hash.h"
#include "code/bytecode.h"
#include "code/probe_table.h"
#include "stdlib/catalog.h"
#include "transfer/known_funcs.h"
#include "transfer/names.h"

enum {
	FIRST = 1,
	LATELY = 2,
	HASH = 1,           /* field of these tables: the hash of the fields that count; */
	MARKED = 2,         /* whether some fields have marks; */
	PRINT = 3,          /* what a quick look (probe_table.h) gives while nothing has changed, or 0 */
	MOST_FIELDS = 2000, /* a module with more is data, and nothing is kept of it */
	HELPERS = 8         /* captured functions that are looked at for each function of a module */
};

/* Whether the key and value on top are a field that can be set in another state. A NaN would never be the same. */
static bool is_light(lua_State *L)
{
	if (lua_type(L, -2) != LUA_TSTRING)
		return false;
	switch (lua_type(L, -1)) {
	case LUA_TNUMBER: return lua_rawequal(L, -1, -1);
	case LUA_TFUNCTION:
	case LUA_TSTRING:
	case LUA_TBOOLEAN: return true;
	default: return false;
	}
}

/* Whether the name below the top has a mark in the table at `marks`. */
static bool has_mark(lua_State *L, int marks)
{
	lua_pushvalue(L, -2);
	const bool marked = lua_rawget(L, marks) == LUA_TLIGHTUSERDATA;
	lua_pop(L, 1);
	return marked;
}

static uint64_t hash_number(lua_State *L)
{
	uint64_t word;
	if (lua_isinteger(L, -1))
		return ~(uint64_t)lua_tointeger(L, -1);
	lua_Number n = lua_tonumber(L, -1);
	memcpy(&word, &n, sizeof word);
	return word;
}

/* The hash of the fields of the module at `module` that count: those without a mark in the table at `marks`, or all
 * (0). It counts what is_light does, and a NaN, which is the same each time. */
static uint64_t hash_module(lua_State *L, int module, int marks)
{
	uint64_t hash = 0, value;
	for (lua_pushnil(L); lua_next(L, module); lua_pop(L, 1)) {
		if (VAI_UNLIKELY(lua_type(L, -2) != LUA_TSTRING))
			continue;
		switch (lua_type(L, -1)) {
		case LUA_TSTRING:
		case LUA_TFUNCTION: value = (uint64_t)(uintptr_t)lua_topointer(L, -1); break;
		case LUA_TBOOLEAN: value = (uint64_t)lua_toboolean(L, -1); break;
		case LUA_TNUMBER: value = hash_number(L); break;
		default: continue;
		}
		if (VAI_UNLIKELY(marks) && has_mark(L, marks))
			continue;
		hash += vai__hash_word(vai__hash_step((uint64_t)(uintptr_t)lua_topointer(L, -2), value));
	}
	return hash;
}

static bool is_marked(lua_State *L, int fields)
{
	lua_rawgeti(L, fields, MARKED);
	const bool marked = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return marked;
}

/* Notes in the table at `fields` how a quick look sees the module now, which is as the table says. */
static void set_print(lua_State *L, int fields, int module)
{
	lua_pushinteger(L, (lua_Integer)vai__probe_table_print(lua_topointer(L, module)));
	lua_rawseti(L, fields, PRINT);
}

/* Notes in the table at `fields` the hash of the module as it is now, without fields that have a mark in the table at
 * `marks` (0: there are none). */
static void set_looks(lua_State *L, int fields, int module, int marks)
{
	lua_pushinteger(L, (lua_Integer)hash_module(L, module, marks));
	lua_rawseti(L, fields, HASH);
	set_print(L, fields, module);
}

/* t[key] = the value on top, which is popped, for the key at stack index `key`. */
static void set_under(lua_State *L, int t, int key)
{
	lua_pushvalue(L, key);
	lua_rotate(L, -2, 1);
	lua_rawset(L, t);
}

/* Pushes the light fields of the module at `module` that count, with their hash, and all marks of the table at `marks`
 * (0: there are none). At most `left` fields; false: there are more, and nothing is pushed. */
static bool push_fields(lua_State *L, int module, int marks, int left)
{
	const int fields = lua_gettop(L) + 1, key = fields + 1;
	lua_newtable(L);
	set_looks(L, fields, module, marks);
	for (lua_pushnil(L); lua_next(L, module); lua_settop(L, key)) {
		if (!is_light(L))
			continue;
		if (left-- == 0) {
			lua_settop(L, fields - 1);
			return false;
		}
		set_under(L, fields, key);
	}
	if (marks)
		lua_pushnil(L);
	while (marks && lua_next(L, marks)) {
		if (lua_islightuserdata(L, -1) || lua_isboolean(L, -1)) /* MARKED, too */
			set_under(L, fields, key);
		lua_settop(L, key);
	}
	return true;
}

/* Makes the next question look at the module field by field. */
static void look_again(lua_State *L, int fields)
{
	lua_pushinteger(L, 0);
	lua_rawseti(L, fields, HASH);
	lua_pushinteger(L, 0);
	lua_rawseti(L, fields, PRINT);
}

bool vai__module_changes_begin(lua_State *L)
{
	const int module = lua_gettop(L);
	lua_createtable(L, 2, 0);
	if (!push_fields(L, module, 0, MOST_FIELDS)) {
		lua_settop(L, module);
		return false;
	}
	lua_pushvalue(L, -1);
	lua_rawseti(L, module + 1, FIRST);
	lua_rawseti(L, module + 1, LATELY);
	return true;
}

/* Whether the key and value on top are a field that every fresh state has in the library. */
static bool is_stock(lua_State *L, const struct vai__lib *lib)
{
	size_t len;
	lua_CFunction f = lua_tocfunction(L, -1);
	const char *name = lua_tolstring(L, -2, &len);
	if (lib->opens) /* the catalog does not know its names, and all its fields are functions */
		return f && vai__catalog_knows(f);
	int k = vai__catalog_find(&lib->names, name, len);
	return k >= 0 && vai__catalog_holds(L, &lib->names.entries[k]);
}

/* Sets what fresh states have, and the table at `library` has not, in the table on top. True: there is such a name. */
static bool add_missing(lua_State *L, const struct vai__lib *lib, int library)
{
	bool any = false;
	for (int k = 0; k < lib->names.n; k++) {
		const char *name = lib->names.entries[k].name;
		lua_pushstring(L, name);
		if (lua_rawget(L, library) == LUA_TNIL) {
			lua_pushboolean(L, 1);
			lua_setfield(L, -3, name);
			any = true;
		}
		lua_pop(L, 1);
	}
	return any;
}

void vai__module_changes_begin_library(lua_State *L, int lib)
{
	const int library = lua_gettop(L), first = library + 2, key = library + 3;
	bool changed = false;
	lua_createtable(L, 2, 0);
	lua_newtable(L);
	for (lua_pushnil(L); lua_next(L, library); lua_settop(L, key)) {
		if (!is_light(L))
			continue;
		if (!is_stock(L, &vai__catalog.libs[lib])) {
			changed = true;
			continue;
		}
		set_under(L, first, key);
	}
	changed |= add_missing(L, &vai__catalog.libs[lib], library);
	if (changed)
		look_again(L, first);
	else
		set_looks(L, first, library, 0);
	lua_pushvalue(L, first);
	lua_rawseti(L, library + 1, FIRST);
	lua_rawseti(L, library + 1, LATELY);
}

void vai__module_changes_added(lua_State *L, int idx)
{
	lua_rawgeti(L, idx, FIRST);
	lua_rotate(L, -2, 1);
	lua_pushnil(L);
	lua_rawset(L, -3);
	look_again(L, lua_gettop(L));
	lua_pop(L, 1);
}

/* ---- comparing ---- */

/* Pushes package.loaded and what is noted of the modules in it; false: nothing is. */
static bool push_tables(lua_State *L, const struct vai_vm *vm)
{
	if (!vm->funcs || vm->funcs->noted == LUA_NOREF)
		return false;
	lua_pushliteral(L, LUA_LOADED_TABLE);
	if (lua_rawget(L, LUA_REGISTRYINDEX) != LUA_TTABLE) {
		lua_pop(L, 1);
		return false;
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->noted);
	return true;
}

/* Whether the module at `module` is as the table at `fields` says. */
static bool is_same(lua_State *L, int module, int fields)
{
	const uint64_t print = vai__probe_table_print(lua_topointer(L, module));
	lua_rawgeti(L, fields, HASH);
	lua_rawgeti(L, fields, PRINT);
	const uint64_t hash = (uint64_t)lua_tointeger(L, -2), last = (uint64_t)lua_tointeger(L, -1);
	lua_pop(L, 2);
	if (print && print == last)
		return true;
	if (hash_module(L, module, is_marked(L, fields) ? fields : 0) != hash)
		return false;
	set_print(L, fields, module);
	return true;
}

bool vai__module_changes_none(lua_State *L, const struct vai_vm *vm)
{
	const int top = lua_gettop(L), module = top + 4;
	bool same = true;
	int found = 0;
	if (!push_tables(L, vm))
		return true;
	for (lua_pushnil(L); same && lua_next(L, top + 1); lua_settop(L, top + 3)) {
		if (!lua_istable(L, module))
			continue;
		lua_pushvalue(L, module);
		if (lua_rawget(L, top + 2) != LUA_TTABLE)
			continue;
		lua_rawgeti(L, module + 1, LATELY);
		same = is_same(L, module, module + 2);
		found++;
	}
	lua_settop(L, top);
	return same && found == vm->funcs->looked_at;
}

/* Whether the library of strings, kept at fs->strings, is as it was when the last look found no change. */
static bool same_methods(lua_State *L, const struct vai__known_funcs *fs)
{
	if (fs->strings == LUA_NOREF)
		return false;
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->strings);
	const uint64_t print = vai__probe_table_print(lua_topointer(L, -1));
	lua_pop(L, 1);
	return print && print == fs->methods;
}

bool vai__module_changes_no_methods(lua_State *L, const struct vai_vm *vm)
{
	const int top = lua_gettop(L), strings = top + 3;
	bool same = true;
	if (!vm->funcs || same_methods(L, vm->funcs) || !push_tables(L, vm))
		return true;
	lua_pushliteral(L, LUA_STRLIBNAME);
	if (lua_rawget(L, top + 1) == LUA_TTABLE) {
		lua_pushvalue(L, strings);
		if (lua_rawget(L, top + 2) == LUA_TTABLE) {
			lua_rawgeti(L, strings + 1, LATELY);
			same = is_same(L, strings, strings + 2);
		}
	}
	if (same && vm->funcs->strings != LUA_NOREF) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->strings);
		if (lua_rawequal(L, -1, strings))
			vm->funcs->methods = vai__probe_table_print(lua_topointer(L, strings));
	}
	lua_settop(L, top);
	return same;
}

/* ---- whose a field is ---- */

/* Whether the function at idx sets fields of that name in some table. */
static bool sets(lua_State *L, struct vai_vm *vm, int idx, const char *name)
{
	struct vai_code *code = vai__known_funcs_code(L, vm, idx);
	bool found = code && vai__bytecode_sets(code->bytes, code->size, name);
	if (code)
		vai__obj_unref(&code->obj);
	return found;
}

/* The same for the function on top and the first HELPERS that it has captured. */
static bool sets_with_helpers(lua_State *L, struct vai_vm *vm, const char *name)
{
	const int f = lua_gettop(L);
	bool found = !lua_iscfunction(L, f) && sets(L, vm, f, name);
	for (int i = 1; i <= HELPERS && !found && !lua_iscfunction(L, f) && lua_getupvalue(L, f, i); i++) {
		found = lua_isfunction(L, -1) && !lua_iscfunction(L, -1) && sets(L, vm, f + 1, name);
		lua_settop(L, f);
	}
	lua_settop(L, f);
	return found;
}

/* Whether a function that the module had at first (their table is at `first`) sets the field whose name is at key. */
static bool is_own_state(lua_State *L, struct vai_vm *vm, int first, int key)
{
	const int top = lua_gettop(L);
	bool own = false;
	for (lua_pushnil(L); !own && lua_next(L, first); lua_settop(L, top + 1))
		own = lua_isfunction(L, -1) && sets_with_helpers(L, vm, lua_tostring(L, key));
	lua_settop(L, top);
	return own;
}

bool vai__module_changes_sets(lua_State *L, struct vai_vm *vm, int module, int key)
{
	const int top = lua_gettop(L);
	bool own = true;
	luaL_checkstack(L, 24, "changes of modules");
	if (!vm->funcs || vm->funcs->noted == LUA_NOREF)
		return true;
	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->noted);
	lua_pushvalue(L, module);
	if (lua_rawget(L, -2) == LUA_TTABLE && lua_rawgeti(L, -1, FIRST) == LUA_TTABLE)
		own = is_own_state(L, vm, top + 3, key);
	lua_settop(L, top);
	return own;
}

/* ---- what has changed ---- */

/* Stack indices while one module is compared. */
struct diff {
	lua_State *L;
	struct vai_vm *vm;
	int module, first, set, gone;
};

/* Whether the script has changed the field whose name is at `key` and which is not as it was at first. False: it is the
 * module's own state, and gets a mark. */
static bool is_of_script(const struct diff *d, int key)
{
	lua_State *L = d->L;
	if (!is_own_state(L, d->vm, d->first, key))
		return true;
	lua_pushvalue(L, key);
	lua_pushlightuserdata(L, NULL);
	lua_rawset(L, d->first);
	lua_pushboolean(L, 1);
	lua_rawseti(L, d->first, MARKED);
	return false;
}

static void find_set(const struct diff *d)
{
	lua_State *L = d->L;
	const int key = lua_gettop(L) + 1;
	for (lua_pushnil(L); lua_next(L, d->module); lua_settop(L, key)) {
		if (!is_light(L))
			continue;
		lua_pushvalue(L, key);
		if (lua_rawget(L, d->first) == LUA_TLIGHTUSERDATA || lua_rawequal(L, -1, -2) || !is_of_script(d, key))
			continue;
		lua_pushvalue(L, key);
		lua_pushvalue(L, key + 1);
		lua_rawset(L, d->set);
	}
}

static void find_gone(const struct diff *d)
{
	lua_State *L = d->L;
	const int key = lua_gettop(L) + 1;
	for (lua_pushnil(L); lua_next(L, d->first); lua_settop(L, key)) {
		if (lua_type(L, key) != LUA_TSTRING || lua_islightuserdata(L, key + 1))
			continue;
		lua_pushvalue(L, key);
		if (lua_rawget(L, d->module) != LUA_TNIL || !is_of_script(d, key))
			continue;
		lua_pushvalue(L, key);
		lua_pushboolean(L, 1);
		lua_rawset(L, d->gone);
	}
}

/* The module is at stack index m, what is kept of it at m + 1: both on top. Pushes the list of what has changed, and
 * keeps how the module is now. */
static void push_diff(lua_State *L, struct vai_vm *vm, int m)
{
	const struct diff d = {L, vm, m, m + 3, m + 4, m + 5};
	lua_createtable(L, 2, 0);
	lua_rawgeti(L, m + 1, FIRST);
	lua_newtable(L);
	lua_newtable(L);
	find_set(&d);
	find_gone(&d);
	if (push_fields(L, m, is_marked(L, d.first) ? d.first : 0, INT_MAX))
		lua_rawseti(L, m + 1, LATELY);
	lua_rawseti(L, m + 2, 2);
	lua_rawseti(L, m + 2, 1);
	lua_settop(L, m + 2);
}

static bool is_empty(lua_State *L, int list, int i)
{
	lua_rawgeti(L, list, i);
	lua_pushnil(L);
	const bool empty = !lua_next(L, -2);
	lua_settop(L, list);
	return empty;
}

void vai__module_changes_push(lua_State *L, struct vai_vm *vm)
{
	const int changes = lua_gettop(L) + 1, loaded = changes + 1, noted = changes + 2, key = changes + 3, m = key + 1;
	luaL_checkstack(L, 24, "changes of modules");
	int found = 0;
	lua_newtable(L);
	if (!push_tables(L, vm))
		return;
	for (lua_pushnil(L); lua_next(L, loaded); lua_settop(L, key)) {
		lua_pushvalue(L, m);
		if (!lua_istable(L, m) || lua_rawget(L, noted) != LUA_TTABLE)
			continue;
		push_diff(L, vm, m);
		found++;
		if ((is_empty(L, m + 2, 1) && is_empty(L, m + 2, 2)) || lua_type(L, key) != LUA_TSTRING)
			continue;
		lua_pushvalue(L, key);
		lua_insert(L, m + 2);
		lua_rawset(L, changes);
	}
	lua_settop(L, changes);
	vm->funcs->looked_at = found;
}

static bool has_field(lua_State *L, int idx)
{
	lua_pushvalue(L, -2);
	const bool has = lua_rawget(L, idx) != LUA_TNIL;
	lua_pop(L, 1);
	return has;
}

void vai__module_changes_apply(lua_State *L, int idx, int changes, bool add)
{
	const int top = lua_gettop(L);
	luaL_checkstack(L, 8, "changes of modules");
	for (int i = 1; i <= 2; i++) {
		lua_rawgeti(L, changes, i);
		for (lua_pushnil(L); lua_next(L, top + 1); lua_settop(L, top + 2)) {
			if (add && (i == 2 || has_field(L, idx)))
				continue;
			lua_pushvalue(L, -2);
			lua_rotate(L, -2, 1);
			if (i == 2) {
				lua_pop(L, 1);
				lua_pushnil(L);
			}
			lua_rawset(L, idx);
		}
		lua_settop(L, top);
	}
}
