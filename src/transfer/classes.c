/* SPDX-License-Identifier: MIT */
/* The registry has, under light keys, `classes` (weak keys, from a table to the handle of its struct vai__class) and
 * `copies` (weak values, from an origin to the table). So both go with the table, and what they hold goes with them.
 *
 * Whether a class has changed at home is told by a number over what it holds and what its functions hold, as far as
 * LOOKS go. Each address in it is that of something alive, since the class has it. */
#include "transfer/classes.h"
#include <lauxlib.h>
#include <string.h>
#include "base/mem.h"
#include "state/handle.h"
#include "transfer/message.h"

enum { LOOKS = 160, NESTING = 3 };

static const char classes_key, copies_key;

/* ---- objects ---- */

static void destroy(struct vai_obj *o)
{
	struct vai__class *c = VAI_CONTAINER(o, struct vai__class, obj);
	vai__block_free(atomic_load_explicit(&c->image, memory_order_acquire));
	vai__mem_free(c, sizeof *c);
}

static const struct vai_class class_class = {"class", destroy};
static const struct vai__handle_type class_type = {&class_class, "vai.class", NULL, NULL};

__attribute__((constructor)) static void register_type(void)
{
	vai__handle_register(&class_type);
}

static struct vai__class *new_class(lua_State *L, uint64_t origin)
{
	struct vai__class *c = vai__mem_zalloc(sizeof *c);
	if (!c)
		vai__state_out_of_memory(L);
	vai__obj_init(&c->obj, &class_class);
	c->origin = origin;
	return c;
}

void vai__class_set_image(struct vai__class *c, struct vai__block *image)
{
	struct vai__block *none = NULL;
	if (!atomic_compare_exchange_strong(&c->image, &none, image))
		vai__block_free(image);
}

/* ---- the state's tables ---- */

static void push_weak(lua_State *L, const void *key, const char *mode)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
		return;
	lua_pop(L, 1);
	lua_createtable(L, 0, 2);
	lua_pushstring(L, mode);
	lua_setfield(L, -2, "__mode");
	lua_pushvalue(L, -1);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

struct vai__class *vai__class_of(lua_State *L, int idx)
{
	struct vai_obj *o = NULL;
	lua_pushvalue(L, idx);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &classes_key) == LUA_TTABLE) {
		lua_pushvalue(L, -2);
		lua_rawget(L, -2);
		o = vai__handle_test(L, -1, &class_class);
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
	return o ? VAI_CONTAINER(o, struct vai__class, obj) : NULL;
}

bool vai__class_push(lua_State *L, uint64_t origin)
{
	const int top = lua_gettop(L);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &copies_key) == LUA_TTABLE &&
		lua_rawgeti(L, -1, (lua_Integer)origin) == LUA_TTABLE) {
		lua_remove(L, -2);
		return true;
	}
	lua_settop(L, top);
	return false;
}

/* Enters the class for the table at idx. Takes over a reference, also when it raises. */
static void enter(lua_State *L, struct vai_vm *vm, int idx, struct vai__class *c)
{
	idx = lua_absindex(L, idx);
	vai__handle_push(L, vm, &c->obj, true); /* from now on it holds the reference */
	push_weak(L, &classes_key, "k");
	lua_pushvalue(L, idx);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	push_weak(L, &copies_key, "v");
	lua_pushvalue(L, idx);
	lua_rawseti(L, -2, (lua_Integer)c->origin);
	lua_pop(L, 3);
}

static bool has_gc(lua_State *L, int idx)
{
	lua_pushvalue(L, idx);
	lua_pushliteral(L, "__gc");
	bool has = lua_rawget(L, -2) != LUA_TNIL;
	lua_pop(L, 2);
	return has;
}

void vai__class_enter(lua_State *L, struct vai_vm *vm, int idx, uint64_t origin, struct vai__class *c)
{
	luaL_checkstack(L, 12, NULL);
	if (c)
		vai__obj_ref(&c->obj);
	else
		c = new_class(L, origin);
	enter(L, vm, idx, c);
}

/* ---- what a class holds ---- */

struct look {
	lua_State *L;
	uint64_t print;
	int left;
	int nseen;
	const void *seen[24];
};

static void mix(struct look *k, uint64_t x)
{
	k->print = (k->print ^ x) * 0x9e3779b97f4a7c15u;
	k->print ^= k->print >> 29;
}

static void mix_value(struct look *k, int idx)
{
	lua_State *L = k->L;
	lua_Number n;
	uint64_t word = 0;
	mix(k, (uint64_t)lua_type(L, idx));
	switch (lua_type(L, idx)) {
	case LUA_TNUMBER:
		n = lua_tonumber(L, idx);
		memcpy(&word, &n, sizeof n);
		mix(k, lua_isinteger(L, idx) ? (uint64_t)lua_tointeger(L, idx) : word + 1);
		break;
	case LUA_TBOOLEAN: mix(k, (uint64_t)lua_toboolean(L, idx)); break;
	case LUA_TSTRING: mix(k, (uint64_t)(uintptr_t)lua_tostring(L, idx) ^ (uint64_t)lua_rawlen(L, idx) << 48); break;
	default: mix(k, (uint64_t)(uintptr_t)lua_topointer(L, idx)); break;
	}
}

/* Whether the value was not seen before and is of a kind that holds values. */
static bool follow(struct look *k)
{
	lua_State *L = k->L;
	const void *p = lua_topointer(L, -1);
	if (k->left <= 0 || (!lua_istable(L, -1) && (!lua_isfunction(L, -1) || lua_iscfunction(L, -1))))
		return false;
	for (int i = 0; i < k->nseen; i++)
		if (k->seen[i] == p)
			return false;
	if (k->nseen == sizeof k->seen / sizeof *k->seen || (k->nseen && lua_istable(L, -1) && vai__class_of(L, -1)))
		return false;
	k->seen[k->nseen++] = p;
	return true;
}

static void look_into(struct look *k, int depth);

static void look_at(struct look *k, int depth)
{
	k->left--;
	mix_value(k, -1);
	if (depth < NESTING && follow(k))
		look_into(k, depth + 1);
}

/* The table or function on top. */
static void look_into(struct look *k, int depth)
{
	lua_State *L = k->L;
	const int top = lua_gettop(L);
	if (!lua_checkstack(L, 8))
		return;
	if (lua_isfunction(L, top)) {
		for (int i = 1; k->left > 0 && lua_getupvalue(L, top, i); i++) {
			look_at(k, depth);
			lua_settop(L, top);
		}
		return;
	}
	if (lua_getmetatable(L, top))
		look_at(k, depth);
	lua_settop(L, top);
	for (lua_pushnil(L); k->left > 0 && lua_next(L, top); lua_settop(L, top + 1)) {
		mix_value(k, top + 1);
		look_at(k, depth);
	}
	lua_settop(L, top);
}

static uint64_t print_of(lua_State *L, int idx)
{
	struct look k = {.L = L, .print = 1, .left = LOOKS};
	const int top = lua_gettop(L);
	lua_pushvalue(L, idx);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	k.seen[k.nseen++] = lua_topointer(L, -1);
	lua_pop(L, 1);
	k.seen[k.nseen++] = lua_topointer(L, -1);
	look_into(&k, 0);
	lua_settop(L, top);
	return k.print ? k.print : 1;
}

bool vai__class_changed(lua_State *L, const struct vai_vm *vm, const struct vai__class *c, int idx)
{
	return c->print && c->home == vm && print_of(L, idx) != c->print;
}

/* ---- asking ---- */

struct vai__class *vai__class_need(lua_State *L, struct vai_vm *vm, int idx)
{
	static _Atomic(uint64_t) origins;
	struct vai__class *c = vai__class_of(L, idx);
	if (c)
		return c;
	luaL_checkstack(L, 12, NULL);
	bool gc = has_gc(L, idx);
	c = new_class(L, atomic_fetch_add_explicit(&origins, 1, memory_order_relaxed) + 1);
	c->home = vm;
	c->gc = gc;
	c->print = print_of(L, idx);
	enter(L, vm, idx, c);
	return c;
}

struct vai__class *vai__class_renew(lua_State *L, struct vai_vm *vm, int idx)
{
	struct vai__class *old = vai__class_need(L, vm, idx), *c;
	if (!vai__class_changed(L, vm, old, idx))
		return old;
	luaL_checkstack(L, 12, NULL);
	bool gc = has_gc(L, idx);
	c = new_class(L, old->origin);
	c->home = vm;
	c->gc = gc;
	c->print = print_of(L, idx);
	enter(L, vm, idx, c);
	return c;
}
