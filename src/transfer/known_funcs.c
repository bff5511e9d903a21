/* SPDX-License-Identifier: MIT */
/* The memory of one state for functions that it has sent.
 *
 * A function is known by the address of its prototype, which may become another function's once the collector has
 * freed it. So a weak table keeps one closure of each known prototype: as long as the entry is there, so is the
 * prototype. In a loop that sends a new closure each time, the entry goes with a collection and comes back with one
 * dump. */
#include "transfer/known_funcs.h"
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "code/dump_function.h"
#include "code/probe_lua.h"
#include "state/state.h"

enum { FIRST_FUNCS = 4 };

/* ---- the table by key ---- */

static unsigned slot_of(const void *key, unsigned cap)
{
	return (unsigned)vai__hash_word((uintptr_t)key) & (cap - 1);
}

static struct vai__func *lookup(const struct vai__known_funcs *fs, const void *key)
{
	if (!fs->cap)
		return NULL;
	for (unsigned i = slot_of(key, fs->cap);; i = (i + 1) & (fs->cap - 1)) {
		if (fs->funcs[i].key == key)
			return &fs->funcs[i];
		if (!fs->funcs[i].key)
			return NULL;
	}
}

/* Adds f; there is room. */
static struct vai__func *insert(struct vai__known_funcs *fs, struct vai__func f)
{
	unsigned i = slot_of(f.key, fs->cap);
	while (fs->funcs[i].key)
		i = (i + 1) & (fs->cap - 1);
	fs->funcs[i] = f;
	fs->n++;
	return &fs->funcs[i];
}

static void free_plan(struct vai__plan *plan)
{
	if (plan)
		vai__mem_free(plan, plan->size);
}

void vai__known_funcs_plan(const struct vai__known_funcs *fs, const struct vai__func *f, struct vai__plan *plan)
{
	struct vai__func *own = &fs->funcs[f - fs->funcs];
	free_plan(own->plan);
	own->plan = plan;
}

static void forget(lua_State *L, struct vai__func *f)
{
	free_plan(f->plan);
	f->plan = NULL;
	luaL_unref(L, LUA_REGISTRYINDEX, f->names);
	vai__obj_unref(&f->code->obj);
}

/* Whether that node of the weak table is the function's, and the collector has not taken its value away. */
static inline bool is_node_of(const struct vai__table *t, unsigned node, const void *key)
{
	if (node >= 1u << t->exponent)
		return false;
	const struct vai__node *n = &t->nodes[node];
	/* In this order, as Lua writes no key into a node that is free. */
	return n->key_tag == VAI__TAG_LIGHT && n->key == key && n->tag & VAI__TAG_TYPE;
}

/* Notes which node of the weak table is the function's, unless there are too many to look through. */
static VAI_NOINLINE void note_node(const struct vai__table *t, struct vai__func *f)
{
	enum { MOST = 6 };
	if (t->exponent > MOST)
		return;
	for (unsigned i = 0; i < 1u << t->exponent; i++)
		if (is_node_of(t, i, f->key))
			f->node = i;
}

/* Whether the function still exists. Where prototypes cannot be seen everything stays. */
static bool is_alive(lua_State *L, const struct vai__known_funcs *fs, struct vai__func *f)
{
	if (f->key == f->code || (VAI_LIKELY(fs->nodes != NULL) && is_node_of(fs->nodes, f->node, f->key)))
		return true;
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->alive);
	bool alive = lua_rawgetp(L, -1, f->key) != LUA_TNIL;
	lua_pop(L, 2);
	if (alive && fs->nodes)
		note_node(fs->nodes, f);
	return alive;
}

/* Forgets dead functions, and grows if most of them live. */
static bool make_room(lua_State *L, struct vai__known_funcs *fs)
{
	unsigned live = 0, old_cap = fs->cap, cap = FIRST_FUNCS;
	struct vai__func *old = fs->funcs;
	for (unsigned i = 0; i < old_cap; i++)
		live += old[i].key && is_alive(L, fs, &old[i]);
	while (cap < 2 * (live + 1))
		cap *= 2;
	struct vai__func *fresh = vai__mem_zalloc(cap * sizeof *fresh);
	if (!fresh)
		return false;
	fs->funcs = fresh;
	fs->cap = cap;
	fs->n = 0;
	for (unsigned i = 0; i < old_cap; i++) {
		if (old[i].key && is_alive(L, fs, &old[i]))
			insert(fs, old[i]);
		else if (old[i].key)
			forget(L, &old[i]);
	}
	vai__mem_free(old, old_cap * sizeof *old);
	return true;
}

/* ---- making it ---- */

static int push_weak_table(lua_State *L)
{
	vai__state_push_weak(L, FIRST_FUNCS, "v");
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* vm->funcs is set last: what raises before leaves only registry slots behind. */
struct vai__known_funcs *vai__known_funcs_open(lua_State *L, struct vai_vm *vm)
{
	struct vai__known_funcs fs = {
		.parents = LUA_NOREF, .keys = LUA_NOREF, .noted = LUA_NOREF, .strings = LUA_NOREF, .private = LUA_NOREF};
	if (VAI_LIKELY(vm->funcs != NULL))
		return vm->funcs;
	luaL_checkstack(L, 8, NULL);
	fs.alive = push_weak_table(L);
	if (vai__table_memory_known()) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, fs.alive);
		fs.nodes = lua_topointer(L, -1);
		lua_pop(L, 1);
	}
	lua_createtable(L, 0, 4);
	fs.modules = luaL_ref(L, LUA_REGISTRYINDEX);
	fs.loaded = LUA_NOREF;
	lua_pushliteral(L, "__vai_send");
	fs.send = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushliteral(L, "__index");
	fs.index = luaL_ref(L, LUA_REGISTRYINDEX);
	if (vm->funcs) /* a finalizer has made it meanwhile */
		return vm->funcs;
	struct vai__known_funcs *made = vai__mem_alloc(sizeof *made);
	if (!made)
		vai__state_out_of_memory(L);
	*made = fs;
	vm->funcs = made;
	return made;
}

void vai__known_funcs_free(struct vai__known_funcs *fs)
{
	if (!fs)
		return;
	for (unsigned i = 0; i < fs->cap; i++) {
		if (!fs->funcs[i].key)
			continue;
		free_plan(fs->funcs[i].plan);
		vai__obj_unref(&fs->funcs[i].code->obj);
	}
	vai__mem_free(fs->funcs, fs->cap * sizeof *fs->funcs);
	vai__mem_free(fs, sizeof *fs);
}

/* ---- asking ---- */

const struct vai__func *vai__known_funcs_hit(lua_State *L, struct vai_vm *vm, int idx)
{
	const struct vai__known_funcs *fs = vm->funcs;
	const void *proto = vai__probe_proto_of(lua_topointer(L, idx));
	if (!fs || !proto)
		return NULL;
	struct vai__func *f = lookup(fs, proto);
	return f && is_alive(L, fs, f) ? f : NULL;
}

static struct vai_code *dump_code(lua_State *L, int idx)
{
	struct vai__buffer b = {0};
	lua_pushvalue(L, idx);
	struct vai_code *code = vai__dump_function(L, &b) ? vai__code_from(b.p, b.n) : NULL;
	lua_pop(L, 1);
	vai__buffer_free(&b);
	return code;
}

/* The names of all upvalues, one after the other; then each field's and its table's. */
static int push_names(lua_State *L, const struct vai_code *code)
{
	lua_Integer n = 0;
	if (!code->nnames && !code->nfields)
		return LUA_NOREF;
	lua_createtable(L, code->nnames + 2 * code->nfields, 0);
	for (int i = 0; i < code->nups; i++) {
		for (int k = 0; k < code->upvals[i].nnames; k++) {
			lua_pushstring(L, code->upvals[i].names[k].name);
			lua_rawseti(L, -2, ++n);
		}
	}
	for (int i = 0; i < code->nfields; i++) {
		lua_pushstring(L, code->fields[i].name);
		lua_rawseti(L, -2, ++n);
		lua_pushstring(L, code->fields[i].table);
		lua_rawseti(L, -2, ++n);
	}
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* What `remember` works on. Once the entry has taken over the reference, `code` is NULL: so it is not given back twice
 * if a script's hook raises after that. */
struct memory {
	struct vai_vm *vm;
	struct vai_code *code;
};

/* Arguments: struct memory, the function. */
static int remember(lua_State *L)
{
	struct memory *m = lua_touserdata(L, 1);
	struct vai_vm *vm = m->vm;
	struct vai_code *code = m->code;
	const void *proto = vai__probe_proto_of(lua_topointer(L, 2));
	struct vai__known_funcs *fs = vai__known_funcs_open(L, vm);
	if (proto) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, fs->alive);
		lua_pushvalue(L, 2);
		lua_rawsetp(L, -2, proto);
	}
	const void *key = proto ? proto : code;
	struct vai__func *f = lookup(fs, key);
	if (f && f->code == code)
		return 0; /* only the weak table's entry was missing, and is there again */
	int names = push_names(L, code);
	f = lookup(fs, key); /* a finalizer may have remembered it meanwhile */
	if (f) {
		forget(L, f);
		f->code = code;
		f->names = names;
		m->code = NULL;
		return 0;
	}
	if (2 * (fs->n + 1) > fs->cap && !make_room(L, fs))
		vai__state_out_of_memory(L);
	insert(fs, (struct vai__func){.key = key, .code = code, .names = names});
	m->code = NULL;
	return 0;
}

/* Remembers the function in a protected call. Takes over the reference in any case. The stack has room. */
static int remember_protected(lua_State *L, struct vai_vm *vm, int idx, struct vai_code *code)
{
	struct memory m = {vm, code};
	lua_pushvalue(L, idx);
	lua_pushcfunction(L, remember);
	lua_insert(L, -2);
	lua_pushlightuserdata(L, &m);
	lua_insert(L, -2);
	int status = lua_pcall(L, 2, 0, 0);
	if (m.code)
		vai__obj_unref(&m.code->obj);
	return status;
}

const struct vai__func *vai__known_funcs_get(lua_State *L, struct vai_vm *vm, int idx)
{
	const struct vai__func *f = vai__known_funcs_hit(L, vm, idx);
	if (f)
		return f;
	luaL_checkstack(L, 6, NULL);
	struct vai_code *code = dump_code(L, idx);
	if (!code)
		vai__state_out_of_memory(L);
	if (remember_protected(L, vm, idx, code) != LUA_OK) {
		lua_error(L);
		return NULL;
	}
	const void *proto = vai__probe_proto_of(lua_topointer(L, idx));
	return lookup(vm->funcs, proto ? proto : code);
}

/* Failing to remember it is not an error: the caller has its code. */
struct vai_code *vai__known_funcs_code(lua_State *L, struct vai_vm *vm, int idx)
{
	if (!lua_checkstack(L, 6))
		return NULL;
	const struct vai__func *f = vai__known_funcs_hit(L, vm, idx);
	if (f) {
		vai__obj_ref(&f->code->obj);
		return f->code;
	}
	struct vai_code *code = dump_code(L, idx);
	if (!code)
		return NULL;
	vai__obj_ref(&code->obj);
	if (remember_protected(L, vm, idx, code) != LUA_OK)
		lua_pop(L, 1);
	return code;
}
