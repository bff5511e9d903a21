/* SPDX-License-Identifier: MIT */
/* Whether this Lua has tables as table_memory.h says: tried once per process, in a state of its own, with tables of all
 * sizes in question and with values of all types. No address is followed before the allocator has told that a block
 * begins there. */
#include "code/table_memory.h"
#include <lauxlib.h>
#include <pthread.h>
#include <string.h>
#include "code/noted_blocks.h"

enum { KEYS = 16, SHORT = 40, LONG = 300 };

static pthread_once_t once = PTHREAD_ONCE_INIT; /* several states may open at once */
static bool known;

/* Whether a block of at least that size begins there, one of the last. */
static bool is_block(const struct vai__noted_blocks *b, const void *p, size_t size)
{
	return vai__noted_blocks_size(b, p) >= size;
}

/* ---- tables ---- */

/* Pushes a table with room for that, and without anything in it. NULL: it is not like struct vai__table. */
static const struct vai__table *push_table(lua_State *L, const struct vai__noted_blocks *b, int list, int keys)
{
	lua_createtable(L, list, keys);
	const struct vai__table *t = lua_topointer(L, -1);
	if (!is_block(b, t, sizeof *t) || t->metatable || !t->array != !list)
		return NULL;
	if (list && !is_block(b, t->array, (size_t)list * 9))
		return NULL;
	if (!keys)
		return t;
	if (1 << t->exponent < keys || 1 << t->exponent >= 2 * keys ||
		!is_block(b, t->nodes, sizeof(struct vai__node) << t->exponent) ||
		t->last_free != t->nodes + (1 << t->exponent))
		return NULL;
	for (int i = 0; i < 1 << t->exponent; i++)
		if (t->nodes[i].tag & VAI__TAG_TYPE || t->nodes[i].key_tag != VAI__TAG_NO_KEY)
			return NULL;
	return t;
}

/* Tables with and without a list, keys and a metatable. */
static bool has_parts(lua_State *L, const struct vai__noted_blocks *b)
{
	bool all = true;
	for (int n = 0; n <= KEYS; n++) {
		for (int list = 0; list <= 2; list++)
			all = all && push_table(L, b, list, n) != NULL;
		const struct vai__table *t = all ? lua_topointer(L, -1) : NULL;
		lua_newtable(L);
		const void *metatable = lua_topointer(L, -1);
		lua_setmetatable(L, -2);
		all = t && t->metatable == metatable;
		lua_settop(L, 1);
	}
	return all;
}

/* ---- strings ---- */

static bool has_strings(lua_State *L, const struct vai__noted_blocks *b)
{
	char text[LONG];
	bool all = true;
	memset(text, '?', sizeof text);
	for (size_t len = 1; len <= LONG && all; len++) {
		const char *s = lua_pushlstring(L, text, len);
		const struct vai__string *p = lua_topointer(L, -1);
		all = is_block(b, p, sizeof *p + len + 1) && s == p->bytes &&
			(len <= SHORT ? p->length == len : p->long_length == len);
		lua_pop(L, 1);
	}
	return all;
}

/* ---- values and keys ---- */

/* The node whose key is the string on top; NULL: there is none, or not one only. */
static const struct vai__node *node_of(lua_State *L, const struct vai__table *t)
{
	const struct vai__node *found = NULL;
	int n = 0;
	for (int i = 0; i < 1 << t->exponent; i++) {
		if (t->nodes[i].key_tag == VAI__TAG_STRING && t->nodes[i].key == lua_topointer(L, -1)) {
			found = &t->nodes[i];
			n++;
		}
	}
	return n == 1 ? found : NULL;
}

/* Sets the field "x" of a table to the value on top, and pops that. What its node is goes to *node. */
static bool set_field(lua_State *L, const struct vai__noted_blocks *b, struct vai__node *node)
{
	const struct vai__table *t = push_table(L, b, 0, 4);
	if (!t)
		return false;
	lua_pushliteral(L, "x");
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pushliteral(L, "x");
	const struct vai__node *found = node_of(L, t);
	if (found)
		*node = *found;
	lua_pop(L, 3);
	return found != NULL;
}

/* Whether a value with a tag that is not listed has none that is. */
static bool is_other(const struct vai__node *n)
{
	return n->tag & VAI__TAG_TYPE && n->tag != VAI__TAG_FALSE && n->tag != VAI__TAG_TRUE &&
		n->tag != VAI__TAG_INTEGER && n->tag != VAI__TAG_FLOAT && n->tag != VAI__TAG_STRING &&
		n->tag != VAI__TAG_LONG && n->tag != VAI__TAG_LIGHT;
}

static bool has_scalars(lua_State *L, const struct vai__noted_blocks *b)
{
	static const int64_t integers[] = {0, -1, 0x0123456789abcdef};
	static const double numbers[] = {0, -.5, 1e300};
	struct vai__node n;
	int64_t bits;
	bool all = true;
	for (int i = 0; i < 3 && all; i++) {
		lua_pushinteger(L, (lua_Integer)integers[i]);
		all = set_field(L, b, &n) && n.tag == VAI__TAG_INTEGER && n.value.integer == integers[i];
		memcpy(&bits, &numbers[i], sizeof bits);
		lua_pushnumber(L, (lua_Number)numbers[i]);
		all = all && set_field(L, b, &n) && n.tag == VAI__TAG_FLOAT && n.value.integer == bits;
	}
	lua_pushboolean(L, 0);
	all = all && set_field(L, b, &n) && n.tag == VAI__TAG_FALSE;
	lua_pushboolean(L, 1);
	return all && set_field(L, b, &n) && n.tag == VAI__TAG_TRUE;
}

static bool has_pointers(lua_State *L, const struct vai__noted_blocks *b)
{
	char text[LONG];
	struct vai__node n;
	bool all = true;
	memset(text, '?', sizeof text);
	for (size_t len = 1; len <= LONG && all; len++) {
		lua_pushlstring(L, text, len);
		const void *string = lua_topointer(L, -1);
		all = set_field(L, b, &n) && n.value.string == string &&
			n.tag == (len <= SHORT ? VAI__TAG_STRING : VAI__TAG_LONG);
	}
	lua_pushlightuserdata(L, text);
	return all && set_field(L, b, &n) && n.tag == VAI__TAG_LIGHT && n.value.light == text;
}

static int nothing(lua_State *L)
{
	(void)L;
	return 0;
}

static bool has_others(lua_State *L, const struct vai__noted_blocks *b)
{
	struct vai__node n;
	bool all = true;
	luaL_checkstack(L, 10, NULL);
	lua_pushcfunction(L, nothing);
	lua_pushnil(L);
	lua_pushcclosure(L, nothing, 1);
	lua_newtable(L);
	lua_newuserdatauv(L, 1, 0);
	lua_newthread(L);
	while (lua_gettop(L) > 1 && all)
		all = set_field(L, b, &n) && is_other(&n);
	return all;
}

/* Keys that are no strings have another tag, and a field that was taken away is nil. */
static bool has_other_keys(lua_State *L, const struct vai__noted_blocks *b)
{
	const struct vai__table *t = push_table(L, b, 0, KEYS);
	const int at = lua_gettop(L);
	if (!t)
		return false;
	lua_pushinteger(L, 1000);
	lua_pushnumber(L, .5);
	lua_pushboolean(L, 1);
	lua_pushlightuserdata(L, &known);
	lua_pushcfunction(L, nothing);
	lua_newtable(L);
	lua_pushliteral(L, "0123456789012345678901234567890123456789x");
	for (int i = at + 1, n = lua_gettop(L); i <= n; i++) {
		lua_pushvalue(L, i);
		lua_pushboolean(L, 1);
		lua_rawset(L, at);
	}
	for (int i = 0; i < 1 << t->exponent; i++)
		if (t->nodes[i].key_tag == VAI__TAG_STRING)
			return false;
	lua_settop(L, at);
	lua_pushliteral(L, "gone");
	lua_pushvalue(L, -1);
	lua_pushboolean(L, 1);
	lua_rawset(L, at);
	const struct vai__node *node = node_of(L, t);
	lua_pushnil(L);
	lua_rawset(L, at);
	return node && !(node->tag & VAI__TAG_TYPE);
}

/* ---- copies ---- */

static void push_key(lua_State *L, int n, int i)
{
	lua_pushfstring(L, "key %d of %d", i, n);
}

/* Whether the table at idx has n keys, which are those of the nodes in their order, and values as they were set. */
static bool is_whole(lua_State *L, int idx, int n)
{
	const struct vai__table *t = lua_topointer(L, idx);
	int found = 0, node = 0;
	lua_pushnil(L);
	while (lua_next(L, idx)) {
		while (node < 1 << t->exponent && !(t->nodes[node].tag & VAI__TAG_TYPE))
			node++;
		if (node == 1 << t->exponent || t->nodes[node++].key != lua_topointer(L, -2))
			return false;
		found++;
		lua_pop(L, 1);
	}
	for (int i = 1; i <= n; i++) {
		push_key(L, n, i);
		if (lua_rawget(L, idx) != LUA_TNUMBER || lua_tointeger(L, -1) != i)
			return false;
		lua_pop(L, 1);
	}
	return found == n;
}

static void fill(lua_State *L, int idx, int n, int from, int to)
{
	for (int i = from; i <= to; i++) {
		push_key(L, n, i);
		lua_pushinteger(L, i);
		lua_rawset(L, idx);
	}
}

/* A table of n keys, and its copy, which then grows, and is collected around. */
static bool copies_well(lua_State *L, const struct vai__noted_blocks *b, int n)
{
	lua_settop(L, 1);
	const struct vai__table *from = push_table(L, b, 0, n), *to = push_table(L, b, 0, n);
	if (!from || !to || from->exponent != to->exponent)
		return false;
	fill(L, 2, n, 1, n);
	memcpy(to->nodes, from->nodes, sizeof(struct vai__node) << to->exponent);
	if (!is_whole(L, 2, n) || !is_whole(L, 3, n))
		return false;
	lua_gc(L, LUA_GCCOLLECT);
	return is_whole(L, 3, n);
}

/* The copy takes more keys as any table does, and the other one is as it was. */
static bool grows_well(lua_State *L, int n)
{
	for (int i = n + 1; i <= 2 * n; i++) {
		fill(L, 3, n, i, i);
		push_key(L, n, i);
		if (lua_rawget(L, 2) != LUA_TNIL)
			return false;
		lua_pop(L, 1);
	}
	for (int i = 1; i <= 2 * n; i++) {
		push_key(L, n, i);
		if (lua_rawget(L, 3) != LUA_TNUMBER || lua_tointeger(L, -1) != i)
			return false;
		lua_pop(L, 1);
	}
	return is_whole(L, 2, n);
}

/* Argument: struct vai__noted_blocks. */
static int compare_tables(lua_State *L)
{
	const struct vai__noted_blocks *b = lua_touserdata(L, 1);
	lua_gc(L, LUA_GCSTOP);
	bool all = sizeof(lua_Integer) == 8 && sizeof(lua_Number) == 8 && sizeof(void *) == 8;
	all = all && has_parts(L, b) && has_strings(L, b);
	lua_settop(L, 1);
	all = all && has_scalars(L, b) && has_pointers(L, b) && has_others(L, b) && has_other_keys(L, b);
	for (int n = 1; n <= KEYS && all; n++)
		all = copies_well(L, b, n) && grows_well(L, n);
	known = all;
	return 0;
}

static void probe(void)
{
	vai__noted_blocks_call(compare_tables);
}

bool vai__table_memory_known(void)
{
	pthread_once(&once, probe);
	return known;
}
