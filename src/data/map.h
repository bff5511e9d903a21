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

/* Keys that are equal in Lua have one form: floats with an integer value are integers, and NaN is no key. */
struct vai__map_key {
	enum vai__map_kind kind;
	uint64_t word;     /* the number's bits, or the length of a string */
	const char *bytes; /* the bytes of a string; borrowed */
};

/* A message. If it has an owner, it belongs to the owner, and whoever has the value has one reference to that. Without
 * one the message owns nothing. */
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

/* A new, empty map with one reference for the caller. NULL: out of memory. */
vai_map *vai__map_new(void);
/* Reads a key's value, with a reference to its owner. False: the map has no such key. *version (unless NULL) is never
 * 0, and differs after each change of the key's value. */
bool vai__map_get(vai_map *m, const struct vai__map_key *key, struct vai__map_value *value, uint64_t *version);

enum vai__map_change { VAI_MAP_KEEP, VAI_MAP_STORE, VAI_MAP_REMOVE };
/* Decides what becomes of a key. Called under a lock, so it must not raise, allocate or drop anything. old is NULL if
 * the map has no such key. It may read *old, and fills *now for VAI_MAP_STORE. */
typedef enum vai__map_change vai__map_fn(
	void *arg, const struct vai__map_value *old, uint64_t version, struct vai__map_value *now);
/* Calls fn for the key; calls for one key never overlap. *had: whether the key was there; if so, *before (unless NULL)
 * is its old value, with a reference. 1: something was stored or removed; 0: nothing was; VAI_ENOMEM: fn was not
 * called. */
int vai__map_change(
	vai_map *m, const struct vai__map_key *key, vai__map_fn *fn, void *arg, struct vai__map_value *before, bool *had);
/* As vai__map_change, for a change that needs no memory: if the key has a value that owns nothing, fn may change that
 * value in place, and returns whether it has. False: it has not, or was not called. */
typedef bool vai__map_edit_fn(void *arg, vai_msg *msg);
bool vai__map_edit(vai_map *m, const struct vai__map_key *key, vai__map_edit_fn *fn, void *arg);
/* Removes all keys at one moment. The values are dropped on the calling thread, under no lock. */
void vai__map_clear(vai_map *m);
/* The number of keys; exact only while no other thread changes the map. */
size_t vai__map_length(vai_map *m);

/* A copy of all that was in the map at one moment. Each vai__map_next gives another part of it, also to several
 * callers. */
typedef struct vai_snapshot vai_snapshot; /* a struct vai_obj */
extern const struct vai_class vai__snapshot_class;

/* A snapshot with one reference for the caller. NULL: out of memory. */
vai_snapshot *vai__map_snapshot(vai_map *m);
/* The next key and value, borrowed from the snapshot; false at the end. */
bool vai__map_next(vai_snapshot *s, struct vai__map_key *key, const struct vai__map_value **value);

#endif
