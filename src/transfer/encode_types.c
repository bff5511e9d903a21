/* SPDX-License-Identifier: MIT */
/* The encoder: metatables that all values of a type share (strings, numbers, nil, ...), and that of _G. No bytecode
 * tells which functions use those, so a new goroutine gets them whenever the script has changed them. If a script does
 * not, a spawn pays for one look at _G. The types are looked at for a function that the state has not sent before, and
 * always once the script has got one of their metatables, which `getmetatable` and its like note. C code that changes
 * one later, by itself, is not noticed. */
#include <string.h>
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"
#include "transfer/encode.h"
#include "transfer/known_funcs.h"
#include "transfer/encode_types.h"

/* The types whose values share a metatable, but for strings. */
static const int types[] = {
	LUA_TNIL, LUA_TBOOLEAN, LUA_TNUMBER, LUA_TFUNCTION, LUA_TTHREAD, LUA_TLIGHTUSERDATA, LUA_TSTRING};
enum { TYPES = sizeof types / sizeof *types };

static int nothing(lua_State *L)
{
	(void)L;
	return 0;
}

void vai__encode_types_push(lua_State *L, int type)
{
	switch (type) {
	case LUA_TBOOLEAN: lua_pushboolean(L, 0); break;
	case LUA_TNUMBER: lua_pushinteger(L, 0); break;
	case LUA_TFUNCTION: lua_pushcfunction(L, nothing); break;
	case LUA_TTHREAD: lua_pushthread(L); break;
	case LUA_TLIGHTUSERDATA: lua_pushlightuserdata(L, NULL); break;
	case LUA_TSTRING: lua_pushliteral(L, ""); break;
	default: lua_pushnil(L); break;
	}
}

/* Whether the value on top is the library of strings, or what opens it. */
static bool is_string_library(lua_State *L)
{
	if (!lua_istable(L, -1)) /* the function that opens the library, which no script can get */
		return lua_iscfunction(L, -1) && vai__catalog_knows(lua_tocfunction(L, -1));
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushliteral(L, "string");
	bool same = lua_istable(L, -2) && lua_rawget(L, -2) == LUA_TTABLE && lua_rawequal(L, -1, -3);
	lua_settop(L, -3);
	return same;
}

/* Whether the key and the value on top are in the metatable that strings have in every fresh state. */
static bool is_stock_pair(lua_State *L)
{
	if (lua_type(L, -2) != LUA_TSTRING)
		return false;
	size_t len;
	const char *key = lua_tolstring(L, -2, &len);
	if (strcmp(key, "__index") == 0)
		return is_string_library(L);
	int k = vai__catalog_find(&vai__catalog.arithmetic, key, len);
	lua_CFunction f = lua_tocfunction(L, -1);
	return k >= 0 && f && vai__catalog_is(&vai__catalog.arithmetic.entries[k], f);
}

/* Whether the metatable on top, which has no metatable of strings' own, is stock's. */
static bool is_stock_strings(lua_State *L)
{
	const int t = lua_gettop(L);
	int left = vai__catalog.arithmetic.n + 1;
	bool stock = true;
	if (lua_getmetatable(L, t)) {
		lua_settop(L, t);
		return false;
	}
	for (lua_pushnil(L); stock && lua_next(L, t); lua_settop(L, t + 1), left--)
		stock = is_stock_pair(L);
	lua_settop(L, t);
	return stock && left == 0;
}

/* Whether the metatable on top is vai's own, of symbols. */
static bool is_of_symbols(lua_State *L)
{
	lua_pushliteral(L, "__tostring");
	lua_rawget(L, -2);
	lua_CFunction f = lua_tocfunction(L, -1);
	lua_pop(L, 1);
	return f && vai__catalog_knows(f);
}

/* Pushes a value of the type, and its metatable or nil. True: a fresh state has another one. */
static bool push_differing(lua_State *L, int type)
{
	vai__encode_types_push(L, type);
	if (!lua_getmetatable(L, -1)) {
		lua_pushnil(L);
		return type == LUA_TSTRING;
	}
	if (type == LUA_TLIGHTUSERDATA)
		return !is_of_symbols(L);
	return type != LUA_TSTRING || !is_stock_strings(L);
}

bool vai__encode_types_differ(lua_State *L)
{
	const int top = lua_gettop(L);
	bool differ = false;
	luaL_checkstack(L, LEVEL_STACK, NULL);
	for (int i = 0; i < TYPES && !differ; i++) {
		differ = push_differing(L, types[i]);
		lua_settop(L, top);
	}
	return differ;
}

/* Writes the metatable on top as that of the type. */
static enum vai__enc_result put(struct vai__enc *e, int type)
{
	static const char *const names[LUA_NUMTYPES] = {
		"nil", "booleans", "light userdata", "numbers", "strings", "_G", "functions", "userdata", "coroutines"};
	lua_State *L = e->L;
	const int mt = lua_gettop(L);
	if (!vai__enc_room(e, 2))
		return ENC_NOMEM;
	e->p[0] = T_TYPE;
	e->p[1] = (unsigned char)type;
	e->p += 2;
	const int apart = e->apart++;
	enum vai__enc_result r = vai__enc_value(e, mt, ENC_METATABLE);
	e->apart = apart;
	if (r == ENC_FAIL)
		r = vai__enc_in_named(e, r, "metatable of", names[type], 0);
	return r;
}

enum vai__enc_result vai__enc_types(struct vai__enc *e)
{
	lua_State *L = e->L;
	const int top = lua_gettop(L);
	enum vai__enc_result r = ENC_OK;
	if (!lua_checkstack(L, LEVEL_STACK))
		return ENC_NOMEM;
	for (int i = 0; i < TYPES && r == ENC_OK && e->types; i++) {
		if (push_differing(L, types[i]))
			r = put(e, types[i]);
		if (r == ENC_OK)
			lua_settop(L, top);
	}
	if (r != ENC_OK || !e->globals_meta)
		return r;
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	if (!lua_getmetatable(L, -1))
		lua_pushnil(L);
	r = put(e, LUA_TTABLE);
	if (r == ENC_OK)
		lua_settop(L, top);
	return r;
}

/* Replaces the function of that name in the table on top, if it is stock's, by one that also notes that the script has
 * got a metatable. */
static void put_noting(lua_State *L, const char *name)
{
	lua_pushstring(L, name);
	lua_CFunction f = lua_rawget(L, -2) == LUA_TFUNCTION ? lua_tocfunction(L, -1) : NULL;
	lua_CFunction fresh = f ? vai__catalog_fresh(f) : NULL;
	lua_pop(L, 1);
	if (!fresh)
		return;
	lua_pushstring(L, name);
	lua_pushcfunction(L, fresh);
	lua_rawset(L, -3);
}

void vai__encode_types_install(lua_State *L)
{
	const int top = lua_gettop(L);
	luaL_checkstack(L, 4, NULL);
	atomic_store_relaxed(&vai__home_self()->types_seen, false);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	put_noting(L, "getmetatable");
	lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	if (lua_istable(L, -1) && lua_getfield(L, -1, "debug") == LUA_TTABLE) {
		put_noting(L, "getmetatable");
		put_noting(L, "setmetatable");
	}
	lua_settop(L, top);
}
