/* SPDX-License-Identifier: MIT */
/* What a sandbox allows, and how new states come to lack the rest.
 *
 * A name that is not allowed is settled as nil in every new state, so no lazy table ever gets it; tables that stock
 * code fills (io, and all tables of the host's state) are stripped. C functions cross by address: those that may cross
 * are noted once, and the encoder asks for each function. */
#include "stdlib/sandbox.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory_budget.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy_private.h"

atomic_int vai__sandbox_count;
static _Atomic(uint32_t) last_id;

/* The names that "safe" stands for. */
static const char *const safe[] = {"_VERSION", "assert", "error", "getmetatable", "ipairs", "load", "next", "pairs",
	"pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable", "tonumber",
	"tostring", "type", "xpcall", "coroutine", "math", "string", "table", "utf8", "os.clock", "os.date", "os.difftime",
	"os.time", "debug.traceback", "vai", NULL};

static const char *const harmful[] = {"net", "fs", "process", "signal", "tty", "socket", "compat", "_extension",
	"stdin", "stdout", "stderr", "dump", "stats", "maxprocs", "lock_thread", "unlock_thread", "on_panic", "test", NULL};

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

/* Whether the entry allows that name of that library. */
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

bool vai__sandbox_allows(const struct vai__sandbox *s, const char *lib, const char *name)
{
	if (!s || (strcmp(lib, "_G") == 0 && strcmp(name, "_G") == 0))
		return true;
	return strcmp(lib, "package") != 0 && list_gives((const char *const *)s->allow, lib, name) &&
		!list_gives((const char *const *)s->forbid, lib, name);
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

bool vai__sandbox_allows_any(const struct vai__sandbox *s, const char *lib)
{
	if (!s)
		return true;
	return strcmp(lib, "package") != 0 && list_mentions((const char *const *)s->allow, lib) &&
		!(s->forbid && is_among((const char *const *)s->forbid, lib));
}

bool vai__sandbox_allows_module(const struct vai__sandbox *s, const char *name)
{
	if (!s)
		return true;
	if (vai__catalog_preload_name && strcmp(name, vai__catalog_preload_name) == 0)
		return vai__sandbox_allows_any(s, "vai");
	return s->modules && is_among((const char *const *)s->modules, name);
}

/* ---- sandboxes ---- */

static struct vai__budget *budget_of_self(void)
{
	return vai__home_self()->budget;
}

__attribute__((constructor)) static void set_hook(void)
{
	vai__memory_budget_self = budget_of_self;
}

static void free_list(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

/* Copies a list of names. False: out of memory. */
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

/* Copies the functions. False: out of memory. */
static bool copy_functions(struct vai__sandbox *s, const luaL_Reg *of_host, int n)
{
	s->of_host = n > 0 ? calloc((size_t)n, sizeof *s->of_host) : NULL;
	if (s->of_host)
		memcpy(s->of_host, of_host, (size_t)n * sizeof *s->of_host);
	s->nof_host = n;
	return n == 0 || s->of_host;
}

struct vai__sandbox *vai__sandbox_new(
	const char *const *allow, const char *const *forbid, const char *const *modules, const luaL_Reg *of_host, int n)
{
	struct vai__sandbox *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->id = atomic_fetch_add_relaxed(&last_id, 1) + 1;
	if (copy_list(allow, &s->allow) && copy_list(forbid, &s->forbid) && copy_list(modules, &s->modules) &&
		copy_functions(s, of_host, n))
		return s;
	vai__sandbox_unref(s);
	return NULL;
}

void vai__sandbox_unref(struct vai__sandbox *s)
{
	if (!s || atomic_fetch_sub_acq_rel(&s->refs, 1) > 1)
		return;
	free_list(s->allow);
	free_list(s->forbid);
	free_list(s->modules);
	free(s->of_host);
	free(s->known);
	free(s);
}

static bool same_list(char *const *a, char *const *b)
{
	size_t i = 0;
	for (; a && b && a[i] && b[i]; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return !(a && a[i]) && !(b && b[i]);
}

static bool same_functions(const struct vai__sandbox *a, const struct vai__sandbox *b)
{
	for (int i = 0; a->nof_host == b->nof_host && i < a->nof_host; i++)
		if (a->of_host[i].func != b->of_host[i].func)
			return false;
	return a->nof_host == b->nof_host;
}

bool vai__sandbox_equals(const struct vai__sandbox *a, const struct vai__sandbox *b)
{
	if (!a || !b)
		return a == b;
	return a->bytecode == b->bytecode && a->c_modules == b->c_modules && a->finalizers == b->finalizers &&
		a->trusts_main == b->trusts_main && same_list(a->allow, b->allow) && same_list(a->forbid, b->forbid) &&
		same_list(a->modules, b->modules) && same_functions(a, b);
}

/* ---- fresh states ---- */

static void settle(struct vai__sandbox *s, unsigned bit)
{
	s->removed.settled[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static void settle_names(struct vai__sandbox *s, const char *lib, const struct vai__names *names)
{
	for (int k = 0; k < names->n; k++)
		if (names->entries[k].kind != VAI__KIND_LIB && !vai__sandbox_allows(s, lib, names->entries[k].name))
			settle(s, names->bit + (unsigned)k);
}

void vai__sandbox_prepare(struct vai__sandbox *s)
{
	memset(&s->removed, 0, sizeof s->removed);
	s->nknown = 0;
	settle_names(s, "_G", &vai__catalog.globals);
	for (int i = 0; i < VAI__LIBS; i++) {
		const struct vai__lib *lib = &vai__catalog.libs[i];
		if (!lib->opens)
			settle_names(s, lib->name, &lib->names);
		if (vai__sandbox_allows_any(s, lib->name))
			continue;
		settle(s, (unsigned)lib->global);
		settle(s, vai__lazy_loaded_bit(i));
		s->removed.without |= 1u << i;
	}
}

void vai__sandbox_settle(struct vai_vm *vm)
{
	const struct vai__sandbox *s = vai__sandbox_self();
	for (int i = 0; s && i < 4; i++)
		vm->settled[i] |= s->removed.settled[i];
	vm->without |= s ? s->removed.without : 0;
}

/* ---- ordinary tables ---- */

void vai__sandbox_strip(lua_State *L, const char *lib)
{
	const struct vai__sandbox *s = vai__sandbox_of(vai__state_of(L));
	if (!s)
		return;
	luaL_checkstack(L, 4, NULL);
	for (lua_pushnil(L); lua_next(L, -2);) {
		lua_pop(L, 1);
		if (lua_type(L, -1) != LUA_TSTRING || vai__sandbox_allows(s, lib, lua_tostring(L, -1)))
			continue;
		lua_pushvalue(L, -1);
		lua_pushnil(L);
		lua_rawset(L, -4);
	}
}

/* Does t[name] = nil for the table at t. */
static void clear(lua_State *L, int t, const char *name)
{
	lua_pushstring(L, name);
	lua_pushnil(L);
	lua_rawset(L, t);
}

/* Strips a library. Stack: _G, package.loaded. */
static void strip_lib(lua_State *L, const char *name)
{
	if (!vai__sandbox_allows_any(vai__sandbox_self(), name)) {
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

static lua_CFunction stock_load, stock_loadfile, stock_dofile;

/* Key in the registry of a host's state that has been stripped: a table with the names of modules that require may
 * load, and at index 1 whether load, loadfile and dofile accept bytecode. It also holds on threads that run no
 * goroutine or another state's, and for finalizers after vai has ended in the state. */
static const char host_policy;

/* Sets t[name] for the table on top. */
static void put_flag(lua_State *L, const char *name, bool on)
{
	lua_pushstring(L, name);
	lua_pushboolean(L, on);
	lua_rawset(L, -3);
}

/* Stores that table for the calling goroutine's home in its host's state. May raise. */
static void keep_policy(lua_State *L)
{
	const struct vai__sandbox *s = vai__sandbox_self();
	lua_newtable(L);
	lua_pushboolean(L, s->bytecode);
	lua_rawseti(L, -2, 1);
	for (char **m = s->modules; m && *m; m++)
		put_flag(L, *m, true);
	for (int i = 0; i < VAI__LIBS; i++)
		if (vai__sandbox_allows_any(s, vai__catalog_lib_name(i)))
			put_flag(L, vai__catalog_lib_name(i), true);
	if (vai__catalog_preload_name)
		put_flag(L, vai__catalog_preload_name, vai__sandbox_allows_any(s, "vai"));
	lua_rawsetp(L, LUA_REGISTRYINDEX, &host_policy);
}

/* Whether that table allows the key on top, which is popped; unstripped: the answer if there is no table. Does not ask
 * which goroutine calls. */
static bool host_allows(lua_State *L, bool unstripped)
{
	bool allows = unstripped;
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &host_policy) == LUA_TTABLE) {
		lua_insert(L, -2);
		lua_rawget(L, -2);
		allows = lua_toboolean(L, -1);
	}
	lua_pop(L, 2);
	return allows;
}

/* Whether scripts of this state must not load bytecode. Does not ask which goroutine calls. */
static bool is_text_only(lua_State *L)
{
	const struct vai_vm *vm = vai__state_of(L);
	if (VAI_LIKELY(vm != NULL))
		return VAI_UNLIKELY(vm->sandbox != NULL) && !vm->sandbox->bytecode;
	lua_pushinteger(L, 1);
	return !host_allows(L, true);
}

/* Sets the mode at stack index `arg` to text. False: the script asks for bytecode only. */
static bool only_text(lua_State *L, int arg)
{
	const char *mode = luaL_optstring(L, arg, "t");
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
	return is_text_only(L) && !only_text(L, 3) ? 2 : stock_load(L);
}

static int sandbox_loadfile(lua_State *L)
{
	return is_text_only(L) && !only_text(L, 2) ? 2 : stock_loadfile(L);
}

static int file_done(lua_State *L, int status, lua_KContext n)
{
	(void)status;
	return lua_gettop(L) - (int)n;
}

/* dofile, as Lua's own but for the mode. */
static int sandbox_dofile(lua_State *L)
{
	if (!is_text_only(L))
		return stock_dofile(L);
	const char *name = luaL_optstring(L, 1, NULL);
	lua_settop(L, 1);
	if (luaL_loadfilex(L, name, "t") != LUA_OK)
		return lua_error(L);
	lua_callk(L, 0, LUA_MULTRET, 1, file_done);
	return file_done(L, LUA_OK, 1);
}

void vai__sandbox_register(void)
{
	vai__catalog_override("_G", "load", sandbox_load, &stock_load);
	vai__catalog_override("_G", "loadfile", sandbox_loadfile, &stock_loadfile);
	vai__catalog_override("_G", "dofile", sandbox_dofile, &stock_dofile);
}

/* A searcher that calls another one. Upvalues: that one, and whether it is the first, which reports a refusal. */
static int search_allowed(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	if (!vai__sandbox_allows_module(vai__sandbox_of(vai__state_of(L)), name)) {
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
	const struct vai__sandbox *s = vai__sandbox_of(vai__state_of(L));
	if (!s)
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
			if (c && !s->c_modules)
				lua_pop(L, 1);
			else
				lua_rawseti(L, -2, ++kept);
		}
	}
	lua_pop(L, 1);
	clear(L, package, "loadlib");
}

/* Calls the host's require (upvalue) for modules that are allowed. */
static int require_allowed(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	lua_pushstring(L, name);
	if (!host_allows(L, false))
		return luaL_error(L, "module '%s' not found:\n\tthe sandbox does not allow the module '%s'", name, name);
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* Puts f into _G, if its name is allowed. Stack: _G. */
static void put_allowed(lua_State *L, const char *name, lua_CFunction f)
{
	if (!vai__sandbox_allows(vai__sandbox_self(), "_G", name))
		return;
	lua_pushstring(L, name);
	lua_pushcfunction(L, f);
	lua_rawset(L, 1);
}

static void put_own(lua_State *L)
{
	keep_policy(L);
	put_allowed(L, "load", sandbox_load);
	put_allowed(L, "loadfile", sandbox_loadfile);
	put_allowed(L, "dofile", sandbox_dofile);
	lua_pushliteral(L, "require");
	lua_pushvalue(L, -1);
	if (lua_rawget(L, 1) == LUA_TFUNCTION) {
		vai__catalog_alias_require(require_allowed);
		lua_pushcclosure(L, require_allowed, 1);
		lua_rawset(L, 1);
	}
	lua_settop(L, 2);
}

/* Strips the state. No arguments. */
static int strip_state(lua_State *L)
{
	lua_settop(L, 0);
	lua_pushglobaltable(L);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	for (int k = 0; k < vai__catalog.globals.n; k++) {
		const struct vai__entry *e = &vai__catalog.globals.entries[k];
		if (e->kind == VAI__KIND_LIB)
			strip_lib(L, e->name);
		else if (!vai__sandbox_allows(vai__sandbox_self(), "_G", e->name))
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

struct vai__sandbox_function {
	lua_CFunction f;
	bool allowed;
	char name[NAME_MAX_LEN];
};

bool vai__sandbox_note(struct vai__sandbox *s, lua_CFunction f, const char *lib, const char *name, bool allowed)
{
	if (s->nknown == s->known_cap) {
		size_t cap = s->known_cap ? 2 * s->known_cap : 256;
		struct vai__sandbox_function *grown = realloc(s->known, cap * sizeof *grown);
		if (!grown)
			return false;
		s->known = grown;
		s->known_cap = cap;
	}
	struct vai__sandbox_function *k = &s->known[s->nknown++];
	k->f = f;
	k->allowed = allowed;
	snprintf(
		k->name, sizeof k->name, "%s%s%s", strcmp(lib, "_G") == 0 ? "" : lib, strcmp(lib, "_G") == 0 ? "" : ".", name);
	return true;
}

static bool note_names(struct vai__sandbox *s, const char *lib, const struct vai__names *names)
{
	for (int k = 0; k < names->n; k++) {
		const struct vai__entry *e = &names->entries[k];
		if (e->kind == VAI__KIND_FUNCTION &&
			!vai__sandbox_note(s, e->u.f, lib, e->name, vai__sandbox_allows(s, lib, e->name)))
			return false;
	}
	return true;
}

bool vai__sandbox_note_stock(struct vai__sandbox *s)
{
	bool ok = note_names(s, "_G", &vai__catalog.globals);
	for (int k = 0; k < vai__catalog.arithmetic.n && ok; k++)
		ok = vai__sandbox_note(s, vai__catalog.arithmetic.entries[k].u.f, "string metatable",
			vai__catalog.arithmetic.entries[k].name, true);
	for (int i = 0; i < VAI__LIBS && ok; i++)
		ok = note_names(s, vai__catalog.libs[i].name, &vai__catalog.libs[i].names);
	return ok;
}

/* Compares two entries. Of two for one function the allowed one comes first. */
static int compare(const void *a, const void *b)
{
	const struct vai__sandbox_function *x = a, *y = b;
	if (x->f != y->f)
		return (uintptr_t)x->f < (uintptr_t)y->f ? -1 : 1;
	return (int)y->allowed - (int)x->allowed;
}

void vai__sandbox_noted(struct vai__sandbox *s)
{
	if (s->nknown > 0)
		qsort(s->known, s->nknown, sizeof *s->known, compare);
}

/* The first entry of f, or NULL. */
static const struct vai__sandbox_function *find(const struct vai__sandbox *s, lua_CFunction f)
{
	size_t lo = 0, hi = s->nknown;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if ((uintptr_t)s->known[mid].f < (uintptr_t)f)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->nknown && s->known[lo].f == f ? &s->known[lo] : NULL;
}

enum vai__sandbox_verdict vai__sandbox_judge(const struct vai__sandbox *s, lua_CFunction f, const char **name)
{
	lua_CFunction fresh = vai__catalog_fresh(f);
	const struct vai__sandbox_function *k = find(s, f);
	if (!k && fresh)
		k = find(s, fresh);
	*name = k ? k->name : NULL;
	if (k)
		return k->allowed ? VAI__SANDBOX_FREE : VAI__SANDBOX_BARRED;
	int number = vai__catalog_closure_out(f);
	if (number >= 0) {
		const char *lib;
		vai__catalog_closure(number, &lib, name);
		return vai__sandbox_allows(s, lib ? lib : "_G", *name) ? VAI__SANDBOX_FREE : VAI__SANDBOX_BARRED;
	}
	return fresh && fresh != f ? VAI__SANDBOX_BARRED : VAI__SANDBOX_STRANGER; /* own code may be the whole program */
}
