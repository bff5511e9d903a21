/* SPDX-License-Identifier: MIT */
/* See layout.h. Short strings that are equal are one object, so a key is told by its address; the state keeps the keys
 * of its layouts alive for that, in a list. */
#include "transfer/layout.h"
#include <lauxlib.h>
#include <string.h>
#include "base/mem.h"

enum {
#ifdef VAI_HARD /* so that small tests meet them */
	PATIENCE = 1,
#else
	PATIENCE = 16, /* records until a state learns: one that has few shall have no memory for that */
#endif
	GIVEN_UP = 200 /* records after which it learns no more; at most UINT8_MAX */
};

static inline size_t nnodes(const struct vai__layout *l)
{
	return (size_t)1 << l->exponent;
}

static inline size_t size_of(unsigned exponent)
{
	return sizeof(struct vai__layout) + (sizeof(struct vai__node) << exponent);
}

static inline const struct vai__layout *to_front(struct vai__layouts *ls, unsigned i)
{
	struct vai__layout *l = ls->at[i];
	ls->at[i] = ls->at[0];
	ls->at[0] = l;
	return l;
}

static inline bool lies_so(const struct vai__layout *l, const struct vai__table *t)
{
	if (l->exponent != t->exponent || !l->ordered)
		return false;
	for (unsigned i = 0; i < l->shape->nkeys; i++) {
		const struct vai__node *n = &t->nodes[l->at[i]];
		if (n->key != l->nodes[l->at[i]].key || n->key_tag != VAI__TAG_STRING || !(n->tag & VAI__TAG_TYPE))
			return false;
	}
	for (uint32_t left = l->empty; left; left &= left - 1)
		if (t->nodes[__builtin_ctz(left)].tag & VAI__TAG_TYPE)
			return false;
	return true;
}

const struct vai__layout *vai__layout_of_table(struct vai_vm *vm, const struct vai__table *t)
{
	struct vai__layouts *ls = vm->layouts;
	if (!ls || t->array || t->metatable)
		return NULL;
	for (unsigned i = 0; i < ls->n; i++)
		if (VAI_LIKELY(lies_so(ls->at[i], t)))
			return to_front(ls, i);
	return NULL;
}

/* Whether nobody has added anything to t since it was made, and its nodes are a block of its own: the collector works
 * in lua_createtable already, and a finalizer that has the debug library finds the table on the stack. */
static inline bool is_fresh(const struct vai__layout *l, const struct vai__table *t)
{
	return l->exponent == t->exponent && t->last_free == t->nodes + nnodes(l) && !t->array && !t->metatable;
}

const struct vai__layout *vai__layout_for_table(
	struct vai_vm *vm, const struct vai__shape *shape, const struct vai__table *t)
{
	struct vai__layouts *ls = vm->layouts;
	for (unsigned i = 0; ls && i < ls->n; i++)
		if (VAI_LIKELY(ls->at[i]->shape == shape))
			return is_fresh(ls->at[i], t) ? to_front(ls, i) : NULL;
	return NULL;
}

/* ---- learning ---- */

/* The node whose key is that one, or -1. */
static int find_node(const struct vai__table *t, const struct vai__key *key)
{
	for (int i = 0; i < 1 << t->exponent; i++) {
		const struct vai__string *s = t->nodes[i].key;
		if (t->nodes[i].key_tag == VAI__TAG_STRING && t->nodes[i].tag & VAI__TAG_TYPE && s->length == key->len &&
			memcmp(s->bytes, key->s, key->len) == 0)
			return i;
	}
	return -1;
}

/* Fills in what the table says. False: it has another size than a fresh one with these keys, longer keys, or a key that
 * was removed: its node still has it, and nobody keeps it alive. */
static bool describe(struct vai__layout *l, const struct vai__shape *shape, const struct vai__table *t)
{
	const unsigned n = shape->nkeys, size = 1u << t->exponent;
	if (size < n || size >= 2 * n)
		return false;
	l->shape = shape;
	l->ordered = true;
	l->exponent = t->exponent;
	l->empty = size == 32 ? UINT32_MAX : (1u << size) - 1;
	for (unsigned i = 0; i < n; i++) {
		int at = find_node(t, &shape->keys[i].key);
		if (at < 0)
			return false;
		l->at[i] = (unsigned char)at;
		l->empty &= ~(1u << at);
		l->ordered = l->ordered && (i == 0 || at > l->at[i - 1]);
	}
	for (uint32_t left = l->empty; left; left &= left - 1)
		if (t->nodes[__builtin_ctz(left)].key_tag != VAI__TAG_NO_KEY)
			return false;
	return true;
}

/* Copies the table's nodes, without its values: these are collected, or change. */
static void copy_nodes(struct vai__layout *l, const struct vai__table *t)
{
	memcpy(l->nodes, t->nodes, nnodes(l) * sizeof *l->nodes);
	for (unsigned i = 0; i < l->shape->nkeys; i++) {
		l->nodes[l->at[i]].value.integer = 0;
		l->nodes[l->at[i]].tag = VAI__TAG_FALSE;
	}
}

/* vm->layouts, made if it is not there: a finalizer may make it meanwhile. NULL: out of memory. */
static struct vai__layouts *open_layouts(lua_State *L, struct vai_vm *vm)
{
	if (vm->layouts)
		return vm->layouts;
	lua_newtable(L);
	const int kept = luaL_ref(L, LUA_REGISTRYINDEX);
	if (!vm->layouts && (vm->layouts = vai__mem_zalloc(sizeof *vm->layouts)))
		vm->layouts->kept = kept;
	else
		luaL_unref(L, LUA_REGISTRYINDEX, kept);
	return vm->layouts;
}

/* The place of the shape's layout: a new one, or that of one which says less. -1: there is none. */
static int place_for(struct vai__layouts *ls, const struct vai__shape *shape)
{
	for (unsigned i = 0; i < ls->n; i++)
		if (ls->at[i]->shape == shape)
			return (int)i;
	return ls->n < VAI__LAYOUTS ? (int)ls->n : -1;
}

/* The list keeps the keys before the layout has them. */
static void keep_keys(lua_State *L, struct vai__layouts *ls, const struct vai__shape *shape)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, ls->kept);
	for (unsigned i = 0; i < shape->nkeys; i++) {
		lua_pushlstring(L, shape->keys[i].key.s, shape->keys[i].key.len);
		lua_rawseti(L, -2, ++ls->nkept);
	}
	lua_pop(L, 1);
}

struct lesson {
	struct vai_vm *vm;
	const struct vai__shape *shape;
	bool ordered;
};

/* Arguments: struct lesson, the table. */
static int learn(lua_State *L)
{
	const struct lesson *lesson = lua_touserdata(L, 1);
	struct vai_vm *vm = lesson->vm;
	const struct vai__shape *shape = lesson->shape;
	const struct vai__table *table = lua_topointer(L, 2);
	struct vai__layout said;
	if (!describe(&said, shape, table) || (lesson->ordered && !said.ordered))
		return 0;
	struct vai__layouts *ls = open_layouts(L, vm);
	if (!ls || place_for(ls, shape) < 0)
		return 0;
	keep_keys(L, ls, shape);
	struct vai__layout *l = vai__mem_alloc(size_of(said.exponent));
	/* Finalizers may have run: the table may have changed, and the state learnt something. */
	const int place = place_for(ls, shape);
	if (l && place >= 0 && describe(l, shape, table) && l->exponent == said.exponent) {
		copy_nodes(l, table);
		if ((unsigned)place < ls->n)
			vai__mem_free(ls->at[place], size_of(ls->at[place]->exponent));
		else
			ls->n++;
		ls->at[place] = l;
	} else if (l) {
		vai__mem_free(l, size_of(said.exponent));
	}
	return 0;
}

/* In a protected call: a value that has crossed is not lost because there is no memory for what its state learns. */
static VAI_NOINLINE void try_to_learn(lua_State *L, int t, struct lesson *lesson)
{
	if (!vai__table_memory_known() || !lua_checkstack(L, 3))
		return;
	lua_pushcfunction(L, learn);
	lua_pushlightuserdata(L, lesson);
	lua_pushvalue(L, t);
	if (lua_pcall(L, 2, 0, 0) != LUA_OK)
		lua_pop(L, 1);
}

void vai__layout_missed(lua_State *L, struct vai_vm *vm, int t, const struct vai__shape *shape, bool ordered)
{
	if (vm->missed >= GIVEN_UP || shape->nkeys == 0)
		return;
	if (++vm->missed > PATIENCE)
		try_to_learn(L, t, &(struct lesson){vm, shape, ordered});
}

void vai__layout_free(struct vai_vm *vm)
{
	struct vai__layouts *ls = vm->layouts;
	vm->layouts = NULL;
	vm->missed = GIVEN_UP;
	if (!ls)
		return;
	for (unsigned i = 0; i < ls->n; i++)
		vai__mem_free(ls->at[i], size_of(ls->at[i]->exponent));
	vai__mem_free(ls, sizeof *ls);
}
