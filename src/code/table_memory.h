/* SPDX-License-Identifier: MIT */
/* How Lua 5.4 has a table in memory. Nobody looks at one by this before vai__table_memory_known has said that this
 * Lua's tables are like that, which is found out by trying (table_memory.c). */
#ifndef VAI_TABLE_MEMORY_H
#define VAI_TABLE_MEMORY_H

#include "base/base.h"

/* What the value's or the key's tag says of it; with another one it is something else. */
enum {
	VAI__TAG_NO_KEY = 0, /* of a node that never had one */
	VAI__TAG_FALSE = 0x01,
	VAI__TAG_LIGHT = 0x02, /* a light userdata */
	VAI__TAG_INTEGER = 0x03,
	VAI__TAG_TRUE = 0x11,
	VAI__TAG_FLOAT = 0x13,
	VAI__TAG_STRING = 0x44, /* a short one: two that are equal are one object */
	VAI__TAG_LONG = 0x54,   /* a long string */
	VAI__TAG_TYPE = 0x0f    /* the bits that are zero of a value that is nil, in whichever way */
};

struct vai__string {
	char head[11];
	unsigned char length; /* of a short one */
	unsigned hash;
	size_t long_length;
	char bytes[];
};

struct vai__node {
	union {
		int64_t integer;
		double number;
		const struct vai__string *string;
		const void *light;
	} value;
	unsigned char tag, key_tag;
	int next; /* relative, so nodes may be copied */
	const void *key;
};

/* As lua_topointer gives it. lua_next goes through the array first, then through the nodes from 0 on. */
struct vai__table {
	char head[11];
	unsigned char exponent; /* there are 1 << exponent nodes */
	unsigned limit;
	const void *array;
	struct vai__node *nodes; /* one block */
	const void *last_free;   /* of a table to which nothing was added: behind the last node */
	const void *metatable;
};

/* Whether that is so, and a table with as many nodes as another one of its state, and none of them in use, becomes
 * equal to that one when it gets a copy of its nodes. (Unless the other one has metamethods, which a table notes not
 * to have.) */
bool vai__table_memory_known(void);

#endif
