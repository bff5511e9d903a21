/* SPDX-License-Identifier: MIT */
/* The freezer: makes what frozen.c reads. Tables, shapes, strings and objects grow in a buffer each, and are named by
 * their place in it, never by an address, as buffers move. Equal strings are stored once, and tables with the same keys
 * share a shape, so a thousand records have one. A place of 0 says that memory is out: the first words of each buffer
 * are never given out. One thread at a time uses a freezer. */
#include "data/freeze.h"
#include "base/heap.h"
#include "base/memory_budget.h"
#include "base/mem.h"
#include "data/frozen_private.h"

enum { CAP_FIRST = 64, SHARED_KEYS = 64 /* for tables with more keys no shape is looked for */ };

/* ---- maps ---- */

/* Returns the first pair with that key, or the free pair where it belongs. Keys are hashes or addresses. Several pairs
 * may have the same hash (place_after), for the caller to compare what they stand for. At most half of the pairs are in
 * use, so every search ends. */
static struct vai__freeze_pair *place_in(const struct vai__freeze_map *m, uint64_t key)
{
	size_t i = vai__hash_word(key) & (m->cap - 1);
	while (m->pairs[i].value && m->pairs[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return &m->pairs[i];
}

/* Returns the next pair with the same key, or the free pair. */
static struct vai__freeze_pair *place_after(const struct vai__freeze_map *m, struct vai__freeze_pair *p)
{
	const uint64_t key = p->key;
	do {
		p = p + 1 == m->pairs + m->cap ? m->pairs : p + 1;
	} while (p->value && p->key != key);
	return p;
}

static bool grow_map(struct vai__freeze_map *m)
{
	struct vai__freeze_map wide = {.cap = m->cap ? 2 * m->cap : CAP_FIRST, .n = m->n};
	wide.pairs = vai__heap_zero(wide.cap, sizeof *wide.pairs);
	if (!wide.pairs)
		return false;
	for (size_t i = 0; i < m->cap; i++) {
		if (!m->pairs[i].value)
			continue;
		struct vai__freeze_pair *p = place_in(&wide, m->pairs[i].key);
		while (p->value)
			p = place_after(&wide, p);
		*p = m->pairs[i];
	}
	vai__heap_free(m->pairs);
	*m = wide;
	return true;
}

/* Makes sure that one more pair can be filled; called before its place is looked for. False: out of memory. */
static bool room_in(struct vai__freeze_map *m)
{
	return 2 * m->n < m->cap || grow_map(m);
}

static void put_in(struct vai__freeze_map *m, struct vai__freeze_pair *p, uint64_t key, uint64_t value)
{
	*p = (struct vai__freeze_pair){key, value};
	m->n++;
}

/* ---- its life ---- */

bool vai__freeze_init(struct vai__freezer *z)
{
	static const uint64_t nothing[2] = {(uint64_t)1 << 32, 0};
	*z = (struct vai__freezer){.tables = {0}};
	/* uses up place 0, which means failure, and in the shapes is the one without keys */
	return vai__buffer_add(&z->tables, nothing, sizeof nothing) &&
		vai__buffer_add(&z->shapes, nothing, sizeof nothing) && vai__buffer_add(&z->strings, nothing, sizeof nothing) &&
		grow_map(&z->by_string) && grow_map(&z->by_shape) && grow_map(&z->by_address);
}

void vai__freeze_free(struct vai__freezer *z, void (*unref)(struct vai_obj *))
{
	struct vai_obj **objects = (struct vai_obj **)(void *)z->objects.p;
	for (size_t i = 0; i < z->objects.n / sizeof(void *); i++)
		unref(objects[i]);
	vai__buffer_free(&z->tables);
	vai__buffer_free(&z->shapes);
	vai__buffer_free(&z->strings);
	vai__buffer_free(&z->objects);
	vai__buffer_free(&z->keys);
	vai__heap_free(z->by_string.pairs);
	vai__heap_free(z->by_shape.pairs);
	vai__heap_free(z->by_address.pairs);
}

/* ---- strings ---- */

/* A string is its length, its bytes, and one to eight zeros: so it ends with a zero, as Lua's do, and the next length
 * is aligned. */
uint64_t vai__freeze_string(struct vai__freezer *z, const char *s, size_t len)
{
	static const char zeros[8];
	const uint64_t hash = vai__hash_bytes(s, len), size = len;
	if (!room_in(&z->by_string))
		return 0;
	struct vai__freeze_pair *p = place_in(&z->by_string, hash);
	for (; p->value; p = place_after(&z->by_string, p)) {
		uint64_t there;
		memcpy(&there, z->strings.p + p->value, sizeof there);
		if (there == size && memcmp(z->strings.p + p->value + sizeof there, s, len) == 0)
			return p->value;
	}
	const size_t place = z->strings.n;
	if (!vai__buffer_reserve(&z->strings, sizeof size + len + 8))
		return 0;
	vai__buffer_add(&z->strings, &size, sizeof size);
	vai__buffer_add(&z->strings, s, len);
	vai__buffer_add(&z->strings, zeros, 8 - len % 8);
	put_in(&z->by_string, p, hash, place);
	return place;
}

/* ---- tables ---- */

uint64_t vai__freeze_met(const struct vai__freezer *z, const void *address)
{
	return place_in(&z->by_address, (uintptr_t)address)->value;
}

/* Appends n words of zeros. Returns the place of the first, or 0. */
static uint64_t add_words(struct vai__buffer *b, size_t n)
{
	const uint64_t place = b->n / sizeof(uint64_t);
	if (n > SIZE_MAX / 32 || !vai__buffer_reserve(b, n * sizeof(uint64_t)))
		return 0;
	memset(b->p + b->n, 0, n * sizeof(uint64_t));
	b->n += n * sizeof(uint64_t);
	return place;
}

static inline uint64_t *words_of(const struct vai__buffer *b)
{
	return (uint64_t *)(void *)b->p;
}

/* The table is entered by its address before its values are there, so that a table that holds itself finds itself. */
uint64_t vai__freeze_table(struct vai__freezer *z, const void *address, size_t length, size_t keys)
{
	const size_t size = length + keys;
	if (length > UINT32_MAX || keys > INT32_MAX || !room_in(&z->by_address))
		return 0;
	uint64_t place = add_words(&z->tables, 1 + size + (size + 7) / 8);
	if (!place)
		return 0;
	words_of(&z->tables)[place] = length;
	put_in(&z->by_address, place_in(&z->by_address, (uintptr_t)address), (uintptr_t)address, place);
	return place;
}

/* Takes over the reference to an object even if it fails. */
bool vai__freeze_value(struct vai__freezer *z, uint64_t table, size_t size, size_t n, struct vai__frozen_value value)
{
	uint64_t *words = words_of(&z->tables) + table + 1;
	if (value.tag == FROZEN_OBJECT) {
		struct vai_obj *o = (struct vai_obj *)(uintptr_t)value.word;
		if (!vai__buffer_add(&z->objects, &o, sizeof(void *))) {
			vai__obj_unref(o);
			return false;
		}
	}
	words[n] = value.word;
	((unsigned char *)(words + size))[n] = (unsigned char)value.tag;
	return true;
}

/* ---- shapes ---- */

bool vai__freeze_key(struct vai__freezer *z, struct vai__frozen_value key)
{
	return vai__buffer_add(&z->keys, &key, sizeof key);
}

static bool is_shape_of(const struct vai__freezer *z, uint64_t place, const struct vai__frozen_value *keys, size_t n)
{
	const uint64_t *shape = words_of(&z->shapes) + place;
	if (shape_keys(shape) != n)
		return false;
	const unsigned char *tags = (const unsigned char *)(shape + SHAPE_HEAD + n + shape_slots(shape));
	for (size_t i = 0; i < n; i++)
		if (shape[SHAPE_HEAD + i] != keys[i].word || tags[i] != keys[i].tag)
			return false;
	return true;
}

static uint64_t hash_of_key(const struct vai__freezer *z, const struct vai__frozen_value *v)
{
	struct vai__frozen_key key = {.tag = v->tag, .word = v->word};
	if (v->tag == FROZEN_STRING) {
		memcpy(&key.word, z->strings.p + v->word, sizeof key.word);
		key.bytes = z->strings.p + v->word + sizeof key.word;
	}
	return vai__frozen_hash(&key);
}

/* Makes a shape with half as many slots again as keys, rounded up to a power of two: at least one is free, which ends a
 * search (frozen.c). Its place has to fit into the upper half of a table's first word. */
static uint64_t new_shape(struct vai__freezer *z, const struct vai__frozen_value *keys, size_t n)
{
	size_t nslots = 2;
	while (nslots < n + n / 2 + 1)
		nslots *= 2;
	uint64_t place = add_words(&z->shapes, SHAPE_HEAD + n + nslots + (n + 7) / 8);
	if (!place || place > UINT32_MAX)
		return 0;
	uint64_t *shape = words_of(&z->shapes) + place, *slots = shape + SHAPE_HEAD + n;
	unsigned char *tags = (unsigned char *)(slots + nslots);
	*shape = (uint64_t)nslots << 32 | n;
	for (size_t i = 0; i < n; i++) {
		uint32_t hash = (uint32_t)hash_of_key(z, &keys[i]);
		size_t k = hash & (nslots - 1);
		while (slots[k])
			k = (k + 1) & (nslots - 1);
		slots[k] = (uint64_t)hash << 32 | (i + 1);
		shape[SHAPE_HEAD + i] = keys[i].word;
		tags[i] = (unsigned char)keys[i].tag;
	}
	return place;
}

/* The place of the shape with these keys in this order; makes it if there is none. Tables with many keys are mostly
 * maps with keys of their own: to look for a shape like theirs would cost more than it saves. */
static uint64_t find_shape(struct vai__freezer *z, const struct vai__frozen_value *keys, size_t n)
{
	uint64_t hash = n;
	if (n > SHARED_KEYS)
		return new_shape(z, keys, n);
	for (size_t i = 0; i < n; i++)
		hash = vai__hash_step(hash, keys[i].word * 16 + keys[i].tag);
	if (!room_in(&z->by_shape))
		return 0;
	struct vai__freeze_pair *p = place_in(&z->by_shape, hash);
	for (; p->value; p = place_after(&z->by_shape, p))
		if (is_shape_of(z, p->value, keys, n))
			return p->value;
	uint64_t place = new_shape(z, keys, n);
	if (place)
		put_in(&z->by_shape, p, hash, place);
	return place;
}

/* The keys of nested tables lie on one stack in z->keys; the last n are this table's. */
bool vai__freeze_close(struct vai__freezer *z, uint64_t table, size_t n)
{
	if (n == 0)
		return true;
	z->keys.n -= n * sizeof(struct vai__frozen_value);
	uint64_t place = find_shape(z, (const struct vai__frozen_value *)(const void *)(z->keys.p + z->keys.n), n);
	words_of(&z->tables)[table] |= place << 32;
	return place != 0;
}

/* ---- the block ---- */

/* Takes the buffer's memory, cut to what is used. */
static void *take(struct vai__buffer *b, size_t *bytes)
{
	void *p = b->n ? vai__heap_resize(b->p, b->n) : NULL;
	if (!p)
		p = b->p;
	*bytes += b->n;
	*b = (struct vai__buffer){0};
	return p;
}

/* Moves the buffers into a block, which nobody changes any more. The sandbox's budget is charged for all of it before
 * anything is moved, so after a refusal the freezer is whole. */
vai_frozen *vai__freeze_end(struct vai__freezer *z, uint64_t root, void (*unref)(struct vai_obj *))
{
	const size_t bytes = z->tables.n + z->shapes.n + z->strings.n + z->objects.n;
	struct vai__budget *budget;
	if (!vai__memory_budget_take(bytes, &budget))
		return NULL;
	vai_frozen *f = vai__mem_zalloc(sizeof *f);
	if (!f) {
		vai__memory_budget_give(budget, bytes);
		return NULL;
	}
	vai__obj_init(&f->obj, &vai__frozen_class);
	f->budget = budget;
	f->bytes = sizeof *f;
	f->nobjects = z->objects.n / sizeof(void *);
	f->tables = take(&z->tables, &f->bytes);
	f->shapes = take(&z->shapes, &f->bytes);
	f->strings = take(&z->strings, &f->bytes);
	f->objects = take(&z->objects, &f->bytes);
	f->root = root;
	f->unref = unref;
	return f;
}
