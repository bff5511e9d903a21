/* SPDX-License-Identifier: MIT */
/* Shapes: the keys of small records, in the order in which Lua hands them out. One that comes
 * again and again gets a number, which stands for its keys in messages (transfer/small_table.c). Shapes
 * are few, shared by all states, and stay until the process ends. Any thread may call. */
#ifndef VAI_SHAPE_H
#define VAI_SHAPE_H

#include <stddef.h>
#include <stdint.h>

enum { VAI__SHAPE_KEYS = 16 /* the most keys of one */ };

struct vai__key {
	const char *s;
	size_t len;
};

struct vai__shape_key {
	struct vai__key key;  /* s ends with a zero and holds no other */
	uint64_t first, last; /* vai__hash_ends of it */
};

struct vai__shape {
	uint64_t hash;
	uint16_t id; /* 1 and up; 0: no keys at all */
	uint8_t nkeys;
	struct vai__shape_key keys[];
};

/* The shape with these n keys, in this order; NULL: they have none, or not yet. */
const struct vai__shape *vai__shape_find(const struct vai__key *keys, unsigned n);
/* The shape of a number that came in a message. */
const struct vai__shape *vai__shape_get(unsigned id);

#endif
