/* SPDX-License-Identifier: MIT */
/* A map that all goroutines share. Keys are booleans, numbers and strings; values are messages, which it neither
 * reads nor writes. Any thread may call, without locks held; none of the calls parks. */
#ifndef VAI_MAP_H
#define VAI_MAP_H

#include "base/base.h"
#include "base/obj.h"

typedef struct vai_map vai_map; /* a struct vai_obj */
extern const struct vai_class vai__map_class;

enum vai__map_kind { VAI_KEY_NONE, VAI_KEY_FALSE, VAI_KEY_TRUE, VAI_KEY_INTEGER, VAI_KEY_FLOAT, VAI_KEY_STRING };

/* Equal keys of Lua have one form: floats with an integer value are integers, and there is no NaN. */
struct vai__map_key {
	enum vai__map_kind kind;
	uint64_t word;     /* the number's bits, or a string's length */
	const char *bytes; /* of a string; borrowed */
};

/* A message. With an owner it belongs to that, and whoever has the value has one reference to the owner;
 * without, it owns nothing. */
struct vai__map_value {
	vai_msg msg;
	struct vai_obj *owner;
};

static inline void vai__map_value_drop(struct vai__map_value *v)
{
	if (v->owner)
		vai__obj_unref(v->owner);
	v->owner = NULL;
}

/* NULL when out of memory. */
vai_map *vai__map_new(void);
/* False: the key is not there. *version (or NULL) is never 0, and another one after each change of the key's value. */
bool vai__map_get(vai_map *m, const struct vai__map_key *key, struct vai__map_value *value, uint64_t *version);

enum vai__map_change { VAI_MAP_KEEP, VAI_MAP_STORE, VAI_MAP_REMOVE };
/* What a change makes of a key: called under a lock, so it neither raises, allocates nor drops anything. old is NULL
 * where the key is not there. It may read *old, and fill *now for VAI_MAP_STORE. */
typedef enum vai__map_change vai__map_fn(
	void *arg, const struct vai__map_value *old, uint64_t version, struct vai__map_value *now);
/* Calls fn for the key; calls for one key come one after the other. Where the key was there (*had), *before gets its
 * value with a reference, unless before is NULL. 1: something was stored or removed, 0: nothing, VAI_ENOMEM: fn was not
 * called. */
int vai__map_change(
	vai_map *m, const struct vai__map_key *key, vai__map_fn *fn, void *arg, struct vai__map_value *before, bool *had);
/* The same for what needs no room: where the key has a value that owns nothing, fn may change that in place, and says
 * whether it has. False: it has not, or was not called. */
typedef bool vai__map_edit_fn(void *arg, vai_msg *msg);
bool vai__map_edit(vai_map *m, const struct vai__map_key *key, vai__map_edit_fn *fn, void *arg);
/* Removes all keys at one moment. What was in it is dropped on the calling thread, under no lock. */
void vai__map_clear(vai_map *m);
/* The number of keys; exact only while nobody changes the map. */
size_t vai__map_length(vai_map *m);

/* All that is in the map at one moment. Who calls vai__map_next for a snapshot gets another part of it each time. */
typedef struct vai_snapshot vai_snapshot; /* a struct vai_obj */
extern const struct vai_class vai__snapshot_class;

/* NULL when out of memory. */
vai_snapshot *vai__map_snapshot(vai_map *m);
/* The next key and value, borrowed from the snapshot; false at the end. */
bool vai__map_next(vai_snapshot *s, struct vai__map_key *key, const struct vai__map_value **value);

#endif
