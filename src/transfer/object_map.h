/* SPDX-License-Identifier: MIT */
/* What an encoder has met so far: a map from addresses to 64 bits. The first few entries lie in the map itself and
 * are searched one by one; with more of them it is a hash table. */
#ifndef VAI_OBJECT_MAP_H
#define VAI_OBJECT_MAP_H

#include "base/base.h"

enum { SEEN_FEW = 8 };

struct vai__seen_entry {
	const void *key;
	uint64_t value;
};

struct vai__object_map {
	size_t n, cap; /* how many there are, and the size of `table`; 0: all of them are in `few` */
	struct vai__seen_entry *table;
	struct vai__seen_entry few[SEEN_FEW];
};

static inline void vai__seen_init(struct vai__object_map *s)
{
	s->n = 0;
	s->cap = 0;
}

/* Frees the hash table, if there is one; *s itself is the caller's. */
void vai__object_map_free(struct vai__object_map *s);
/* vai__seen_put, where there is no table yet or it may have to grow. */
uint64_t *vai__object_map_put_slow(struct vai__object_map *s, const void *key, uint64_t value, bool *found);

/* Returns the place of the key's value, to which `value` goes if the key is new (*found is false). It is valid until
 * the next call. NULL: out of memory. */
static inline uint64_t *vai__seen_put(struct vai__object_map *s, const void *key, uint64_t value, bool *found)
{
	if (s->cap)
		return vai__object_map_put_slow(s, key, value, found);
	for (size_t i = 0; i < s->n; i++) {
		if (s->few[i].key == key) {
			*found = true;
			return &s->few[i].value;
		}
	}
	if (s->n == SEEN_FEW)
		return vai__object_map_put_slow(s, key, value, found);
	*found = false;
	s->few[s->n] = (struct vai__seen_entry){key, value};
	return &s->few[s->n++].value;
}

#endif
