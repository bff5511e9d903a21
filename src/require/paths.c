/* SPDX-License-Identifier: MIT */
/* A snapshot has the script's package.path, cpath, preload and searchers, and what the script has changed in loaded
 * modules, for all goroutines. It is taken of the host's state only, and read on any thread. A snapshot does not
 * change: a new one replaces it, and its last reader frees it. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include "base/fork.h"
#include "transfer/codec.h"
#include "require/paths.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"
#include "transfer/module_changes.h"

/* A function of package.preload, or the changes to a loaded module (transfer/module_changes.h). */
struct setting {
	char *name;
	vai_msg msg;
};

struct list {
	int n;
	struct setting *of;
};
enum kind { PRELOADS, CHANGES, KINDS };

/* One of package.searchers: stock's of that number; or if the number is 0, the function in the message. */
struct searcher {
	int stock;
	vai_msg msg;
};

enum { STOCK_SEARCHERS = 4, MOST_SEARCHERS = 64 };

struct snapshot {
	unsigned refs;      /* under the lock */
	char *path, *cpath; /* NULL: the script's is no string */
	struct list settings[KINDS];
	unsigned libs;        /* a bit for each library that has changed */
	unsigned stock_names; /* those among `libs` in which names have changed that every new state has */
	int nsearchers;       /* 0: they are stock's */
	struct searcher searchers[MOST_SEARCHERS];
};

static struct vai_lock lock;     /* VAI_RANK_CODE; guards each home's `paths` and all refs */
static const char noted_key;     /* in the host's registry: its preloads as they were noted */
static const char searchers_key; /* the same for its searchers, if they were not stock's */
static lua_CFunction stock_searchers[STOCK_SEARCHERS];

__attribute__((constructor)) static void init_lock(void)
{
	vai__lock_init(&lock, VAI_RANK_CODE);
	vai__fork_holds(&lock, VAI_RANK_CODE);
}

/* ---- snapshots ---- */

static void free_list(struct list *list)
{
	for (int i = 0; i < list->n; i++) {
		free(list->of[i].name);
		vai__msg_drop(&list->of[i].msg);
	}
	free(list->of);
}

static void free_snapshot(struct snapshot *s)
{
	for (int kind = 0; kind < KINDS; kind++)
		free_list(&s->settings[kind]);
	for (int i = 0; i < s->nsearchers; i++)
		vai__msg_drop(&s->searchers[i].msg);
	free(s->path);
	free(s->cpath);
	free(s);
}

static struct snapshot *acquire(void)
{
	vai__lock(&lock);
	struct snapshot *s = vai__home_self()->paths;
	if (s)
		s->refs++;
	vai__unlock(&lock);
	return s;
}

static void release(struct snapshot *s)
{
	vai__lock(&lock);
	bool last = s && --s->refs == 0;
	vai__unlock(&lock);
	if (last)
		free_snapshot(s);
}

/* Makes s the snapshot of the home. Takes over the reference. */
static void publish(struct vai__home *home, struct snapshot *s)
{
	vai__lock(&lock);
	struct snapshot *old = home->paths;
	home->paths = s;
	atomic_store_relaxed(&home->changed_libs, s ? s->libs : 0);
	vai__unlock(&lock);
	if (old)
		release(old);
}

/* Calls f with two arguments: the value on top, and the snapshot as light userdata. The reference to the snapshot is
 * given back afterwards, also if f raises. */
static void with_snapshot(lua_State *L, lua_CFunction f, struct snapshot *s, int nresults)
{
	lua_pushcfunction(L, f);
	lua_insert(L, -2);
	lua_pushlightuserdata(L, s);
	int status = lua_pcall(L, 2, nresults, 0);
	release(s);
	if (status != LUA_OK)
		lua_error(L);
}

/* ---- taking one ---- */

/* Copies the field to *out; NULL if it is no string. False: out of memory. */
static bool copy_field(lua_State *L, int table, const char *name, char **out)
{
	lua_pushstring(L, name);
	lua_rawget(L, table);
	bool is = lua_type(L, -1) == LUA_TSTRING;
	*out = is ? strdup(lua_tostring(L, -1)) : NULL;
	lua_pop(L, 1);
	return *out || !is;
}

static bool same_string(lua_State *L, int idx, const char *old)
{
	const char *s = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : NULL;
	return s && old ? strcmp(s, old) == 0 : s == old;
}

/* Whether package.path and package.cpath are those of the current snapshot. */
static bool same_paths(lua_State *L, int package)
{
	lua_pushliteral(L, "path");
	lua_rawget(L, package);
	lua_pushliteral(L, "cpath");
	lua_rawget(L, package);
	struct snapshot *s = acquire(); /* nothing may raise until it is released */
	if (!s)
		return false;
	bool same = same_string(L, -2, s->path) && same_string(L, -1, s->cpath);
	release(s);
	lua_pop(L, 2);
	return same;
}

static bool is_preload(lua_State *L)
{
	return lua_type(L, -2) == LUA_TSTRING && lua_isfunction(L, -1) &&
		!(vai__catalog_preload_name && strcmp(lua_tostring(L, -2), vai__catalog_preload_name) == 0);
}

/* Pushes the table of the preloads as they were noted; makes it if need be. */
static void push_noted(lua_State *L)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &noted_key) == LUA_TTABLE)
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &noted_key);
}

/* Whether package.preload (at idx) has not changed since it was noted. */
static bool same_preloads(lua_State *L, int idx)
{
	int n = 0, noted = 0;
	bool same = true;
	push_noted(L);
	for (lua_pushnil(L); same && lua_next(L, idx); lua_pop(L, 1)) {
		if (!is_preload(L))
			continue;
		n++;
		lua_pushvalue(L, -2);
		lua_rawget(L, -4);
		same = lua_rawequal(L, -1, -2);
		lua_pop(L, 1);
	}
	if (!same) {
		lua_settop(L, idx);
		return false;
	}
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
		noted++;
	lua_settop(L, idx);
	return n == noted;
}

/* Encodes a value. Arguments: value, struct vai_vm, vai_msg, and what messages call it. */
static int encode_value(lua_State *L)
{
	vai__encode(L, lua_touserdata(L, 2), 1, lua_touserdata(L, 3), lua_touserdata(L, 4));
	return 0;
}

/* Encodes the value on top, which stays. *sent: whether it can be sent. False: out of memory. */
static bool encode_top(lua_State *L, struct vai_vm *vm, vai_msg *out, const char *what, bool *sent)
{
	lua_pushcfunction(L, encode_value);
	lua_pushvalue(L, -2);
	lua_pushlightuserdata(L, vm);
	lua_pushlightuserdata(L, out);
	lua_pushlightuserdata(L, (void *)(uintptr_t)what);
	int status = lua_pcall(L, 4, 0, 0);
	*sent = status == LUA_OK;
	if (*sent)
		return true;
	bool memory = vai__state_is_out_of_memory(L, status);
	lua_pop(L, 1);
	return !memory;
}

/* Adds the value on top under the name below it, unless it cannot be sent. False: out of memory. */
static bool add_setting(lua_State *L, struct vai_vm *vm, struct list *list, const char *what, bool *sent)
{
	struct setting *grown = realloc(list->of, (size_t)(list->n + 1) * sizeof *grown);
	if (!grown)
		return false;
	list->of = grown;
	struct setting *p = &grown[list->n];
	memset(p, 0, sizeof *p);
	bool ok = encode_top(L, vm, &p->msg, what, sent);
	if (!*sent)
		return ok;
	p->name = strdup(lua_tostring(L, -2));
	if (p->name)
		list->n++;
	else
		vai__msg_drop(&p->msg);
	return p->name != NULL;
}

/* Adds the preload whose key and value are on top. False: out of memory. */
static bool add_preload(lua_State *L, struct vai_vm *vm, struct snapshot *s)
{
	bool sent;
	vai__home_self()->preloading = lua_tostring(L, -2);
	bool ok = add_setting(L, vm, &s->settings[PRELOADS], "package.preload", &sent);
	vai__home_self()->preloading = NULL;
	return ok;
}

/* ---- changed modules ---- */

static const char changed_module[] = "a changed module";

/* Removes what cannot be sent from the table on top. False: out of memory. */
static bool keep_sendable(lua_State *L, struct vai_vm *vm)
{
	const int set = lua_gettop(L), key = set + 1;
	for (lua_pushnil(L); lua_next(L, set); lua_settop(L, key)) {
		vai_msg msg;
		bool sent;
		if (!encode_top(L, vm, &msg, changed_module, &sent))
			return false;
		if (sent) {
			vai__msg_drop(&msg);
			continue;
		}
		lua_pushvalue(L, key);
		lua_pushnil(L);
		lua_rawset(L, set);
	}
	return true;
}

/* Whether the table on top has a name that every new state has in that library. */
static bool has_stock_name(lua_State *L, int lib)
{
	const int top = lua_gettop(L);
	bool found = false;
	for (lua_pushnil(L); !found && lua_next(L, top); lua_settop(L, top + 1)) {
		size_t len;
		const char *name = lua_tolstring(L, top + 1, &len);
		found = vai__catalog.libs[lib].opens || vai__catalog_find(&vai__catalog.libs[lib].names, name, len) >= 0;
	}
	lua_settop(L, top);
	return found;
}

/* Notes the changed module whose key and value are on top, if it is a library. */
static void note_library(lua_State *L, struct snapshot *s)
{
	const int lib = vai__catalog_lib(lua_tostring(L, -2));
	if (lib < 0)
		return;
	lua_rawgeti(L, -1, 1);
	lua_rawgeti(L, -2, 2);
	lua_pushnil(L);
	bool stock = lua_next(L, -2);
	lua_pop(L, stock ? 3 : 1);
	s->libs |= 1u << lib;
	if (stock || has_stock_name(L, lib))
		s->stock_names |= 1u << lib;
	lua_pop(L, 1);
}

/* Adds to s what has changed in loaded modules. False: out of memory. */
static bool add_changes(lua_State *L, struct vai_vm *vm, struct snapshot *s)
{
	const int top = lua_gettop(L);
	bool ok = true, sent;
	vai__module_changes_push(L, vm);
	for (lua_pushnil(L); ok && lua_next(L, top + 1); lua_settop(L, top + 2)) {
		note_library(L, s);
		ok = add_setting(L, vm, &s->settings[CHANGES], changed_module, &sent);
		if (!ok || sent)
			continue;
		lua_rawgeti(L, top + 3, 1);
		ok = keep_sendable(L, vm);
		lua_settop(L, top + 3);
		ok = ok && add_setting(L, vm, &s->settings[CHANGES], changed_module, &sent);
	}
	lua_settop(L, top);
	return ok;
}

/* ---- searchers ---- */

/* The number of stock's searcher that is the function on top; 0: it is none. */
static int stock_number(lua_State *L)
{
	lua_CFunction f = lua_tocfunction(L, -1);
	int i = STOCK_SEARCHERS;
	while (i > 0 && (!f || stock_searchers[i - 1] != f))
		i--;
	return i;
}

/* Notes stock's searchers, from this state, which is new. No arguments. */
static int note_stock(lua_State *L)
{
	luaL_requiref(L, LUA_LOADLIBNAME, luaopen_package, 0);
	lua_getfield(L, -1, "searchers");
	for (int i = 0; i < STOCK_SEARCHERS; i++) {
		lua_rawgeti(L, -1, i + 1);
		stock_searchers[i] = lua_tocfunction(L, -1);
		lua_pop(L, 1);
	}
	return 0;
}

/* Finds the stock searchers. If memory is out none is known as stock's, and none is sent. */
static void find_stock(void)
{
	lua_State *S = stock_searchers[0] ? NULL : luaL_newstate();
	if (!S)
		return;
	lua_pushcfunction(S, note_stock);
	lua_pcall(S, 0, 0, 0);
	lua_close(S);
}

/* Pushes package.searchers of the package table at idx and returns how many there are; or pushes nothing and returns
 * 0. */
static int push_searchers(lua_State *L, int idx)
{
	lua_pushliteral(L, "searchers");
	if (lua_rawget(L, idx) == LUA_TTABLE && stock_searchers[0]) {
		lua_Unsigned n = lua_rawlen(L, -1);
		if (n > 0 && n <= MOST_SEARCHERS)
			return (int)n;
	}
	lua_pop(L, 1);
	return 0;
}

/* Whether package.searchers has not changed since it was noted; if it was not, whether it has the stock searchers
 * only. */
static bool same_searchers(lua_State *L, int package)
{
	const int top = lua_gettop(L), n = push_searchers(L, package);
	if (n == 0)
		return true;
	bool noted = lua_rawgetp(L, LUA_REGISTRYINDEX, &searchers_key) == LUA_TTABLE;
	bool same = noted ? (int)lua_rawlen(L, -1) == n : n == STOCK_SEARCHERS;
	for (int i = 1; i <= n && same; i++) {
		if (noted)
			lua_rawgeti(L, top + 2, i);
		lua_rawgeti(L, top + 1, i);
		same = noted ? lua_rawequal(L, -1, -2) : stock_number(L) == i;
		lua_settop(L, top + 2);
	}
	lua_settop(L, top);
	return same;
}

/* Adds the searchers of package (at stack index 1) to s and notes them, unless they are stock's and always were. What
 * cannot be sent is left out. */
static bool add_searchers(lua_State *L, struct vai_vm *vm, struct snapshot *s)
{
	const int top = lua_gettop(L);
	bool noted = lua_rawgetp(L, LUA_REGISTRYINDEX, &searchers_key) == LUA_TTABLE, ok = true;
	lua_settop(L, top);
	if (!noted && same_searchers(L, 1))
		return true;
	const int n = push_searchers(L, 1);
	lua_settop(L, top + 1);
	lua_createtable(L, n, 0);
	for (int i = 1; i <= n && ok; i++) {
		struct searcher *one = &s->searchers[s->nsearchers];
		lua_rawgeti(L, top + 1, i);
		lua_pushvalue(L, -1);
		lua_rawseti(L, top + 2, i);
		bool sent = (one->stock = stock_number(L)) > 0;
		if (!sent)
			ok = encode_top(L, vm, &one->msg, "package.searchers", &sent);
		s->nsearchers += sent;
		lua_settop(L, top + 2);
	}
	lua_rawsetp(L, LUA_REGISTRYINDEX, &searchers_key);
	lua_settop(L, top);
	return ok;
}

/* Fills the snapshot. Arguments: package, package.preload, vm, snapshot. */
static int fill_snapshot(lua_State *L)
{
	struct vai_vm *vm = lua_touserdata(L, 3);
	struct snapshot *s = lua_touserdata(L, 4);
	bool ok = copy_field(L, 1, "path", &s->path) && copy_field(L, 1, "cpath", &s->cpath);
	lua_newtable(L);
	for (lua_pushnil(L); vm && ok && lua_next(L, 2); lua_pop(L, 1)) {
		if (!is_preload(L))
			continue;
		ok = add_preload(L, vm, s);
		lua_pushvalue(L, -2);
		lua_pushvalue(L, -2);
		lua_rawset(L, 5);
	}
	lua_settop(L, 5);
	ok = ok && (!vm || (add_searchers(L, vm, s) && add_changes(L, vm, s)));
	if (!ok)
		return luaL_error(L, "not enough memory");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &noted_key);
	return 0;
}

/* Pushes package and package.preload of the host. False: they are not there, and nothing is pushed. */
static bool push_package(lua_State *L)
{
	int top = lua_gettop(L);
	if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE) {
		lua_pushliteral(L, "package");
		if (lua_rawget(L, -2) == LUA_TTABLE) {
			lua_remove(L, -2);
			if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE) == LUA_TTABLE)
				return true;
		}
	}
	lua_settop(L, top);
	return false;
}

/* Takes a snapshot. package and preload are on top, and are popped. Returns a status of Lua's, with the error on
 * top. */
static int take_snapshot(lua_State *L, struct vai_vm *vm)
{
	struct snapshot *s = calloc(1, sizeof *s);
	if (!s) {
		lua_pop(L, 1);
		return LUA_ERRMEM;
	}
	s->refs = 1;
	lua_pushcfunction(L, fill_snapshot);
	lua_insert(L, -3);
	lua_pushlightuserdata(L, vm);
	lua_pushlightuserdata(L, s);
	int status = lua_pcall(L, 4, 0, 0);
	if (status == LUA_OK)
		publish(vai__home_self(), s);
	else
		free_snapshot(s);
	return status;
}

void vai__paths_note(lua_State *L, struct vai_vm *vm)
{
	if (!vm->is_host || vm->noting_paths || !lua_checkstack(L, 16) || !push_package(L))
		return;
	int package = lua_gettop(L) - 1;
	if (!same_paths(L, package) || !same_preloads(L, package + 1) || !same_searchers(L, package) ||
		!vai__module_changes_none(L, vm)) {
		lua_settop(L, package + 1);
		vm->noting_paths = true; /* encoding a preload may call this function again */
		int status = take_snapshot(L, vm);
		vm->noting_paths = false;
		if (status != LUA_OK && vai__state_is_out_of_memory(L, status))
			vai__state_out_of_memory(L);
	}
	lua_settop(L, package - 1);
}

static int take_first(lua_State *L)
{
	lua_settop(L, 0);
	return push_package(L) && take_snapshot(L, NULL) != LUA_OK ? lua_error(L) : 0;
}

int vai__paths_start(lua_State *L)
{
	find_stock();
	if (!lua_checkstack(L, 16))
		return VAI_ENOMEM;
	lua_pushcfunction(L, take_first);
	if (lua_pcall(L, 0, 0, 0) == LUA_OK)
		return VAI_OK;
	lua_pop(L, 1);
	return VAI_ENOMEM;
}

void vai__paths_drop(struct vai__home *home)
{
	publish(home, NULL);
}

/* ---- using it ---- */

static int apply(lua_State *L)
{
	const struct snapshot *s = lua_touserdata(L, 2);
	if (s->path) {
		lua_pushstring(L, s->path);
		lua_setfield(L, 1, "path");
	}
	if (s->cpath) {
		lua_pushstring(L, s->cpath);
		lua_setfield(L, 1, "cpath");
	}
	return 0;
}

struct wanted {
	struct vai_vm *vm;
	const vai_msg *msg;
};

/* Decodes an entry. Arguments: light userdata of struct wanted, snapshot. */
static int decode_wanted(lua_State *L)
{
	const struct wanted *w = lua_touserdata(L, 1);
	return vai__decode(L, w->vm, w->msg);
}

/* The index of the name in the list, or -1. */
static int find_setting(const struct list *list, const char *name)
{
	int i = list->n - 1;
	while (i >= 0 && strcmp(list->of[i].name, name) != 0)
		i--;
	return i;
}

/* Pushes the snapshot's entry of that kind under the name. False: there is none, and nothing is pushed. */
static bool push_setting(lua_State *L, struct vai_vm *vm, enum kind kind, const char *name)
{
	struct snapshot *s = acquire();
	if (!s)
		return false;
	const struct list *list = &s->settings[kind];
	int i = find_setting(list, name);
	if (i < 0) {
		release(s);
		return false;
	}
	struct wanted w = {vm, &list->of[i].msg};
	lua_pushlightuserdata(L, &w);
	with_snapshot(L, decode_wanted, s, 1);
	return true;
}

/* Whether the script has changed the module of that name. */
static bool has_changes(const char *name)
{
	struct snapshot *s = acquire();
	bool has = s && find_setting(&s->settings[CHANGES], name) >= 0;
	if (s)
		release(s);
	return has;
}

/* Changes the table at idx, which was loaded as that module, as the script has changed its own. */
static void change(lua_State *L, struct vai_vm *vm, const char *name, int idx, bool add)
{
	const int top = lua_gettop(L);
	if (push_setting(L, vm, CHANGES, name))
		vai__module_changes_apply(L, idx, top + 1, add);
	lua_settop(L, top);
}

void vai__paths_change_library(lua_State *L, struct vai_vm *vm, int lib, int idx)
{
	struct snapshot *s = acquire();
	bool changed = s && s->libs >> lib & 1, add = s && !(s->stock_names >> lib & 1);
	if (s)
		release(s);
	if (changed)
		change(L, vm, vai__catalog_lib_name(lib), idx, add);
}

void vai__paths_change_libraries(lua_State *L, struct vai_vm *vm)
{
	struct snapshot *s = acquire();
	unsigned libs = s ? s->libs : 0, stock_names = s ? s->stock_names : 0;
	if (s)
		release(s);
	if (libs)
		vai__lazy_change_libraries(L, vm, libs, stock_names);
}

/* A loader that calls another one (upvalue), of a module that the script has changed. The module is put into
 * package.loaded before it is changed, as functions that are set in it may have captured it. */
static int load_and_change(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	lua_settop(L, 2);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_call(L, 2, 1);
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	if (lua_isnil(L, 3)) {
		lua_pushvalue(L, 1);
		lua_rawget(L, 4);
		lua_replace(L, 3);
	} else {
		lua_pushvalue(L, 1);
		lua_pushvalue(L, 3);
		lua_rawset(L, 4);
	}
	if (vm && lua_istable(L, 3))
		change(L, vm, lua_tostring(L, 1), 3, false);
	lua_settop(L, 3);
	return 1;
}

int vai__paths_found(lua_State *L, const char *name)
{
	if (!lua_isfunction(L, -2) || !has_changes(name))
		return 2;
	lua_insert(L, -2);
	lua_pushcclosure(L, load_and_change, 1);
	lua_insert(L, -2);
	return 2;
}

/* Calls a searcher of the script's. Upvalues: its index in the snapshot; the function, once it has been called. */
static int call_searcher(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	lua_settop(L, 1);
	if (vm)
		vm->new_modules = true;
	if (lua_isnil(L, lua_upvalueindex(2)) && vm) {
		struct snapshot *s = acquire();
		int i = (int)lua_tointeger(L, lua_upvalueindex(1));
		if (s && i < s->nsearchers && s->searchers[i].stock == 0) {
			struct wanted w = {vm, &s->searchers[i].msg};
			lua_pushlightuserdata(L, &w);
			with_snapshot(L, decode_wanted, s, 1);
			lua_replace(L, lua_upvalueindex(2));
		} else if (s) {
			release(s);
		}
	}
	lua_pushvalue(L, lua_upvalueindex(2));
	if (lua_isnil(L, -1))
		return 1;
	lua_pushvalue(L, 1);
	lua_call(L, 1, 2);
	return lua_type(L, 1) == LUA_TSTRING ? vai__paths_found(L, lua_tostring(L, 1)) : 2;
}

/* Fills package.searchers. Arguments: the table, with stock's or our searchers in it; the snapshot. */
static int apply_searchers(lua_State *L)
{
	const struct snapshot *s = lua_touserdata(L, 2);
	for (int i = 1; i <= STOCK_SEARCHERS; i++) {
		lua_rawgeti(L, 1, i);
		lua_pushnil(L);
		lua_rawseti(L, 1, i);
	}
	for (int i = 0; i < s->nsearchers; i++) {
		if (s->searchers[i].stock > 0) {
			lua_pushvalue(L, 2 + s->searchers[i].stock);
		} else {
			lua_pushinteger(L, i);
			lua_pushnil(L);
			lua_pushcclosure(L, call_searcher, 2);
		}
		lua_rawseti(L, 1, i + 1);
	}
	return 0;
}

void vai__paths_apply_searchers(lua_State *L, int idx)
{
	struct snapshot *s = acquire();
	if (s && s->nsearchers > 0) {
		luaL_checkstack(L, 4, NULL);
		lua_pushvalue(L, idx);
		with_snapshot(L, apply_searchers, s, 0);
	} else if (s) {
		release(s);
	}
}

void vai__paths_apply(lua_State *L, int idx)
{
	struct snapshot *s = acquire();
	if (!s)
		return;
	lua_pushvalue(L, idx);
	with_snapshot(L, apply, s, 0);
}

bool vai__paths_preload(lua_State *L, struct vai_vm *vm, const char *name)
{
	return push_setting(L, vm, PRELOADS, name);
}
