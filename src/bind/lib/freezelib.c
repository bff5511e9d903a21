/* SPDX-License-Identifier: MIT */
/* freeze: from Lua tables to a block. The walk keeps the tables from the outermost to the innermost on the Lua stack,
 * each with the key in work above it, so its depth is bounded by Lua's stack, not by C's. It runs in a protected call,
 * so the freezer is freed whatever is raised. Finalizers may run meanwhile and change the tables; if the result does
 * not fit any more that is an error. */
#include <stdlib.h>
#include "base/mem.h"
#include "bind/arg.h"
#include "bind/lib/view.h"
#include "bind/lib/lib.h"
#include "data/freeze.h"
#include "transfer/codec.h"
#include "transfer/message.h"

/* A table in work. */
struct level {
	uint64_t place;
	size_t length, size, keys; /* the length of its array, the number of all values, and how many keys have been met */
};

struct walk {
	struct vai__freezer z;
	struct vai__buffer levels;
	struct vai_vm *vm;
	uint64_t root;
};

/* Stack indices during the walk. */
enum { WALK = 1, ROOT = 2 };

static inline struct level *top_level(const struct walk *w)
{
	return (struct level *)(void *)(w->levels.p + w->levels.n - sizeof(struct level));
}

static inline int depth_of(const struct walk *w)
{
	return (int)(w->levels.n / sizeof(struct level));
}

/* ---- errors ---- */

/* Raises why the value in work cannot be frozen, with the path to it; n: how many levels have a key. */
static _Noreturn void refuse(lua_State *L, int n, const char *why)
{
	luaL_Buffer b;
	luaL_checkstack(L, 10, NULL);
	luaL_buffinit(L, &b);
	for (int i = 0; i < n; i++) {
		if (i == 8 && n > 16) {
			luaL_addstring(&b, "...: ");
			i = n - 8;
		}
		const int key = ROOT + 2 * i + 1;
		lua_pushfstring(L, lua_type(L, key) == LUA_TSTRING ? "field '%s': " : "field %s: ",
			lua_type(L, key) == LUA_TNUMBER || lua_type(L, key) == LUA_TSTRING
				? (lua_pushvalue(L, key), lua_tostring(L, -1))
				: luaL_typename(L, key));
		if (lua_type(L, key) == LUA_TNUMBER || lua_type(L, key) == LUA_TSTRING)
			lua_remove(L, -2);
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	luaL_error(L, "bad argument #1 to 'freeze' (%s%s)", lua_tostring(L, -1), why);
	__builtin_unreachable();
}

static _Noreturn void refuse_changed(lua_State *L, const struct walk *w)
{
	refuse(L, depth_of(w), "the table was changed while it was frozen");
}

/* ---- scalars ---- */

static uint64_t string_at(lua_State *L, struct walk *w, int idx)
{
	size_t len;
	const char *s = lua_tolstring(L, idx, &len);
	uint64_t place = vai__freeze_string(&w->z, s, len);
	if (!place)
		vai__arg_no_memory(L);
	return place;
}

static struct vai__frozen_value number_at(lua_State *L, int idx)
{
	struct vai__frozen_value v = {.tag = FROZEN_FLOAT};
	if (lua_isinteger(L, idx))
		return (struct vai__frozen_value){(uint64_t)lua_tointeger(L, idx), FROZEN_INTEGER};
	lua_Number n = lua_tonumber(L, idx);
	memcpy(&v.word, &n, sizeof n);
	return v;
}

/* Reads a scalar at idx. False: the value is none. */
static bool scalar_at(lua_State *L, struct walk *w, int idx, struct vai__frozen_value *v)
{
	v->word = 0;
	switch (lua_type(L, idx)) {
	case LUA_TBOOLEAN: v->tag = lua_toboolean(L, idx) ? FROZEN_TRUE : FROZEN_FALSE; return true;
	case LUA_TNUMBER: *v = number_at(L, idx); return true;
	case LUA_TSTRING:
		v->tag = FROZEN_STRING;
		v->word = string_at(L, w, idx);
		return true;
	case LUA_TLIGHTUSERDATA:
		v->tag = FROZEN_LIGHT;
		v->word = (uintptr_t)lua_touserdata(L, idx);
		return true;
	default: return false;
	}
}

/* ---- tables ---- */

/* Works out the length of the array and the number of other keys of the table on top. */
static void measure(lua_State *L, size_t *length, size_t *keys)
{
	const int t = lua_gettop(L);
	size_t in_array = 0, all = 0, border = lua_rawlen(L, t);
	lua_pushnil(L);
	for (; lua_next(L, t); all++) {
		if (lua_isinteger(L, -2) && (lua_Unsigned)lua_tointeger(L, -2) - 1 < border)
			in_array++;
		lua_pop(L, 1);
	}
	if (border > 2 * in_array + 8) { /* mostly holes: the array ends at the first of them */
		for (border = 0; lua_rawgeti(L, t, (lua_Integer)border + 1) != LUA_TNIL; border++)
			lua_pop(L, 1);
		lua_pop(L, 1);
		in_array = border;
	}
	*length = border;
	*keys = all - in_array;
}

/* Makes the table on top, which is new, the innermost level, with nil above it as its first key. */
static uint64_t enter(lua_State *L, struct walk *w)
{
	struct level level = {.keys = 0};
	size_t keys;
	if (!lua_checkstack(L, 12))
		refuse(L, depth_of(w) < 16 ? depth_of(w) : 16, "nested too deep");
	measure(L, &level.length, &keys);
	level.size = level.length + keys;
	level.place = vai__freeze_table(&w->z, lua_topointer(L, -1), level.length, keys);
	if (!level.place || !vai__buffer_add(&w->levels, &level, sizeof level))
		vai__arg_no_memory(L);
	lua_pushnil(L);
	return level.place;
}

/* The object for the handle or the frozen table on top, with a reference; otherwise NULL. */
static struct vai_obj *object_on_top(lua_State *L, struct walk *w)
{
	struct vai_obj *o = NULL;
	if (lua_type(L, -1) == LUA_TTABLE) {
		if (vai__codec_stand_in(L, lua_gettop(L), &o) && !o)
			vai__arg_no_memory(L);
		return o;
	}
	o = vai__handle_any(L, -1);
	if (o) {
		vai__handle_leaves(L, w->vm, lua_gettop(L));
		vai__obj_ref(o);
	}
	return o;
}

/* Puts the value on top, which is no scalar, into value n of the level. A table that has to be walked is left on the
 * stack. */
static bool put_rest(lua_State *L, struct walk *w, struct level level, size_t n)
{
	struct vai__frozen_value v = {.tag = FROZEN_TABLE};
	struct vai_obj *o = object_on_top(L, w);
	bool deeper = false;
	if (o) {
		v = (struct vai__frozen_value){(uintptr_t)o, FROZEN_OBJECT};
	} else if (lua_type(L, -1) != LUA_TTABLE) {
		lua_pushfstring(L, "%s cannot be frozen", vai__arg_typename(L, -1));
		refuse(L, depth_of(w), lua_tostring(L, -1));
	} else if (lua_getmetatable(L, -1)) {
		refuse(L, depth_of(w), "a table with a metatable cannot be frozen");
	} else if (!(v.word = vai__freeze_met(&w->z, lua_topointer(L, -1)))) {
		v.word = enter(L, w);
		deeper = true;
	}
	if (!vai__freeze_value(&w->z, level.place, level.size, n, v))
		vai__arg_no_memory(L);
	return deeper;
}

/* The number of the value for the key at idx; a new key is added. */
static size_t number_of_key(lua_State *L, struct walk *w, struct level *level, int idx)
{
	struct vai__frozen_value key;
	if (lua_isinteger(L, idx) && (lua_Unsigned)lua_tointeger(L, idx) - 1 < level->length)
		return (size_t)lua_tointeger(L, idx) - 1;
	if (!scalar_at(L, w, idx, &key)) {
		lua_pushfstring(L, "a key that is a %s cannot be frozen", luaL_typename(L, idx));
		refuse(L, depth_of(w) - 1, lua_tostring(L, -1));
	}
	if (level->length + level->keys >= level->size)
		refuse_changed(L, w);
	if (!vai__freeze_key(&w->z, key))
		vai__arg_no_memory(L);
	return level->length + level->keys++;
}

/* Does one entry of the innermost table. False: it has no more. */
static bool step(lua_State *L, struct walk *w)
{
	struct level *level = top_level(w);
	struct vai__frozen_value v;
	if (!lua_next(L, -2))
		return false;
	size_t n = number_of_key(L, w, level, lua_gettop(L) - 1);
	if (scalar_at(L, w, -1, &v)) {
		if (!vai__freeze_value(&w->z, level->place, level->size, n, v))
			vai__arg_no_memory(L);
	} else if (put_rest(L, w, *level, n)) {
		return true;
	}
	lua_pop(L, 1);
	return true;
}

/* Does the walk. Arguments: the walk, the root. */
static int walk_all(lua_State *L)
{
	struct walk *w = lua_touserdata(L, WALK);
	if (lua_getmetatable(L, ROOT))
		refuse(L, 0, "a table with a metatable cannot be frozen");
	w->root = enter(L, w);
	while (depth_of(w) > 0) {
		if (step(L, w))
			continue;
		struct level level = *top_level(w);
		if (level.length + level.keys != level.size)
			refuse_changed(L, w);
		if (!vai__freeze_close(&w->z, level.place, level.keys))
			vai__arg_no_memory(L);
		w->levels.n -= sizeof level;
		lua_pop(L, 1); /* the innermost table, above the key of the outer one */
	}
	return 0;
}

/* Gives a reference back without recursion, as blocks may hold references to blocks: see message.c. */
static void unref(struct vai_obj *o)
{
	vai_msg msg;
	vai__msg_set(&msg, M_OBJECT, (uintptr_t)o);
	vai__msg_drop(&msg);
}

static struct vai__frozen_ref *finish(struct walk *w)
{
	vai_frozen *f = vai__freeze_end(&w->z, w->root, unref);
	if (!f)
		return NULL;
	struct vai__frozen_ref *r = vai__frozen_ref_new(f, w->root);
	vai__obj_unref(&f->obj);
	return r;
}

int vai__lib_freeze(lua_State *L)
{
	struct walk w = {.root = 0};
	vai_g *g = vai__bind_self(L);
	if (lua_type(L, 1) != LUA_TTABLE)
		vai__arg_type_error(L, 1, 1, "freeze", "table");
	lua_settop(L, 1);
	if (vai__lib_frozen_at(L, 1))
		return 1;
	w.vm = vai__bind_vm(g);
	bool there = vai__freeze_init(&w.z);
	lua_pushcfunction(L, walk_all);
	lua_pushlightuserdata(L, &w);
	lua_pushvalue(L, 1);
	int status = there ? lua_pcall(L, 2, 0, 0) : LUA_ERRMEM;
	struct vai__frozen_ref *r = status == LUA_OK ? finish(&w) : NULL;
	vai__buffer_free(&w.levels);
	vai__freeze_free(&w.z, unref);
	if (there && status != LUA_OK)
		lua_error(L);
	if (!r)
		vai__arg_no_memory(L);
	vai__handle_push(L, w.vm, &r->obj, true);
	return 1;
}
