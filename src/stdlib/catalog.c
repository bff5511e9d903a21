/* SPDX-License-Identifier: MIT */
/* Reads the catalog from a scratch state, and maps stock C functions to their replacements in new states and back. */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include "stdlib/catalog.h"
#include <link.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/hash.h"

enum { MAX_OVERRIDES = 64, MAX_STOCK = 512, MAX_CLOSURES = 16 };

struct vai__catalog vai__catalog;

const char *vai__catalog_preload_name;
lua_CFunction vai__catalog_preload_open;

void vai__catalog_preload(const char *name, lua_CFunction open)
{
	vai__catalog_preload_name = name;
	vai__catalog_preload_open = open;
}

static const struct {
	const char *name;
	lua_CFunction open;
	bool opens;
} known[VAI__LIBS] = {
	{"coroutine", luaopen_coroutine, false},
	{"table", luaopen_table, false},
	{"os", luaopen_os, false},
	{"string", luaopen_string, false},
	{"math", luaopen_math, false},
	{"utf8", luaopen_utf8, false},
	{"debug", luaopen_debug, false},
	{"io", luaopen_io, true},
	{"package", luaopen_package, true},
};

static struct override {
	const char *lib, *name;
	lua_CFunction f;
	lua_CFunction *stock;
} overrides[MAX_OVERRIDES];
static int noverrides;

/* The stock C functions without upvalues, sorted by address, each with its replacement. */
static struct stock {
	lua_CFunction f, fresh;
} stocks[MAX_STOCK];
static int nstocks;

/* The stock C functions with upvalues, which are found by name in other states. */
static struct closure {
	lua_CFunction f;
	const char *lib; /* NULL: it is a global */
	char *name;      /* owned */
} closures[MAX_CLOSURES];
static int nclosures;

/* ---- overrides ---- */

static struct override *find_override(const char *lib, const char *name)
{
	for (int i = 0; i < noverrides; i++)
		if (strcmp(overrides[i].lib, lib) == 0 && strcmp(overrides[i].name, name) == 0)
			return &overrides[i];
	return NULL;
}

void vai__catalog_override(const char *lib, const char *name, lua_CFunction f, lua_CFunction *stock)
{
	struct override *o = find_override(lib, name);
	if (o && stock && !o->stock)
		return;
	if (!o && noverrides < MAX_OVERRIDES)
		o = &overrides[noverrides++];
	if (o)
		*o = (struct override){lib, name, f, stock};
}

void vai__catalog_apply(lua_State *L, const char *lib)
{
	for (int i = 0; i < noverrides; i++) {
		if (strcmp(overrides[i].lib, lib) != 0)
			continue;
		lua_pushstring(L, overrides[i].name);
		lua_pushcfunction(L, overrides[i].f);
		lua_rawset(L, -3);
	}
}

/* ---- which C functions are whose ---- */

static int compare_stocks(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct stock *)a)->f, y = (uintptr_t)((const struct stock *)b)->f;
	return x < y ? -1 : x > y;
}

static const struct stock *find_stock(lua_CFunction f)
{
	struct stock key = {f, NULL};
	return bsearch(&key, stocks, (size_t)nstocks, sizeof *stocks, compare_stocks);
}

struct range {
	uintptr_t inside, lo, hi;
};

/* The section with vai's code in a static program (Makefile): there the segment also has the program's code and Lua's.
 * NULL: vai is a shared object. */
extern const char __start_vai_text[] __attribute__((weak, visibility("hidden"))); /* NOLINT: the linker's name */
extern const char __stop_vai_text[] __attribute__((weak, visibility("hidden")));  /* NOLINT */

static int find_range(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct range *r = arg;
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t lo = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, hi = lo + info->dlpi_phdr[i].p_memsz;
		if (info->dlpi_phdr[i].p_type == PT_LOAD && r->inside >= lo && r->inside < hi) {
			r->lo = lo;
			r->hi = hi;
			return 1;
		}
	}
	return 0;
}

static struct range own_code;

static void find_own_code(void)
{
	own_code.inside = (uintptr_t)vai__catalog_read;
	own_code.lo = (uintptr_t)__start_vai_text;
	own_code.hi = (uintptr_t)__stop_vai_text;
	if (!own_code.lo)
		dl_iterate_phdr(find_range, &own_code);
}

lua_CFunction vai__catalog_cfunction_out(lua_CFunction f)
{
	if ((uintptr_t)f < own_code.lo || (uintptr_t)f >= own_code.hi)
		return f;
	for (int i = 0; i < noverrides; i++)
		if (overrides[i].f == f && overrides[i].stock && *overrides[i].stock)
			return *overrides[i].stock;
	return f;
}

lua_CFunction vai__catalog_fresh(lua_CFunction f)
{
	if ((uintptr_t)f >= own_code.lo && (uintptr_t)f < own_code.hi)
		return f;
	const struct stock *s = find_stock(f);
	return s ? s->fresh : NULL;
}

bool vai__catalog_is(const struct vai__entry *e, lua_CFunction f)
{
	if (e->kind == VAI__KIND_FUNCTION && f != e->u.f) {
		const struct stock *s = find_stock(vai__catalog_cfunction_out(f));
		return s && s->fresh == e->u.f;
	}
	int number = e->kind == VAI__KIND_FUNCTION ? 0 : vai__catalog_closure_out(f);
	return e->kind == VAI__KIND_FUNCTION || (number >= 0 && strcmp(closures[number].name, e->name) == 0);
}

static _Atomic(lua_CFunction) require_aliases[2]; /* the same in every state; each writes them as it opens vai */

static int find_closure(lua_CFunction f)
{
	for (int i = 0; i < nclosures; i++)
		if (closures[i].f == f)
			return i;
	return -1;
}

static int require_number(void)
{
	int i = nclosures - 1;
	while (i >= 0 && (closures[i].lib || strcmp(closures[i].name, "require") != 0))
		i--;
	return i;
}

bool vai__catalog_is_require(lua_State *L, int idx)
{
	int i = require_number();
	return i >= 0 && lua_tocfunction(L, idx) == closures[i].f;
}

void vai__catalog_alias_require(lua_CFunction f)
{
	lua_CFunction first = atomic_load_relaxed(&require_aliases[0]);
	atomic_store_relaxed(&require_aliases[first && first != f], f);
}

bool vai__catalog_holds(lua_State *L, const struct vai__entry *e)
{
	lua_CFunction f;
	switch (e->kind) {
	case VAI__KIND_INTEGER: return lua_isinteger(L, -1) && lua_tointeger(L, -1) == e->u.i;
	case VAI__KIND_FLOAT: return lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) == e->u.n;
	case VAI__KIND_STRING: return lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), e->u.s.p) == 0;
	default: f = lua_tocfunction(L, -1); return f && vai__catalog_is(e, f);
	}
}

bool vai__catalog_knows(lua_CFunction f)
{
	return ((uintptr_t)f >= own_code.lo && (uintptr_t)f < own_code.hi) || find_stock(f) || find_closure(f) >= 0;
}

int vai__catalog_closure_out(lua_CFunction f)
{
	if (f && (f == atomic_load_relaxed(&require_aliases[0]) || f == atomic_load_relaxed(&require_aliases[1])))
		return require_number();
	return find_closure(f);
}

void vai__catalog_closure(int number, const char **lib, const char **name)
{
	*lib = closures[number].lib;
	*name = closures[number].name;
}

/* ---- reading ---- */

static char *copy(const char *s, size_t len)
{
	char *p = malloc(len + 1);
	if (p)
		memcpy(p, s, len + 1);
	return p;
}

static bool has_upvalues(lua_State *L, int idx)
{
	bool has = lua_getupvalue(L, idx, 1) != NULL;
	if (has)
		lua_pop(L, 1);
	return has;
}

static int add_stock(lua_CFunction f, lua_CFunction fresh)
{
	if (nstocks == MAX_STOCK)
		return VAI_EINVAL;
	stocks[nstocks++] = (struct stock){f, fresh};
	return VAI_OK;
}

/* Reads the function on top, or its replacement, into *e. */
static int read_function(lua_State *L, const char *lib, const char *name, struct vai__entry *e)
{
	lua_CFunction f = lua_tocfunction(L, -1);
	struct override *o = find_override(lib, name);
	e->kind = VAI__KIND_FUNCTION;
	e->u.f = o ? o->f : f;
	if (o && o->stock)
		*o->stock = f;
	return add_stock(f, e->u.f);
}

static int read_closure(lua_State *L, const char *lib, const char *name, struct vai__entry *e)
{
	char *p = nclosures < MAX_CLOSURES ? copy(name, strlen(name)) : NULL;
	if (!p)
		return VAI_ENOMEM;
	e->kind = VAI__KIND_CLOSURE;
	closures[nclosures++] = (struct closure){lua_tocfunction(L, -1), strcmp(lib, "_G") == 0 ? NULL : lib, p};
	return VAI_OK;
}

static int read_string(lua_State *L, struct vai__entry *e)
{
	const char *s = lua_tolstring(L, -1, &e->u.s.len);
	e->kind = VAI__KIND_STRING;
	e->u.s.p = copy(s, e->u.s.len);
	return e->u.s.p ? VAI_OK : VAI_ENOMEM;
}

/* Reads the value on top into *e. VAI_EAGAIN: an entry cannot hold such a value. */
static int read_value(lua_State *L, const char *lib, const char *name, struct vai__entry *e)
{
	switch (lua_type(L, -1)) {
	case LUA_TFUNCTION:
		if (!lua_iscfunction(L, -1))
			return VAI_EINVAL;
		return has_upvalues(L, -1) ? read_closure(L, lib, name, e) : read_function(L, lib, name, e);
	case LUA_TSTRING: return read_string(L, e);
	case LUA_TNUMBER:
		e->kind = lua_isinteger(L, -1) ? VAI__KIND_INTEGER : VAI__KIND_FLOAT;
		if (e->kind == VAI__KIND_INTEGER)
			e->u.i = lua_tointeger(L, -1);
		else
			e->u.n = lua_tonumber(L, -1);
		return VAI_OK;
	default: return VAI_EAGAIN;
	}
}

int vai__catalog_lib(const char *name)
{
	int i = VAI__LIBS - 1;
	while (i >= 0 && strcmp(known[i].name, name) != 0)
		i--;
	return i;
}

const char *vai__catalog_lib_name(int i)
{
	return known[i].name;
}

/* Reads a global that is not a simple value. */
static int read_global(struct vai__entry *e)
{
	int lib = vai__catalog_lib(e->name);
	e->kind = lib >= 0 ? VAI__KIND_LIB : strcmp(e->name, "_G") == 0 ? VAI__KIND_GLOBALS : VAI__KIND_REQUIRE;
	if (lib >= 0)
		e->u.lib = &vai__catalog.libs[lib];
	return lib >= 0 || e->kind == VAI__KIND_GLOBALS || strcmp(e->name, "require") == 0 ? VAI_OK : VAI_EINVAL;
}

static int count_keys(lua_State *L, int idx)
{
	int n = 0;
	for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
		n++;
	return n;
}

static int read_entry(lua_State *L, const char *lib, struct vai__entry *e)
{
	if (lua_type(L, -2) != LUA_TSTRING)
		return VAI_EINVAL;
	const char *name = lua_tolstring(L, -2, &e->len);
	e->name = copy(name, e->len);
	return e->name ? read_value(L, lib, name, e) : VAI_ENOMEM;
}

static void drop_entry(struct vai__entry *e)
{
	if (e->kind == VAI__KIND_STRING)
		free(e->u.s.p);
	free(e->name);
	memset(e, 0, sizeof *e);
}

/* Reads all of the table on top. VAI_EAGAIN: it has values that an entry cannot hold. */
static int read_names(lua_State *L, const char *lib, struct vai__names *names)
{
	int t = lua_gettop(L), rc = VAI_OK;
	bool partly = false, global = strcmp(lib, "_G") == 0;
	names->entries = calloc((size_t)count_keys(L, t) + MAX_OVERRIDES, sizeof *names->entries);
	if (!names->entries)
		return VAI_ENOMEM;
	for (lua_pushnil(L); rc == VAI_OK && lua_next(L, t); lua_pop(L, 1)) {
		struct vai__entry *e = &names->entries[names->n++];
		rc = read_entry(L, lib, e);
		if (global && (rc == VAI_EAGAIN || (rc == VAI_OK && e->kind == VAI__KIND_CLOSURE)))
			rc = read_global(e);
		if (rc == VAI_EAGAIN) {
			partly = true;
			drop_entry(e);
			names->n--;
			rc = VAI_OK;
		}
	}
	lua_settop(L, t);
	return rc == VAI_OK && partly ? VAI_EAGAIN : rc;
}

/* Adds replacements with names that the stock library does not have. */
static int add_new_names(const char *lib, struct vai__names *names)
{
	for (int i = 0; i < noverrides; i++) {
		size_t len = strlen(overrides[i].name);
		if (strcmp(overrides[i].lib, lib) != 0 || vai__catalog_find(names, overrides[i].name, len) >= 0)
			continue;
		struct vai__entry *e = &names->entries[names->n];
		e->name = copy(overrides[i].name, len);
		if (!e->name)
			return VAI_ENOMEM;
		e->len = len;
		e->kind = VAI__KIND_FUNCTION;
		e->u.f = overrides[i].f;
		names->n++;
	}
	return VAI_OK;
}

static void drop_names(struct vai__names *names)
{
	for (int i = 0; i < names->n; i++)
		drop_entry(&names->entries[i]);
	free(names->entries);
	*names = (struct vai__names){0, 0, NULL};
}

/* Reads library i. If it has something unknown, new states open it as stock Lua does. */
static int read_lib(lua_State *L, int i)
{
	struct vai__lib *lib = &vai__catalog.libs[i];
	lib->name = known[i].name;
	lib->open = known[i].open;
	lib->opens = known[i].opens;
	lib->global = vai__catalog_global(lib->name, strlen(lib->name));
	if (lib->global < 0 || lua_getglobal(L, lib->name) != LUA_TTABLE)
		return VAI_EINVAL;
	int rc = read_names(L, lib->name, &lib->names);
	lua_pop(L, 1);
	if (rc == VAI_OK)
		rc = add_new_names(lib->name, &lib->names);
	lib->opens = lib->opens || rc == VAI_EAGAIN;
	return rc == VAI_EAGAIN ? VAI_OK : rc;
}

/* Reads the names in the metatable of strings besides __index. */
static int read_arithmetic(lua_State *L)
{
	lua_pushliteral(L, "");
	if (!lua_getmetatable(L, -1))
		return VAI_EINVAL;
	lua_pushnil(L);
	lua_setfield(L, -2, "__index");
	int rc = read_names(L, "string metatable", &vai__catalog.arithmetic);
	lua_pop(L, 2);
	return rc == VAI_EAGAIN ? VAI_EINVAL : rc;
}

static void index_globals(void)
{
	for (int i = 0; i < vai__catalog.globals.n; i++) {
		const struct vai__entry *e = &vai__catalog.globals.entries[i];
		uint64_t h = vai__hash_bytes(e->name, e->len);
		while (vai__catalog.slots[h % VAI__CATALOG_SLOTS])
			h++;
		vai__catalog.slots[h % VAI__CATALOG_SLOTS] = (uint8_t)(i + 1);
	}
}

/* Numbers all names: the globals, the libraries in package.loaded, and the names in each library. */
static int number_names(void)
{
	unsigned bit = (unsigned)vai__catalog.globals.n + VAI__LIBS;
	for (int i = 0; i < VAI__LIBS; i++) {
		if (vai__catalog.libs[i].opens)
			continue;
		vai__catalog.libs[i].names.bit = bit;
		bit += (unsigned)vai__catalog.libs[i].names.n;
	}
	return bit <= VAI__CATALOG_BITS ? VAI_OK : VAI_EINVAL;
}

int vai__catalog_global(const char *name, size_t len)
{
	for (uint64_t h = vai__hash_bytes(name, len);; h++) {
		int i = vai__catalog.slots[h % VAI__CATALOG_SLOTS] - 1;
		if (i < 0)
			return -1;
		const struct vai__entry *e = &vai__catalog.globals.entries[i];
		if (e->len == len && memcmp(e->name, name, len) == 0)
			return i;
	}
}

int vai__catalog_find(const struct vai__names *names, const char *name, size_t len)
{
	for (int i = 0; i < names->n; i++)
		if (names->entries[i].len == len && memcmp(names->entries[i].name, name, len) == 0)
			return i;
	return -1;
}

static int read_globals(lua_State *L)
{
	lua_pushglobaltable(L);
	int rc = read_names(L, "_G", &vai__catalog.globals);
	lua_pop(L, 1);
	if (rc == VAI_OK)
		rc = add_new_names("_G", &vai__catalog.globals);
	if (rc == VAI_OK && vai__catalog.globals.n > VAI__CATALOG_SLOTS / 2)
		rc = VAI_EINVAL;
	return rc;
}

/* Reads everything. In a protected call, as memory may run out. */
static int read_all(lua_State *L)
{
	int *rc = lua_touserdata(L, 1);
	luaL_openlibs(L);
	*rc = read_globals(L);
	if (*rc == VAI_OK)
		index_globals();
	for (int i = 0; i < VAI__LIBS && *rc == VAI_OK; i++)
		*rc = read_lib(L, i);
	if (*rc == VAI_OK)
		*rc = read_arithmetic(L);
	if (*rc == VAI_OK)
		*rc = number_names();
	if (*rc == VAI_OK && (vai__catalog_global("_G", 2) < 0 || vai__catalog_global("require", 7) < 0))
		*rc = VAI_EINVAL;
	return 0;
}

int vai__catalog_read(void)
{
	int rc = VAI_OK;
	lua_State *L = luaL_newstate();
	if (!L)
		return VAI_ENOMEM;
	lua_pushcfunction(L, read_all);
	lua_pushlightuserdata(L, &rc);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK)
		rc = VAI_ENOMEM;
	lua_close(L);
	qsort(stocks, (size_t)nstocks, sizeof *stocks, compare_stocks);
	find_own_code();
	if (rc != VAI_OK)
		vai__catalog_drop();
	return rc;
}

void vai__catalog_drop(void)
{
	drop_names(&vai__catalog.globals);
	drop_names(&vai__catalog.arithmetic);
	for (int i = 0; i < VAI__LIBS; i++)
		drop_names(&vai__catalog.libs[i].names);
	while (nclosures > 0)
		free(closures[--nclosures].name);
	nstocks = 0;
	memset(&vai__catalog, 0, sizeof vai__catalog);
}

void vai__catalog_push(lua_State *L, const struct vai__entry *e)
{
	switch (e->kind) {
	case VAI__KIND_FUNCTION: lua_pushcfunction(L, e->u.f); break;
	case VAI__KIND_STRING: lua_pushlstring(L, e->u.s.p, e->u.s.len); break;
	case VAI__KIND_INTEGER: lua_pushinteger(L, e->u.i); break;
	case VAI__KIND_FLOAT: lua_pushnumber(L, e->u.n); break;
	default: lua_pushnil(L); break;
	}
}
