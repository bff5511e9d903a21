/* SPDX-License-Identifier: MIT */
/* A lua_Alloc for one goroutine's state. Blocks up to 8 kB have no header: Lua tells the size when it frees one.
 * Small blocks (up to 1 kB) come from the free list of their class or from the end of the newest chunk, larger ones
 * from bins or from there. Blocks are aligned to 8 bytes, which is all that Lua's own objects need, and full
 * userdata to 16, as malloc would do it.
 *
 * If nothing of a size is free, a larger free block is cut; or, if much was freed since the last time, all free
 * neighbours are joined (arena_free.c); or there is another chunk (arena_chunk.c). Each time that a sixteenth of
 * what is held has been freed, Lua's own count tells whether most of the memory is free; then free blocks are joined
 * so that chunks go back.
 *
 * Invariants: a free block lies in the list of the class that it fills exactly, or is above 1 kB and lies in a bin.
 * Blocks above 8 kB are in the list of big ones, except inside the first chunk, where a copied template may
 * have put them. */
#include "state/arena.h"
#include <string.h>
#include "base/big.h"
#include "base/memory_budget.h"
#include "base/mem.h"
#include "state/arena_private.h"

enum {
	INNER_MAX = VAI__ARENA_INNER,
	SMALL_MAX = VAI__ARENA_SMALL,
	CLASS_MAX = INNER_MAX < SMALL_MAX ? INNER_MAX : SMALL_MAX,
	SEARCH = 8 /* free blocks of a list that are looked at, at most, for one that is aligned to 16 */
};

/* The head of a big block. Big blocks come from the heap (base/heap.h), because libc's realloc can move pages. */
struct vai__big {
	_Alignas(16) struct vai__big *next;
	struct vai__big *prev;
	size_t size;                /* with this header */
	struct vai__budget *budget; /* the budget to which it is charged, or NULL */
};

/* The bytes that a block of this size, up to INNER_MAX, takes after rounding. */
static inline size_t inner_size(size_t size)
{
	return VAI_LIKELY(size <= SMALL_MAX) ? arena_class_size(arena_class_of(size)) : (size + 7) & ~(size_t)7;
}

/* Whether p lies where a copied template may have put big blocks. */
static inline bool in_template(const struct vai__arena *a, const void *p)
{
	return (size_t)((const char *)p - (const char *)a) < a->first_size;
}

/* ---- free blocks ---- */

enum { LISTS = sizeof(void *) * VAI__ARENA_CLASSES };

/* The lists of free blocks lie at p from now on, and are empty. */
static void set_lists(struct vai__arena *a, void *p)
{
	a->free = memset(p, 0, LISTS);
	a->quota = VAI__ARENA_QUOTA;
}

/* Makes the array of lists in the arena itself. If that fails, the block that is being freed is not used again before
 * the state ends. */
static VAI_NOINLINE bool make_lists(struct vai__arena *a)
{
	if (LISTS > arena_left(a) && !vai__arena_refill(a, LISTS))
		return false;
	set_lists(a, a->cursor);
	a->cursor += LISTS;
	return true;
}

/* False: there are no lists, and no memory to make them. */
static bool want_lists(struct vai__arena *a)
{
	return VAI_LIKELY(arena_has_lists(a)) || make_lists(a);
}

/* The first block that is freed may be large enough for the lists, as Lua's stack is when it has been replaced by a
 * larger one. False: it is not, or there are lists. */
static bool become_lists(struct vai__arena *a, char *p, size_t n)
{
	if (VAI_LIKELY(arena_has_lists(a)) || n < LISTS)
		return false;
	set_lists(a, p);
	vai__arena_spread(a, p + LISTS, n - LISTS);
	return true;
}

static inline void list_push(struct vai__arena *a, void *p, unsigned c)
{
	*(void **)p = a->free[c];
	a->free[c] = p;
}

/* Uses up the quota. */
static void count_freed(struct vai__arena *a, size_t size)
{
	if ((a->quota -= (ptrdiff_t)size) < 0 && arena_has_lists(a) && !a->building)
		vai__arena_churned(a);
}

/* Frees n bytes at p, of any size. */
static void spread(struct vai__arena *a, char *p, size_t n)
{
	if (VAI_UNLIKELY(a->building))
		memset(p, 0, n);
	count_freed(a, n);
	if (!become_lists(a, p, n) && want_lists(a))
		vai__arena_spread(a, p, n);
}

/* ---- big blocks ---- */

static void link_big(struct vai__arena *a, struct vai__big *b, size_t size)
{
	b->size = size;
	b->prev = NULL;
	b->next = a->bigs;
	if (a->bigs)
		a->bigs->prev = b;
	a->bigs = b;
	arena_hold(a, size);
}

static void unlink_big(struct vai__arena *a, struct vai__big *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		a->bigs = b->next;
	if (b->next)
		b->next->prev = b->prev;
	a->held -= b->size;
}

static void free_big(struct vai__big *b)
{
	vai__memory_budget_give(b->budget, b->size);
	vai__big_give(b, b->size);
}

static VAI_NOINLINE void *take_big(struct vai__arena *a, size_t size)
{
	size_t total = vai__big_round(size + sizeof(struct vai__big));
	if (total >> 46)
		return NULL;
	vai__arena_before_big(a);
	if (VAI_UNLIKELY(!arena_fits(a, total)) && !(vai__arena_reclaim(a) && arena_fits(a, total)) &&
		!vai__arena_may_exceed(a, total))
		return NULL;
	struct vai__budget *budget;
	if (!vai__memory_budget_take(total, &budget))
		return NULL;
	struct vai__big *b = vai__big_take(total);
	if (!b) {
		vai__memory_budget_give(budget, total);
		return NULL;
	}
	b->budget = budget;
	link_big(a, b, total);
	return b + 1;
}

static VAI_NOINLINE void give_big(struct vai__arena *a, void *p, size_t size)
{
	if (!in_template(a, p)) {
		struct vai__big *b = (struct vai__big *)p - 1;
		unlink_big(a, b);
		free_big(b);
		return;
	}
	spread(a, p, (size + 7) & ~(size_t)7);
}

/* Resizes a big block in place or by the heap's resize; NULL: it has to be copied. */
static void *resize_big(struct vai__arena *a, void *p, size_t nsize)
{
	struct vai__big *b = (struct vai__big *)p - 1;
	size_t total = vai__big_round(nsize + sizeof *b);
	if (nsize >> 46)
		return NULL;
	if (total <= b->size && total > b->size - b->size / 4)
		return p;
	if (total > b->size && !arena_fits(a, total - b->size))
		return NULL;
	const size_t before = b->size;
	if (total > before && !vai__memory_budget_charge(b->budget, total - before))
		return NULL;
	unlink_big(a, b);
	struct vai__big *n = vai__big_resize(b, before, total);
	if (!n) {
		link_big(a, b, before);
		if (total > before)
			vai__memory_budget_give(b->budget, total - before);
		return NULL;
	}
	link_big(a, n, total);
	if (total < before)
		vai__memory_budget_give(n->budget, before - total);
	return n + 1;
}

/* ---- templates ---- */

/* What a template that is being built needs besides its arena. It lies at the end of the region. The arena's own
 * cursor has no room then, so every block that is in no list is taken from here. */
struct building {
	void *lists[VAI__ARENA_CLASSES];
	char *cursor, *end;
};

static struct building *building_of(struct vai__arena *a)
{
	return (struct building *)(void *)((char *)a + a->first_size) - 1;
}

static VAI_NOINLINE void *take_building(struct vai__arena *a, size_t size, size_t align)
{
	struct building *b = building_of(a);
	char *p = b->cursor + (-(uintptr_t)b->cursor & (align - 1));
	size = (size + 7) & ~(size_t)7;
	if (p > b->end || (size_t)(b->end - p) < size) {
		a->overflow = true;
		return NULL;
	}
	b->cursor = p + size;
	return p;
}

void vai__arena_build(struct vai__arena *a)
{
	struct building *b = memset(building_of(a), 0, sizeof *b);
	a->building = true;
	a->free = b->lists;
	b->cursor = a->cursor;
	b->end = (char *)b;
	a->end = a->cursor;
}

size_t vai__arena_built(struct vai__arena *a)
{
	a->building = false;
	a->free = (void **)(uintptr_t)vai__arena_no_blocks;
	a->cursor = building_of(a)->cursor;
	a->quota = -1;
	return a->overflow ? 0 : (size_t)(a->cursor - (char *)a);
}

/* ---- all blocks ---- */

/* Takes a block above SMALL_MAX, up to INNER_MAX. */
static void *take_run(struct vai__arena *a, size_t size)
{
	struct vai__run *run = vai__arena_find_run(a, size);
	if (run) {
		if (run->size > size)
			vai__arena_spread(a, (char *)run + size, run->size - size);
		return run;
	}
	if (size > arena_left(a) && !vai__arena_refill(a, size))
		return NULL;
	char *p = a->cursor;
	a->cursor += size;
	return p;
}

static VAI_NOINLINE void *take_slow(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(a->building))
		return take_building(a, size > SMALL_MAX ? size : arena_class_size(arena_class_of(size)), 8);
	if (size > INNER_MAX)
		return take_big(a, size);
	size = inner_size(size);
	if (size > SMALL_MAX)
		return take_run(a, size);
	if (!vai__arena_refill(a, size))
		return NULL;
	char *p = a->cursor;
	a->cursor += size;
	return p;
}

static inline void *take(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(size > CLASS_MAX))
		return take_slow(a, size);
	unsigned c = arena_class_of(size);
	void *p = a->free[c];
	if (p) {
		a->free[c] = *(void **)p;
		return p;
	}
	if (VAI_UNLIKELY(arena_class_size(c) > arena_left(a)))
		return take_slow(a, size);
	p = a->cursor;
	a->cursor += arena_class_size(c);
	return p;
}

/* The link to a free block of the class that is aligned to 16, among the first few. */
static void **find_aligned(struct vai__arena *a, unsigned c)
{
	void **link = &a->free[c];
	for (int i = 0; i < SEARCH && *link; i++) {
		if (((uintptr_t)*link & 15) == 0)
			return link;
		link = (void **)*link;
	}
	return NULL;
}

/* Takes a block aligned to 16. The 8 bytes before or behind it that are not needed go back. */
static void *take_run_aligned(struct vai__arena *a, size_t size)
{
	char *p = take_run(a, size + 8);
	if (!p)
		return NULL;
	bool skip = (uintptr_t)p & 8;
	spread(a, skip ? p : p + size, 8);
	return skip ? p + 8 : p;
}

static void *take_aligned_slow(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(a->building))
		return take_building(a, size > SMALL_MAX ? size : arena_class_size(arena_class_of(size)), 16);
	return size > INNER_MAX ? take_big(a, size) : take_run_aligned(a, inner_size(size));
}

static VAI_NOINLINE void *take_aligned(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(a->building || size > CLASS_MAX))
		return take_aligned_slow(a, size);
	unsigned c = arena_class_of(size);
	void **link = find_aligned(a, c);
	if (link) {
		void *p = *link;
		*link = *(void **)p;
		return p;
	}
	if (arena_class_size(c) + 8 > arena_left(a) && !vai__arena_refill(a, arena_class_size(c) + 8))
		return NULL;
	if ((uintptr_t)a->cursor & 8) {
		if (arena_has_lists(a))
			list_push(a, a->cursor, 0);
		a->cursor += 8;
	}
	void *p = a->cursor;
	a->cursor += arena_class_size(c);
	return p;
}

static VAI_NOINLINE void give_slow(struct vai__arena *a, void *p, size_t size)
{
	if (size > INNER_MAX) {
		give_big(a, p, size);
	} else if (size > CLASS_MAX) {
		spread(a, p, inner_size(size));
	} else {
		unsigned c = arena_class_of(size);
		if (VAI_UNLIKELY(a->building))
			memset(p, 0, arena_class_size(c));
		count_freed(a, size);
		if (!become_lists(a, p, arena_class_size(c)) && want_lists(a))
			list_push(a, p, c);
	}
}

/* Frees a block. Without lists, and in templates, the quota is negative, so give_slow is called. */
static inline void give(struct vai__arena *a, void *p, size_t size)
{
	ptrdiff_t left = a->quota - (ptrdiff_t)size;
	if (VAI_UNLIKELY(left < 0 || size > CLASS_MAX)) {
		give_slow(a, p, size);
		return;
	}
	a->quota = left;
	list_push(a, p, arena_class_of(size));
}

/* Resizes a block that lies in a chunk before and after: shrinks in place, grows in place at the end of the chunk.
 * NULL: it has to be copied. */
static void *resize_inner(struct vai__arena *a, char *p, size_t osize, size_t nsize)
{
	size_t have = inner_size(osize), want = inner_size(nsize);
	if (have == want)
		return p;
	if (p + have == a->cursor && want <= have + arena_left(a)) {
		if (VAI_UNLIKELY(a->building && want < have))
			memset(p + want, 0, have - want);
		a->cursor = p + want;
		return p;
	}
	if (want > have)
		return NULL;
	spread(a, p + want, have - want);
	return p;
}

/* Takes memory for a block that becomes smaller, whatever the limit. If there is no memory at all the block stays
 * where it is. Lua then frees it with the new size, so what lies behind that is wasted until the state ends. */
static void *take_smaller(struct vai__arena *a, void *p, size_t nsize)
{
	size_t limit = a->limit;
	a->limit = SIZE_MAX;
	void *n = take(a, nsize);
	a->limit = limit;
	return n ? n : p;
}

static VAI_NOINLINE void *resize(struct vai__arena *a, void *p, size_t osize, size_t nsize)
{
	void *n = NULL;
	if (osize <= INNER_MAX && nsize <= INNER_MAX)
		n = resize_inner(a, p, osize, nsize);
	else if (osize > INNER_MAX && nsize > INNER_MAX && !in_template(a, p))
		n = resize_big(a, p, nsize);
	if (n)
		return n;
	n = nsize < osize ? take_smaller(a, p, nsize) : take(a, nsize);
	if (VAI_UNLIKELY(!n) || n == p)
		return n;
	memcpy(n, p, osize < nsize ? osize : nsize);
	give(a, p, osize);
	return n;
}

#ifdef VAI_OOM
/* Defined by the program that lets allocations fail (spec/oom). */
__attribute__((weak)) int vai_oom_fails(void);
#define OOM_FAILS() (vai_oom_fails && vai_oom_fails())
enum { OOM = 1 };
#else
#define OOM_FAILS() false
enum { OOM = 0 };
#endif

/* Whether a request for `more` bytes has to fail, because of the state's bound or of a test. */
static VAI_NOINLINE bool fails(struct vai__arena *a, size_t more, bool tagged)
{
	if (OOM_FAILS())
		return true;
	if (a->failing == (unsigned)VAI__ARENA_WATCHED)
		return vai__arena_over(a, more, tagged);
	if (a->failing == 0)
		return false;
	if (a->failing == 1)
		return true;
	a->failing--;
	return false;
}

static inline void *allocate(struct vai__arena *a, void *p, size_t osize, size_t nsize)
{
	if (VAI_LIKELY(!p))
		return osize == LUA_TUSERDATA ? take_aligned(a, nsize) : take(a, nsize);
	return osize > 0 ? resize(a, p, osize, nsize) : take(a, nsize);
}

static VAI_NOINLINE void *allocate_or_fail(struct vai__arena *a, void *p, size_t osize, size_t nsize)
{
	size_t have = p ? osize : 0;
	return nsize > have && fails(a, nsize - have, !p && osize > 0) ? NULL : allocate(a, p, osize, nsize);
}

/* The unusual cases are tail calls, so that the usual case saves no registers. */
void *vai__arena_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
	struct vai__arena *a = ud;
	if (nsize == 0) {
		if (p && osize > 0)
			give(a, p, osize);
		return NULL;
	}
	if (VAI_UNLIKELY(a->failing || OOM))
		return allocate_or_fail(a, p, osize, nsize);
	return allocate(a, p, osize, nsize);
}

bool vai__arena_reserve(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(a->failing == 1 || a->building || OOM))
		return false;
	return arena_class_size(arena_class_of(size)) + 8 <= arena_left(a) ||
		vai__arena_refill(a, arena_class_size(arena_class_of(size)) + 8);
}

/* ---- the whole ---- */

struct vai__arena *vai__arena_init(void *p, size_t size)
{
	struct vai__arena *a = p;
	memset(a, 0, sizeof *a);
	a->cursor = (char *)p + ((sizeof *a + 15) & ~(size_t)15);
	a->end = (char *)p + (size & ~(size_t)7);
	a->quota = -1;
	a->first_size = (uint32_t)size;
	a->held = size;
	a->limit = SIZE_MAX;
	a->free = (void **)(uintptr_t)vai__arena_no_blocks;
	a->vm.arena = a;
	return a;
}

struct vai__arena *vai__arena_new(size_t size)
{
	size = vai__mem_round(size);
	void *p = vai__mem_alloc(size);
	return p ? vai__arena_init(p, size) : NULL;
}

void vai__arena_release(struct vai__arena *a)
{
	for (struct vai__chunk *chunk = a->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		vai__mem_free(chunk, chunk->size);
	}
	for (struct vai__big *b = a->bigs, *next; b; b = next) {
		next = b->next;
		free_big(b);
	}
	a->chunks = NULL;
	a->bigs = NULL;
}

void vai__arena_free(struct vai__arena *a)
{
	vai__arena_release(a);
	vai__mem_free(a, a->first_size);
}
