/* SPDX-License-Identifier: MIT */
/* Bounds of memory. The record of a bound is never freed, because blocks of a state that has closed may still refer to
 * it; it is used again once nothing is charged to it.
 *
 * The table of addresses is in shards, each a hash table with open addressing: from an entry's own place to the entry
 * no place is free. */
#include "base/memory_budget.h"
#include <stdlib.h>
#include "base/fork.h"
#include "base/hash.h"
#include "base/lock.h"

struct vai__budget {
	struct vai__budget *next;
	_Atomic(int64_t) most, taken;
	bool open; /* under the gate */
};

enum { SHARDS = 32, FIRST = 256 };

struct entry {
	uintptr_t p; /* 0: free */
	struct vai__budget *b;
};

struct shard {
	_Alignas(VAI_CACHELINE) struct vai_lock lock;
	struct entry *entries; /* under lock, as the next two */
	size_t size, used;     /* a power of two, or 0; at most half of it is used */
};

atomic_bool vai__memory_budget_any;
struct vai__budget *(*vai__memory_budget_self)(void);
static struct vai__budget *budgets; /* under the gate */
static struct shard shards[SHARDS];

__attribute__((constructor)) static void init_shards(void)
{
	for (int i = 0; i < SHARDS; i++) {
		vai__lock_init(&shards[i].lock, VAI_RANK_MEM);
		vai__fork_holds(&shards[i].lock, VAI_RANK_MEM);
	}
}

/* ---- bounds ---- */

struct vai__budget *vai__memory_budget_open(size_t bytes)
{
	struct vai__budget *b = budgets;
	while (b && (b->open || atomic_load_relaxed(&b->taken) != 0))
		b = b->next;
	if (!b) {
		b = calloc(1, sizeof *b);
		if (!b)
			return NULL;
		b->next = budgets;
		budgets = b;
	}
	b->open = true;
	atomic_store_relaxed(&b->most, bytes < INT64_MAX / 2 ? (int64_t)bytes : INT64_MAX / 2);
	atomic_store_relaxed(&vai__memory_budget_any, true);
	return b;
}

void vai__memory_budget_close(struct vai__budget *b)
{
	if (b)
		b->open = false;
}

void vai__memory_budget_end(void)
{
	atomic_store_relaxed(&vai__memory_budget_any, false);
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &shards[i];
		vai__lock(&s->lock);
		struct entry *old = s->entries;
		s->entries = NULL;
		s->size = s->used = 0;
		vai__unlock(&s->lock);
		free(old);
	}
	for (struct vai__budget *b = budgets; b; b = b->next) {
		b->open = false;
		atomic_store_relaxed(&b->taken, 0);
	}
}

bool vai__memory_budget_charge(struct vai__budget *b, size_t bytes)
{
	if (!b)
		return true;
	if (bytes >= (size_t)INT64_MAX / 2)
		return false;
	int64_t before = atomic_fetch_add_relaxed(&b->taken, (int64_t)bytes);
	if (before + (int64_t)bytes <= atomic_load_relaxed(&b->most))
		return true;
	atomic_fetch_sub_relaxed(&b->taken, (int64_t)bytes);
	return false;
}

void vai__memory_budget_give(struct vai__budget *b, size_t bytes)
{
	if (VAI_UNLIKELY(b != NULL))
		atomic_fetch_sub_relaxed(&b->taken, (int64_t)bytes);
}

void vai__memory_budget_widen(int64_t bytes)
{
	struct vai__budget *b = atomic_load_relaxed(&vai__memory_budget_any) ? vai__memory_budget_self() : NULL;
	if (b)
		atomic_fetch_sub_relaxed(&b->taken, bytes);
}

/* ---- the table of addresses ---- */

static struct shard *shard_of(uintptr_t p)
{
	return &shards[vai__hash_word(p) >> 59];
}

static size_t home_of(const struct shard *s, uintptr_t p)
{
	return (size_t)(vai__hash_word(p) >> 24) & (s->size - 1);
}

/* The place of p, or the free one where it goes. */
static size_t place_of(const struct shard *s, uintptr_t p)
{
	size_t i = home_of(s, p);
	while (s->entries[i].p != 0 && s->entries[i].p != p)
		i = (i + 1) & (s->size - 1);
	return i;
}

/* Puts all entries of the shard into a table of that size, and returns the old one. */
static struct entry *move_to(struct shard *s, struct entry *fresh, size_t size)
{
	struct entry *old = s->entries;
	const size_t n = s->size;
	s->entries = fresh;
	s->size = size;
	for (size_t i = 0; i < n; i++)
		if (old[i].p != 0)
			s->entries[place_of(s, old[i].p)] = old[i];
	return old;
}

/* Doubles the shard, which is locked before and afterwards but not meanwhile. False: out of memory. */
static bool grow(struct shard *s)
{
	const size_t size = s->size ? 2 * s->size : FIRST;
	vai__unlock(&s->lock);
	struct entry *fresh = calloc(size, sizeof *fresh);
	vai__lock(&s->lock);
	if (fresh && size > s->size)
		fresh = move_to(s, fresh, size);
	else if (!fresh)
		return false;
	vai__unlock(&s->lock);
	free(fresh);
	vai__lock(&s->lock);
	return true;
}

bool vai__memory_budget_note(const void *p, struct vai__budget *b)
{
	struct shard *s = shard_of((uintptr_t)p);
	bool room = true;
	vai__lock(&s->lock);
	while (room && 2 * (s->used + 1) > s->size)
		room = grow(s);
	if (room) {
		struct entry *e = &s->entries[place_of(s, (uintptr_t)p)];
		s->used += e->p == 0;
		*e = (struct entry){(uintptr_t)p, b};
	}
	vai__unlock(&s->lock);
	return room;
}

/* Frees place i. Entries behind it move up, unless one would come to lie before its own place. */
static void close_gap(struct shard *s, size_t i)
{
	const size_t mask = s->size - 1;
	for (size_t k = (i + 1) & mask; s->entries[k].p != 0; k = (k + 1) & mask) {
		if (((k - home_of(s, s->entries[k].p)) & mask) < ((k - i) & mask))
			continue;
		s->entries[i] = s->entries[k];
		i = k;
	}
	s->entries[i].p = 0;
	s->used--;
}

struct vai__budget *vai__memory_budget_forget(const void *p)
{
	struct shard *s = shard_of((uintptr_t)p);
	struct vai__budget *b = NULL;
	vai__lock(&s->lock);
	size_t i = s->used > 0 ? place_of(s, (uintptr_t)p) : 0;
	if (s->used > 0 && s->entries[i].p != 0) {
		b = s->entries[i].b;
		close_gap(s, i);
	}
	vai__unlock(&s->lock);
	return b;
}
