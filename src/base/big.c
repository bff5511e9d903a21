/* SPDX-License-Identifier: MIT */
/* Two levels: a list of a few blocks for each thread, and one list for all, under a lock. What a thread's list has no
 * room for goes to the common one, its oldest block first.
 *
 * Invariant: a block is with its user, in one thread's list, in the common list, or with libc. `used` counts the bytes
 * of those that are with a user or in a thread's list. */
#include "base/big.h"
#include <string.h>
#include "base/fork.h"
#include "base/heap.h"
#include "base/lock.h"
#include "base/san.h"

enum { BIG_MIN = 32768, BIG_MAX = 4194304, STEP_BITS = 4 };

static bool is_big(size_t size)
{
#ifdef VAI_NO_CACHES
	return false; /* a tool that checks memory has to see each block freed */
#endif
	return size >= BIG_MIN && size <= BIG_MAX && VAI_LIKELY(!vai__heap_host);
}

size_t vai__big_round(size_t size)
{
	if (!is_big(size))
		return size;
	size_t step = (size_t)1 << (63 - __builtin_clzl(size - 1) - STEP_BITS);
	return (size + step - 1) & ~(step - 1);
}

/* ---- lists of free blocks, the oldest first ---- */

struct spare {
	void *block;
	size_t size;
};

/* Takes the entry at index i out of the n of a list. */
static void remove_at(struct spare *list, unsigned n, unsigned i)
{
	memmove(&list[i], &list[i + 1], (n - i - 1) * sizeof *list);
}

/* The index of the newest block of that size among n; n: there is none. */
static unsigned find(const struct spare *list, unsigned n, size_t size)
{
	for (unsigned i = n; i-- > 0;)
		if (list[i].size == size)
			return i;
	return n;
}

static void free_all(void **blocks, unsigned n)
{
	while (n > 0)
		vai__heap_free(blocks[--n]);
}

/* ---- what one thread keeps ---- */

enum { NEAR = 8, NEAR_BYTES = 1048576 };

struct near {
	struct spare list[NEAR];
	unsigned n;
	size_t bytes;
};
/* Only the pointer is thread-local: a dlopened object gets little static TLS. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct near *tls_near;

static VAI_NOINLINE struct near *near_self(bool make)
{
	__asm__ volatile("" ::: "memory");
	if (VAI_UNLIKELY(!tls_near) && make)
		tls_near = calloc(1, sizeof *tls_near);
	return tls_near;
}

static struct spare remove_near(struct near *t, unsigned i)
{
	struct spare s = t->list[i];
	remove_at(t->list, t->n--, i);
	t->bytes -= s.size;
	return s;
}

static void *take_near(size_t size)
{
	struct near *t = near_self(false);
	unsigned i = t ? find(t->list, t->n, size) : 0;
	return t && i < t->n ? remove_near(t, i).block : NULL;
}

/* Whether t has no room for another block of that size. */
static bool is_full(const struct near *t, size_t size)
{
	return t->n == NEAR || t->bytes + size > NEAR_BYTES;
}

/* ---- what all threads keep together ---- */

enum { ENTRIES = 64, SPARE_BYTES = 1048576, FADE = 1024 };

static struct {
	struct vai_lock lock; /* of all that follows */
	struct spare list[ENTRIES];
	unsigned n;
	unsigned low; /* the least that n has been in this period */
	size_t bytes; /* of these blocks */
	size_t used;
	size_t peak; /* the most that `used` has been lately: it fades with each block that is freed */
} common;

__attribute__((constructor)) static void init_common(void)
{
	vai__lock_init(&common.lock, VAI_RANK_MEM);
	vai__fork_holds(&common.lock, VAI_RANK_MEM);
}

/* `used` changes from old to size bytes for one block. Under the lock. */
static void count_used(size_t old, size_t size)
{
	common.used += size - old;
	if (common.used > common.peak)
		common.peak = common.used;
}

/* Takes the block at index i out. Under the lock. */
static void *remove_common(unsigned i)
{
	struct spare s = common.list[i];
	remove_at(common.list, common.n--, i);
	common.bytes -= s.size;
	if (common.n < common.low)
		common.low = common.n;
	return s.block;
}

/* NULL: there is no such block; it is counted as used all the same, and the caller gets one from the heap. */
static void *take_common(size_t size)
{
	vai__lock(&common.lock);
	count_used(0, size);
	unsigned i = find(common.list, common.n, size);
	void *block = i < common.n ? remove_common(i) : NULL;
	vai__unlock(&common.lock);
	return block;
}

static void count_resized(size_t old, size_t size)
{
	vai__lock(&common.lock);
	count_used(old, size);
	vai__unlock(&common.lock);
}

/* Keeps a block, and frees the oldest where these are too many; at worst all that there were, and this one. */
static void keep_common(struct spare s)
{
	void *gone[ENTRIES + 1];
	unsigned n = 0;
	vai__lock(&common.lock);
	common.used -= s.size;
	common.peak -= common.peak / FADE;
	if (common.peak < common.used)
		common.peak = common.used;
	if (common.n == ENTRIES)
		gone[n++] = remove_common(0);
	common.list[common.n++] = s;
	common.bytes += s.size;
	while (common.bytes > SPARE_BYTES + common.peak / 2)
		gone[n++] = remove_common(0);
	vai__unlock(&common.lock);
	free_all(gone, n);
}

/* Keeps a block in the calling thread's list. False: it is too large, or there is no memory for the list. */
static bool keep_near(struct spare s)
{
	struct near *t = s.size <= NEAR_BYTES ? near_self(true) : NULL;
	if (!t)
		return false;
	while (is_full(t, s.size))
		keep_common(remove_near(t, 0));
	t->list[t->n++] = s;
	t->bytes += s.size;
	return true;
}

/* ---- what callers see ---- */

void *vai__big_take(size_t size)
{
	size = vai__big_round(size);
	if (!is_big(size))
		return vai__heap_resize(NULL, size);
	void *block = take_near(size);
	if (!block)
		block = take_common(size);
	if (!block && !(block = vai__heap_resize(NULL, size)))
		count_resized(size, 0);
	return block;
}

void *vai__big_resize(void *block, size_t old, size_t size)
{
	old = vai__big_round(old);
	size = vai__big_round(size);
	void *p = vai__heap_resize(block, size);
	if (p && (is_big(old) || is_big(size)))
		count_resized(is_big(old) ? old : 0, is_big(size) ? size : 0);
	return p;
}

void vai__big_give(void *block, size_t size)
{
	struct spare s = {block, vai__big_round(size)};
	if (!is_big(s.size)) {
		vai__heap_free(block);
		return;
	}
	if (!keep_near(s))
		keep_common(s);
}

void vai__big_thread_exit(void)
{
	struct near *t = tls_near;
	if (!t)
		return;
	for (unsigned i = 0; i < t->n; i++)
		keep_common(t->list[i]);
	free(t);
	tls_near = NULL;
}

void vai__big_end_period(void)
{
	void *gone[ENTRIES];
	unsigned n = 0;
	vai__lock(&common.lock);
	for (unsigned unneeded = common.low; n < unneeded;)
		gone[n++] = remove_common(0);
	common.low = common.n;
	vai__unlock(&common.lock);
	free_all(gone, n);
}
