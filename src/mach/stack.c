/* SPDX-License-Identifier: MIT */
/* Stacks from regions of 64. Guards: MADV_GUARD_INSTALL (Linux 6.13) leaves a region one mapping; older kernels get
 * mprotect while the number of mappings allows, then none.
 *
 * A free stack is warm, as its last user left it, or cold: its pages were given back to the system because it was not
 * needed for a while.
 *
 * Invariants: a region is never unmapped, so a stack's address tells its region for good. Every free stack is in the
 * list of warm ones, which links the first words below their tops, in the array of cold ones, for which a link would
 * take a page, or in the scavenger's batch. Regions are published by a release store of their count, for the signal
 * handler that reads them without a lock. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mach/stack.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/lock.h"
#include "base/san.h"

#ifdef VAI_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef VAI_VALGRIND
#include <valgrind/memcheck.h>
#endif

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
	REGION_STACKS = 64,
	MAX_REGIONS = 1 << 18,
	MAX_MPROTECT = 16000, /* each mprotect costs up to two of the 65,530 mappings of vm.max_map_count */
	MIN_SIZE = 65536,
	KEEP = 8192, /* bytes below top that trimming keeps */
	PROBES = 16,
	PROBE_STEP = 256,
	BATCH = 1024,     /* stacks that the scavenger has out of the lists at once */
	STEP = 64,        /* stacks that it moves under one hold of the lock */
	WORTH = 1048576,  /* the least bytes that are given back */
	RETRY_NS = 100000 /* ns after which a thread looks again, when the scavenger has all free stacks */
};

static struct {
	struct vai_lock lock;
	size_t size, page;
	char *free;   /* the warm stacks, linked through the first word below top */
	size_t nfree; /* the number of warm stacks */
	size_t low;   /* the least that nfree has been since the last call of vai__stack_unneeded */
	size_t due;   /* warm stacks that vai__stack_scavenge is to make cold */
	char **cold;  /* room for cold_cap; only the scavenger replaces it */
	size_t ncold, cold_cap;
	size_t out;      /* free stacks that the scavenger has in hand */
	size_t rewarmed; /* cold stacks that were taken since the last call of vai__stack_unneeded */
	char *cursor;    /* low end of the next stack that was never handed out, or not since the last reset */
	unsigned left;   /* stacks left in its region */
	unsigned next;   /* the region after it */
	unsigned mprotected;
	bool guard_madvise, no_guard_madvise; /* MADV_GUARD_INSTALL is proven to work; is proven not to work */
	_Atomic(size_t) made;
	atomic_bool spent; /* out of stacks; written under lock */
	atomic_uint nregions;
	char *_Atomic *regions; /* MAX_REGIONS, mapped once, committed by touch */
} st;

_Atomic(int64_t) vai__stack_taken;

/* The number of pages is odd: the address translation caches of a processor are indexed by low bits of the page's
 * number, and the tops of stacks that lie 160 pages apart would share a few of their sets. */
void vai__stack_init(size_t size)
{
	if (st.size)
		return;
	vai__lock_init(&st.lock, VAI_RANK_STACK);
	st.page = (size_t)sysconf(_SC_PAGESIZE);
	if (size < MIN_SIZE)
		size = MIN_SIZE;
	st.size = ((size + st.page - 1) / st.page | 1) * st.page;
}

size_t vai__stack_size(void)
{
	return st.size;
}

size_t vai__stack_count(void)
{
	return atomic_load_relaxed(&st.made);
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static bool map_region(void)
{
	unsigned n = atomic_load_relaxed(&st.nregions);
	size_t size = st.size * REGION_STACKS;
	if (!st.regions && !(st.regions = map(MAX_REGIONS * sizeof(*st.regions))))
		return false;
	if (n == MAX_REGIONS)
		return false;
	char *p = map(size);
	if (!p)
		return false;
	madvise(p, size, MADV_NOHUGEPAGE); /* a touched page must not become 2 MiB */
	atomic_store_relaxed(&st.regions[n], p);
	atomic_store_release(&st.nregions, n + 1);
	return true;
}

static bool next_region(void)
{
	if (st.next == atomic_load_relaxed(&st.nregions) && !map_region())
		return false;
	st.cursor = atomic_load_relaxed(&st.regions[st.next++]);
	st.left = REGION_STACKS;
	return true;
}

/* Installs the guard. Emulators report advice that they do not know as done (qemu-user): if reading ahead in what
 * has just been guarded succeeds, nothing was guarded. */
static bool guard_by_madvise(char *low)
{
	if (st.no_guard_madvise)
		return false;
	bool ok = madvise(low, st.page, MADV_GUARD_INSTALL) == 0;
	if (ok && !st.guard_madvise)
		st.guard_madvise = ok = madvise(low, st.page, MADV_POPULATE_READ) != 0;
	st.no_guard_madvise = !ok;
	return ok;
}

static void guard(char *low)
{
	if (guard_by_madvise(low))
		return;
	if (st.mprotected < MAX_MPROTECT && mprotect(low, st.page, PROT_NONE) == 0)
		st.mprotected++;
}

/* Tells valgrind which bytes of a stack count. A free stack keeps only its link. */
static void tell_valgrind(char *top, bool in_use)
{
	(void)top;
	(void)in_use;
#ifdef VAI_VALGRIND
	char *low = top - st.size + st.page;
	if (in_use)
		VALGRIND_MAKE_MEM_UNDEFINED(low, (size_t)(top - low) - sizeof(char *));
	else
		VALGRIND_MAKE_MEM_NOACCESS(low, (size_t)(top - low) - sizeof(char *));
#endif
}

static char *make(void)
{
	if (st.left == 0 && !next_region())
		return NULL;
	char *low = st.cursor;
	guard(low);
#ifdef VAI_VALGRIND
	VALGRIND_STACK_REGISTER(low + st.page, low + st.size);
#endif
	st.cursor += st.size;
	st.left--;
	atomic_fetch_add_relaxed(&st.made, 1);
	return low + st.size;
}

static char **link_of(char *top)
{
	return (char **)(void *)(top - sizeof(char *));
}

/* Takes a warm stack; NULL: there is none. Under the lock. */
static char *take_warm(void)
{
	char *top = st.free;
	if (!top)
		return NULL;
	st.free = *link_of(top);
	if (--st.nfree < st.low)
		st.low = st.nfree;
	return top;
}

/* Takes a cold stack; NULL: there is none. Under the lock. */
static char *take_cold(void)
{
	if (st.ncold == 0)
		return NULL;
	st.rewarmed++;
	return st.cold[--st.ncold];
}

/* Takes a stack; NULL: none is free and none can be made. Under the lock. */
static char *take(void)
{
	char *top;
	while (!(top = take_warm()) && !(top = take_cold()) && !(top = make()) && st.out > 0) {
		const struct timespec t = {.tv_nsec = RETRY_NS};
		vai__unlock(&st.lock);
		nanosleep(&t, NULL);
		vai__lock(&st.lock);
	}
	return top;
}

/* Counts n stacks more, or less, as in use. Under the lock. */
static void count_taken(int n)
{
	atomic_store_relaxed(&vai__stack_taken, atomic_load_relaxed(&vai__stack_taken) + n);
}

char *vai__stack_alloc(void)
{
	vai__lock(&st.lock);
	char *top = take();
	if (top)
		count_taken(1);
	if (VAI_UNLIKELY(!top))
		atomic_store_relaxed(&st.spent, true);
	vai__unlock(&st.lock);
	if (top)
		tell_valgrind(top, true);
	return top;
}

bool vai__stack_short(void)
{
	return atomic_load_relaxed(&st.spent);
}

static void unpoison(char *p, size_t size)
{
#ifdef VAI_ASAN
	ASAN_UNPOISON_MEMORY_REGION(p, size);
#else
	(void)p;
	(void)size;
#endif
}

void vai__stack_free(char *top)
{
	unpoison(top - st.size + st.page, st.size - st.page);
	vai__lock(&st.lock);
	*link_of(top) = st.free;
	st.free = top;
	st.nfree++;
	count_taken(-1);
	atomic_store_relaxed(&st.spent, false);
	vai__unlock(&st.lock);
}

/* Guards of both kinds outlive MADV_DONTNEED; they are set again all the same. */
void vai__stack_reset(void)
{
	size_t size = st.size * REGION_STACKS;
	vai__lock(&st.lock);
	if (atomic_load_relaxed(&vai__stack_taken) == 0) {
		for (unsigned i = 0; i < st.next; i++) {
			char *p = atomic_load_relaxed(&st.regions[i]);
			unpoison(p, size);
			madvise(p, size, MADV_DONTNEED);
		}
		st.free = NULL;
		st.nfree = st.low = st.due = st.ncold = st.rewarmed = 0;
		st.left = st.next = st.mprotected = 0;
		atomic_store_relaxed(&st.made, 0);
	}
	vai__unlock(&st.lock);
}

/* Gives back what deep calls have touched below KEEP bytes. To see how deep they were, a word of every PROBE_STEP bytes
 * is read: a fresh page reads as zeros and shares one frame, so reading it costs no memory, and deep calls leave return
 * addresses. Frames larger than PROBE_STEP that leave zeros at all probes are rare, and a miss costs memory, not
 * correctness. */
void vai__stack_trim(char *top)
{
	unpoison(top - st.size + st.page, st.size - st.page); /* frames that never returned are still poisoned */
#ifdef VAI_VALGRIND
	return; /* valgrind would report the look at what was never written */
#endif
	uintptr_t *word = (uintptr_t *)(void *)(top - KEEP - sizeof(uintptr_t));
	for (int i = 0; i < PROBES; i++, word -= PROBE_STEP / sizeof(*word)) {
		if (*word) {
			char *low = top - st.size + st.page;
			madvise(low, (size_t)(top - KEEP - low), MADV_DONTNEED);
			return;
		}
	}
}

/* ---- scavenging: one thread at a time ---- */

size_t vai__stack_unneeded(size_t *regained)
{
	vai__lock(&st.lock);
	st.due = st.low;
	st.low = st.nfree;
	*regained = st.rewarmed * st.page;
	st.rewarmed = 0;
	size_t bytes = st.due * st.page;
	vai__unlock(&st.lock);
	return bytes < WORTH ? 0 : bytes;
}

/* Makes room in the array for all stacks that are due. Only this thread adds to the array; other threads only take. */
static bool grow_cold(void)
{
	vai__lock(&st.lock);
	size_t need = st.ncold + st.due;
	vai__unlock(&st.lock);
	if (need <= st.cold_cap)
		return true;
	size_t cap = need + need / 2;
	char **grown = malloc(cap * sizeof(*grown)), **old = st.cold;
	if (!grown)
		return false;
	vai__lock(&st.lock);
	if (old)
		memcpy(grown, old, st.ncold * sizeof(*grown));
	st.cold = grown;
	st.cold_cap = cap;
	vai__unlock(&st.lock);
	free(old);
	return true;
}

static size_t take_batch(char **batch)
{
	size_t n = 0;
	for (bool more = true; more && n < BATCH;) {
		vai__lock(&st.lock);
		size_t before = n;
		while (st.due > 0 && st.free && n - before < STEP) {
			batch[n++] = take_warm();
			st.due--;
		}
		st.out += n - before;
		more = n - before == STEP;
		vai__unlock(&st.lock);
	}
	return n;
}

static void give_batch(char **batch, size_t n)
{
	vai__lock(&st.lock);
	memcpy(st.cold + st.ncold, batch, n * sizeof(*batch));
	st.ncold += n;
	st.out -= n;
	vai__unlock(&st.lock);
}

static int by_address(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	return (x < y) - (x > y);
}

/* Gives the batch's pages back. The batch is sorted downwards, so that the lowest stacks are taken first again.
 * Neighbours go in one call: the guards between them stay. */
static void release_batch(char **batch, size_t n)
{
	qsort(batch, n, sizeof(*batch), by_address);
	for (size_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && batch[k] + st.size == batch[k - 1]; k++)
			;
		char *low = batch[k - 1] - st.size + st.page;
		madvise(low, (size_t)(batch[i] - low), MADV_DONTNEED);
	}
}

size_t vai__stack_scavenge(const atomic_bool *stop)
{
	static char *batch[BATCH];
	size_t n, total = 0;
	if (!grow_cold())
		return 0;
	while (!atomic_load_relaxed(stop) && (n = take_batch(batch)) > 0) {
		release_batch(batch, n);
		give_batch(batch, n);
		total += n;
	}
	return total * st.page;
}

bool vai__stack_is_guard(const void *addr)
{
	unsigned n = atomic_load_acquire(&st.nregions);
	uintptr_t a = (uintptr_t)addr;
	for (unsigned i = 0; i < n; i++) {
		uintptr_t base = (uintptr_t)atomic_load_relaxed(&st.regions[i]);
		if (a - base < st.size * REGION_STACKS)
			return (a - base) % st.size < st.page;
	}
	return false;
}
