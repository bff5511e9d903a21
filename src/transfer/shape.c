/* SPDX-License-Identifier: MIT */
/* The table of shapes. It is only added to, under the lock, and read without: an entry of
 * the index is published after the shape that it names. */
#include "transfer/shape.h"
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/fork.h"
#include "base/hash.h"

enum {
	MAX_SHAPES = 1024, /* the most shapes: a script that makes keys up must not fill memory with them */
	INDEX = 4 * MAX_SHAPES,
	PROBES = 64,   /* entries of the index in which a shape may be: too few only for keys made to collide */
	SIGHTINGS = 4, /* how often keys are met until they have a shape */
	COUNTED = 256,
	COUNT = 7 /* the bits of a count in `sightings` */
};

static const struct vai__shape empty;
static struct vai_lock lock;
static _Atomic(unsigned) nshapes = 1; /* written under the lock */
static _Atomic(const struct vai__shape *) by_id[MAX_SHAPES] = {&empty};
static _Atomic(uint16_t) by_hash[INDEX];     /* an id, 0: free */
static _Atomic(uint64_t) sightings[COUNTED]; /* a hash; the bits COUNT tell roughly how often it came */

__attribute__((constructor)) static void init_lock(void)
{
	vai__lock_init(&lock, VAI_RANK_CODE);
	vai__fork_holds(&lock, VAI_RANK_CODE);
}

/* The last step is for keys that differ in their last bytes alone: without it these would not reach the upper bits. */
static uint64_t hash_keys(const struct vai__key *keys, unsigned n)
{
	uint64_t h = n;
	for (unsigned i = 0; i < n; i++)
		h = vai__hash_more(h + keys[i].len, keys[i].s, keys[i].len);
	return vai__hash_step(h, n);
}

static inline bool is_key(const struct vai__shape_key *k, const struct vai__key *key)
{
	uint64_t first, last;
	if (k->key.len != key->len)
		return false;
	vai__hash_ends(key->s, key->len, &first, &last);
	return first == k->first && last == k->last && (key->len <= 16 || memcmp(key->s, k->key.s, key->len) == 0);
}

static inline bool has_keys(const struct vai__shape *s, const struct vai__key *keys, unsigned n)
{
	if (s->nkeys != n)
		return false;
	while (n > 0 && is_key(&s->keys[n - 1], &keys[n - 1]))
		n--;
	return n == 0;
}

/* Returns the shape; NULL: there is none, and *at is its place in the index (-1: there is no place). */
static const struct vai__shape *probe(uint64_t hash, const struct vai__key *keys, unsigned n, int *at)
{
	for (unsigned i = 0; i < PROBES; i++) {
		*at = (int)((hash + i) % INDEX);
		unsigned id = atomic_load_acquire(&by_hash[*at]);
		if (id == 0)
			return NULL;
		const struct vai__shape *s = vai__shape_get(id);
		if (s->hash == hash && has_keys(s, keys, n))
			return s;
	}
	*at = -1;
	return NULL;
}

/* Whether the keys have been met SIGHTINGS times since they were last due. It is a guess: threads may lose each other's
 * counts, and keys push out others. A set of keys has two places, and chance decides in which one it pushes out
 * another, so that sets which come by turns do not do that to each other for ever. */
static VAI_NOINLINE bool is_due(uint64_t hash)
{
	static _Thread_local __attribute__((tls_model("initial-exec"))) uint32_t chance;
	_Atomic(uint64_t) *const places[2] = {&sightings[hash / 8 % COUNTED], &sightings[(hash >> 32) % COUNTED]};
	const uint64_t none = hash & ~(uint64_t)COUNT;
	for (int i = 0; i < 2; i++) {
		uint64_t count = atomic_load_relaxed(places[i]) - none;
		if (count >= 1 && count <= COUNT) {
			bool due = count + 1 >= SIGHTINGS;
			atomic_store_relaxed(places[i], due ? 0 : none + count + 1);
			return due;
		}
	}
	chance = chance * 1664525 + 1013904223; /* Numerical Recipes */
	atomic_store_relaxed(places[chance >> 31], none + 1);
	return false;
}

static struct vai__shape *make(uint64_t hash, const struct vai__key *keys, unsigned n)
{
	size_t size = sizeof(struct vai__shape) + n * sizeof(struct vai__shape_key);
	for (unsigned i = 0; i < n; i++) {
		if (memchr(keys[i].s, 0, keys[i].len))
			return NULL;
		size += keys[i].len + 1;
	}
	struct vai__shape *s = malloc(size);
	if (!s)
		return NULL;
	*s = (struct vai__shape){.hash = hash, .nkeys = (uint8_t)n};
	char *to = (char *)&s->keys[n];
	for (unsigned i = 0; i < n; i++) {
		memcpy(to, keys[i].s, keys[i].len);
		to[keys[i].len] = 0;
		s->keys[i].key = (struct vai__key){to, keys[i].len};
		vai__hash_ends(to, keys[i].len, &s->keys[i].first, &s->keys[i].last);
		to += keys[i].len + 1;
	}
	return s;
}

static VAI_NOINLINE const struct vai__shape *add(uint64_t hash, const struct vai__key *keys, unsigned n)
{
	const struct vai__shape *found;
	int at;
	if (atomic_load_relaxed(&nshapes) == MAX_SHAPES)
		return NULL;
	struct vai__shape *s = make(hash, keys, n);
	if (!s)
		return NULL;
	vai__lock(&lock);
	found = probe(hash, keys, n, &at);
	const unsigned id = atomic_load_relaxed(&nshapes);
	if (!found && at >= 0 && id < MAX_SHAPES) {
		s->id = (uint16_t)id;
		atomic_store_relaxed(&nshapes, id + 1);
		atomic_store_relaxed(&by_id[s->id], s);
		atomic_store_release(&by_hash[at], s->id);
		found = s;
	}
	vai__unlock(&lock);
	if (found != s)
		free(s);
	return found;
}

/* The shape that this thread found last, which is often the next one, too. */
static _Thread_local __attribute__((tls_model("initial-exec"))) const struct vai__shape *recent = &empty;

VAI_NOINLINE const struct vai__shape *vai__shape_find(const struct vai__key *keys, unsigned n)
{
	int at;
	if (VAI_LIKELY(has_keys(recent, keys, n)))
		return recent;
	if (n == 0)
		return &empty;
	uint64_t hash = hash_keys(keys, n);
	const struct vai__shape *found = probe(hash, keys, n, &at);
	if (!VAI_LIKELY(found) && at >= 0 && is_due(hash))
		found = add(hash, keys, n);
	if (found)
		recent = found;
	return found;
}

const struct vai__shape *vai__shape_get(unsigned id)
{
	return atomic_load_acquire(&by_id[id]);
}
