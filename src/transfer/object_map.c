/* SPDX-License-Identifier: MIT */
/* The hash table of an encoder's map: open addressing, at most half full. */
#include "transfer/object_map.h"
#include "base/hash.h"
#include "base/mem.h"

enum { FIRST_CAP = 64 };

static struct vai__seen_entry *slot_of(const struct vai__object_map *s, const void *key)
{
	size_t i = (size_t)vai__hash_word((uintptr_t)key) & (s->cap - 1);
	while (s->table[i].key && s->table[i].key != key)
		i = (i + 1) & (s->cap - 1);
	return &s->table[i];
}

static bool grow(struct vai__object_map *s)
{
	size_t old_cap = s->cap, cap = old_cap ? old_cap * 4 : FIRST_CAP;
	struct vai__seen_entry *old = old_cap ? s->table : s->few;
	struct vai__seen_entry *fresh = vai__mem_zalloc(cap * sizeof *fresh);
	if (!fresh)
		return false;
	s->table = fresh;
	s->cap = cap;
	for (size_t i = 0; i < (old_cap ? old_cap : s->n); i++)
		if (old[i].key)
			*slot_of(s, old[i].key) = old[i];
	if (old_cap)
		vai__mem_free(old, old_cap * sizeof *old);
	return true;
}

uint64_t *vai__object_map_put_slow(struct vai__object_map *s, const void *key, uint64_t value, bool *found)
{
	if (2 * (s->n + 1) > s->cap && !grow(s))
		return NULL;
	struct vai__seen_entry *e = slot_of(s, key);
	*found = e->key != NULL;
	if (!*found) {
		*e = (struct vai__seen_entry){key, value};
		s->n++;
	}
	return &e->value;
}

void vai__object_map_free(struct vai__object_map *s)
{
	if (s->cap)
		vai__mem_free(s->table, s->cap * sizeof *s->table);
	vai__seen_init(s);
}
