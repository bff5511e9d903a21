/* SPDX-License-Identifier: MIT */
/* Blocks by size class. A thread's cache keeps two magazines a class (Bonwick and Adams,
 * "Magazines and Vmem"): a full one moves to the shared list whole, an empty one is
 * replaced whole, so a shared lock is taken once per magazine and no list is walked.
 *
 * Invariants: a block is in one place only: with its user, in one magazine, or in one
 * chain of the shared list or its loose blocks. Spans are never unmapped. A chain links through the first
 * word of its blocks; the second word of its first block links chains. */
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/base.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/san.h"

enum {
	SMALL_STEP = 16,
	SMALL_MAX = 256,
	SMALL_CLASSES = SMALL_MAX / SMALL_STEP,
	STEP_BITS = 4,
	STEPS = 1 << STEP_BITS, /* classes per doubling above SMALL_MAX: at most 6.25 % wasted */
	SMALL_MSB = 8,
	MAX_SIZE = 65536,
	CLASSES = SMALL_CLASSES + 8 * STEPS,
	MAGAZINE_BYTES = 32768,
	FIRST_SPAN = 262144,
	HUGE_SPAN = 2097152
};

struct block {
	struct block *next;
	struct block *next_chain;
};

struct magazine {
	struct block *head;
	unsigned count;
};

struct cache {
	struct magazine active[CLASSES];
	struct block *spare[CLASSES]; /* NULL or one full magazine */
};

static unsigned class_of(size_t size)
{
	if (size <= SMALL_MAX)
		return (unsigned)((size + (size == 0) + SMALL_STEP - 1) / SMALL_STEP - 1);
	unsigned msb = 63u - (unsigned)__builtin_clzl(size - 1);
	return SMALL_CLASSES + (msb - SMALL_MSB) * STEPS + (unsigned)((size - 1) >> (msb - STEP_BITS)) - STEPS;
}

static size_t class_size(unsigned c)
{
	if (c < SMALL_CLASSES)
		return (c + 1) * (size_t)SMALL_STEP;
	unsigned q = c - SMALL_CLASSES, msb = SMALL_MSB + q / STEPS;
	return ((size_t)1 << msb) + ((size_t)(q % STEPS + 1) << (msb - STEP_BITS));
}

size_t vai__mem_round(size_t size)
{
#ifdef VAI_VALGRIND
	return size; /* so that it sees where a block ends */
#endif
	return size > MAX_SIZE ? size : class_size(class_of(size));
}

#ifdef VAI_NO_CACHES

void *vai__mem_alloc(size_t size)
{
	return malloc(vai__mem_round(size));
}

void vai__mem_free(void *p, size_t size)
{
	(void)size;
	free(p);
}

void vai__mem_thread_exit(void)
{
}

#else

static struct shared {
	_Alignas(VAI_CACHELINE) struct vai_lock lock;
	struct block *chains;
	struct block *loose; /* fewer than a full magazine, of threads that have ended */
	unsigned nloose;
	char *cursor, *end; /* what is left of the newest span */
	bool grown;
	unsigned magazine; /* blocks in a full magazine; set once at load */
} shared[CLASSES];

/* The pointer alone is thread-local: a dlopened object has little static TLS to ask for. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct cache *tls_cache;

static VAI_NOINLINE struct cache *self(void)
{
	__asm__ volatile("" ::: "memory");
	if (VAI_UNLIKELY(!tls_cache))
		tls_cache = calloc(1, sizeof(struct cache));
	return tls_cache;
}

/* A class that outgrows its first span gets huge pages: one fault in place of 512. */
static bool new_span(struct shared *s)
{
	size_t want = s->grown ? HUGE_SPAN : FIRST_SPAN, map = s->grown ? 2 * (size_t)HUGE_SPAN : FIRST_SPAN;
	char *p = mmap(NULL, map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	if (s->grown) {
		char *aligned = (char *)(((uintptr_t)p + HUGE_SPAN - 1) & ~(uintptr_t)(HUGE_SPAN - 1));
		if (aligned > p)
			munmap(p, (size_t)(aligned - p));
		munmap(aligned + HUGE_SPAN, (size_t)(p + map - (aligned + HUGE_SPAN)));
		madvise(aligned, HUGE_SPAN, MADV_HUGEPAGE);
		p = aligned;
	}
	s->cursor = p;
	s->end = p + want;
	s->grown = true;
	return true;
}

static struct block *carve(struct shared *s, size_t size, unsigned n, unsigned *got)
{
	struct block *head = NULL;
	*got = 0;
	while (*got < n) {
		if ((size_t)(s->end - s->cursor) < size) {
			if (*got > 0 || !new_span(s))
				break;
		}
		struct block *b = (struct block *)(void *)s->cursor;
		s->cursor += size;
		b->next = head;
		head = b;
		(*got)++;
	}
	return head;
}

/* Fills an empty magazine. */
static bool refill(struct magazine *mag, unsigned c)
{
	struct shared *s = &shared[c];
	size_t size = class_size(c);
	vai__lock(&s->lock);
	if (s->chains) {
		mag->head = s->chains;
		mag->count = s->magazine;
		s->chains = s->chains->next_chain;
	} else if (s->loose) {
		mag->head = s->loose;
		mag->count = s->nloose;
		s->loose = NULL;
		s->nloose = 0;
	} else {
		mag->head = carve(s, size, s->magazine, &mag->count);
	}
	vai__unlock(&s->lock);
	return mag->head != NULL;
}

static void give_chain(struct block *head, unsigned c)
{
	struct shared *s = &shared[c];
	vai__lock(&s->lock);
	head->next_chain = s->chains;
	s->chains = head;
	vai__unlock(&s->lock);
}

static VAI_NOINLINE void *alloc_slow(struct cache *cache, unsigned c)
{
	struct magazine *mag = &cache->active[c];
	if (cache->spare[c]) {
		mag->head = cache->spare[c];
		mag->count = shared[c].magazine;
		cache->spare[c] = NULL;
	} else if (!refill(mag, c)) {
		return NULL;
	}
	struct block *b = mag->head;
	mag->head = b->next;
	mag->count--;
	return b;
}

void *vai__mem_alloc(size_t size)
{
	if (VAI_UNLIKELY(size > MAX_SIZE))
		return malloc(size);
	struct cache *cache = self();
	if (VAI_UNLIKELY(!cache))
		return NULL;
	unsigned c = class_of(size);
	struct magazine *mag = &cache->active[c];
	struct block *b = mag->head;
	if (VAI_UNLIKELY(!b))
		return alloc_slow(cache, c);
	mag->head = b->next;
	mag->count--;
	return b;
}

static VAI_NOINLINE void magazine_full(struct cache *cache, unsigned c)
{
	struct magazine *mag = &cache->active[c];
	if (cache->spare[c])
		give_chain(cache->spare[c], c);
	cache->spare[c] = mag->head;
	mag->head = NULL;
	mag->count = 0;
}

/* A block whose owner has no cache and can get none goes unused: better than failing. */
void vai__mem_free(void *p, size_t size)
{
	if (!p)
		return;
	if (VAI_UNLIKELY(size > MAX_SIZE)) {
		free(p);
		return;
	}
	struct cache *cache = self();
	if (VAI_UNLIKELY(!cache))
		return;
	unsigned c = class_of(size);
	struct magazine *mag = &cache->active[c];
	struct block *b = p;
	b->next = mag->head;
	mag->head = b;
	if (VAI_UNLIKELY(++mag->count >= shared[c].magazine))
		magazine_full(cache, c);
}

/* Every shared chain is a full magazine: what a part-filled one holds is collected until it
 * makes one. */
static void give_magazine(struct magazine *mag, unsigned c)
{
	struct shared *s = &shared[c];
	vai__lock(&s->lock);
	for (struct block *b = mag->head, *next; b; b = next) {
		next = b->next;
		b->next = s->loose;
		s->loose = b;
		if (++s->nloose < s->magazine)
			continue;
		b->next_chain = s->chains;
		s->chains = b;
		s->loose = NULL;
		s->nloose = 0;
	}
	vai__unlock(&s->lock);
}

void vai__mem_thread_exit(void)
{
	struct cache *cache = tls_cache;
	if (!cache)
		return;
	for (unsigned c = 0; c < CLASSES; c++) {
		if (cache->spare[c])
			give_chain(cache->spare[c], c);
		if (cache->active[c].head)
			give_magazine(&cache->active[c], c);
	}
	free(cache);
	tls_cache = NULL;
}

__attribute__((constructor)) static void init_shared(void)
{
	for (unsigned c = 0; c < CLASSES; c++) {
		size_t n = MAGAZINE_BYTES / class_size(c);
		shared[c].magazine = n < 4 ? 4 : n > 64 ? 64 : (unsigned)n;
		vai__lock_init(&shared[c].lock, VAI_RANK_MEM);
		vai__fork_holds(&shared[c].lock, VAI_RANK_MEM);
	}
}

#endif

void *vai__mem_zalloc(size_t size)
{
	void *p = vai__mem_alloc(size);
	if (p)
		memset(p, 0, size);
	return p;
}
