/* SPDX-License-Identifier: MIT */
/* What the sandbox allows, and how fresh states come to lack the rest.
 *
 * A name that is not allowed is settled as nil in every fresh state, so no table that fills itself ever gets it; tables
 * that stock code fills (io, and all tables of the host's state) are stripped. C functions cross by address: those that
 * may are noted once, and the encoder asks for each. */
#include "stdlib/sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stdlib/catalog.h"
#include "stdlib/lazy_private.h"

struct vai__sandbox vai__sandbox;

/* Lists of names, each ended by NULL; NULL: empty. */
static char **allow, **forbid, **modules;

static struct {
	uint64_t settled[4];
	unsigned without;
} removed; /* what fresh states lack: as in struct vai_vm */

/* What "safe" stands for. */
static const char *const safe[] = {"_VERSION", "assert", "error", "getmetatable", "ipairs", "load", "next", "pairs",
	"pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "tonumber",
	"tostring", "type", "xpcall", "coroutine", "math", "string", "table", "utf8", "os.clock", "os.date", "os.difftime",
	"os.time", "debug.traceback", "vai", NULL};

static const char *const harmful[] = {"net", "fs", "process", "signal", "tty", "socket", "compat", "_extension",
	"stdin", "stdout", "stderr", "dump", "stats", "maxprocs", "lock_thread", "unlock_thread", "on_panic", NULL};

/* ---- names ---- */

static bool is_among(const char *const *list, const char *name)
{
	while (*list && strcmp(*list, name) != 0)
		list++;
	return *list != NULL;
}

bool vai__sandbox_is_harmful(const char *name)
{
	return is_among(harmful, name);
}

/* Whether the entry gives that name of that library. */
static bool gives(const char *entry, const char *lib, const char *name)
{
	size_t n = strlen(lib);
	if (strcmp(lib, "_G") == 0)
		return strcmp(entry, name) == 0;
	if (strncmp(entry, lib, n) != 0)
		return false;
	if (entry[n] == '.')
		return strcmp(entry + n + 1, name) == 0;
	return entry[n] == '\0' && (strcmp(lib, "vai") != 0 || !vai__sandbox_is_harmful(name));
}

static bool list_gives(const char *const *list, const char *lib, const char *name)
{
	for (; list && *list; list++)
		if (gives(*list, lib, name) || (strcmp(*list, "safe") == 0 && list_gives(safe, lib, name)))
			return true;
	return false;
}

bool vai__sandbox_allows(const char *lib, const char *name)
{
	if (!vai__sandbox.active || (strcmp(lib, "_G") == 0 && strcmp(name, "_G") == 0))
		return true;
	return strcmp(lib, "package") != 0 && list_gives((const char *const *)allow, lib, name) &&
		!list_gives((const char *const *)forbid, lib, name);
}

static bool list_mentions(const char *const *list, const char *lib)
{
	size_t n = strlen(lib);
	for (; list && *list; list++)
		if ((strncmp(*list, lib, n) == 0 && ((*list)[n] == '\0' || (*list)[n] == '.')) ||
			(strcmp(*list, "safe") == 0 && list_mentions(safe, lib)))
			return true;
	return false;
}

bool vai__sandbox_allows_any(const char *lib)
{
	if (!vai__sandbox.active)
		return true;
	return strcmp(lib, "package") != 0 && list_mentions((const char *const *)allow, lib) &&
		!(forbid && is_among((const char *const *)forbid, lib));
}

bool vai__sandbox_allows_module(const char *name)
{
	if (!vai__sandbox.active)
		return true;
	if (vai__catalog_preload_name && strcmp(name, vai__catalog_preload_name) == 0)
		return vai__sandbox_allows_any("vai");
	return modules && is_among((const char *const *)modules, name);
}

static void free_list(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

/* False: out of memory. */
static bool copy_list(const char *const *from, char ***to)
{
	size_t n = 0;
	*to = NULL;
	while (from && from[n])
		n++;
	if (n == 0)
		return true;
	*to = calloc(n + 1, sizeof **to);
	for (size_t i = 0; *to && i < n; i++)
		if (!((*to)[i] = strdup(from[i]))) {
			free_list(*to);
			*to = NULL;
		}
	return *to != NULL;
}

static void free_lists(void)
{
	free_list(allow);
	free_list(forbid);
	free_list(modules);
	allow = forbid = modules = NULL;
}

int vai__sandbox_lists(const char *const *allowed, const char *const *forbidden, const char *const *loadable)
{
	char **fresh[3] = {NULL, NULL, NULL};
	if (!copy_list(allowed, &fresh[0]) || !copy_list(forbidden, &fresh[1]) || !copy_list(loadable, &fresh[2])) {
		for (int i = 0; i < 3; i++)
			free_list(fresh[i]);
		return VAI_ENOMEM;
	}
	free_lists();
	allow = fresh[0];
	forbid = fresh[1];
	modules = fresh[2];
	return VAI_OK;
}

static bool same_list(const char *const *a, const char *const *b)
{
	size_t i = 0;
	for (; a && b && a[i] && b[i]; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return !(a && a[i]) && !(b && b[i]);
}

bool vai__sandbox_has_lists(const char *const *allowed, const char *const *forbidden, const char *const *loadable)
{
	return same_list((const char *const *)allow, allowed) && same_list((const char *const *)forbid, forbidden) &&
		same_list((const char *const *)modules, loadable);
}

/* ---- fresh states ---- */

static void settle(unsigned bit)
{
	removed.settled[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static void settle_names(const char *lib, const struct vai__names *names)
{
	for (int k = 0; k < names->n; k++)
		if (names->entries[k].kind != VAI__KIND_LIB && !vai__sandbox_allows(lib, names->entries[k].name))
			settle(names->bit + (unsigned)k);
}

void vai__sandbox_prepare(void)
{
	memset(&removed, 0, sizeof removed);
	if (!vai__sandbox.active)
		return;
	settle_names("_G", &vai__catalog.globals);
	for (int i = 0; i < VAI__LIBS; i++) {
		const struct vai__lib *lib = &vai__catalog.libs[i];
		if (!lib->opens)
			settle_names(lib->name, &lib->names);
		if (vai__sandbox_allows_any(lib->name))
			continue;
		settle((unsigned)lib->global);
		settle(vai__lazy_loaded_bit(i));
		removed.without |= 1u << i;
	}
}

void vai__sandbox_settle(struct vai_vm *vm)
{
	for (int i = 0; i < 4; i++)
		vm->settled[i] |= removed.settled[i];
	vm->without |= removed.without;
}

/* ---- ordinary tables ---- */

void vai__sandbox_strip(lua_State *L, const char *lib)
{
	if (!vai__sandbox.active)
		return;
	luaL_checkstack(L, 4, NULL);
	for (lua_pushnil(L); lua_next(L, -2);) {
		lua_pop(L, 1);
		if (lua_type(L, -1) != LUA_TSTRING || vai__sandbox_allows(lib, lua_tostring(L, -1)))
			continue;
		lua_pushvalue(L, -1);
		lua_pushnil(L);
		lua_rawset(L, -4);
	}
}

/* t[name] = nil for the table at t. */
static void clear(lua_State *L, int t, const char *name)
{
	lua_pushstring(L, name);
	lua_pushnil(L);
	lua_rawset(L, t);
}

/* Stack: _G, package.loaded. */
static void strip_lib(lua_State *L, const char *name)
{
	if (!vai__sandbox_allows_any(name)) {
		clear(L, 1, name);
		clear(L, 2, name);
		return;
	}
	lua_pushstring(L, name);
	if (lua_rawget(L, 2) == LUA_TTABLE)
		vai__sandbox_strip(L, name);
	lua_pop(L, 1);
}

/* ---- load and require ---- */

static lua_CFunction stock_load, stock_loadfile;

/* Forces the mode at stack index `arg` to be text. False: the script wants bytecode only. */
static bool only_text(lua_State *L, int arg)
{
	const char *mode = luaL_optstring(L, arg, "t");
	if (vai__sandbox.bytecode)
		return true;
	if (!strchr(mode, 't')) {
		lua_pushnil(L);
		lua_pushliteral(L, "the sandbox does not allow bytecode");
		return false;
	}
	if (lua_gettop(L) < arg)
		lua_settop(L, arg);
	lua_pushliteral(L, "t");
	lua_replace(L, arg);
	return true;
}

static int sandbox_load(lua_State *L)
{
	return vai__sandbox.active && !only_text(L, 3) ? 2 : stock_load(L);
}

static int sandbox_loadfile(lua_State *L)
{
	return vai__sandbox.active && !only_text(L, 2) ? 2 : stock_loadfile(L);
}

void vai__sandbox_register(void)
{
	vai__catalog_override("_G", "load", sandbox_load, &stock_load);
	vai__catalog_override("_G", "loadfile", sandbox_loadfile, &stock_loadfile);
}

/* A searcher around another. Upvalues: that, and whether it is the first, which tells of a refusal. */
static int search_allowed(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	if (!vai__sandbox_allows_module(name)) {
		lua_pushfstring(L, "the sandbox does not allow the module '%s'", name);
		return lua_toboolean(L, lua_upvalueindex(2));
	}
	int top = lua_gettop(L);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_pushvalue(L, 1);
	lua_call(L, 1, LUA_MULTRET);
	return lua_gettop(L) - top;
}

void vai__sandbox_searchers(lua_State *L, int idx, lua_CFunction search_c)
{
	if (!vai__sandbox.active)
		return;
	int package = lua_absindex(L, idx), kept = 0;
	luaL_checkstack(L, 4, NULL);
	if (lua_getfield(L, package, "searchers") == LUA_TTABLE) {
		int n = (int)lua_rawlen(L, -1);
		for (int i = 1; i <= n; i++) {
			bool c = lua_rawgeti(L, -1, i) == LUA_TFUNCTION && lua_tocfunction(L, -1) == search_c;
			lua_pushboolean(L, kept == 0);
			lua_pushcclosure(L, search_allowed, 2);
			lua_pushnil(L);
			lua_rawseti(L, -3, i);
			if (c && !vai__sandbox.c_modules)
				lua_pop(L, 1);
			else
				lua_rawseti(L, -2, ++kept);
		}
	}
	lua_pop(L, 1);
	clear(L, package, "loadlib");
}

/* The host's require (upvalue), for the modules that are allowed. */
static int require_allowed(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	if (!vai__sandbox_allows_module(name) && !(vai__catalog_lib(name) >= 0 && vai__sandbox_allows_any(name)))
		return luaL_error(L, "module '%s' not found:\n\tthe sandbox does not allow the module '%s'", name, name);
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* Stack: _G. */
static void put_allowed(lua_State *L, const char *name, lua_CFunction f)
{
	if (!vai__sandbox_allows("_G", name))
		return;
	lua_pushstring(L, name);
	lua_pushcfunction(L, f);
	lua_rawset(L, 1);
}

static void put_own(lua_State *L)
{
	put_allowed(L, "load", sandbox_load);
	put_allowed(L, "loadfile", sandbox_loadfile);
	lua_pushliteral(L, "require");
	lua_pushvalue(L, -1);
	if (lua_rawget(L, 1) == LUA_TFUNCTION) {
		vai__catalog_alias_require(require_allowed);
		lua_pushcclosure(L, require_allowed, 1);
		lua_rawset(L, 1);
	}
	lua_settop(L, 2);
}

/* Arguments: none. */
static int strip_state(lua_State *L)
{
	lua_settop(L, 0);
	lua_pushglobaltable(L);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	for (int k = 0; k < vai__catalog.globals.n; k++) {
		const struct vai__entry *e = &vai__catalog.globals.entries[k];
		if (e->kind == VAI__KIND_LIB)
			strip_lib(L, e->name);
		else if (!vai__sandbox_allows("_G", e->name))
			clear(L, 1, e->name);
	}
	put_own(L);
	return 0;
}

void vai__sandbox_strip_state(lua_State *L)
{
	lua_pushcfunction(L, strip_state);
	lua_call(L, 0, 0);
}

/* ---- C functions that cross ---- */

enum { NAME_MAX_LEN = 48 };

static struct known {
	lua_CFunction f;
	bool allowed;
	char name[NAME_MAX_LEN];
} * known;
static size_t nknown, known_cap;

bool vai__sandbox_note(lua_CFunction f, const char *lib, const char *name, bool allowed)
{
	if (nknown == known_cap) {
		size_t cap = known_cap ? 2 * known_cap : 256;
		struct known *grown = realloc(known, cap * sizeof *grown);
		if (!grown)
			return false;
		known = grown;
		known_cap = cap;
	}
	struct known *k = &known[nknown++];
	k->f = f;
	k->allowed = allowed;
	snprintf(
		k->name, sizeof k->name, "%s%s%s", strcmp(lib, "_G") == 0 ? "" : lib, strcmp(lib, "_G") == 0 ? "" : ".", name);
	return true;
}

static bool note_names(const char *lib, const struct vai__names *names)
{
	for (int k = 0; k < names->n; k++) {
		const struct vai__entry *e = &names->entries[k];
		if (e->kind == VAI__KIND_FUNCTION &&
			!vai__sandbox_note(e->u.f, lib, e->name, vai__sandbox_allows(lib, e->name)))
			return false;
	}
	return true;
}

bool vai__sandbox_note_stock(void)
{
	bool ok = note_names("_G", &vai__catalog.globals);
	for (int k = 0; k < vai__catalog.arithmetic.n && ok; k++)
		ok = vai__sandbox_note(
			vai__catalog.arithmetic.entries[k].u.f, "string metatable", vai__catalog.arithmetic.entries[k].name, true);
	for (int i = 0; i < VAI__LIBS && ok; i++)
		ok = note_names(vai__catalog.libs[i].name, &vai__catalog.libs[i].names);
	return ok;
}

/* Of two entries of one function the allowed one comes first. */
static int compare(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	if (x->f != y->f)
		return (uintptr_t)x->f < (uintptr_t)y->f ? -1 : 1;
	return (int)y->allowed - (int)x->allowed;
}

void vai__sandbox_noted(void)
{
	if (nknown > 0)
		qsort(known, nknown, sizeof *known, compare);
}

/* The first entry of f, or NULL. */
static const struct known *find(lua_CFunction f)
{
	size_t lo = 0, hi = nknown;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if ((uintptr_t)known[mid].f < (uintptr_t)f)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < nknown && known[lo].f == f ? &known[lo] : NULL;
}

enum vai__sandbox_verdict vai__sandbox_judge(lua_CFunction f, const char **name)
{
	if (!vai__sandbox.active)
		return VAI__SANDBOX_FREE;
	lua_CFunction fresh = vai__catalog_fresh(f);
	const struct known *k = find(f);
	if (!k && fresh)
		k = find(fresh);
	*name = k ? k->name : NULL;
	if (k)
		return k->allowed ? VAI__SANDBOX_FREE : VAI__SANDBOX_BARRED;
	int number = vai__catalog_closure_out(f);
	if (number >= 0) {
		const char *lib;
		vai__catalog_closure(number, &lib, name);
		return vai__sandbox_allows(lib ? lib : "_G", *name) ? VAI__SANDBOX_FREE : VAI__SANDBOX_BARRED;
	}
	return fresh && fresh != f ? VAI__SANDBOX_BARRED : VAI__SANDBOX_STRANGER; /* own code may be the whole program */
}

void vai__sandbox_drop(void)
{
	free_lists();
	free(known);
	known = NULL;
	nknown = known_cap = 0;
	memset(&removed, 0, sizeof removed);
	memset(&vai__sandbox, 0, sizeof vai__sandbox);
}
