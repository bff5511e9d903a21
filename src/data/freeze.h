/* SPDX-License-Identifier: MIT */
/* Making frozen tables, without Lua: strings, then tables with room for so many values, then what is in them. One
 * thread at a time uses a freezer; no call parks. If memory is out, calls return 0 or false, and the freezer can only
 * be freed. */
#ifndef VAI_FREEZE_H
#define VAI_FREEZE_H

#include "base/buffer.h"
#include "data/frozen.h"

struct vai__freeze_pair {
	uint64_t key, value; /* 0: the pair is free */
};

struct vai__freeze_map {
	struct vai__freeze_pair *pairs;
	size_t n, cap;
};

struct vai__freezer {
	struct vai__buffer tables, shapes, strings, objects;
	struct vai__buffer keys; /* of the tables in work, those of the innermost last: struct vai__frozen_value */
	struct vai__freeze_map by_string, by_shape, by_address;
};

/* Begins a freezer in *z. The caller frees it in any case. */
bool vai__freeze_init(struct vai__freezer *z);
/* Frees the freezer and gives back its references to objects. */
void vai__freeze_free(struct vai__freezer *z, void (*unref)(struct vai_obj *));

/* Adds a string, unless it is there already. Returns its place, or 0. */
uint64_t vai__freeze_string(struct vai__freezer *z, const char *s, size_t len);
/* The place of the table that was made for this address, or 0. */
uint64_t vai__freeze_met(const struct vai__freezer *z, const void *address);
/* Adds a table for this address, with room for `length` values of its array and `keys` others. Returns its place, or
 * 0. */
uint64_t vai__freeze_table(struct vai__freezer *z, const void *address, size_t length, size_t keys);
/* Sets value n (from 0 on) of a table with `size` values in all. Takes over the reference to an object, also if it
 * fails. */
bool vai__freeze_value(struct vai__freezer *z, uint64_t table, size_t size, size_t n, struct vai__frozen_value value);
/* Gives the next key of the innermost table in work. */
bool vai__freeze_key(struct vai__freezer *z, struct vai__frozen_value key);
/* Ends a table that has all its values; its n keys are the last n that were given. */
bool vai__freeze_close(struct vai__freezer *z, uint64_t table, size_t n);
/* Makes the block of all tables; `root` is the place of its outermost. Returns one reference, or NULL. The freezer must
 * be freed all the same. */
vai_frozen *vai__freeze_end(struct vai__freezer *z, uint64_t root, void (*unref)(struct vai_obj *));

#endif
