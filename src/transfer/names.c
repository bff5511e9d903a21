/* SPDX-License-Identifier: MIT */
/* What modules hold is noted in three tables of the registry, whose keys are weak. For a value, `parents` has the
 * table that holds it and `keys` the name under which it lies there. `noted` has the modules; in the host's state
 * each comes with what module_changes.c keeps of it. A path of names is followed anew each time it is used: if a
 * value on it has been replaced meanwhile, the path does not stand for what a fresh module has.
 *
 * A path consists of names only, since the same name means the same value in another state. An index of a list does
 * not, as the list may be filled in another order there: a class that only a list holds belongs to no module. The
 * name of a local that the module's functions have captured may lead to a class (`local mt = {}` behind a
 * constructor), unless one of these functions assigns the local: then it may hold another class in the other state.
 *
 * Of modules that goroutines cannot require, only values that cannot be copied are noted. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "transfer/names.h"
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include "sched/sched.h"
#include "code/bytecode.h"
#include "state/handle.h"
#include "state/state.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"
#include "transfer/known_funcs.h"
#include "transfer/module_changes.h"

enum {
	BUDGET = 20000,  /* at most so many fields of one module are looked at */
	NOTES_STACK = 48 /* slots of the Lua stack that noting needs */
};

/* The state of noting; `loaded` to `queue`, `functions` and `sources` are stack indices of tables. */
struct notes {
	lua_State *L;
	struct vai_vm *vm;
	struct vai__known_funcs *fs;
	int loaded, parents, keys, noted, queue;
	lua_Integer queued; /* how many tables the list `queue` has */
	int functions;      /* list of the module's Lua functions; those with names come first */
	lua_Integer found;  /* how many functions that list has */
	int budget;
	int sources; /* table of the running scripts by chunk names, with the module's own code at 1; 0: there is none */
	int rank;    /* the module's rank (rank_of); 0: require cannot find it */
	int first, last; /* lines of the function in package.preload that made the module */
};

/* ---- the tables ---- */

static int weak_table(lua_State *L)
{
	vai__state_push_weak(L, 8, "k");
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

static bool open_notes(struct notes *n)
{
	struct vai__known_funcs *fs = n->fs = vai__known_funcs_open(n->L, n->vm);
	if (fs->parents == LUA_NOREF) {
		int parents = weak_table(n->L), keys = weak_table(n->L), noted = weak_table(n->L);
		fs->keys = keys;
		fs->noted = noted;
		fs->parents = parents;
	}
	if (!vai__lazy_push_loaded(n->L, n->vm))
		return false;
	n->loaded = lua_gettop(n->L);
	lua_rawgeti(n->L, LUA_REGISTRYINDEX, fs->parents);
	lua_rawgeti(n->L, LUA_REGISTRYINDEX, fs->keys);
	lua_rawgeti(n->L, LUA_REGISTRYINDEX, fs->noted);
	lua_newtable(n->L);
	lua_newtable(n->L);
	n->parents = n->loaded + 1;
	n->keys = n->loaded + 2;
	n->noted = n->loaded + 3;
	n->queue = n->loaded + 4;
	n->functions = n->loaded + 5;
	return true;
}

static bool has_key(lua_State *L, int table, int key)
{
	lua_pushvalue(L, key);
	bool has = lua_rawget(L, table) != LUA_TNIL;
	lua_pop(L, 1);
	return has;
}

/* ---- one module ---- */

/* Whether the Lua function on top comes from a script that was running when vai was loaded. The script has then added
 * the function to the module, which does not have it in other states. */
static bool is_addition(const struct notes *n)
{
	lua_State *L = n->L;
	lua_Debug ar;
	if (!n->sources || lua_iscfunction(L, -1))
		return false;
	lua_pushvalue(L, -1);
	lua_getinfo(L, ">S", &ar);
	bool added = lua_getfield(L, n->sources, ar.source) != LUA_TNIL;
	lua_pop(L, 1);
	return added && (ar.linedefined < n->first || ar.lastlinedefined > n->last);
}

/* Whether the table on top is a class that such a script has added: it has Lua functions, all of them the script's. */
static bool is_added_class(const struct notes *n)
{
	lua_State *L = n->L;
	const int t = lua_gettop(L);
	bool any = false, all = true;
	if (!n->sources)
		return false;
	for (lua_pushnil(L); all && lua_next(L, t); lua_settop(L, t + 1)) {
		if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1))
			continue;
		any = true;
		all = is_addition(n);
	}
	lua_settop(L, t);
	return any && all;
}

static bool has_upvalue(lua_State *L)
{
	if (!lua_getupvalue(L, -1, 1))
		return false;
	lua_pop(L, 1);
	return true;
}

/* Whether the value on top is to be noted. Of a module that no goroutine can require, only values are that could not
 * be sent otherwise. */
static bool wanted(const struct notes *n)
{
	lua_State *L = n->L;
	lua_CFunction f;
	switch (lua_type(L, -1)) {
	case LUA_TFUNCTION:
		f = lua_tocfunction(L, -1);
		if (!f)
			return n->rank > 0 && !is_addition(n);
		return !vai__catalog_knows(f) && (n->rank > 0 || has_upvalue(L));
	case LUA_TUSERDATA: return !vai__handle_is(L, -1);
	case LUA_TTABLE: return n->rank > 0 && !has_key(L, n->noted, lua_gettop(L)) && !is_added_class(n);
	default: return false;
	}
}

/* Notes that the table at idx was added by a script, so it is no member of a module. */
static void note_added(struct notes *n, int idx)
{
	lua_pushvalue(n->L, idx);
	lua_pushinteger(n->L, 0);
	lua_rawset(n->L, n->keys);
}

static bool is_known_added(struct notes *n)
{
	lua_pushvalue(n->L, -1);
	bool added = lua_rawget(n->L, n->keys) == LUA_TNUMBER;
	lua_pop(n->L, 1);
	return added;
}

/* Whether the code of the Lua function on top, which is popped, sets a field of that name in some table. */
static bool sets(struct notes *n, const char *name)
{
	struct vai_code *code = vai__known_funcs_code(n->L, n->vm, -1);
	bool found = code && memmem(code->bytes, code->size, name, strlen(name)) != NULL &&
		vai__bytecode_sets(code->bytes, code->size, name);
	if (code)
		vai__obj_unref(&code->obj);
	lua_pop(n->L, 1);
	return found;
}

/* Whether the code of the module that is being noted sets a field of that name; false if that code is not Lua's, or
 * was not found. */
static bool module_sets(struct notes *n, const char *name)
{
	lua_State *L = n->L;
	const int top = lua_gettop(L);
	bool found = false;
	if (lua_rawgeti(L, n->sources, 1) == LUA_TFUNCTION && !lua_iscfunction(L, -1))
		found = sets(n, name);
	lua_settop(L, top);
	return found;
}

/* Whether a script that was running when vai was loaded has added the table on top to the module, under the name at
 * `key`. Taken for a sign of that: code of the script sets a field of that name, and the module's code does not. */
static bool is_added_table(struct notes *n, int key)
{
	lua_State *L = n->L;
	const int top = lua_gettop(L);
	const char *name = lua_tostring(L, key);
	bool added = false;
	for (lua_pushnil(L); !added && lua_next(L, n->sources); lua_settop(L, top + 1))
		added = lua_type(L, top + 1) == LUA_TSTRING && lua_isfunction(L, -1) && sets(n, name);
	lua_settop(L, top);
	return added && !module_sets(n, name);
}

/* Notes the values that the table on top has under names. Tables among them are put into the queue. */
static void note_fields(struct notes *n)
{
	lua_State *L = n->L;
	const int t = lua_gettop(L), key = t + 1, value = t + 2;
	for (lua_pushnil(L); lua_next(L, t) && n->budget > 0; lua_settop(L, key)) {
		n->budget--;
		if (lua_type(L, key) != LUA_TSTRING || !wanted(n) || has_key(L, n->parents, value) || is_known_added(n))
			continue;
		if (VAI_UNLIKELY(n->sources) && lua_istable(L, value) && is_added_table(n, key)) {
			note_added(n, value);
			continue;
		}
		lua_pushvalue(L, value);
		lua_pushvalue(L, t);
		lua_rawset(L, n->parents);
		lua_pushvalue(L, value);
		lua_pushvalue(L, key);
		lua_rawset(L, n->keys);
		if (lua_istable(L, value))
			lua_rawseti(L, n->queue, ++n->queued);
		else if (n->rank > 0 && lua_isfunction(L, value) && !lua_iscfunction(L, value))
			lua_rawseti(L, n->functions, ++n->found);
	}
	lua_settop(L, t);
}

/* Whether the table on top has a field whose name begins with "__", as classes and metatables have. */
static bool looks_like_class(struct notes *n)
{
	lua_State *L = n->L;
	const int t = lua_gettop(L);
	bool found = false;
	for (lua_pushnil(L); !found && n->budget > 0 && lua_next(L, t); lua_settop(L, t + 1), n->budget--)
		found = lua_type(L, t + 1) == LUA_TSTRING && strncmp(lua_tostring(L, t + 1), "__", 2) == 0;
	lua_settop(L, t);
	return found;
}

/* Whether a function of the list `functions` assigns the upvalue with that id (lua_upvalueid), or may do so. */
static bool is_assigned(struct notes *n, const void *id)
{
	lua_State *L = n->L;
	const int top = lua_gettop(L);
	bool assigned = false;
	for (lua_Integer k = 1; k <= n->found && !assigned; k++) {
		int i = 1;
		lua_rawgeti(L, n->functions, k);
		while (lua_upvalueid(L, top + 1, i) && lua_upvalueid(L, top + 1, i) != id)
			i++;
		struct vai_code *code = lua_upvalueid(L, top + 1, i) ? vai__known_funcs_code(L, n->vm, top + 1) : NULL;
		if (code) {
			assigned = !code->analyzed || code->upvals[i - 1].assigned_line != 0;
			vai__obj_unref(&code->obj);
		}
		lua_settop(L, top);
	}
	return assigned;
}

/* Pushes the first upvalue of that name of the function at f. False: it has none, and nothing is pushed. */
bool vai__names_upvalue(lua_State *L, int f, const char *name)
{
	const char *s;
	for (int i = 1; (s = lua_getupvalue(L, f, i)) != NULL; i++) {
		if (*name && strcmp(s, name) == 0)
			return true;
		lua_pop(L, 1);
	}
	return false;
}

/* Notes that the value on top is reached from the function at f by its upvalue of that name, if it is the first
 * upvalue with the name. */
static void note_upvalue(struct notes *n, int f, const char *name)
{
	lua_State *L = n->L;
	const int value = lua_gettop(L);
	bool first = vai__names_upvalue(L, f, name) && lua_rawequal(L, -1, value);
	lua_settop(L, value);
	if (!first)
		return;
	lua_pushvalue(L, value);
	lua_pushvalue(L, f);
	lua_rawset(L, n->parents);
	lua_pushvalue(L, value);
	lua_pushstring(L, name);
	lua_rawset(L, n->keys);
}

/* Notes the classes that functions of the list `functions` have captured. Functions that they have captured are noted
 * and added to the list first. */
static void note_captured(struct notes *n)
{
	lua_State *L = n->L;
	const int top = lua_gettop(L), f = top + 1, value = top + 2;
	const char *name;
	for (lua_Integer k = 1; k <= n->found && n->budget > 0; k++, lua_settop(L, top)) {
		lua_rawgeti(L, n->functions, k);
		for (int i = 1; (name = lua_getupvalue(L, f, i)) != NULL; i++, lua_settop(L, f)) {
			n->budget--;
			if (!lua_isfunction(L, value) || lua_iscfunction(L, value) || has_key(L, n->parents, value) ||
				is_addition(n))
				continue;
			note_upvalue(n, f, name);
			lua_rawseti(L, n->functions, ++n->found);
		}
	}
	for (lua_Integer k = 1; k <= n->found && n->budget > 0; k++, lua_settop(L, top)) {
		lua_rawgeti(L, n->functions, k);
		for (int i = 1; (name = lua_getupvalue(L, f, i)) != NULL; i++, lua_settop(L, f))
			if (lua_istable(L, value) && !has_key(L, n->parents, value) && wanted(n) && looks_like_class(n) &&
				!is_assigned(n, lua_upvalueid(L, f, i)))
				note_upvalue(n, f, name);
	}
}

/* Notes the values in the module on top, which is a table. Tables are gone through breadth first, so that paths are
 * short. */
static void note_members(struct notes *n)
{
	lua_State *L = n->L;
	const int module = lua_gettop(L);
	n->budget = BUDGET;
	n->queued = 1;
	lua_pushvalue(L, module);
	lua_rawseti(L, n->queue, 1);
	for (lua_Integer done = 0; done < n->queued; lua_settop(L, module)) {
		lua_rawgeti(L, n->queue, ++done);
		note_fields(n);
	}
	for (; n->queued > 0; n->queued--) {
		lua_pushnil(L);
		lua_rawseti(L, n->queue, n->queued);
	}
}

/* Keeps a copy of the fields that the module on top has now, to tell later changes from them. What a script had added
 * before vai was loaded counts as a change. A module with very many fields is taken for data: nothing is kept of it. */
static void keep_first(struct notes *n)
{
	lua_State *L = n->L;
	const int module = lua_gettop(L), kept = module + 1, key = module + 2;
	if (!vai__module_changes_begin(L))
		return;
	if (n->sources)
		lua_pushnil(L);
	while (n->sources && lua_next(L, module)) {
		if (lua_isfunction(L, -1) && is_addition(n)) {
			lua_pushvalue(L, key);
			vai__module_changes_added(L, kept);
		}
		lua_settop(L, key);
	}
	lua_pushvalue(L, module);
	lua_pushvalue(L, kept);
	lua_rawset(L, n->noted);
	n->fs->looked_at = -1; /* what was found out about an earlier module of that name does not hold for this one */
	lua_settop(L, module);
}

/* Whether package.preload has a function for the name on top. If it is Lua's, its lines are noted in n. */
static bool in_preload(struct notes *n)
{
	lua_State *L = n->L;
	lua_Debug ar;
	bool found = false;
	n->first = n->last = -1;
	if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE) == LUA_TTABLE) {
		lua_pushvalue(L, -2);
		found = lua_rawget(L, -2) == LUA_TFUNCTION;
		if (found && !lua_iscfunction(L, -1)) {
			lua_pushvalue(L, -1);
			lua_getinfo(L, ">S", &ar);
			n->first = ar.linedefined;
			n->last = ar.lastlinedefined;
		}
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return found;
}

/* Pushes the file that package.searchpath finds for the name on top along package[field]. False: there is none, and
 * nothing is pushed. */
static bool push_file(struct notes *n, const char *field)
{
	lua_State *L = n->L;
	const int top = lua_gettop(L);
	bool found = false;
	lua_pushliteral(L, "package");
	if (lua_rawget(L, n->loaded) == LUA_TTABLE && lua_getfield(L, -1, "searchpath") == LUA_TFUNCTION) {
		lua_pushvalue(L, top);
		if (lua_getfield(L, -3, field) == LUA_TSTRING)
			found = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isstring(L, -1);
	}
	if (found)
		lua_replace(L, top + 1);
	lua_settop(L, found ? top + 1 : top);
	return found;
}

static bool in_path(struct notes *n, const char *field)
{
	if (!push_file(n, field))
		return false;
	lua_pop(n->L, 1);
	return true;
}

/* What a goroutine's `require` finds for the name on top: 0 nothing, 1 a C library, 2 a Lua file or a function in
 * package.preload. */
static int rank_of(struct notes *n)
{
	lua_State *L = n->L;
	if (in_preload(n) || in_path(n, "path"))
		return 2;
	if (in_path(n, "cpath"))
		return 1;
	const char *name = lua_tostring(L, -1), *dot = strchr(name, '.');
	if (!dot)
		return 0;
	lua_pushlstring(L, name, (size_t)(dot - name)); /* luaopen_a_b in a.so */
	bool found = in_path(n, "cpath");
	lua_pop(L, 1);
	return found;
}

/* Puts the Lua function that loads the module of that name into sources[1]; nil if it is not Lua's, or was not
 * found. */
static void find_code(struct notes *n, const char *name)
{
	lua_State *L = n->L;
	const int top = lua_gettop(L);
	lua_pushnil(L);
	lua_rawseti(L, n->sources, 1);
	if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE) == LUA_TTABLE &&
		lua_getfield(L, -1, name) == LUA_TFUNCTION) {
		lua_rawseti(L, n->sources, 1);
	} else {
		lua_pushstring(L, name);
		if (push_file(n, "path") && luaL_loadfile(L, lua_tostring(L, -1)) == LUA_OK)
			lua_rawseti(L, n->sources, 1);
	}
	lua_settop(L, top);
}

/* Whether every goroutine has the module. */
static bool is_everywhere(const char *name)
{
	return vai__catalog_lib(name) >= 0 || strcmp(name, LUA_GNAME) == 0;
}

/* Keeps what the standard library on top, of that name, has in every fresh state, to tell changes from it. `package`
 * is left out, as its search paths are sent on their own (require/paths.c). */
static void keep_library(struct notes *n, const char *name)
{
	lua_State *L = n->L;
	const int lib = vai__catalog_lib(name), library = lua_gettop(L);
	if (lib < 0 || !vai__catalog.libs[lib].open || strcmp(name, LUA_LOADLIBNAME) == 0)
		return;
	lua_pushvalue(L, library);
	vai__module_changes_begin_library(L, lib);
	lua_rawset(L, n->noted);
	if (strcmp(name, LUA_STRLIBNAME) == 0) {
		lua_pushvalue(L, library);
		n->fs->strings = luaL_ref(L, LUA_REGISTRYINDEX);
	}
}

/* Whether the name is vai's or of one of its modules, which goroutines require without a search. */
static bool is_preloaded(const char *name)
{
	return vai__catalog_preload_name && strcmp(name, vai__catalog_preload_name) == 0;
}

/* Whether the key and value of package.loaded on top are a module that has to be noted: a table or a Lua function. */
static bool is_new_module(struct notes *n)
{
	lua_State *L = n->L;
	return lua_type(L, -2) == LUA_TSTRING &&
		(lua_istable(L, -1) || (lua_isfunction(L, -1) && !lua_iscfunction(L, -1))) &&
		!has_key(L, n->noted, lua_gettop(L));
}

/* Notes the function on top as a module, unless goroutines cannot require it. */
static void note_function(struct notes *n)
{
	if (!lua_isfunction(n->L, -1))
		return;
	lua_pushvalue(n->L, -1);
	if (n->rank > 0) {
		lua_rawseti(n->L, n->functions, ++n->found);
		return;
	}
	lua_pushnil(n->L);
	lua_rawset(n->L, n->noted);
}

/* Notes what is in the module whose name is on top. */
static void note_module(struct notes *n)
{
	lua_State *L = n->L;
	const char *name = lua_tostring(L, -1);
	const bool everywhere = is_everywhere(name), host = n->vm->is_host;
	if (!everywhere)
		n->rank = host ? rank_of(n) : 2; /* a goroutine's state has found it by `require` */
	lua_pushvalue(L, -1);
	const bool table = lua_rawget(L, n->loaded) == LUA_TTABLE;
	if (everywhere) {
		if (host && table)
			keep_library(n, name);
		return;
	}
	if (!table) {
		note_function(n);
		return;
	}
	if (n->sources)
		find_code(n, name);
	note_members(n);
	if (host && n->rank > 0 && !is_preloaded(name))
		keep_first(n);
}

/* Notes all new modules of package.loaded: first the modules themselves, then the values in them, so that a module in
 * another one keeps its own name. */
static bool note_all(struct notes *n)
{
	lua_State *L = n->L;
	const int top = lua_gettop(L), list = top + 1;
	lua_Integer found = 0;
	lua_newtable(L);
	for (lua_pushnil(L); lua_next(L, n->loaded); lua_pop(L, 1)) {
		if (!is_new_module(n))
			continue;
		lua_pushvalue(L, -1);
		lua_pushboolean(L, 1);
		lua_rawset(L, n->noted);
		lua_pushvalue(L, -2);
		lua_rawseti(L, list, ++found);
	}
	for (lua_Integer i = 1; i <= found; i++) {
		lua_rawgeti(L, list, i);
		note_module(n);
		lua_settop(L, list);
	}
	n->rank = 2;
	n->budget = BUDGET;
	n->first = n->last = -1;
	note_captured(n);
	lua_settop(L, top);
	return found > 0;
}

/* ---- names of modules ---- */

/* Whether the name at a is preferred to the name at b, if one module has both. */
static bool is_better(struct notes *n, int a, int b)
{
	lua_State *L = n->L;
	size_t la, lb;
	lua_pushvalue(L, a);
	int ra = rank_of(n);
	lua_pop(L, 1);
	lua_pushvalue(L, b);
	int rb = rank_of(n);
	lua_pop(L, 1);
	const char *sa = lua_tolstring(L, a, &la), *sb = lua_tolstring(L, b, &lb);
	if (ra != rb)
		return ra > rb;
	return la != lb ? la < lb : strcmp(sa, sb) < 0;
}

/* Pushes one string with the names of the list, without the one at `best`; nil if there is no other. */
static void join_others(lua_State *L, int list, int best)
{
	luaL_Buffer b;
	bool any = false;
	luaL_buffinit(L, &b);
	for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, list); i <= n; i++) {
		lua_rawgeti(L, list, i);
		bool skip = lua_rawequal(L, -1, best);
		lua_pop(L, 1);
		if (skip)
			continue;
		if (any)
			luaL_addchar(&b, '\0');
		any = true;
		lua_rawgeti(L, list, i);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	if (!any) {
		lua_pop(L, 1);
		lua_pushnil(L);
	}
}

bool vai__names_of_module(lua_State *L, struct vai_vm *vm, const void *table)
{
	struct notes n = {.L = L, .vm = vm};
	const int top = lua_gettop(L);
	lua_Integer found = 0;
	luaL_checkstack(L, NOTES_STACK, "names of modules");
	if (!open_notes(&n))
		return false;
	lua_newtable(L);
	const int list = lua_gettop(L), best = list + 1;
	lua_pushnil(L);
	for (lua_pushnil(L); lua_next(L, n.loaded); lua_pop(L, 1)) {
		if (lua_topointer(L, -1) != table || lua_type(L, -2) != LUA_TSTRING)
			continue;
		lua_pushvalue(L, -2);
		if (lua_isnil(L, best) || is_better(&n, lua_gettop(L), best))
			lua_copy(L, -1, best);
		if (rank_of(&n) > 0)
			lua_rawseti(L, list, ++found);
		else
			lua_pop(L, 1);
	}
	if (lua_isnil(L, best)) {
		lua_settop(L, top);
		return false;
	}
	join_others(L, list, best);
	lua_replace(L, top + 2);
	lua_replace(L, top + 1);
	lua_settop(L, top + 2);
	return true;
}

/* ---- asking ---- */

bool vai__names_any(const struct vai_vm *vm)
{
	return vm->new_modules || (vm->funcs && vm->funcs->parents != LUA_NOREF);
}

bool vai__names_stale(const struct vai_vm *vm)
{
	return vm->new_modules;
}

bool vai__names_search(lua_State *L, struct vai_vm *vm)
{
	struct notes n = {.L = L, .vm = vm};
	const int top = lua_gettop(L);
	luaL_checkstack(L, NOTES_STACK, "names of modules");
	bool found = open_notes(&n) && note_all(&n);
	lua_settop(L, top);
	return found;
}

void vai__names_refresh(lua_State *L, struct vai_vm *vm)
{
	if (vai__names_search(L, vm) || vm->is_host)
		vm->new_modules = false;
}

/* Pushes the key and the table or function that has the value on top; false: nothing is pushed. */
static bool push_place(lua_State *L, const struct vai__known_funcs *fs)
{
	const int value = lua_gettop(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->parents);
	lua_pushvalue(L, value);
	bool there = lua_rawget(L, -2) == LUA_TTABLE || lua_isfunction(L, -1);
	if (there) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, fs->keys);
		lua_pushvalue(L, value);
		lua_rawget(L, -2);
		lua_replace(L, value + 1);
		lua_settop(L, value + 2); /* value, key, table or function */
		lua_pushvalue(L, value + 1);
		if (lua_istable(L, value + 2))
			lua_rawget(L, value + 2);
		else if (vai__names_upvalue(L, value + 2, lua_tostring(L, value + 1)))
			lua_replace(L, value + 3);
		there = lua_rawequal(L, -1, value);
	}
	lua_settop(L, there ? value + 2 : value);
	return there;
}

bool vai__names_added(lua_State *L, const struct vai_vm *vm, int idx)
{
	if (!vm->funcs || vm->funcs->parents == LUA_NOREF)
		return false;
	lua_pushvalue(L, idx);
	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->keys);
	lua_rotate(L, -2, 1);
	bool added = lua_rawget(L, -2) == LUA_TNUMBER;
	lua_pop(L, 2);
	return added;
}

bool vai__names_noted(lua_State *L, const struct vai_vm *vm, int idx)
{
	if (!vm->funcs || vm->funcs->parents == LUA_NOREF)
		return false;
	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->parents);
	bool noted = has_key(L, lua_gettop(L), lua_absindex(L, idx > 0 ? idx : idx - 1));
	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->noted);
	noted = noted || has_key(L, lua_gettop(L), lua_absindex(L, idx > 0 ? idx : idx - 2));
	lua_pop(L, 2);
	return noted;
}

void vai__names_add(lua_State *L, struct vai_vm *vm, int idx)
{
	struct notes n = {.L = L, .vm = vm};
	const int top = lua_gettop(L);
	idx = lua_absindex(L, idx);
	luaL_checkstack(L, NOTES_STACK, "names of modules");
	if (open_notes(&n))
		note_added(&n, idx);
	lua_settop(L, top);
}

bool vai__names_missed(lua_State *L, const struct vai_vm *vm, int idx)
{
	if (!vm->funcs || vm->funcs->parents == LUA_NOREF)
		return false;
	lua_pushvalue(L, idx);
	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->keys);
	lua_rotate(L, -2, 1);
	bool missed = lua_rawget(L, -2) == LUA_TBOOLEAN;
	lua_pop(L, 2);
	return missed;
}

void vai__names_miss(lua_State *L, struct vai_vm *vm, int idx)
{
	lua_pushvalue(L, idx);
	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->keys);
	lua_rotate(L, -2, 1);
	lua_pushboolean(L, 0);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

/* Whether the value at idx is a module. */
static bool is_noted(lua_State *L, const struct vai__known_funcs *fs, int idx)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->noted);
	bool noted = has_key(L, lua_gettop(L), idx);
	lua_pop(L, 1);
	return noted;
}

int vai__names_path(lua_State *L, struct vai_vm *vm, int idx)
{
	const struct vai__known_funcs *fs = vm->funcs;
	const int top = lua_gettop(L);
	int n = 0;
	idx = lua_absindex(L, idx);
	if (!fs || fs->parents == LUA_NOREF)
		return -1;
	lua_pushvalue(L, idx);
	if (lua_isfunction(L, -1) && is_noted(L, fs, top + 1))
		return 0;
	while (n < VAI__NAMES_DEPTH && lua_checkstack(L, 8) && push_place(L, fs)) {
		lua_remove(L, -3); /* the value */
		n++;
		if (lua_isfunction(L, -1) && !lua_istable(L, idx))
			break;
		if (is_noted(L, fs, lua_gettop(L)))
			return n;
	}
	lua_settop(L, top);
	return -1;
}

/* ---- require in the host's state ---- */

/* If the module whose name is at stack index 1 was noted under another name, forgets that, so that it is noted anew. */
static void renew(lua_State *L, struct vai_vm *vm)
{
	if (!vm->funcs || vm->funcs->noted == LUA_NOREF)
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, vm->funcs->noted);
	lua_pushvalue(L, 1);
	lua_pushnil(L);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

void vai__names_uninstall(struct vai__home *home)
{
	home->names = NULL;
}

/* The vm of L, if L is the state of the caller, a main goroutine, and its modules are noted; otherwise NULL. */
static struct vai_vm *noting(lua_State *L)
{
	struct vai_vm *vm = vai__home_self()->names;
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
	bool own = vm && lua_tothread(L, -1) == vm->L;
	lua_pop(L, 1);
	return own ? vm : NULL;
}

bool (*vai__names_share)(lua_State *L, struct vai_vm *vm, int idx, const char *filename);

/* Called when a module has been loaded. Stack indices: 1 its name, 2 its value, 3 the loader's second argument. */
static void share_loaded(lua_State *L, struct vai_vm *vm)
{
	if (lua_type(L, 3) != LUA_TSTRING || !vai__names_share(L, vm, 2, lua_tostring(L, 3)))
		return;
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

/* The host's `require`. Upvalue: the stock function. */
static int names_require(lua_State *L)
{
	struct vai_vm *vm = noting(L);
	bool loads = false;
	if (vm && lua_type(L, 1) == LUA_TSTRING && lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE) {
		lua_pushvalue(L, 1);
		lua_rawget(L, -2);
		loads = !lua_toboolean(L, -1);
	}
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, 1);
	lua_call(L, 1, LUA_MULTRET);
	loads = loads && vm == noting(L);
	if (loads && lua_gettop(L) == 3 && lua_istable(L, 2))
		share_loaded(L, vm);
	lua_remove(L, 1);
	if (loads && lua_istable(L, 1))
		renew(L, vm);
	if (loads)
		vai__names_refresh(L, vm);
	return lua_gettop(L);
}

/* Pushes a table of the chunks that are running, by their names. Functions that come from these chunks belong to no
 * module. */
static void push_sources(lua_State *L)
{
	lua_Debug ar;
	lua_newtable(L);
	for (int level = 0; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sf", &ar);
		if (strcmp(ar.what, "main") == 0)
			lua_setfield(L, -2, ar.source);
		else
			lua_pop(L, 1);
	}
}

void vai__names_install(lua_State *L, struct vai_vm *vm)
{
	struct notes n = {.L = L, .vm = vm};
	const int top = lua_gettop(L);
	luaL_checkstack(L, NOTES_STACK, "names of modules");
	push_sources(L);
	n.sources = lua_gettop(L);
	if (open_notes(&n))
		note_all(&n);
	lua_settop(L, top);
	if (lua_getglobal(L, "require") == LUA_TFUNCTION && vai__catalog_is_require(L, -1)) {
		lua_pushcclosure(L, names_require, 1);
		lua_setglobal(L, "require");
		vai__catalog_alias_require(names_require);
		vai__home_self()->names = vm;
	}
	lua_settop(L, top);
}
