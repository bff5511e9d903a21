/* SPDX-License-Identifier: MIT */
/* Free blocks of an arena: up to 1 kB in lists of one size, above that in bins of similar sizes.
 *
 * Blocks have no headers, so freeing one does not show which of its neighbours are free, too. Instead all free
 * blocks are marked now and then, in a bitmap with a bit for every 8 bytes, and what is marked in a row becomes one
 * block. arena.c says how often: it costs some 10 ns for each free block, and short-lived states never come to it.
 * The bitmap is not the arena's memory, so joining also works when the state's bound is reached. */
#include "state/arena_private.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum {
	GRAIN = 8, /* bytes for which the bitmap has one bit */
	WORD = 64, /* bits of a word */
	SEARCH = 8 /* free blocks of a bin that are looked at, at most, for one that is large enough */
};

/* A stretch of memory that blocks are cut from. */
struct region {
	char *from, *to;
	struct vai__chunk *chunk; /* NULL: the first chunk */
	uint64_t *bits;
};

/* The bitmap of all free memory, while it is joined. */
struct map {
	struct region *regions; /* by address */
	size_t n;
	struct region *last; /* where the last block was */
	size_t bytes;
};

/* ---- sizes ---- */

/* The sizes of the coarse classes: 720 is the first stack of a Lua state, others are hash parts of tables. */
const uint16_t vai__arena_coarse[] = {144, 160, 192, 224, 256, 320, 384, 448, 512, 640, 720, 768, 1024};

/* The class of a size, which is given in units of 16 bytes, rounded up. */
#define C VAI__ARENA_FINE
const uint8_t vai__arena_coarse_class[VAI__ARENA_SMALL / 16 + 1] = {0, 0, 0, 0, 0, 0, 0, 0, 0, C, C + 1, C + 2, C + 2,
	C + 3, C + 3, C + 4, C + 4, C + 5, C + 5, C + 5, C + 5, C + 6, C + 6, C + 6, C + 6, C + 7, C + 7, C + 7, C + 7,
	C + 8, C + 8, C + 8, C + 8, C + 9, C + 9, C + 9, C + 9, C + 9, C + 9, C + 9, C + 9, C + 10, C + 10, C + 10, C + 10,
	C + 10, C + 11, C + 11, C + 11, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12,
	C + 12, C + 12, C + 12, C + 12, C + 12, C + 12};
#undef C

void *const vai__arena_no_blocks[VAI__ARENA_CLASSES];

/* ---- bins ---- */

/* The bin of a size: there are four for each doubling. */
static unsigned bin_of(size_t size)
{
	unsigned msb = 63u - (unsigned)__builtin_clzl(size);
	unsigned bin = (msb - 10) * 4 + (unsigned)(size >> (msb - 2) & 3);
	return bin < VAI__ARENA_BINS ? bin : VAI__ARENA_BINS - 1;
}

static void push_run(struct vai__arena *a, char *p, size_t n)
{
	struct vai__run *run = (struct vai__run *)(void *)p;
	unsigned bin = bin_of(n);
	run->size = n;
	run->next = a->bins[bin];
	a->bins[bin] = run;
}

void vai__arena_spread(struct vai__arena *a, char *p, size_t n)
{
	if (n > VAI__ARENA_SMALL && !a->building) {
		if (VAI_UNLIKELY(!a->bins)) {
			size_t size = VAI__ARENA_BINS * sizeof(void *);
			a->bins = memset(p, 0, size);
			p += size;
			n -= size;
		}
		if (VAI_LIKELY(n > VAI__ARENA_SMALL)) {
			push_run(a, p, n);
			return;
		}
	}
	while (n >= GRAIN) {
		unsigned c = arena_class_of(n < VAI__ARENA_SMALL ? n : VAI__ARENA_SMALL);
		if (arena_class_size(c) > n)
			c--;
		*(void **)(void *)p = a->free[c];
		a->free[c] = p;
		p += arena_class_size(c);
		n -= arena_class_size(c);
	}
}

struct vai__run *vai__arena_find_run(struct vai__arena *a, size_t need)
{
	if (!a->bins)
		return NULL;
	unsigned bin = need > VAI__ARENA_SMALL ? bin_of(need) : 0;
	int looked = 0;
	for (struct vai__run **link = &a->bins[bin]; bin < VAI__ARENA_BINS; link = &a->bins[++bin], looked = 0) {
		while (*link && (*link)->size < need && ++looked < SEARCH)
			link = &(*link)->next;
		struct vai__run *run = *link;
		if (!run || run->size < need)
			continue;
		*link = run->next;
		return run;
	}
	return NULL;
}

/* ---- joining ---- */

static int by_address(const void *a, const void *b)
{
	const struct region *x = a, *y = b;
	return (x->from > y->from) - (x->from < y->from);
}

static void add_region(struct map *map, char *from, char *to, struct vai__chunk *chunk)
{
	map->regions[map->n++] = (struct region){from, to, chunk, NULL};
}

static size_t words_of(size_t bytes)
{
	return (bytes / GRAIN + WORD - 1) / WORD;
}

static size_t count_regions(const struct vai__arena *a, size_t *words)
{
	size_t n = 1;
	*words = words_of(a->first_size);
	for (const struct vai__chunk *chunk = a->chunks; chunk; chunk = chunk->next, n++)
		*words += words_of(chunk->size);
	return n;
}

/* Makes the map, in one block of memory: the regions, then their bits. False: out of memory. */
static bool make_map(struct map *map, struct vai__arena *a)
{
	size_t words, n = count_regions(a, &words);
	map->bytes = n * sizeof *map->regions + words * sizeof(uint64_t);
	map->regions = vai__mem_zalloc(map->bytes);
	if (!map->regions)
		return false;
	uint64_t *bits = (uint64_t *)(void *)(map->regions + n);
	map->n = 0;
	add_region(map, (char *)(a + 1), (char *)a + a->first_size, NULL);
	for (struct vai__chunk *chunk = a->chunks; chunk; chunk = chunk->next)
		add_region(map, (char *)(chunk + 1), (char *)chunk + chunk->size, chunk);
	qsort(map->regions, map->n, sizeof *map->regions, by_address);
	for (size_t i = 0; i < map->n; i++) {
		map->regions[i].bits = bits;
		bits += words_of((size_t)(map->regions[i].to - map->regions[i].from));
	}
	map->last = map->regions;
	return true;
}

static bool lies_in(const struct region *r, const char *p)
{
	return p >= r->from && p < r->to;
}

static struct region *find_region(struct map *map, const char *p)
{
	size_t low = 0, high = map->n;
	while (high - low > 1) {
		size_t middle = (low + high) / 2;
		if (map->regions[middle].from <= p)
			low = middle;
		else
			high = middle;
	}
	return lies_in(&map->regions[low], p) ? &map->regions[low] : NULL;
}

static void set_bits(uint64_t *bits, size_t from, size_t n)
{
	for (size_t end = from + n, next; from < end; from = next) {
		size_t in = from % WORD;
		next = end - from < WORD - in ? end : from + WORD - in;
		bits[from / WORD] |= (~(uint64_t)0 >> (WORD - (next - from))) << in;
	}
}

/* Marks n bytes at p as free. False: they lie in no chunk (the end of a big block that could not be made smaller). */
static bool mark(struct map *map, const char *p, size_t n)
{
	struct region *r = map->last;
	if (!lies_in(r, p)) {
		r = find_region(map, p);
		if (!r)
			return false;
		map->last = r;
	}
	set_bits(r->bits, (size_t)(p - r->from) / GRAIN, n / GRAIN);
	return true;
}

static void mark_list(struct map *map, struct vai__arena *a, unsigned c)
{
	void *p = a->free[c];
	a->free[c] = NULL;
	for (void *next; p; p = next) {
		next = *(void **)p;
		if (VAI_LIKELY(mark(map, p, arena_class_size(c))))
			continue;
		*(void **)p = a->free[c];
		a->free[c] = p;
	}
}

static void mark_bin(struct map *map, struct vai__arena *a, unsigned bin)
{
	struct vai__run *run = a->bins[bin];
	a->bins[bin] = NULL;
	for (struct vai__run *next; run; run = next) {
		next = run->next;
		if (!mark(map, (char *)run, run->size))
			push_run(a, (char *)run, run->size);
	}
}

static void mark_tails(struct map *map, struct vai__arena *a)
{
	for (struct vai__chunk *chunk = a->chunks; chunk; chunk = chunk->next) {
		if (chunk->tail)
			mark(map, (char *)chunk + chunk->size - chunk->tail, chunk->tail);
		chunk->tail = 0;
	}
}

static void mark_all(struct map *map, struct vai__arena *a)
{
	mark_tails(map, a);
	for (unsigned c = 0; c < VAI__ARENA_CLASSES; c++)
		mark_list(map, a, c);
	for (unsigned bin = 0; a->bins && bin < VAI__ARENA_BINS; bin++)
		mark_bin(map, a, bin);
	if (arena_left(a) > 0)
		mark(map, a->cursor, arena_left(a));
	a->cursor = a->end = NULL;
}

/* The first bit from `at` on that is `set`, or n. */
static size_t find_bit(const uint64_t *bits, size_t at, size_t n, bool set)
{
	while (at < n) {
		uint64_t word = (set ? bits[at / WORD] : ~bits[at / WORD]) >> at % WORD;
		if (word) {
			at += (size_t)__builtin_ctzl(word);
			return at < n ? at : n;
		}
		at += WORD - at % WORD;
	}
	return n;
}

/* Turns what is free of a region into blocks. */
static void cut_region(struct vai__arena *a, const struct region *r)
{
	size_t n = (size_t)(r->to - r->from) / GRAIN;
	for (size_t at = find_bit(r->bits, 0, n, true), end; at < n; at = find_bit(r->bits, end, n, true)) {
		end = find_bit(r->bits, at, n, false);
		vai__arena_spread(a, r->from + at * GRAIN, (end - at) * GRAIN);
	}
}

static bool is_free(const struct region *r)
{
	size_t n = (size_t)(r->to - r->from) / GRAIN;
	return find_bit(r->bits, 0, n, false) == n;
}

/* Goes through the regions from the highest down, so that lists begin low, and high chunks become free. */
static void cut_all(struct map *map, struct vai__arena *a)
{
	a->chunks = NULL;
	for (size_t i = map->n; i-- > 0;) {
		struct region *r = &map->regions[i];
		if (r->chunk && is_free(r)) {
			a->held -= r->chunk->size;
			vai__mem_free(r->chunk, r->chunk->size);
			continue;
		}
		if (r->chunk) {
			r->chunk->next = a->chunks;
			a->chunks = r->chunk;
		}
		cut_region(a, r);
	}
}

bool vai__arena_join(struct vai__arena *a)
{
	struct map map;
	if (!arena_has_lists(a) || a->building || !make_map(&map, a))
		return false;
	mark_all(&map, a);
	cut_all(&map, a);
	vai__mem_free(map.regions, map.bytes);
	return true;
}

/* ---- the lists' own memory ---- */

enum { LISTS = VAI__ARENA_CLASSES * sizeof(void *), BINS = VAI__ARENA_BINS * sizeof(void *) };

/* Whether there is nothing in the lists, after mark_all: no block lay outside of the chunks. */
static bool are_empty(const struct vai__arena *a)
{
	bool empty = true;
	for (unsigned c = 0; c < VAI__ARENA_CLASSES; c++)
		empty &= !a->free[c];
	for (unsigned bin = 0; a->bins && bin < VAI__ARENA_BINS; bin++)
		empty &= !a->bins[bin];
	return empty;
}

/* The first free stretch of at least that many bytes, or NULL. *any: whether anything is free at all. */
static char *find_place(const struct region *r, size_t bytes, bool *any)
{
	size_t n = (size_t)(r->to - r->from) / GRAIN;
	for (size_t at = find_bit(r->bits, 0, n, true), end; at < n; at = find_bit(r->bits, end, n, true)) {
		end = find_bit(r->bits, at, n, false);
		*any = true;
		if ((end - at) * GRAIN >= bytes)
			return r->from + at * GRAIN;
	}
	return NULL;
}

/* Where the lists of free blocks are to lie: not in a chunk that would be free without them, unless there is free
 * memory elsewhere, which needs lists, and no room for them there. NULL: no place was found; *any says whether there
 * is free memory that needs lists. */
static char *find_home(const struct map *map, bool *any)
{
	char *home = NULL, *in_free = NULL;
	bool whole;
	*any = false;
	for (size_t i = 0; i < map->n && !home; i++) {
		const struct region *r = &map->regions[i];
		if (!r->chunk || !is_free(r))
			home = find_place(r, LISTS, any);
		else if (!in_free)
			in_free = find_place(r, LISTS, &whole);
	}
	return home || !*any ? home : in_free;
}

static void unmark(struct map *map, const char *p, size_t n)
{
	const struct region *r = find_region(map, p);
	size_t from = (size_t)(p - r->from) / GRAIN;
	for (size_t i = from; i < from + n / GRAIN; i++)
		r->bits[i / WORD] &= ~((uint64_t)1 << i % WORD);
}

/* Moves the lists, which are empty, to a place where they keep no chunk from going back; the arena has no lists any
 * more if no memory will be free. The bins are made anew when they are needed. */
static void move_lists(struct map *map, struct vai__arena *a)
{
	bool any;
	if (!find_region(map, (char *)a->free) || (a->bins && !find_region(map, (char *)a->bins)))
		return;
	mark(map, (char *)a->free, LISTS);
	if (a->bins)
		mark(map, (char *)a->bins, BINS);
	a->bins = NULL;
	char *home = find_home(map, &any);
	if (!home && any)
		home = (char *)a->free;
	if (home) {
		unmark(map, home, LISTS);
		a->free = memset(home, 0, LISTS);
	} else {
		a->free = (void **)(uintptr_t)vai__arena_no_blocks;
		a->quota = -1;
	}
}

void vai__arena_trim(struct vai__arena *a)
{
	struct map map;
	if (!arena_has_lists(a) || a->building || !make_map(&map, a))
		return;
	mark_all(&map, a);
	if (are_empty(a))
		move_lists(&map, a);
	cut_all(&map, a);
	a->churn = 0;
	vai__mem_free(map.regions, map.bytes);
}
