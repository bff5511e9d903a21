/* SPDX-License-Identifier: MIT */
/* A graph of values. Everything that has an identity goes into a list, from which later
 * decisions take it again: so parts are shared, and cycles closed. Keys of tables that are
 * tables have a number, by which descriptions of two states can be put into the same order. */
#include "values.h"
#include <float.h>
#include <lauxlib.h>
#include <math.h>
#include <string.h>

enum { REFS = 1, DEPTH_MAX = 40, LONGEST = 70000 };

struct maker {
	lua_State *L;
	struct fuzz *f;
	int nrefs, ntags, depth;
	bool plain;
};

/* Functions of every sort; each gets two values. */
static const char makers[] =
	"glob, limit = { 1, { 2 } }, 5\n"
	"function helper(x) return x and helper(false) or limit end\n"
	"makers = {\n"
	"  function(a, b) return function() return a, b end end,\n"
	"  function(a, b) local function set(x) a = x end return { set, function() return a, b, set end } end,\n"
	"  function(a) local f f = function(n) return n and f(n - 1) or a end return f end,\n"
	"  function(a, b) return { function() return a end, function() b = a return b end, b } end,\n"
	"  function() return load(string.dump(function(x) return x + 1 end, true)) end,\n"
	"  function() return function(x) return glob, helper(x), glob[2] end end,\n"
	"  function(a) return load('local x = ... return x, glob, 1.5', '=chunk') end,\n"
	"  function(a, b) local _ENV = { x = a, y = b } return function() return x, y end end,\n"
	"  function(a, b) local function f() return function() return a, function() return b, f end end end return f end,\n"
	"  function(a, b) local s = 'local a, b = ... local '\n"
	"    for i = 1, 60 do s = s .. 'v' .. i .. ',' end s = s .. 'z = b, a, a return function() return a'\n"
	"    for i = 1, 60 do s = s .. ', v' .. i end return load(s .. ' end')(a, b) end,\n"
	"  function(a) return function(...) local t <close> = setmetatable({}, { __close = print })\n"
	"    for i = 1, select('#', ...) do goto out end ::out:: return a, ... end end,\n"
	"}\n"
	"modules = { string, table, math, _G, coroutine, os, package.loaded, debug }\n"
	"cfunctions = { print, string.rep, next, pcall, math.floor, table.insert, select, os.time }\n";

static int cclosure_body(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(2));
	return 1;
}

static void run(lua_State *L, const char *chunk)
{
	FUZZ_CHECK(luaL_dostring(L, chunk) == LUA_OK, "%s", lua_tostring(L, -1));
}

void values_open(lua_State *L)
{
	run(L, makers);
}

static void remember(struct maker *m)
{
	lua_pushvalue(m->L, -1);
	lua_rawseti(m->L, REFS, ++m->nrefs);
}

/* global[n % #global] */
static void pick(struct maker *m, const char *list)
{
	lua_State *L = m->L;
	lua_getglobal(L, list);
	lua_rawgeti(L, -1, (lua_Integer)(fuzz_byte(m->f) % lua_rawlen(L, -1)) + 1);
	lua_remove(L, -2);
}

/* ---- values without parts ---- */

static void push_integer(struct maker *m)
{
	static const lua_Integer edges[] = {0, 1, -1, LUA_MAXINTEGER, LUA_MININTEGER, INT32_MAX, INT32_MIN, 255, 256,
		(lua_Integer)1 << 53, ((lua_Integer)1 << 53) + 1};
	unsigned how = fuzz_byte(m->f);
	if (how < 128)
		lua_pushinteger(m->L, edges[how % (sizeof edges / sizeof *edges)]);
	else
		lua_pushinteger(m->L, (lua_Integer)fuzz_word(m->f));
}

static void push_float(struct maker *m)
{
	static const double edges[] = {0.0, -0.0, 1.0, 0.5, HUGE_VAL, -HUGE_VAL, DBL_MAX, DBL_MIN, 5e-324,
		9007199254740992.0, 9223372036854775808.0, -9223372036854775808.0};
	unsigned how = fuzz_byte(m->f);
	double x = edges[how % (sizeof edges / sizeof *edges)];
	if (how >= 128) {
		uint64_t bits = fuzz_word(m->f);
		memcpy(&x, &bits, sizeof x);
	}
	lua_pushnumber(m->L, how == 127 ? (double)NAN : x);
}

/* Some of the input itself, or some of the lengths at which something changes. */
static void push_string(struct maker *m)
{
	static const unsigned lengths[] = {
		0, 1, 29, 30, 31, 39, 40, 41, 253, 254, 255, 256, 257, 383, 384, 4096, 65536, LONGEST};
	static char filler[LONGEST];
	unsigned how = fuzz_byte(m->f);
	if (how < 128) {
		size_t n = how % 32, left = (size_t)(m->f->end - m->f->p);
		n = n < left ? n : left;
		lua_pushlstring(m->L, (const char *)m->f->p, n);
		m->f->p += n;
		return;
	}
	memset(filler, 'a' + (int)(how % 7), LONGEST);
	lua_pushlstring(m->L, filler, lengths[fuzz_below(m->f, sizeof lengths / sizeof *lengths)]);
}

static void push_light(struct maker *m)
{
	lua_pushlightuserdata(m->L, (void *)(uintptr_t)fuzz_word(m->f));
}

/* ---- values with parts ---- */

static void push_value(struct maker *m);

static void push_inner(struct maker *m)
{
	luaL_checkstack(m->L, 20, "values");
	m->depth++;
	if (m->depth < DEPTH_MAX)
		push_value(m);
	else
		lua_pushboolean(m->L, 1);
	m->depth--;
}

static void push_again(struct maker *m)
{
	if (m->nrefs == 0)
		lua_pushnil(m->L);
	else
		lua_rawgeti(m->L, REFS, (lua_Integer)(fuzz_byte(m->f) % (unsigned)m->nrefs) + 1);
}

/* A table that may be a key. */
static void push_tagged(struct maker *m)
{
	lua_newtable(m->L);
	lua_pushinteger(m->L, ++m->ntags);
	lua_setfield(m->L, -2, "tag");
	remember(m);
}

static void push_key(struct maker *m)
{
	static const char *const names[] = {
		"id", "name", "value", "x", "y", "a rather long key that is not a short string"};
	switch (fuzz_below(m->f, 8)) {
	case 0: push_integer(m); return;
	case 1: push_string(m); return;
	case 2: push_tagged(m); return;
	case 3: lua_pushboolean(m->L, fuzz_byte(m->f) & 1); return;
	case 4:
		push_float(m);
		if (isnan(lua_tonumber(m->L, -1)))
			break;
		return;
	default: lua_pushstring(m->L, names[fuzz_below(m->f, sizeof names / sizeof *names)]); return;
	}
	lua_pop(m->L, 1);
	lua_pushinteger(m->L, 7);
}

/* Any value serves as any metamethod: none of them is called here or there. */
static void push_metatable(struct maker *m)
{
	static const char *const names[] = {
		"__index", "__newindex", "__call", "__len", "__add", "__close", "__pairs", "field"};
	lua_State *L = m->L;
	lua_newtable(L);
	remember(m);
	for (unsigned n = fuzz_below(m->f, 4); n > 0; n--) {
		const char *name = names[fuzz_below(m->f, sizeof names / sizeof *names)];
		push_inner(m);
		lua_setfield(L, -2, name);
	}
	if (fuzz_byte(m->f) == 1) {
		lua_getglobal(L, "helper");
		lua_setfield(L, -2, "__gc");
	}
}

static void push_table(struct maker *m)
{
	lua_State *L = m->L;
	unsigned shape = fuzz_byte(m->f), narr = shape & 7, nrec = shape >> 3 & 7;
	lua_newtable(L);
	remember(m);
	for (unsigned i = 1; i <= narr; i++) {
		push_inner(m);
		lua_rawseti(L, -2, i == narr && shape > 250 ? 1000 : (lua_Integer)i);
	}
	for (; nrec > 0; nrec--) {
		push_key(m);
		push_inner(m);
		lua_rawset(L, -3);
	}
	if (shape >= 192) {
		push_metatable(m);
		lua_setmetatable(L, -2);
	}
}

/* Deeper than the encoder follows at once. */
static void push_chain(struct maker *m)
{
	lua_State *L = m->L;
	unsigned n = fuzz_byte(m->f);
	push_inner(m);
	for (; n > 0; n--) {
		lua_createtable(L, 1, 0);
		lua_insert(L, -2);
		lua_rawseti(L, -2, 1);
	}
	remember(m);
}

static void push_function(struct maker *m)
{
	lua_State *L = m->L;
	pick(m, "makers");
	push_inner(m);
	push_inner(m);
	FUZZ_CHECK(lua_pcall(L, 2, 1, 0) == LUA_OK, "%s", lua_tostring(L, -1));
	remember(m);
}

static void push_cclosure(struct maker *m)
{
	push_inner(m);
	push_inner(m);
	lua_pushcclosure(m->L, cclosure_body, 2);
	remember(m);
}

static void push_thing(struct maker *m)
{
	lua_getglobal(m->L, "thing");
	lua_call(m->L, 0, 1);
	remember(m);
}

static int send_as(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

static void push_translated(struct maker *m)
{
	lua_State *L = m->L;
	m->plain = false;
	lua_newuserdatauv(L, 8, 0);
	remember(m);
	lua_newtable(L);
	push_inner(m);
	lua_pushcclosure(L, send_as, 1);
	lua_setfield(L, -2, "__vai_send");
	lua_setmetatable(L, -2);
}

static void push_unsendable(struct maker *m)
{
	m->plain = false;
	lua_newthread(m->L);
	remember(m);
}

static void push_value(struct maker *m)
{
	static void (*const kinds[])(struct maker *) = {push_integer, push_float, push_string, push_table, push_table,
		push_again, push_again, push_function, push_tagged, push_thing, push_cclosure, push_light, push_chain};
	enum { KINDS = sizeof kinds / sizeof *kinds };
	unsigned kind = fuzz_byte(m->f);
	if (kind == 0)
		lua_pushnil(m->L);
	else if (kind < 3)
		lua_pushboolean(m->L, kind == 1);
	else if (kind < 240)
		kinds[kind % KINDS](m);
	else if (kind < 246)
		pick(m, "modules");
	else if (kind < 252)
		pick(m, "cfunctions");
	else if (kind < 254)
		push_translated(m);
	else
		push_unsendable(m);
}

int values_make(lua_State *L, struct fuzz *f, bool *plain)
{
	struct maker m = {.L = L, .f = f, .plain = true};
	int n = (int)fuzz_below(f, 4) + 1;
	lua_newtable(L);
	for (int i = 0; i < n; i++)
		push_value(&m);
	lua_remove(L, REFS);
	*plain = m.plain;
	return n;
}
