/* SPDX-License-Identifier: MIT */
/* Views. A proxy is an empty Lua table, so that every access comes to its metatable. It is known by its address,
 * which does not change while it lives. Each proxy has a number. The state has the proxies in a weak list by number;
 * the view has the number, frozen table and address of each, and two indices that find the number for a table or an
 * address.
 *
 * The collector may have freed the proxy of a number, which the weak list shows. Its address may then belong to
 * another Lua table. If that is no proxy, the view is not asked for it; if it is a proxy, the entry of the address
 * was set anew.
 *
 * When no number is free, all are looked through for proxies that are gone. If more than half are in use after that,
 * the view grows. So its size is bounded by the number of proxies that live between two collections. */
#include "bind/lib/view.h"
#include "base/hash.h"
#include "base/mem.h"

enum { CAP_FIRST = 8 };

static void free_tables(struct vai__view *v)
{
	vai__mem_free(v->proxies, v->cap * sizeof *v->proxies);
	vai__mem_free(v->by_table.slots, 4 * v->cap * sizeof(uint32_t));
	vai__mem_free(v->by_address.slots, 4 * v->cap * sizeof(uint32_t));
}

static void destroy(struct vai_obj *o)
{
	struct vai__view *v = VAI_CONTAINER(o, struct vai__view, obj);
	free_tables(v);
	vai__obj_unref(&v->block->obj);
	vai__mem_free(v, sizeof *v);
}

const struct vai_class vai__view_class = {"frozen view", destroy};

/* ---- finding ---- */

static inline size_t mask_of(const struct vai__view *v)
{
	return 4 * (size_t)v->cap - 1;
}

uint32_t vai__view_find_table(const struct vai__view *v, uint64_t table)
{
	for (size_t i = vai__hash_word(table) & mask_of(v); v->by_table.slots[i]; i = (i + 1) & mask_of(v))
		if (v->proxies[v->by_table.slots[i] - 1].table == table)
			return v->by_table.slots[i];
	return 0;
}

struct vai__view_proxy *vai__view_find(struct vai__view *v, const void *address)
{
	const size_t h = vai__hash_word((uintptr_t)address);
	for (size_t i = h & mask_of(v); v->by_address.slots[i]; i = (i + 1) & mask_of(v)) {
		struct vai__view_proxy *p = &v->proxies[v->by_address.slots[i] - 1];
		if (p->address == address) {
			v->found = v->by_address.slots[i] - 1;
			return address ? p : NULL;
		}
	}
	return NULL;
}

static void enter(const struct vai__view *v, struct vai__view_index *index, uint64_t word, uint32_t number)
{
	size_t i = vai__hash_word(word) & mask_of(v);
	while (index->slots[i] && index->slots[i] != number)
		i = (i + 1) & mask_of(v);
	index->used += !index->slots[i];
	index->slots[i] = number;
}

/* Builds both indices from the proxies. */
static void index_again(struct vai__view *v)
{
	memset(v->by_table.slots, 0, 4 * v->cap * sizeof(uint32_t));
	memset(v->by_address.slots, 0, 4 * v->cap * sizeof(uint32_t));
	v->by_table.used = v->by_address.used = 0;
	for (uint32_t n = 1; n < v->fresh; n++) {
		const struct vai__view_proxy *p = &v->proxies[n - 1];
		if (p->address) {
			enter(v, &v->by_table, p->table, n);
			enter(v, &v->by_address, (uintptr_t)p->address, n);
		}
	}
}

/* ---- numbers ---- */

/* Makes room for cap proxies. False: out of memory, and nothing has changed. */
static bool widen(struct vai__view *v, uint32_t cap)
{
	struct vai__view now = *v;
	now.cap = cap;
	now.proxies = vai__mem_zalloc(cap * sizeof *now.proxies);
	now.by_table.slots = vai__mem_zalloc(4 * (size_t)cap * sizeof(uint32_t));
	now.by_address.slots = vai__mem_zalloc(4 * (size_t)cap * sizeof(uint32_t));
	if (!now.proxies || !now.by_table.slots || !now.by_address.slots) {
		free_tables(&now);
		return false;
	}
	if (v->cap) {
		memcpy(now.proxies, v->proxies, v->cap * sizeof *now.proxies);
		free_tables(v);
	}
	*v = now;
	return true;
}

struct vai__view *vai__view_new(vai_frozen *block)
{
	struct vai__view *v = vai__mem_zalloc(sizeof *v);
	if (!v)
		return NULL;
	if (!widen(v, CAP_FIRST)) {
		vai__mem_free(v, sizeof *v);
		return NULL;
	}
	vai__obj_init(&v->obj, &vai__view_class);
	vai__obj_ref(&block->obj);
	v->block = block;
	v->fresh = 1;
	return v;
}

/* Frees the numbers of proxies that are gone. Returns how many are in use. */
static uint32_t sweep(lua_State *L, struct vai__view *v, int proxies)
{
	uint32_t live = 0;
	v->free = 0;
	for (uint32_t n = v->fresh - 1; n > 0; n--) {
		struct vai__view_proxy *p = &v->proxies[n - 1];
		if (lua_rawgeti(L, proxies, n) == LUA_TTABLE) {
			live++;
		} else {
			*p = (struct vai__view_proxy){.misses = v->free};
			v->free = n;
		}
		lua_pop(L, 1);
	}
	return live;
}

uint32_t vai__view_number(lua_State *L, struct vai__view *v, int proxies)
{
	if (v->free == 0 && v->fresh > v->cap) {
		if (sweep(L, v, proxies) > v->cap / 2 && (v->cap > UINT32_MAX / 16 || !widen(v, 2 * v->cap)) && v->free == 0)
			return 0;
		index_again(v);
	}
	uint32_t n = v->free;
	if (n == 0)
		return v->fresh++;
	v->free = v->proxies[n - 1].misses;
	return n;
}

void vai__view_set(struct vai__view *v, uint32_t number, uint64_t table, const void *address)
{
	struct vai__view_proxy *before = vai__view_find(v, address);
	if (before)
		before->address = NULL;
	v->changes++;
	v->proxies[number - 1] = (struct vai__view_proxy){.table = table, .address = address};
	if (v->by_table.used + 1 > 2 * (size_t)v->cap || v->by_address.used + 1 > 2 * (size_t)v->cap)
		index_again(v);
	enter(v, &v->by_table, table, number);
	enter(v, &v->by_address, (uintptr_t)address, number);
}
