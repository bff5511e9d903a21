/* SPDX-License-Identifier: MIT */
/* Stacks from regions of 64. Guards: MADV_GUARD_INSTALL (Linux 6.13) leaves a region one
 * mapping; older kernels get mprotect while the number of mappings allows, then none.
 *
 * Invariants: a region is never unmapped, so a stack's address tells its region for
 * good; a free stack's first word below top links the list. Regions are published by a
 * release store of their count, for the signal handler that reads them without a lock. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mach/stack.h"
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
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
	MAX_MPROTECT = 16000, /* each costs up to two of vm.max_map_count's 65,530 mappings */
	MIN_SIZE = 65536,
	KEEP = 8192, /* bytes below top that trimming keeps */
	PROBES = 16,
	PROBE_STEP = 256
};

static struct {
	struct vai_lock lock;
	size_t size, page;
	char *free;    /* linked through the first word below top */
	char *cursor;  /* low end of the next stack that was never handed out, or not since the reset */
	unsigned left; /* stacks left in its region */
	unsigned next; /* the region after it */
	size_t taken;  /* stacks that somebody has */
	unsigned mprotected;
	bool guard_madvise, no_guard_madvise; /* proven to work; not to work */
	_Atomic(size_t) made;
	atomic_bool out; /* of stacks; written under lock */
	atomic_uint nregions;
	char *_Atomic *regions; /* MAX_REGIONS, mapped once, committed by touch */
} st;

void vai__stack_init(size_t size)
{
	if (st.size)
		return;
	vai__lock_init(&st.lock, VAI_RANK_STACK);
	st.page = (size_t)sysconf(_SC_PAGESIZE);
	if (size < MIN_SIZE)
		size = MIN_SIZE;
	st.size = (size + st.page - 1) & ~(st.page - 1);
}

size_t vai__stack_size(void)
{
	return st.size;
}

size_t vai__stack_count(void)
{
	return atomic_load_explicit(&st.made, memory_order_relaxed);
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static bool map_region(void)
{
	unsigned n = atomic_load_explicit(&st.nregions, memory_order_relaxed);
	size_t size = st.size * REGION_STACKS;
	if (!st.regions && !(st.regions = map(MAX_REGIONS * sizeof(*st.regions))))
		return false;
	if (n == MAX_REGIONS)
		return false;
	char *p = map(size);
	if (!p)
		return false;
	madvise(p, size, MADV_NOHUGEPAGE); /* a touched page must not become 2 MiB */
	atomic_store_explicit(&st.regions[n], p, memory_order_relaxed);
	atomic_store_explicit(&st.nregions, n + 1, memory_order_release);
	return true;
}

static bool next_region(void)
{
	if (st.next == atomic_load_explicit(&st.nregions, memory_order_relaxed) && !map_region())
		return false;
	st.cursor = atomic_load_explicit(&st.regions[st.next++], memory_order_relaxed);
	st.left = REGION_STACKS;
	return true;
}

/* Emulators take advice that they do not know for done (qemu-user): where reading ahead what
 * has just been guarded succeeds, it was not. */
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

/* What a free stack keeps is its link. */
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
	atomic_fetch_add_explicit(&st.made, 1, memory_order_relaxed);
	return low + st.size;
}

static char **link_of(char *top)
{
	return (char **)(void *)(top - sizeof(char *));
}

char *vai__stack_alloc(void)
{
	vai__lock(&st.lock);
	char *top = st.free;
	if (top)
		st.free = *link_of(top);
	else
		top = make();
	st.taken += top != NULL;
	if (VAI_UNLIKELY(!top))
		atomic_store_explicit(&st.out, true, memory_order_relaxed);
	vai__unlock(&st.lock);
	if (top)
		tell_valgrind(top, true);
	return top;
}

bool vai__stack_short(void)
{
	return atomic_load_explicit(&st.out, memory_order_relaxed);
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
	st.taken--;
	atomic_store_explicit(&st.out, false, memory_order_relaxed);
	vai__unlock(&st.lock);
}

/* Guards of both kinds outlive MADV_DONTNEED; they are set again all the same. */
void vai__stack_reset(void)
{
	size_t size = st.size * REGION_STACKS;
	vai__lock(&st.lock);
	if (st.taken == 0) {
		for (unsigned i = 0; i < st.next; i++) {
			char *p = atomic_load_explicit(&st.regions[i], memory_order_relaxed);
			unpoison(p, size);
			madvise(p, size, MADV_DONTNEED);
		}
		st.free = NULL;
		st.left = st.next = st.mprotected = 0;
		atomic_store_explicit(&st.made, 0, memory_order_relaxed);
	}
	vai__unlock(&st.lock);
}

/* A fresh page reads as zeros and shares one frame, so looking costs no memory. Deep
 * calls leave return addresses; frames larger than PROBE_STEP that leave none at every
 * one of the probes are rare, and the price of a miss is memory, not correctness. */
void vai__stack_trim(char *top)
{
	unpoison(top - st.size + st.page, st.size - st.page); /* of frames that never returned */
#ifdef VAI_VALGRIND
	return; /* it would look at what was never written */
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

bool vai__stack_is_guard(const void *addr)
{
	unsigned n = atomic_load_explicit(&st.nregions, memory_order_acquire);
	uintptr_t a = (uintptr_t)addr;
	for (unsigned i = 0; i < n; i++) {
		uintptr_t base = (uintptr_t)atomic_load_explicit(&st.regions[i], memory_order_relaxed);
		if (a - base < st.size * REGION_STACKS)
			return (a - base) % st.size < st.page;
	}
	return false;
}
