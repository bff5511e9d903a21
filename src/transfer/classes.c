/* SPDX-License-Identifier: MIT */
/* The registry has, under light keys, `classes` (weak keys, from a table to the handle of its struct vai__class),
 * `copies` (weak values, from an origin to the table) and `contents` (weak keys, from a table to a list). So all go
 * with the table, and what they hold goes with them.
 *
 * Whether a class has changed at home is told by a number, the print, over what it holds and what its functions hold,
 * up to LOOKS values. The print is made from addresses, so it is valid only as long as the objects that had them live:
 * the list (`contents`) holds all of these weakly, and first of all a table to which nothing else refers. While that
 * table is there no collection has ended, and nothing in the list is gone; once it is gone the list is gone through.
 * Weak tables are not looked into: they are caches and registers of objects, and each new object would count as a
 * change of its class. */
#include "transfer/classes.h"
#include <lauxlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "state/handle.h"
#include "transfer/message.h"

enum { LOOKS = 400, FIELDS = 100, NESTING = 16, SEEN = 128, FIRST_LIST = 24, NO_PRINT = 1, STACK = 12 + 4 * NESTING };

static const char classes_key, copies_key, contents_key, mode_key;

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
	lua_pushliteral(L, "__mode");
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &mode_key);
	lua_pushstring(L, mode);
	lua_rawset(L, -3);
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
	vai__handle_push(L, vm, &c->obj, true); /* the handle has the reference from now on */
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
	int list; /* stack index of the list of what is met, or 0 */
	int met, room;
	int nseen;
	const void *seen[SEEN];
};

static void mix(struct look *k, uint64_t x)
{
	k->print = (k->print ^ x) * 0x9e3779b97f4a7c15u;
	k->print ^= k->print >> 29;
}

static void mix_scalar(struct look *k, int idx)
{
	lua_State *L = k->L;
	if (lua_isinteger(L, idx)) {
		mix(k, (uint64_t)lua_tointeger(L, idx));
		return;
	}
	const int type = lua_type(L, idx);
	lua_Number n = type == LUA_TNUMBER ? lua_tonumber(L, idx) : lua_toboolean(L, idx);
	uint64_t word;
	memcpy(&word, &n, sizeof word);
	mix(k, word + (unsigned)type);
}

/* Mixes the value at idx into the print, and returns its address; NULL: it is a scalar. */
static const void *mix_value(struct look *k, int idx)
{
	const void *p = lua_topointer(k->L, idx);
	if (!p) {
		mix_scalar(k, idx);
		return NULL;
	}
	mix(k, (uint64_t)(uintptr_t)p);
	if (VAI_UNLIKELY(k->list) && k->met < k->room) {
		lua_pushvalue(k->L, idx);
		lua_rawseti(k->L, k->list, k->met + 2);
	}
	k->met++;
	return p;
}

/* Whether the address was not met before, as long as there is room to remember it. */
static bool is_new(struct look *k, const void *p)
{
	unsigned i = (unsigned)vai__hash_word((uintptr_t)p) % SEEN;
	for (; k->seen[i]; i = (i + 1) % SEEN)
		if (k->seen[i] == p)
			return false;
	if (k->nseen == SEEN * 3 / 4)
		return false;
	k->nseen++;
	k->seen[i] = p;
	return true;
}

static void look_into_table(struct look *k, int depth);
static void look_into_function(struct look *k, int depth);

/* Looks at the value on top, which stays there, and into it. */
static void look_at(struct look *k, int depth)
{
	const void *p = mix_value(k, -1);
	k->left--;
	if (!p || depth == NESTING || k->left <= 0)
		return;
	switch (lua_type(k->L, -1)) {
	case LUA_TTABLE:
		if (is_new(k, p))
			look_into_table(k, depth + 1);
		break;
	case LUA_TFUNCTION:
		if (is_new(k, p))
			look_into_function(k, depth + 1);
		break;
	}
}

static void look_into_function(struct look *k, int depth)
{
	lua_State *L = k->L;
	for (int i = 1; k->left > 0 && lua_getupvalue(L, -1, i); i++) {
		look_at(k, depth);
		lua_pop(L, 1);
	}
}

/* Looks at the metatable of the table on top; true: what is in the table is held weakly. */
static bool look_at_metatable(struct look *k, int depth)
{
	lua_State *L = k->L;
	if (!lua_getmetatable(L, -1))
		return false;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &mode_key);
	bool weak = lua_rawget(L, -2) == LUA_TSTRING;
	lua_pop(L, 1);
	look_at(k, depth);
	lua_pop(L, 1);
	return weak;
}

/* Of a table inside of the class only FIELDS are looked at, so that a big one does not use up the LOOKS. */
static void look_into_table(struct look *k, int depth)
{
	lua_State *L = k->L;
	const int table = lua_gettop(L);
	if (look_at_metatable(k, depth))
		return;
	int fields = depth > 0 ? FIELDS : LOOKS;
	lua_pushnil(L);
	while (k->left > 0 && fields-- > 0 && lua_next(L, table)) {
		mix_value(k, -2);
		look_at(k, depth);
		lua_pop(L, 1);
	}
	lua_settop(L, table);
}

/* Takes the print of the class at idx into *k. list: stack index of the list to fill with at most `room` values, or 0.
 * The stack has room. */
static void look(struct look *k, lua_State *L, int idx, int list, int room)
{
	*k = (struct look){.L = L, .left = LOOKS, .list = list, .room = room};
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	is_new(k, lua_topointer(L, -1));
	lua_pop(L, 1);
	lua_pushvalue(L, idx);
	is_new(k, lua_topointer(L, -1));
	look_into_table(k, 0);
	lua_pop(L, 1);
	k->print += k->print <= NO_PRINT ? NO_PRINT + 1 : 0;
}

/* Pushes the list of the class at idx, if there is one. */
static bool push_contents(lua_State *L, int idx)
{
	const int top = lua_gettop(L);
	lua_pushvalue(L, idx);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &contents_key) == LUA_TTABLE) {
		lua_insert(L, -2);
		if (lua_rawget(L, -2) == LUA_TTABLE) {
			lua_remove(L, -2);
			return true;
		}
	}
	lua_settop(L, top);
	return false;
}

/* Puts a new table, to which nothing else refers, at the head of the list on top. */
static void put_canary(lua_State *L)
{
	lua_createtable(L, 0, 0);
	lua_rawseti(L, -2, 1);
}

/* Takes the print of the class, and makes the list of what it is made from, about `room` long. If a finalizer changes
 * the class meanwhile the print is NO_PRINT, which no look gives. */
static void take_print(lua_State *L, int idx, struct vai__class *c, int room)
{
	struct look k = {.met = room};
	const int top = lua_gettop(L);
	push_weak(L, &contents_key, "k");
	lua_pushvalue(L, idx);
	for (int i = 0; i < 3 && k.met >= room; i++) {
		room = k.met + 1;
		lua_settop(L, top + 2);
		lua_createtable(L, room + 1, 0);
		push_weak(L, &copies_key, "v");
		lua_setmetatable(L, -2);
		put_canary(L);
		look(&k, L, idx, top + 3, room);
	}
	c->ncontents = k.met;
	c->print = k.met < room ? k.print : NO_PRINT;
	lua_rawset(L, top + 1);
	lua_settop(L, top);
}

/* Whether nothing in the list of the class has been collected since the last call. May raise. */
static bool contents_alive(lua_State *L, int idx, const struct vai__class *c)
{
	const int top = lua_gettop(L);
	bool alive = push_contents(L, idx);
	if (alive)
		put_canary(L);
	for (int i = 1; alive && i <= c->ncontents; i++) {
		alive = lua_rawgeti(L, top + 1, i + 1) != LUA_TNIL;
		lua_pop(L, 1);
	}
	lua_settop(L, top);
	return alive;
}

static bool looks_alike(lua_State *L, int idx, const struct vai__class *c)
{
	struct look k;
	look(&k, L, idx, 0, 0);
	return k.print == c->print;
}

bool vai__class_changed(lua_State *L, const struct vai_vm *vm, const struct vai__class *c, int idx)
{
	if (!c->print || c->home != vm)
		return false;
	if (!lua_checkstack(L, STACK) || !push_contents(L, idx))
		return true;
	bool collected = lua_rawgeti(L, -1, 1) == LUA_TNIL;
	lua_pop(L, 2);
	return collected || !looks_alike(L, idx, c);
}

/* ---- asking ---- */

/* Enters a class with the contents that the table at idx has now. */
static struct vai__class *enter_new(lua_State *L, struct vai_vm *vm, int idx, uint64_t origin, int room)
{
	luaL_checkstack(L, STACK, NULL);
	bool gc = has_gc(L, idx);
	struct vai__class *c = new_class(L, origin);
	c->home = vm;
	c->gc = gc;
	c->print = NO_PRINT;
	enter(L, vm, idx, c);
	take_print(L, lua_absindex(L, idx), c, room);
	return c;
}

struct vai__class *vai__class_need(lua_State *L, struct vai_vm *vm, int idx)
{
	static _Atomic(uint64_t) origins;
	struct vai__class *c = vai__class_of(L, idx);
	if (c)
		return c;
	return enter_new(L, vm, idx, atomic_fetch_add_explicit(&origins, 1, memory_order_relaxed) + 1, FIRST_LIST);
}

struct vai__class *vai__class_renew(lua_State *L, struct vai_vm *vm, int idx)
{
	struct vai__class *c = vai__class_need(L, vm, idx);
	if (!c->print || c->home != vm)
		return c;
	luaL_checkstack(L, STACK, NULL);
	idx = lua_absindex(L, idx);
	if (looks_alike(L, idx, c) && contents_alive(L, idx, c))
		return c;
	return enter_new(L, vm, idx, c->origin, c->ncontents + 1);
}
