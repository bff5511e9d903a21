/* SPDX-License-Identifier: MIT */
/* Modules by package.path and name. An entry never changes and stays until the runtime
 * ends, so what was found under the lock is used after it. */
#include "require/modcache.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include "base/fork.h"
#include "stdlib/catalog.h"

enum { BUCKETS = 256, MAX_BYTES = 64 << 20 };

struct module {
	struct module *next;
	char *path, *name, *filename, *code;
	size_t size;
};

static struct vai_lock lock; /* VAI_RANK_CODE; of the two below */
static struct module *buckets[BUCKETS];
static size_t bytes;

__attribute__((constructor)) static void init_lock(void)
{
	vai__lock_init(&lock, VAI_RANK_CODE);
	vai__fork_holds(&lock, VAI_RANK_CODE);
}

static unsigned hash(const char *path, const char *name)
{
	unsigned h = 5381;
	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return (h + (unsigned)strlen(path)) % BUCKETS;
}

static const struct module *find_locked(unsigned h, const char *path, const char *name)
{
	struct module *m = buckets[h];
	while (m && (strcmp(m->name, name) != 0 || strcmp(m->path, path) != 0))
		m = m->next;
	return m;
}

static const struct module *find(const char *path, const char *name)
{
	unsigned h = hash(path, name);
	vai__lock(&lock);
	const struct module *m = find_locked(h, path, name);
	vai__unlock(&lock);
	return m;
}

static void free_module(struct module *m)
{
	free(m->path);
	free(m->name);
	free(m->filename);
	free(m->code);
	free(m);
}

/* Takes m over. */
static void insert(struct module *m)
{
	unsigned h = hash(m->path, m->name);
	vai__lock(&lock);
	bool wanted = bytes + m->size <= MAX_BYTES && !find_locked(h, m->path, m->name);
	if (wanted) {
		m->next = buckets[h];
		buckets[h] = m;
		bytes += m->size;
	}
	vai__unlock(&lock);
	if (!wanted)
		free_module(m);
}

static int write_code(lua_State *L, const void *p, size_t size, void *ud)
{
	struct module *m = ud;
	(void)L;
	char *code = realloc(m->code, m->size + size);
	if (!code)
		return 1;
	memcpy(code + m->size, p, size);
	m->code = code;
	m->size += size;
	return 0;
}

/* A loader on top and its file name; neither raises nor fails: a module that cannot be kept
 * is read again. */
static void remember(lua_State *L, const char *path, const char *name)
{
	struct module *m = calloc(1, sizeof *m);
	if (!m)
		return;
	m->path = strdup(path);
	m->name = strdup(name);
	m->filename = strdup(lua_tostring(L, -1));
	lua_pushvalue(L, -2);
	int failed = lua_dump(L, write_code, m, 0);
	lua_pop(L, 1);
	if (!failed && m->path && m->name && m->filename && m->code)
		insert(m);
	else
		free_module(m);
}

/* In place of stock's searcher for Lua files. Upvalues: package, stock's own. */
static int search_lua(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	lua_settop(L, 1);
	lua_getfield(L, lua_upvalueindex(1), "path");
	const char *path = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : NULL;
	struct vai_vm *vm = vai__state_of(L);
	if (vm && vai__paths_preload(L, vm, name)) {
		lua_pushliteral(L, ":preload:");
		return 2;
	}
	const struct module *m = path ? find(path, name) : NULL;
	if (m) {
		if (luaL_loadbufferx(L, m->code, m->size, m->filename, "b") != LUA_OK)
			return lua_error(L);
		lua_pushstring(L, m->filename);
		return 2;
	}
	lua_pushvalue(L, lua_upvalueindex(2));
	lua_pushvalue(L, 1);
	lua_call(L, 1, 2);
	if (path && lua_isfunction(L, -2) && !lua_iscfunction(L, -2) && lua_type(L, -1) == LUA_TSTRING)
		remember(L, path, name);
	return 2;
}

/* In place of stock's searchers for C libraries. Upvalue: stock's own. */
static int search_c(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	lua_settop(L, 1);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, 1, 2);
	if (vm && lua_isfunction(L, -2))
		vai__state_foreign(L, vm);
	return 2;
}

static void install_searchers(lua_State *L, int package)
{
	if (lua_getfield(L, package, "searchers") == LUA_TTABLE) {
		lua_pushvalue(L, package);
		lua_rawgeti(L, -2, 2);
		lua_pushcclosure(L, search_lua, 2);
		lua_rawseti(L, -2, 2);
		for (int i = 3; i <= 4; i++) {
			lua_rawgeti(L, -1, i);
			lua_pushcclosure(L, search_c, 1);
			lua_rawseti(L, -2, i);
		}
	}
	lua_pop(L, 1);
}

void vai__modcache_install(lua_State *L)
{
	int package = lua_gettop(L);
	vai__paths_apply(L, package);
	install_searchers(L, package);
	vai__catalog_apply(L, "package");
	if (vai__state_preload_open && lua_getfield(L, package, "preload") == LUA_TTABLE) {
		lua_pushcfunction(L, vai__state_preload_open);
		lua_setfield(L, -2, vai__state_preload_name);
	}
	if (lua_getfield(L, LUA_REGISTRYINDEX, "_CLIBS") == LUA_TTABLE) {
		lua_pushnil(L);
		lua_setmetatable(L, -2);
	}
	lua_settop(L, package);
}

void vai__modcache_drop(void)
{
	for (unsigned h = 0; h < BUCKETS; h++) {
		while (buckets[h]) {
			struct module *m = buckets[h];
			buckets[h] = m->next;
			free_module(m);
		}
	}
	bytes = 0;
}
