/* SPDX-License-Identifier: MIT */
/* The shared map: SHARDS hash tables, each with a lock, so that goroutines on several processors seldom meet. The upper
 * bits of a key's hash say its shard, the lower ones its place there: open addressing with linear probing. A removal
 * closes the gap, so there are no tombstones and no table wears out.
 *
 * Under a shard's lock:
 *
 * - entries[0 .. cap) holds n entries, cap is 0 or a power of two, and n < cap: a search ends at a free entry.
 *
 * - from an entry's own place (hash & (cap - 1)) to where it lies, no entry is free.
 *
 * Memory is allocated before a lock is taken and freed after it is released; values are dropped after it, too. Long
 * keys have a reference count, as snapshots share them. Only a snapshot and clear hold more than one lock: all of them,
 * taken in the order of their addresses. Any thread may call. */
#include "data/map.h"
#include <string.h>
#include <sys/auxv.h>
#include "base/hash.h"
#include "base/lock.h"
#include "base/mem.h"

enum { SHARDS = 64, SHARD_SHIFT = 58, CAP_MIN = 8, NEAR = 16 };

/* The bytes of a string key that is too long to lie in its entry. */
struct far_key {
	atomic_uint refs;
	size_t len;
	char bytes[];
};

struct entry {
	uint64_t hash, version;
	uint64_t kind : 8, len : 56; /* VAI_KEY_NONE: it is free */
	union {
		uint64_t word;
		char near[NEAR];
		struct far_key *far;
	} key;
	struct vai__map_value value;
};

struct shard {
	struct vai_lock lock;
	size_t n, cap;
	_Atomic(size_t) used; /* n, for vai__map_length, which takes no lock */
	uint64_t versions;
	struct entry *entries;
	char rest[VAI_CACHELINE / 4]; /* so that the locks of two shards share no cache line */
};

struct vai_map {
	struct vai_obj obj;
	uint64_t seed, seed_last;
	struct shard shards[SHARDS];
};

/* ---- entries ---- */

static void release_key(const struct entry *e)
{
	struct far_key *far = e->key.far;
	if (e->kind == VAI_KEY_STRING && e->len > NEAR && atomic_fetch_sub_acq_rel(&far->refs, 1) == 1)
		vai__mem_free(far, sizeof *far + far->len);
}

/* Gives back what the first n entries own. */
static void release_all(struct entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (entries[i].kind == VAI_KEY_NONE)
			continue;
		release_key(&entries[i]);
		vai__map_value_drop(&entries[i].value);
	}
}

static const char *bytes_of(const struct entry *e)
{
	return e->len > NEAR ? e->key.far->bytes : e->key.near;
}

/* Mixes the two words of a short key by both halves of one product. Without the seeds nobody can tell which words make
 * it 0. */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
	const unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline __attribute__((always_inline)) uint64_t hash_of(const vai_map *m, const struct vai__map_key *key)
{
	const uint64_t form = key->word ^ (uint64_t)key->kind << 56;
	if (VAI_LIKELY(key->kind == VAI_KEY_STRING && key->word <= NEAR)) {
		uint64_t first, last;
		vai__hash_ends(key->bytes, (size_t)key->word, &first, &last);
		return vai__hash_step(fold(first ^ m->seed, last ^ m->seed_last), form);
	}
	uint64_t h = vai__hash_step(m->seed, form);
	if (key->kind == VAI_KEY_STRING)
		h = vai__hash_more(h, key->bytes, (size_t)key->word);
	return vai__hash_step(h, m->seed);
}

static inline bool same_key(const struct entry *e, uint64_t hash, const struct vai__map_key *key)
{
	if (e->hash != hash || e->kind != (uint64_t)key->kind)
		return false;
	if (key->kind != VAI_KEY_STRING)
		return key->kind < VAI_KEY_INTEGER || e->key.word == key->word;
	return e->len == key->word && vai__same_bytes(bytes_of(e), key->bytes, (size_t)key->word);
}

/* The key's entry, or the free one where its search ends; NULL: there is no table yet. */
static inline struct entry *find(const struct shard *s, uint64_t hash, const struct vai__map_key *key)
{
	if (VAI_UNLIKELY(s->cap == 0))
		return NULL;
	for (size_t i = hash & (s->cap - 1);; i = (i + 1) & (s->cap - 1)) {
		struct entry *e = &s->entries[i];
		if (e->kind == VAI_KEY_NONE || same_key(e, hash, key))
			return e;
	}
}

static inline struct shard *shard_of(vai_map *m, uint64_t hash)
{
	return &m->shards[hash >> SHARD_SHIFT];
}

/* ---- the map's life ---- */

static void destroy(struct vai_obj *o)
{
	vai_map *m = VAI_CONTAINER(o, vai_map, obj);
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &m->shards[i];
		release_all(s->entries, s->cap);
		vai__mem_free(s->entries, s->cap * sizeof *s->entries);
	}
	vai__mem_free(m, sizeof *m);
}

const struct vai_class vai__map_class = {"map", destroy};

/* Random bytes that the kernel gave this process, so that nobody outside can tell which keys meet. */
static uint64_t secret(void)
{
	uint64_t word = 0;
	const void *random = (const void *)(uintptr_t)getauxval(AT_RANDOM);
	if (random)
		memcpy(&word, random, sizeof word);
	return word;
}

vai_map *vai__map_new(void)
{
	vai_map *m = vai__obj_new(sizeof *m, &vai__map_class);
	if (!m)
		return NULL;
	m->seed = vai__hash_word((uintptr_t)m ^ secret());
	m->seed_last = vai__hash_step(m->seed, secret());
	for (int i = 0; i < SHARDS; i++)
		vai__lock_init(&m->shards[i].lock, VAI_RANK_MAP);
	return m;
}

/* ---- other sizes; under the shard's lock ---- */

static void count(struct shard *s, size_t n)
{
	s->n = n;
	atomic_store_relaxed(&s->used, n);
}

/* Moves all entries to the free array `fresh`. Returns the old array. */
static struct entry *move_to(struct shard *s, struct entry *fresh, size_t cap)
{
	struct entry *old = s->entries;
	for (size_t k = 0; k < s->cap; k++) {
		if (old[k].kind == VAI_KEY_NONE)
			continue;
		size_t i = old[k].hash & (cap - 1);
		while (fresh[i].kind != VAI_KEY_NONE)
			i = (i + 1) & (cap - 1);
		fresh[i] = old[k];
	}
	s->entries = fresh;
	s->cap = cap;
	return old;
}

/* Gives the shard another size. Its lock is released and taken again, so what was found in it may be anywhere
 * afterwards. False: out of memory. */
static VAI_NOINLINE bool resize(struct shard *s, size_t cap)
{
	const size_t had = s->cap;
	vai__unlock(&s->lock);
	struct entry *fresh = cap <= SIZE_MAX / sizeof *fresh ? vai__mem_zalloc(cap * sizeof *fresh) : NULL;
	vai__lock(&s->lock);
	if (!fresh)
		return false;
	size_t waste = cap;
	if (s->cap == had && s->n < cap - cap / 4) {
		fresh = move_to(s, fresh, cap);
		waste = had;
	}
	vai__unlock(&s->lock);
	if (fresh)
		vai__mem_free(fresh, waste * sizeof *fresh);
	vai__lock(&s->lock);
	return true;
}

static bool is_full(const struct shard *s)
{
	return s->n >= s->cap - s->cap / 4;
}

/* Frees the entry e and closes the gap: entries behind it that may lie there move up. */
static void close_gap(struct shard *s, struct entry *e)
{
	const size_t mask = s->cap - 1;
	size_t gap = (size_t)(e - s->entries);
	for (size_t i = (gap + 1) & mask; s->entries[i].kind != VAI_KEY_NONE; i = (i + 1) & mask) {
		size_t home = s->entries[i].hash & mask;
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		s->entries[gap] = s->entries[i];
		gap = i;
	}
	s->entries[gap].kind = VAI_KEY_NONE;
	count(s, s->n - 1);
}

/* ---- reading ---- */

bool vai__map_get(vai_map *m, const struct vai__map_key *key, struct vai__map_value *value, uint64_t *version)
{
	uint64_t hash = hash_of(m, key);
	struct shard *s = shard_of(m, hash);
	vai__lock(&s->lock);
	struct entry *e = find(s, hash, key);
	bool found = e && e->kind != VAI_KEY_NONE;
	if (found) {
		*value = e->value;
		if (value->owner)
			vai__obj_ref(value->owner);
		if (version)
			*version = e->version;
	}
	vai__unlock(&s->lock);
	return found;
}

size_t vai__map_length(vai_map *m)
{
	size_t n = 0;
	for (int i = 0; i < SHARDS; i++)
		n += atomic_load_relaxed(&m->shards[i].used);
	return n;
}

/* ---- changing ---- */

static struct far_key *copy_far(const struct vai__map_key *key)
{
	struct far_key *far = vai__mem_alloc(sizeof *far + (size_t)key->word);
	if (!far)
		return NULL;
	atomic_init(&far->refs, 1);
	far->len = (size_t)key->word;
	memcpy(far->bytes, key->bytes, far->len);
	return far;
}

/* The key's entry, with room for it if it is new, and *far: a copy of the key if it needs one. Takes the lock, also if
 * memory is out (NULL). */
static struct entry *find_place(struct shard *s, uint64_t hash, const struct vai__map_key *key, struct far_key **far)
{
	vai__lock(&s->lock);
	for (;;) {
		struct entry *e = find(s, hash, key);
		if (VAI_LIKELY(e && e->kind != VAI_KEY_NONE))
			return e;
		if (!e || is_full(s)) {
			if (!resize(s, s->cap ? 2 * s->cap : CAP_MIN))
				return NULL;
		} else if (key->kind == VAI_KEY_STRING && key->word > NEAR && !*far) {
			vai__unlock(&s->lock);
			*far = copy_far(key);
			vai__lock(&s->lock);
			if (!*far)
				return NULL;
		} else {
			return e;
		}
	}
}

/* Writes the key into a free entry. */
static void fill_key(struct entry *e, uint64_t hash, const struct vai__map_key *key, struct far_key **far)
{
	e->hash = hash;
	e->kind = (unsigned char)key->kind;
	e->len = 0;
	if (key->kind != VAI_KEY_STRING) {
		e->key.word = key->word;
		return;
	}
	e->len = key->word & (UINT64_MAX >> 8);
	if (key->word > NEAR) {
		e->key.far = *far;
		*far = NULL;
	} else {
		memcpy(e->key.near, key->bytes, (size_t)key->word);
	}
}

struct outcome {
	bool had, changed;
	struct vai__map_value before;
	struct entry removed; /* its key must be released */
};

/* Calls fn for the entry e, which is the key's or free, and does what fn has decided. */
static void apply(struct shard *s, struct entry *e, const struct vai__map_key *key, uint64_t hash, struct far_key **far,
	vai__map_fn *fn, void *arg, struct outcome *out)
{
	struct vai__map_value now;
	out->had = e->kind != VAI_KEY_NONE;
	enum vai__map_change what = fn(arg, out->had ? &e->value : NULL, out->had ? e->version : 0, &now);
	out->changed = what == VAI_MAP_STORE || (what == VAI_MAP_REMOVE && out->had);
	if (out->had)
		out->before = e->value;
	if (out->had && !out->changed && out->before.owner)
		vai__obj_ref(out->before.owner);
	if (what == VAI_MAP_STORE) {
		if (!out->had) {
			fill_key(e, hash, key, far);
			count(s, s->n + 1);
		}
		e->value = now;
		e->version = ++s->versions;
	} else if (out->changed) {
		out->removed = *e;
		close_gap(s, e);
	}
}

bool vai__map_edit(vai_map *m, const struct vai__map_key *key, vai__map_edit_fn *fn, void *arg)
{
	uint64_t hash = hash_of(m, key);
	struct shard *s = shard_of(m, hash);
	vai__lock(&s->lock);
	struct entry *e = find(s, hash, key);
	bool done = e && e->kind != VAI_KEY_NONE && !e->value.owner && fn(arg, &e->value.msg);
	if (done)
		e->version = ++s->versions;
	vai__unlock(&s->lock);
	return done;
}

int vai__map_change(
	vai_map *m, const struct vai__map_key *key, vai__map_fn *fn, void *arg, struct vai__map_value *before, bool *had)
{
	uint64_t hash = hash_of(m, key);
	struct shard *s = shard_of(m, hash);
	struct far_key *far = NULL;
	struct outcome out = {.removed = {.kind = VAI_KEY_NONE}};
	struct entry *e = find_place(s, hash, key, &far);
	if (e) {
		apply(s, e, key, hash, &far, fn, arg, &out);
		if (VAI_UNLIKELY(s->cap > CAP_MIN && s->n < s->cap / 8))
			(void)resize(s, s->cap / 2); /* without memory the table stays as it is */
	}
	vai__unlock(&s->lock);
	release_key(&out.removed);
	if (far)
		vai__mem_free(far, sizeof *far + far->len);
	if (had)
		*had = out.had;
	if (before)
		*before = out.before;
	else if (out.had)
		vai__map_value_drop(&out.before);
	return e ? out.changed : VAI_ENOMEM;
}

void vai__map_clear(vai_map *m)
{
	struct {
		struct entry *entries;
		size_t cap;
	} was[SHARDS];
	for (int i = 0; i < SHARDS; i++)
		vai__lock(&m->shards[i].lock);
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &m->shards[i];
		was[i].entries = s->entries;
		was[i].cap = s->cap;
		s->entries = NULL;
		s->cap = 0;
		count(s, 0);
		vai__unlock(&s->lock);
	}
	for (int i = 0; i < SHARDS; i++) {
		release_all(was[i].entries, was[i].cap);
		vai__mem_free(was[i].entries, was[i].cap * sizeof(struct entry));
	}
}

/* ---- snapshots ---- */

struct vai_snapshot {
	struct vai_obj obj;
	size_t n, cap;
	_Atomic(size_t) at;
	struct entry *entries; /* all entries, one after the other */
};

static void destroy_snapshot(struct vai_obj *o)
{
	vai_snapshot *s = VAI_CONTAINER(o, vai_snapshot, obj);
	release_all(s->entries, s->n);
	vai__mem_free(s->entries, s->cap * sizeof *s->entries);
	vai__mem_free(s, sizeof *s);
}

const struct vai_class vai__snapshot_class = {"map snapshot", destroy_snapshot};

static void copy_shard(vai_snapshot *to, const struct shard *s)
{
	for (size_t i = 0; i < s->cap; i++) {
		struct entry *e = &s->entries[i];
		if (e->kind == VAI_KEY_NONE)
			continue;
		if (e->kind == VAI_KEY_STRING && e->len > NEAR)
			atomic_fetch_add_relaxed(&e->key.far->refs, 1);
		if (e->value.owner)
			vai__obj_ref(e->value.owner);
		to->entries[to->n++] = *e;
	}
}

/* True: the snapshot has all of the map. False: the map has *n entries, more than there is room for. */
static bool try_copy(vai_snapshot *to, vai_map *m, size_t *n)
{
	*n = 0;
	for (int i = 0; i < SHARDS; i++) {
		vai__lock(&m->shards[i].lock);
		*n += m->shards[i].n;
	}
	bool fits = *n <= to->cap;
	for (int i = 0; i < SHARDS; i++) {
		if (fits)
			copy_shard(to, &m->shards[i]);
		vai__unlock(&m->shards[i].lock);
	}
	return fits;
}

vai_snapshot *vai__map_snapshot(vai_map *m)
{
	vai_snapshot *s = vai__mem_zalloc(sizeof *s);
	size_t n = vai__map_length(m);
	if (!s)
		return NULL;
	vai__obj_init(&s->obj, &vai__snapshot_class);
	do {
		if (s->entries)
			vai__mem_free(s->entries, s->cap * sizeof *s->entries);
		s->cap = n + n / 8 + 1;
		s->entries = vai__mem_alloc(s->cap * sizeof *s->entries);
		if (!s->entries) {
			vai__mem_free(s, sizeof *s);
			return NULL;
		}
	} while (!try_copy(s, m, &n));
	return s;
}

bool vai__map_next(vai_snapshot *s, struct vai__map_key *key, const struct vai__map_value **value)
{
	size_t at = atomic_load_relaxed(&s->at);
	if (at >= s->n || (at = atomic_fetch_add_relaxed(&s->at, 1)) >= s->n)
		return false;
	const struct entry *e = &s->entries[at];
	key->kind = (enum vai__map_kind)e->kind;
	key->word = e->kind == VAI_KEY_STRING ? e->len : e->key.word;
	key->bytes = e->kind == VAI_KEY_STRING ? bytes_of(e) : NULL;
	*value = &e->value;
	return true;
}
