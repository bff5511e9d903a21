/* SPDX-License-Identifier: MIT */
/* Frozen tables: a graph of tables in one block outside all Lua heaps, which nobody changes once it is made. Any
 * number of threads may read it; whoever does has a reference to the block. A table in it is told by its place. */
#ifndef VAI_FROZEN_H
#define VAI_FROZEN_H

#include <string.h>
#include "base/base.h"
#include "base/obj.h"

enum vai__frozen_tag {
	FROZEN_NIL,
	FROZEN_FALSE,
	FROZEN_TRUE,
	FROZEN_INTEGER,
	FROZEN_FLOAT,
	FROZEN_LIGHT,
	FROZEN_STRING, /* word: its place */
	FROZEN_TABLE,  /* word: its place */
	FROZEN_OBJECT  /* word: a struct vai_obj, to which the block has a reference */
};

struct vai__frozen_value {
	uint64_t word;
	enum vai__frozen_tag tag;
};

/* A string as a key that is looked for: bytes and length in place of a place. */
struct vai__frozen_key {
	enum vai__frozen_tag tag;
	uint64_t word; /* or the length */
	const char *bytes;
};

/* Words: a table is its shape's place and the length of its array, one word, then the words of the array's values and
 * of the shape's, then as many tags of a byte. A shape is the set of keys that a table has besides its array; tables
 * with the same keys share it. Places count words, for strings bytes. */
typedef struct vai_frozen {
	struct vai_obj obj;
	uint64_t *tables, *shapes;
	char *strings; /* each with its length before it, and a zero behind it */
	struct vai_obj **objects;
	size_t nobjects;
	uint64_t root;
	size_t bytes;                    /* of memory */
	struct vai__budget *budget;      /* whom it is charged to, or NULL */
	void (*unref)(struct vai_obj *); /* gives back one of the objects */
} vai_frozen;
extern const struct vai_class vai__frozen_class;

/* How many values its array has: those of the keys from 1 on. */
static inline uint64_t vai__frozen_length(const vai_frozen *f, uint64_t table)
{
	return f->tables[table] & UINT32_MAX;
}

/* How many keys it has besides its array. */
uint64_t vai__frozen_keys(const vai_frozen *f, uint64_t table);
/* The value of a key of the table; its kind is FROZEN_NIL where the key is not there. */
struct vai__frozen_value vai__frozen_get(const vai_frozen *f, uint64_t table, const struct vai__frozen_key *key);
/* Where the key stands in the order of vai__frozen_at: from 1 on; 0: it is not there. */
uint64_t vai__frozen_find(const vai_frozen *f, uint64_t table, const struct vai__frozen_key *key);
/* The first entry behind the `after`th that is not nil: its number, or 0 at the end. */
uint64_t vai__frozen_next(const vai_frozen *f, uint64_t table, uint64_t after, struct vai__frozen_value *key,
	struct vai__frozen_value *value);
/* Whether `key` is the key of the entry with this number. */
bool vai__frozen_is_at(const vai_frozen *f, uint64_t table, uint64_t number, const struct vai__frozen_key *key);

/* The bytes of the string at that place, with a zero behind them; *len: how many. */
static inline const char *vai__frozen_string(const vai_frozen *f, uint64_t place, size_t *len)
{
	uint64_t n;
	memcpy(&n, f->strings + place, sizeof n);
	*len = (size_t)n;
	return f->strings + place + sizeof n;
}

/* One table of a block, for messages. */
struct vai__frozen_ref {
	struct vai_obj obj;
	vai_frozen *block; /* one reference */
	uint64_t table;
};
extern const struct vai_class vai__frozen_ref_class;
/* A reference to one table of a block, which takes a reference to the block. NULL: out of memory. */
struct vai__frozen_ref *vai__frozen_ref_new(vai_frozen *f, uint64_t table);

#endif
