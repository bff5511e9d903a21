/* SPDX-License-Identifier: MIT */
/* Blocks by size class. A thread's cache keeps two magazines a class (Bonwick and Adams,
 * "Magazines and Vmem"): a full one moves to the shared list whole, an empty one is
 * replaced whole, so a shared lock is taken once per magazine and no list is walked.
 *
 * Invariants: a block is in one place only: with its user, in one magazine, in one chain of
 * the shared list or its loose blocks, or with the scavenger. A chain links through the first
 * word of its blocks; the second word of its first block links chains. A class's first span
 * stays for ever; another is unmapped when the scavenger has all its blocks in hand, so a block
 * that was freed must not be looked at, not even to find out that it was. */
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/base.h"
#include "base/big.h"
#include "base/heap.h"
#include "base/memory_budget.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/san.h"

enum {
	SMALL_STEP = 16,
	SMALL_MAX = 256,
	SMALL_CLASSES = SMALL_MAX / SMALL_STEP,
	STEP_BITS = 4,
	STEPS =
		1 << STEP_BITS, /* classes for each doubling of the size above SMALL_MAX: at most 6.25 % of a block is wasted */
	SMALL_MSB = 8,
	FINE_MSB = 12, /* from 4 kB to 16 kB, where Lua's states are, sizes are 128 bytes apart, and odd numbers of cache */
	FINE_STEP = 2 * VAI_CACHELINE, /* lines: states that lay 8 kB apart would compete for the same sets of the caches */
	FINE_MIN = (1 << FINE_MSB) + VAI_CACHELINE,
	COARSE_MSB = 14,
	MAX_SIZE = 65536,
	FINE_FIRST = SMALL_CLASSES + (FINE_MSB - SMALL_MSB) * STEPS,
	FINE_CLASSES = ((1 << COARSE_MSB) - FINE_MIN + FINE_STEP - 1) / FINE_STEP + 1,
	COARSE_FIRST = FINE_FIRST + FINE_CLASSES,
	CLASSES = COARSE_FIRST + (16 - COARSE_MSB) * STEPS,
	MAGAZINE_BYTES = 32768,
	PAGE = 4096,
	FIRST_SPAN = 262144,
	HUGE_SPAN = 2097152,
	SPAN_HEAD = 64,
	BIG = 32768,
	STEP = 64,      /* chains that the scavenger takes under one hold of the lock */
	WORTH = 1048576 /* the least bytes of a class that the scavenger looks through */
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

static VAI_NOINLINE unsigned class_of_large(size_t size)
{
	unsigned msb = 63u - (unsigned)__builtin_clzl(size - 1), step = (unsigned)((size - 1) >> (msb - STEP_BITS)) - STEPS;
	if (msb < FINE_MSB)
		return SMALL_CLASSES + (msb - SMALL_MSB) * STEPS + step;
	if (msb >= COARSE_MSB)
		return COARSE_FIRST + (msb - COARSE_MSB) * STEPS + step;
	return FINE_FIRST + (unsigned)(size - FINE_MIN + FINE_STEP - 1) / FINE_STEP;
}

static inline unsigned class_of(size_t size)
{
	return VAI_LIKELY(size <= SMALL_MAX) ? (unsigned)((size + (size == 0) + SMALL_STEP - 1) / SMALL_STEP - 1)
										 : class_of_large(size);
}

static size_t class_size(unsigned c)
{
	if (c < SMALL_CLASSES)
		return (c + 1) * (size_t)SMALL_STEP;
	if (c >= FINE_FIRST && c < COARSE_FIRST)
		return FINE_MIN + (size_t)(c - FINE_FIRST) * FINE_STEP;
	unsigned q = c < FINE_FIRST ? c - SMALL_CLASSES : c - COARSE_FIRST + (COARSE_MSB - SMALL_MSB) * STEPS;
	unsigned msb = SMALL_MSB + q / STEPS;
	return ((size_t)1 << msb) + ((size_t)(q % STEPS + 1) << (msb - STEP_BITS));
}

size_t vai__mem_round(size_t size)
{
#ifdef VAI_VALGRIND
	return size; /* a tool that checks memory has to see where the block ends */
#endif
	return size > MAX_SIZE ? vai__big_round(size) : class_size(class_of(size));
}

static atomic_bool in_use; /* memory has been taken, so the heap cannot be chosen any more */

#ifdef VAI_NO_CACHES

static void *get(size_t size)
{
	atomic_store_explicit(&in_use, true, memory_order_relaxed);
	return vai__heap_resize(NULL, vai__mem_round(size));
}

static void put(void *p, size_t size)
{
	(void)size;
	vai__heap_free(p);
}

/* For vai__heap_choose. */
static bool bypass(void)
{
	return !atomic_load_explicit(&in_use, memory_order_relaxed);
}

__attribute__((constructor)) static void set_bypass(void)
{
	vai__heap_bypass = bypass;
}

void vai__mem_thread_exit(void)
{
}

size_t vai__mem_unneeded(size_t *regained)
{
	return *regained = 0;
}

size_t vai__mem_scavenge(const atomic_bool *stop)
{
	(void)stop;
	return 0;
}

#else

/* The head of a span, at its low end. The first span has none. A span lies at a multiple of its size. */
struct span {
	unsigned carved; /* blocks cut from it, once it is no longer the newest; under lock */
	unsigned
		in_hand; /* blocks of it that the scavenger has; 0 outside of a pass. Only the scavenger uses this and `next` */
	struct span *next; /* in the scavenger's lists */
};

static struct shared {
	_Alignas(VAI_CACHELINE) struct vai_lock lock;
	struct block *chains;
	unsigned nchains;
	struct block *loose; /* blocks of threads that have ended, fewer than a full magazine */
	unsigned nloose;
	char *cursor, *end;  /* what is left of the newest span */
	struct span *newest; /* the newest span; NULL: it is the first one, or was unmapped */
	unsigned carved;     /* blocks cut from it */
	char *first;         /* written once */
	unsigned magazine;   /* blocks in a full magazine; set once at load */
	unsigned low;        /* the least that nchains has been since the last call of vai__mem_unneeded */
	uint64_t moves;      /* chains that have come or gone */
	uint64_t looked;     /* the value of `moves` when the scavenger last looked through this class */
	unsigned unmapped,
		remapped; /* spans that are unmapped and have not been mapped again; spans that were mapped again */
	/* The scavenger's: */
	unsigned due;  /* chains that the scavenger has to look through */
	unsigned vain; /* chains that it has looked through in vain, because they are from spans still in use */
} shared[CLASSES];

/* Only the pointer is thread-local: a dlopened object gets little static TLS. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct cache *tls_cache;

static VAI_NOINLINE struct cache *self(void)
{
	__asm__ volatile("" ::: "memory");
	if (VAI_UNLIKELY(!tls_cache)) {
		atomic_store_explicit(&in_use, true, memory_order_relaxed);
		tls_cache = calloc(1, sizeof(struct cache));
	}
	return tls_cache;
}

/* Maps a span. A class that outgrows its first span gets huge pages: one fault in place of 512. For classes of big
 * blocks that begins one span later, because few such blocks may follow (the chunks of a Lua state that lives long). */
static bool new_span(struct shared *s, size_t size)
{
	bool grown = s->first != NULL;
	size_t map = grown ? 2 * (size_t)HUGE_SPAN : FIRST_SPAN;
	char *p = mmap(NULL, map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	if (!grown) {
		s->first = s->cursor = p;
		s->end = p + FIRST_SPAN;
		return true;
	}
	char *aligned = (char *)(((uintptr_t)p + HUGE_SPAN - 1) & ~(uintptr_t)(HUGE_SPAN - 1));
	if (aligned > p)
		munmap(p, (size_t)(aligned - p));
	munmap(aligned + HUGE_SPAN, (size_t)(p + map - (aligned + HUGE_SPAN)));
	if (size < BIG || s->newest)
		madvise(aligned, HUGE_SPAN, MADV_HUGEPAGE);
	if (s->newest)
		s->newest->carved = s->carved;
	s->newest = (struct span *)(void *)aligned;
	s->carved = 0;
	s->cursor = aligned + SPAN_HEAD;
	s->end = aligned + HUGE_SPAN;
	if (s->unmapped > 0) {
		s->unmapped--;
		s->remapped++;
	}
	return true;
}

/* Cuts up to n blocks, and sets *p to the first of them. Under the lock, so neither they nor a new span are touched:
 * the first touch of a huge page takes long. (With 10,000 states that grew at the same time, each thread that waited
 * for the lock lost its P, and the threads that got those Ps queued up as well.) */
static unsigned cut(struct shared *s, size_t size, unsigned n, char **p)
{
	if ((size_t)(s->end - s->cursor) < size && !new_span(s, size))
		return 0;
	size_t fit = (size_t)(s->end - s->cursor) / size;
	if (fit < n)
		n = (unsigned)fit;
	*p = s->cursor;
	s->cursor += n * size;
	s->carved += n;
	return n;
}

/* Links the n blocks at p. */
static struct block *chain(char *p, size_t size, unsigned n)
{
	struct block *head = NULL;
	for (; n > 0; n--, p += size) {
		struct block *b = (struct block *)(void *)p;
		b->next = head;
		head = b;
	}
	return head;
}

/* Adds a chain to the shared list. Under the lock. */
static void push_chain(struct shared *s, struct block *head)
{
	head->next_chain = s->chains;
	s->chains = head;
	s->nchains++;
	s->moves++;
}

/* Takes a chain; there is one. Under the lock. */
static struct block *pop_chain(struct shared *s)
{
	struct block *head = s->chains;
	s->chains = head->next_chain;
	s->moves++;
	if (--s->nchains < s->low)
		s->low = s->nchains;
	return head;
}

/* The number of blocks that an empty magazine gets from a span. Carving a block touches it, and most programs want
 * few blocks of most classes. So a class begins with a page, and then gets as much again as it has. */
static unsigned carving(const struct shared *s, size_t size)
{
	if (s->newest)
		return s->magazine;
	size_t had = (size_t)(s->cursor - s->first);
	unsigned n = (unsigned)((had > PAGE ? had : PAGE) / size);
	return n == 0 ? 1 : n < s->magazine ? n : s->magazine;
}

/* Puts one block of the host's allocator into the magazine. That allocator is asked for each block, and gets each back
 * at once. */
static bool refill_from_host(struct magazine *mag, size_t size)
{
	mag->head = vai__heap_resize(NULL, size);
	if (!mag->head)
		return false;
	mag->head->next = NULL;
	mag->count = 1;
	return true;
}

/* Fills an empty magazine, or at least puts a block into it. False: out of memory. */
static bool refill(struct magazine *mag, unsigned c)
{
	struct shared *s = &shared[c];
	size_t size = class_size(c);
	char *fresh = NULL;
	if (VAI_UNLIKELY(vai__heap_host != NULL))
		return refill_from_host(mag, size);
	vai__lock(&s->lock);
	if (s->chains) {
		mag->head = pop_chain(s);
		mag->count = s->magazine;
	} else if (s->loose) {
		mag->head = s->loose;
		mag->count = s->nloose;
		s->loose = NULL;
		s->nloose = 0;
	} else {
		mag->count = cut(s, size, carving(s, size), &fresh);
	}
	vai__unlock(&s->lock);
	if (fresh)
		mag->head = chain(fresh, size, mag->count);
	return mag->head != NULL;
}

static void give_chain(struct block *head, unsigned c)
{
	struct shared *s = &shared[c];
	vai__lock(&s->lock);
	push_chain(s, head);
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

static inline void *get(size_t size)
{
	if (VAI_UNLIKELY(size > MAX_SIZE))
		return vai__big_take(size);
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
	if (VAI_UNLIKELY(vai__heap_host != NULL)) {
		vai__heap_free(mag->head);
		*mag = (struct magazine){NULL, 0};
		return;
	}
	if (cache->spare[c])
		give_chain(cache->spare[c], c);
	cache->spare[c] = mag->head;
	mag->head = NULL;
	mag->count = 0;
}

/* A block is lost if the thread that frees it has no cache and can get none: that is better than failing. */
static inline void put(void *p, size_t size)
{
	if (VAI_UNLIKELY(size > MAX_SIZE)) {
		vai__big_give(p, size);
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

/* Gives a thread's magazine to the shared lists. Every shared chain is a full magazine, so what a part-filled one
 * holds is collected until it makes one. */
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
		push_chain(s, b);
		s->loose = NULL;
		s->nloose = 0;
	}
	vai__unlock(&s->lock);
}

void vai__mem_thread_exit(void)
{
	struct cache *cache = tls_cache;
	vai__big_thread_exit();
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

/* ---- scavenging: one thread at a time ---- */

/* The number of chains that are worth looking through: those that were not needed, but not those that were looked
 * through in vain before, until many chains have come or gone. Under the lock. */
static unsigned find_due(struct shared *s, size_t chain)
{
	unsigned due = s->low;
	s->low = s->nchains;
	if (s->moves - s->looked >= s->nchains / 2)
		s->vain = 0;
	return due * chain >= WORTH + (s->vain + s->vain / 4) * chain ? due : 0;
}

size_t vai__mem_unneeded(size_t *regained)
{
	size_t bytes = 0;
	*regained = 0;
	vai__big_end_period();
	for (unsigned c = 0; c < CLASSES; c++) {
		struct shared *s = &shared[c];
		size_t chain = s->magazine * class_size(c);
		vai__lock(&s->lock);
		s->due = find_due(s, chain);
		bytes += s->due * chain;
		*regained += s->remapped * (size_t)HUGE_SPAN;
		s->remapped = 0;
		vai__unlock(&s->lock);
	}
	return bytes;
}

/* Takes the chains that are due, and the loose blocks as one more chain. */
static struct block *take_due(struct shared *s)
{
	struct block *taken = NULL, *b;
	for (unsigned n = STEP; n == STEP;) {
		vai__lock(&s->lock);
		for (n = 0; n < STEP && s->due > 0 && s->chains; n++, s->due--) {
			b = pop_chain(s);
			b->next_chain = taken;
			taken = b;
		}
		if (n < STEP && (b = s->loose) != NULL) {
			b->next_chain = taken;
			taken = b;
			s->loose = NULL;
			s->nloose = 0;
		}
		vai__unlock(&s->lock);
	}
	return taken;
}

/* The span of a block; NULL: it is the first span. */
static struct span *span_of(struct shared *s, struct block *b)
{
	if ((uintptr_t)b - (uintptr_t)s->first < FIRST_SPAN)
		return NULL;
	return (struct span *)((uintptr_t)b & ~(uintptr_t)(HUGE_SPAN - 1));
}

/* Counts how many of the taken blocks each span has, and returns a list of these spans. */
static struct span *count_free(struct shared *s, struct block *taken)
{
	struct span *seen = NULL;
	for (struct block *chain = taken; chain; chain = chain->next_chain) {
		for (struct block *b = chain; b; b = b->next) {
			struct span *span = span_of(s, b);
			if (span && span->in_hand++ == 0) {
				span->next = seen;
				seen = span;
			}
		}
	}
	return seen;
}

/* Returns those of the spans seen that no block is used of, and from which no further block will be cut. The in_hand
 * of the other spans is 0 afterwards. */
static struct span *doom(struct shared *s, struct span *seen)
{
	struct span *doomed = NULL;
	for (struct span *span = seen, *next; span; span = next) {
		next = span->next;
		vai__lock(&s->lock);
		bool newest = span == s->newest, whole = span->in_hand == (newest ? s->carved : span->carved);
		if (whole && newest) {
			s->newest = NULL;
			s->cursor = s->end = NULL;
		}
		vai__unlock(&s->lock);
		if (!whole) {
			span->in_hand = 0;
			continue;
		}
		span->next = doomed;
		doomed = span;
	}
	return doomed;
}

/* Gives back all taken blocks but those of doomed spans. */
static void give_rest(unsigned c, struct block *taken)
{
	struct shared *s = &shared[c];
	struct magazine mag = {0};
	for (struct block *chain = taken, *next_chain; chain; chain = next_chain) {
		next_chain = chain->next_chain;
		for (struct block *b = chain, *next; b; b = next) {
			struct span *span = span_of(s, b);
			next = b->next;
			if (span && span->in_hand > 0)
				continue;
			b->next = mag.head;
			mag.head = b;
			if (++mag.count < s->magazine)
				continue;
			give_chain(mag.head, c);
			s->vain++;
			mag = (struct magazine){0};
		}
	}
	if (mag.head)
		give_magazine(&mag, c);
}

static size_t unmap(struct shared *s, struct span *doomed)
{
	unsigned n = 0;
	for (struct span *next; doomed; doomed = next, n++) {
		next = doomed->next;
		/* munmap may have to split a mapping, and the system may have no room for that: then the addresses are lost. */
		if (munmap(doomed, HUGE_SPAN) != 0)
			madvise(doomed, HUGE_SPAN, MADV_DONTNEED);
	}
	vai__lock(&s->lock);
	s->unmapped += n;
	s->looked = s->moves;
	vai__unlock(&s->lock);
	return n * (size_t)HUGE_SPAN;
}

size_t vai__mem_scavenge(const atomic_bool *stop)
{
	size_t bytes = 0;
	for (unsigned c = 0; c < CLASSES && !atomic_load_relaxed(stop); c++) {
		struct shared *s = &shared[c];
		if (s->due == 0) /* no lock is needed: only this thread writes it */
			continue;
		struct block *taken = take_due(s);
		struct span *doomed = doom(s, count_free(s, taken));
		s->vain = 0;
		give_rest(c, taken);
		bytes += unmap(s, doomed);
	}
	return bytes;
}

/* Called by vai__heap_choose: from then on blocks come from the host's allocator. A magazine is full with its first
 * block then, so that none stays in it. */
static bool bypass(void)
{
	if (atomic_load_explicit(&in_use, memory_order_relaxed))
		return false;
	for (unsigned c = 0; c < CLASSES; c++)
		shared[c].magazine = 1;
	return true;
}

__attribute__((constructor)) static void init_shared(void)
{
	vai__heap_bypass = bypass;
	for (unsigned c = 0; c < CLASSES; c++) {
		size_t n = MAGAZINE_BYTES / class_size(c);
		shared[c].magazine = n < 4 ? 4 : n > 64 ? 64 : (unsigned)n;
		vai__lock_init(&shared[c].lock, VAI_RANK_MEM);
		vai__fork_holds(&shared[c].lock, VAI_RANK_MEM);
	}
}

#endif

static VAI_NOINLINE void *alloc_counted(size_t size)
{
	struct vai__budget *b;
	size_t bytes = vai__mem_round(size);
	if (!vai__memory_budget_take(bytes, &b))
		return NULL;
	void *p = get(size);
	if (p && (!b || vai__memory_budget_note(p, b)))
		return p;
	vai__memory_budget_give(b, bytes);
	if (p)
		put(p, size);
	return NULL;
}

void *vai__mem_alloc(size_t size)
{
	return VAI_LIKELY(!atomic_load_relaxed(&vai__memory_budget_any)) ? get(size) : alloc_counted(size);
}

void vai__mem_free(void *p, size_t size)
{
	if (!p)
		return;
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__memory_budget_any)))
		vai__memory_budget_give(vai__memory_budget_forget(p), vai__mem_round(size));
	put(p, size);
}

void *vai__mem_zalloc(size_t size)
{
	void *p = vai__mem_alloc(size);
	if (p)
		memset(p, 0, size);
	return p;
}
