/* SPDX-License-Identifier: MIT */
/* The options of vai.spawn: read from the caller's table, applied to the goroutine's new state. */
#include "bind/life/spawn_opts.h"
#include <string.h>
#include "bind/arg.h"
#include "stdlib/only_libs.h"

#define MEMORY_MIN INT64_C(65536) /* enough for any state to start and to do a little */
#define SECONDS_MAX 1e9

static const char *const libraries[] = {"coroutine", "table", "os", "string", "math", "utf8", "debug", "io", "package"};
enum { LIBRARIES = sizeof libraries / sizeof libraries[0] };

/* ---- options: each is on top of the stack when it is read ---- */

static _Noreturn void type_error(lua_State *L, const char *name, const char *expected)
{
	vai__arg_error(L, 1, "spawn", "%s: %s expected, got %s", name, expected, vai__arg_typename(L, -1));
}

static void read_name(lua_State *L, struct vai__spawn_opts *b)
{
	size_t len;
	if (lua_type(L, -1) != LUA_TSTRING)
		type_error(L, "name", "string");
	const char *name = lua_tolstring(L, -1, &len);
	if (len == 0 || len > VAI__NAME_MAX || strlen(name) != len)
		vai__arg_error(L, 1, "spawn", "name: 1 to %d bytes without a zero expected", VAI__NAME_MAX);
	memcpy(b->name, name, len + 1);
}

static void read_memory(lua_State *L, struct vai__spawn_opts *b)
{
	int ok;
	if (lua_type(L, -1) != LUA_TNUMBER)
		type_error(L, "memory", "number");
	lua_Integer n = lua_tointegerx(L, -1, &ok);
	if (!ok)
		vai__arg_error(L, 1, "spawn", "memory: number has no integer representation");
	if (n < MEMORY_MIN)
		vai__arg_error(L, 1, "spawn", "memory: a goroutine needs %lld bytes to start, got %lld", (long long)MEMORY_MIN,
			(long long)n);
	b->memory = (size_t)n;
}

static void read_cpu(lua_State *L, struct vai__spawn_opts *b)
{
	if (lua_type(L, -1) != LUA_TNUMBER)
		type_error(L, "cpu", "number");
	lua_Number s = lua_tonumber(L, -1);
	if (!(s > 0))
		vai__arg_error(L, 1, "spawn", "cpu: seconds above zero expected, got %g", s);
	if (s < SECONDS_MAX)
		b->cpu = s * 1e9 < 1 ? 1 : (int64_t)(s * 1e9);
}

static int find_library(const char *name)
{
	for (int i = 0; i < LIBRARIES; i++)
		if (strcmp(libraries[i], name) == 0)
			return i;
	return -1;
}

static void read_libs(lua_State *L, struct vai__spawn_opts *b)
{
	int top = lua_gettop(L);
	if (lua_type(L, -1) != LUA_TTABLE)
		type_error(L, "libs", "table");
	b->has_libs = true;
	for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++) {
		if (lua_type(L, -1) != LUA_TSTRING)
			type_error(L, "libs", "names of libraries");
		int lib = find_library(lua_tostring(L, -1));
		if (lib < 0)
			vai__arg_error(L, 1, "spawn", "libs: no library '%s'", lua_tostring(L, -1));
		b->libs |= vai__only_libs_bit(libraries[lib]);
		lua_pop(L, 1);
	}
	if (b->libs == 0 && lua_next(L, -2)) /* the nil on top is the first key */
		vai__arg_error(L, 1, "spawn", "libs: a list of names expected, got other keys");
	lua_settop(L, top);
}

static const struct {
	const char *name;
	void (*read)(lua_State *L, struct vai__spawn_opts *b);
} options[] = {
	{"name", read_name},
	{"memory", read_memory},
	{"cpu", read_cpu},
	{"libs", read_libs},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

/* Reads one option. The key is below the top. */
static void read_option(lua_State *L, struct vai__spawn_opts *b)
{
	const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
	for (int i = 0; key && i < OPTIONS; i++) {
		if (strcmp(options[i].name, key) == 0) {
			options[i].read(L, b);
			return;
		}
	}
	lua_pushvalue(L, -2);
	vai__arg_error(L, 1, "spawn", "unknown option '%s'", luaL_tolstring(L, -1, NULL));
}

void vai__spawn_opts_read(lua_State *L, struct vai__spawn_opts *b)
{
	memset(b, 0, sizeof *b);
	if (lua_type(L, 1) != LUA_TTABLE)
		vai__arg_type_error(L, 1, 1, "spawn", "table");
	luaL_checkstack(L, 8, NULL);
	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
		read_option(L, b);
}

int vai__spawn_opts_apply(const struct vai__spawn_opts *b, struct vai_vm *vm)
{
	if (b->memory)
		vai__memory_limit(vm, b->memory);
	return b->has_libs ? vai__only_libs_keep(vm, b->libs) : VAI_OK;
}
