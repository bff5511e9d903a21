/* SPDX-License-Identifier: MIT */
/* Making frozen tables, without Lua: strings, then tables with room for so many values, then what is in them. One
 * thread at a time uses a freezer. Where memory is out, calls return 0 or false, and the freezer can only be freed. */
#ifndef VAI_FREEZE_H
#define VAI_FREEZE_H

#include "base/buffer.h"
#include "data/frozen.h"

struct vai__freeze_pair {
	uint64_t key, value; /* value 0: it is free */
};

struct vai__freeze_map {
	struct vai__freeze_pair *pairs;
	size_t n, cap;
};

struct vai__freezer {
	struct vai__buffer tables, shapes, strings, objects;
	struct vai__buffer keys; /* of tables in work, the inner one's last: struct vai__frozen_value */
	struct vai__freeze_map by_string, by_shape, by_address;
};

/* Begins. *z is not initialised before; it is freed in any case. */
bool vai__freeze_init(struct vai__freezer *z);
/* Gives back all that it has, references to objects, too. */
void vai__freeze_free(struct vai__freezer *z, void (*unref)(struct vai_obj *));

/* The place of the string. */
uint64_t vai__freeze_string(struct vai__freezer *z, const char *s, size_t len);
/* The place of the table that was made for this address, or 0. */
uint64_t vai__freeze_met(const struct vai__freezer *z, const void *address);
/* The place of a new table, for this address. */
uint64_t vai__freeze_table(struct vai__freezer *z, const void *address, size_t length, size_t keys);
/* Sets the nth value, from 0 on, of a table with `size` values in all. Takes over the reference to an object. */
bool vai__freeze_value(struct vai__freezer *z, uint64_t table, size_t size, size_t n, struct vai__frozen_value value);
/* The next key of the innermost table in work. */
bool vai__freeze_key(struct vai__freezer *z, struct vai__frozen_value key);
/* The table has got all its values; its n keys are the last ones that were given. */
bool vai__freeze_close(struct vai__freezer *z, uint64_t table, size_t n);
/* The block, with one reference, or NULL. The freezer is to be freed all the same. */
vai_frozen *vai__freeze_end(struct vai__freezer *z, uint64_t root, void (*unref)(struct vai_obj *));

#endif
