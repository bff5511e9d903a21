/* SPDX-License-Identifier: MIT */
/* Frozen tables: a graph of tables in one block outside all Lua heaps, which never changes once it is made. Any number
 * of threads may read it, each with a reference to the block; no call parks. A table in the block is named by its
 * place. */
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

/* A key to look for: a string is given by its bytes and length, as it has no place in the block. */
struct vai__frozen_key {
	enum vai__frozen_tag tag;
	uint64_t word; /* or the string's length */
	const char *bytes;
};

/* The form of a block. A table is: one word, with the place of its shape and the length of its array; the words of the
 * array's values; the words of the values of the shape's keys; and a tag of one byte for each value. A shape is the set
 * of keys that a table has besides its array; tables with the same keys in the same order share it. Places count words,
 * those of strings bytes. */
typedef struct vai_frozen {
	struct vai_obj obj;
	uint64_t *tables, *shapes;
	char *strings; /* each with its length before it and a zero behind it */
	struct vai_obj **objects;
	size_t nobjects;
	uint64_t root;
	size_t bytes;                    /* the memory of the block */
	struct vai__budget *budget;      /* the sandbox's budget that they are charged to, or NULL */
	void (*unref)(struct vai_obj *); /* gives back a reference to one of the objects */
} vai_frozen;
extern const struct vai_class vai__frozen_class;

/* The length of the table's array: the values of the keys 1, 2, ... */
static inline uint64_t vai__frozen_length(const vai_frozen *f, uint64_t table)
{
	return f->tables[table] & UINT32_MAX;
}

/* The number of keys that the table has besides its array. */
uint64_t vai__frozen_keys(const vai_frozen *f, uint64_t table);
/* The value of a key; its tag is FROZEN_NIL if the table has no such key. */
struct vai__frozen_value vai__frozen_get(const vai_frozen *f, uint64_t table, const struct vai__frozen_key *key);
/* The number of the key's entry, from 1 on; 0: the table has no such key. */
uint64_t vai__frozen_find(const vai_frozen *f, uint64_t table, const struct vai__frozen_key *key);
/* The first entry after number `after` (0: from the start) whose value is not nil: returns its number, or 0 at the
 * end. */
uint64_t vai__frozen_next(const vai_frozen *f, uint64_t table, uint64_t after, struct vai__frozen_value *key,
	struct vai__frozen_value *value);
/* Whether `key` is the key of the entry with this number. */
bool vai__frozen_is_at(const vai_frozen *f, uint64_t table, uint64_t number, const struct vai__frozen_key *key);

/* The string at that place, which a zero ends; *len: its length in bytes. */
static inline const char *vai__frozen_string(const vai_frozen *f, uint64_t place, size_t *len)
{
	uint64_t n;
	memcpy(&n, f->strings + place, sizeof n);
	*len = (size_t)n;
	return f->strings + place + sizeof n;
}

/* One table of a block, to send in messages. */
struct vai__frozen_ref {
	struct vai_obj obj;
	vai_frozen *block; /* one reference */
	uint64_t table;
};
extern const struct vai_class vai__frozen_ref_class;
/* A reference to one table of a block, which takes a reference to the block. NULL: out of memory. */
struct vai__frozen_ref *vai__frozen_ref_new(vai_frozen *f, uint64_t table);

#endif
