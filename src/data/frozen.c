/* SPDX-License-Identifier: MIT */
/* Reading frozen tables. Nothing here takes a lock or an atomic operation: a block never changes, and its reader has a
 * reference to it, or to a ref of one of its tables. frozen.h and frozen_private.h tell its form. Keys of a shape are
 * found by open hashing, and a free slot ends a search, so there is always one. */
#include "data/frozen.h"
#include "base/heap.h"
#include "base/memory_budget.h"
#include "base/mem.h"
#include "data/frozen_private.h"

static void destroy(struct vai_obj *o)
{
	vai_frozen *f = VAI_CONTAINER(o, vai_frozen, obj);
	for (size_t i = 0; i < f->nobjects; i++)
		f->unref(f->objects[i]);
	vai__memory_budget_give(f->budget, f->bytes - sizeof *f);
	vai__heap_free(f->tables);
	vai__heap_free(f->shapes);
	vai__heap_free(f->strings);
	vai__heap_free(f->objects);
	vai__mem_free(f, sizeof *f);
}

const struct vai_class vai__frozen_class = {"frozen table", destroy};

static void destroy_ref(struct vai_obj *o)
{
	struct vai__frozen_ref *r = VAI_CONTAINER(o, struct vai__frozen_ref, obj);
	vai__obj_unref(&r->block->obj);
	vai__mem_free(r, sizeof *r);
}

const struct vai_class vai__frozen_ref_class = {"frozen table", destroy_ref};

struct vai__frozen_ref *vai__frozen_ref_new(vai_frozen *f, uint64_t table)
{
	struct vai__frozen_ref *r = vai__mem_alloc(sizeof *r);
	if (!r)
		return NULL;
	vai__obj_init(&r->obj, &vai__frozen_ref_class);
	vai__obj_ref(&f->obj);
	r->block = f;
	r->table = table;
	return r;
}

/* ---- shapes ---- */

static inline const uint64_t *shape_of(const vai_frozen *f, uint64_t table)
{
	return f->shapes + (f->tables[table] >> 32);
}

/* Compares keys: the tag tells integers, floats, booleans and strings apart, and strings are compared by their
 * bytes. */
static bool same_key(const vai_frozen *f, uint64_t word, unsigned tag, const struct vai__frozen_key *key)
{
	size_t len;
	if (tag != key->tag)
		return false;
	if (tag != FROZEN_STRING)
		return word == key->word;
	const char *s = vai__frozen_string(f, word, &len);
	return len == key->word && vai__same_bytes(s, key->bytes, len);
}

/* The key's number in the shape, from 0 on; the shape's number of keys if it has no such key. */
static inline uint64_t find_in(const vai_frozen *f, const uint64_t *shape, const struct vai__frozen_key *key)
{
	const uint64_t nkeys = shape_keys(shape), mask = shape_slots(shape) - 1;
	if (nkeys == 0)
		return 0;
	const uint32_t hash = (uint32_t)vai__frozen_hash(key);
	const uint64_t *slots = shape + SHAPE_HEAD + nkeys;
	const unsigned char *tags = (const unsigned char *)(slots + mask + 1);
	for (uint64_t i = hash & mask; slots[i]; i = (i + 1) & mask) {
		uint64_t n = (slots[i] & UINT32_MAX) - 1;
		if (slots[i] >> 32 == hash && same_key(f, shape[SHAPE_HEAD + n], tags[n], key))
			return n;
	}
	return nkeys;
}

/* ---- tables ---- */

uint64_t vai__frozen_keys(const vai_frozen *f, uint64_t table)
{
	return shape_keys(shape_of(f, table));
}

/* Value n (from 0 on) of the table's `size` values. The tags lie behind all words. */
static inline struct vai__frozen_value value_at(const vai_frozen *f, uint64_t table, uint64_t n, uint64_t size)
{
	const uint64_t *words = f->tables + table + 1;
	const unsigned char *tags = (const unsigned char *)(words + size);
	return (struct vai__frozen_value){words[n], (enum vai__frozen_tag)tags[n]};
}

/* Numbers count from 1, those of the array part first: so an index of the array is its own number, and 0 means that
 * there is no such key. */
uint64_t vai__frozen_find(const vai_frozen *f, uint64_t table, const struct vai__frozen_key *key)
{
	const uint64_t length = vai__frozen_length(f, table);
	if (key->tag == FROZEN_INTEGER && key->word - 1 < length)
		return key->word;
	const uint64_t *shape = shape_of(f, table);
	uint64_t n = find_in(f, shape, key);
	return n == shape_keys(shape) ? 0 : length + n + 1;
}

struct vai__frozen_value vai__frozen_get(const vai_frozen *f, uint64_t table, const struct vai__frozen_key *key)
{
	const uint64_t *shape = shape_of(f, table);
	const uint64_t length = vai__frozen_length(f, table), keys = shape_keys(shape);
	uint64_t n = key->word - 1;
	if (key->tag != FROZEN_INTEGER || n >= length) {
		n = find_in(f, shape, key);
		if (n == keys)
			return (struct vai__frozen_value){0, FROZEN_NIL};
		n += length;
	}
	return value_at(f, table, n, length + keys);
}

/* The reverse of vai__frozen_find: the key of value n, from 0 on. */
static struct vai__frozen_value key_at(const vai_frozen *f, uint64_t table, uint64_t n)
{
	const uint64_t length = vai__frozen_length(f, table);
	if (n < length)
		return (struct vai__frozen_value){n + 1, FROZEN_INTEGER};
	n -= length;
	const uint64_t *shape = shape_of(f, table);
	const uint64_t nkeys = shape_keys(shape);
	const unsigned char *tags = (const unsigned char *)(shape + SHAPE_HEAD + nkeys + shape_slots(shape));
	return (struct vai__frozen_value){shape[SHAPE_HEAD + n], (enum vai__frozen_tag)tags[n]};
}

/* Array parts may have holes (nil), which are passed over as lua_next does. */
uint64_t vai__frozen_next(
	const vai_frozen *f, uint64_t table, uint64_t after, struct vai__frozen_value *key, struct vai__frozen_value *value)
{
	const uint64_t size = vai__frozen_length(f, table) + vai__frozen_keys(f, table);
	for (; after < size; after++) {
		*value = value_at(f, table, after, size);
		if (value->tag == FROZEN_NIL)
			continue;
		*key = key_at(f, table, after);
		return after + 1;
	}
	return 0;
}

bool vai__frozen_is_at(const vai_frozen *f, uint64_t table, uint64_t number, const struct vai__frozen_key *key)
{
	if (number == 0 || number > vai__frozen_length(f, table) + vai__frozen_keys(f, table))
		return false;
	struct vai__frozen_value at = key_at(f, table, number - 1);
	return same_key(f, at.word, at.tag, key);
}
