/* SPDX-License-Identifier: MIT */
/* A lua_Alloc for one goroutine's state. Small blocks (up to 1 kB) have no header: Lua
 * tells the size when it frees. They come from the class's free list or the end of the
 * newest chunk. Blocks are aligned to 8 bytes, which is all that Lua's own objects need,
 * full userdata to 16 as malloc would.
 *
 * Invariants: a free block lies in the list of the class that it fills exactly. Blocks
 * above 1 kB are in the list of big ones, except inside the first chunk and the room,
 * where a copied template may have put them. */
#include "state/arena.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/fatal.h"
#include "base/san.h"

enum {
#ifdef VAI_VALGRIND
	CLASS_MAX = 0, /* every block is a big one, and so one of libc's */
#else
	CLASS_MAX = VAI__ARENA_SMALL,
#endif
	FINE_MAX = VAI__ARENA_FINE * 8,
	SMALL_MAX = VAI__ARENA_SMALL,
	CHUNK_MIN = 1024,
	CHUNK_MAX = 65536,
	SYSTEM_MIN = 32768, /* big blocks from here on are libc's, whose realloc can move pages */
	SEARCH = 8          /* free blocks looked at for one that is aligned to 16 */
};

struct vai__chunk {
	struct vai__chunk *next;
	size_t size;
};

/* In front of a big block. */
struct vai__big {
	_Alignas(16) struct vai__big *next;
	struct vai__big *prev;
	size_t size; /* with this header */
};

/* Of the coarse classes one is the first stack of a Lua state, others are hash parts. */
static const uint16_t coarse[] = {144, 160, 192, 224, 256, 320, 384, 448, 512, 640, 720, 768, 1024};

/* By size in units of 16, rounded up. */
#define C VAI__ARENA_FINE
static const uint8_t coarse_class[SMALL_MAX / 16 + 1] = {0, 0, 0, 0, 0, 0, 0, 0, 0, C, C + 1, C + 2, C + 2, C + 3,
	C + 3, C + 4, C + 4, C + 5, C + 5, C + 5, C + 5, C + 6, C + 6, C + 6, C + 6, C + 7, C + 7, C + 7, C + 7, C + 8,
	C + 8, C + 8, C + 8, C + 9, C + 9, C + 9, C + 9, C + 9, C + 9, C + 9, C + 9, C + 10, C + 10, C + 10, C + 10, C + 10,
	C + 11, C + 11, C + 11, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12, C + 12,
	C + 12, C + 12, C + 12, C + 12, C + 12};
#undef C

static void *const no_blocks[VAI__ARENA_CLASSES];

static inline unsigned class_of(size_t size)
{
	return VAI_LIKELY(size <= FINE_MAX) ? (unsigned)((size - 1) >> 3) : coarse_class[(size + 15) >> 4];
}

static inline size_t class_size(unsigned c)
{
	return VAI_LIKELY(c < VAI__ARENA_FINE) ? ((size_t)c + 1) * 8 : coarse[c - VAI__ARENA_FINE];
}

static inline size_t room(const struct vai__arena *a)
{
	return (size_t)(a->end - a->cursor);
}

/* Where a copied template may have put big blocks. */
static inline bool in_template(const struct vai__arena *a, const void *p)
{
	return (size_t)((const char *)p - (const char *)a) < a->first_size ||
		(size_t)((const char *)p - a->room) < a->room_size;
}

static bool add_chunk(struct vai__arena *a, size_t need);

static bool has_lists(const struct vai__arena *a)
{
	return a->free != (void **)(uintptr_t)no_blocks;
}

/* The array of lists is made from the arena itself; where that fails the block is lost
 * until the end. */
static VAI_NOINLINE bool make_lists(struct vai__arena *a)
{
	const size_t size = sizeof(void *) * VAI__ARENA_CLASSES;
	if (size > room(a) && !add_chunk(a, size))
		return false;
	a->free = memset(a->cursor, 0, size);
	a->cursor += size;
	return true;
}

static inline void list_push(struct vai__arena *a, void *p, unsigned c)
{
	if (VAI_UNLIKELY(!has_lists(a)) && !make_lists(a))
		return;
	*(void **)p = a->free[c];
	a->free[c] = p;
}

/* Spreads n bytes at p over the free lists. */
static void recycle(struct vai__arena *a, char *p, size_t n)
{
	while (n >= 8) {
		unsigned c = class_of(n < SMALL_MAX ? n : SMALL_MAX);
		if (class_size(c) > n)
			c--;
		list_push(a, p, c);
		p += class_size(c);
		n -= class_size(c);
	}
}

static void enter_chunk(struct vai__arena *a, char *from, char *to)
{
	if (has_lists(a))
		recycle(a, a->cursor, room(a));
	a->cursor = from;
	a->end = to;
}

static inline bool fits(const struct vai__arena *a, size_t more)
{
	return a->held <= a->limit && more <= a->limit - a->held;
}

static bool use_room(struct vai__arena *a, size_t need)
{
	if (a->room_used || need > a->room_size)
		return false;
	enter_chunk(a, a->room, a->room + a->room_size);
	a->held += a->room_size;
	a->room_used = true;
	return true;
}

/* A chunk with at least `need` bytes. */
static bool add_chunk(struct vai__arena *a, size_t need)
{
	a->overflow = a->building; /* a template has no further chunks */
	if (a->overflow)
		return false;
	if (use_room(a, need))
		return true;
	size_t least = need + sizeof(struct vai__chunk);
	size_t size = vai__mem_round(least < a->next_chunk ? a->next_chunk : least);
	if (VAI_UNLIKELY(!fits(a, size)) && !fits(a, size = vai__mem_round(least)))
		return false;
	struct vai__chunk *chunk = vai__mem_alloc(size);
	if (!chunk)
		return false;
	chunk->next = a->chunks;
	chunk->size = size;
	a->chunks = chunk;
	enter_chunk(a, (char *)chunk + sizeof *chunk, (char *)chunk + size);
	a->held += size;
	if (a->next_chunk < CHUNK_MAX)
		a->next_chunk *= 2;
	return true;
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
	a->held += size;
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

static void release_big(struct vai__big *b)
{
	if (b->size >= SYSTEM_MIN)
		free(b);
	else
		vai__mem_free(b, b->size);
}

static VAI_NOINLINE void *take_big(struct vai__arena *a, size_t size)
{
	size_t total = size + sizeof(struct vai__big);
	if (total >> 46)
		return NULL;
	if (total < SYSTEM_MIN && (total = vai__mem_round(total)) > SYSTEM_MIN)
		total = SYSTEM_MIN;
	if (VAI_UNLIKELY(!fits(a, total)))
		return NULL;
	struct vai__big *b = total >= SYSTEM_MIN ? malloc(total) : vai__mem_alloc(total);
	if (!b)
		return NULL;
	link_big(a, b, total);
	return b + 1;
}

static VAI_NOINLINE void give_big(struct vai__arena *a, void *p, size_t size)
{
	if (!in_template(a, p)) {
		struct vai__big *b = (struct vai__big *)p - 1;
		unlink_big(a, b);
		release_big(b);
		return;
	}
	size = (size + 7) & ~(size_t)7;
	if (a->building)
		memset(p, 0, size);
	if (!has_lists(a) && !make_lists(a))
		return;
	if (size > room(a)) {
		recycle(a, a->cursor, room(a));
		a->cursor = p;
		a->end = a->cursor + size;
	} else {
		recycle(a, p, size);
	}
}

/* In place, or by libc's realloc; NULL: has to be copied. */
static void *resize_big(struct vai__arena *a, void *p, size_t nsize)
{
	struct vai__big *b = (struct vai__big *)p - 1;
	size_t total = nsize + sizeof *b;
	if (nsize >> 46)
		return NULL;
	if (total <= b->size && total > b->size - b->size / 4)
		return p;
	if (b->size < SYSTEM_MIN || total < SYSTEM_MIN || (total > b->size && !fits(a, total - b->size)))
		return NULL;
	unlink_big(a, b);
	struct vai__big *n = realloc(b, total);
	link_big(a, n ? n : b, n ? total : b->size);
	return n ? n + 1 : NULL;
}

/* ---- templates ---- */

/* At the end of the region in which a template is built. The arena itself has no room then,
 * so that every block that no list has is taken here. */
struct building {
	void *lists[VAI__ARENA_CLASSES];
	char *cursor[2], *end[2]; /* of the two parts */
};

static struct building *building_of(struct vai__arena *a)
{
	return (struct building *)(void *)((char *)a + a->first_size) - 1;
}

/* From the first part as long as that has room. */
static VAI_NOINLINE void *take_building(struct vai__arena *a, size_t size, size_t align)
{
	struct building *b = building_of(a);
	size = (size + 7) & ~(size_t)7;
	for (int i = 0; i < 2; i++) {
		char *p = b->cursor[i] + (-(uintptr_t)b->cursor[i] & (align - 1));
		if (p > b->end[i] || (size_t)(b->end[i] - p) < size)
			continue;
		b->cursor[i] = p + size;
		return p;
	}
	a->overflow = true;
	return NULL;
}

void vai__arena_build(struct vai__arena *a, size_t split)
{
	struct building *b = memset(building_of(a), 0, sizeof *b);
	a->building = true;
	a->free = b->lists;
	b->cursor[0] = a->cursor;
	b->end[0] = split ? (char *)a + split : (char *)b;
	b->cursor[1] = split ? b->end[0] + VAI__ARENA_GAP : b->end[0];
	b->end[1] = (char *)b;
	a->end = a->cursor;
}

size_t vai__arena_built(struct vai__arena *a)
{
	struct building *b = building_of(a);
	bool parts = b->end[0] < b->end[1] && b->cursor[1] > b->end[0] + VAI__ARENA_GAP;
	a->building = false;
	a->free = (void **)(uintptr_t)no_blocks;
	a->cursor = b->cursor[parts];
	return a->overflow ? 0 : (size_t)(a->cursor - (char *)a);
}

/* ---- all blocks ---- */

static VAI_NOINLINE void *take_slow(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(a->building))
		return take_building(a, size > SMALL_MAX ? size : class_size(class_of(size)), 8);
	if (size > CLASS_MAX)
		return take_big(a, size);
	size = class_size(class_of(size));
	if (!add_chunk(a, size))
		return NULL;
	char *p = a->cursor;
	a->cursor += size;
	return p;
}

static inline void *take(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(size > CLASS_MAX))
		return take_slow(a, size);
	unsigned c = class_of(size);
	void *p = a->free[c];
	if (p) {
		a->free[c] = *(void **)p;
		return p;
	}
	if (VAI_UNLIKELY(class_size(c) > room(a)))
		return take_slow(a, size);
	p = a->cursor;
	a->cursor += class_size(c);
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

static void *take_aligned(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(a->building))
		return take_building(a, size > SMALL_MAX ? size : class_size(class_of(size)), 16);
	if (size > CLASS_MAX)
		return take_big(a, size);
	unsigned c = class_of(size);
	void **link = find_aligned(a, c);
	if (link) {
		void *p = *link;
		*link = *(void **)p;
		return p;
	}
	if (class_size(c) + 8 > room(a) && !add_chunk(a, class_size(c) + 8))
		return NULL;
	a->cursor += (uintptr_t)a->cursor & 8;
	void *p = a->cursor;
	a->cursor += class_size(c);
	return p;
}

static inline void give(struct vai__arena *a, void *p, size_t size)
{
	if (VAI_UNLIKELY(size > CLASS_MAX)) {
		give_big(a, p, size);
		return;
	}
	unsigned c = class_of(size);
	if (VAI_UNLIKELY(a->building))
		memset(p, 0, class_size(c));
	list_push(a, p, c);
}

/* Small to small: shrinks in place, grows in place at the end of the chunk. */
static void *resize_small(struct vai__arena *a, char *p, size_t osize, size_t nsize)
{
	size_t have = class_size(class_of(osize)), want = class_size(class_of(nsize));
	if (have == want)
		return p;
	if (p + have == a->cursor && want <= have + room(a)) {
		if (VAI_UNLIKELY(a->building && want < have))
			memset(p + want, 0, have - want);
		a->cursor = p + want;
		return p;
	}
	if (want > have)
		return NULL;
	if (VAI_UNLIKELY(a->building))
		memset(p + want, 0, have - want);
	recycle(a, p + want, have - want);
	return p;
}

/* Shrinking never fails: Lua frees the block with the new size then, which only wastes
 * what lies behind it until the state ends. */
static VAI_NOINLINE void *resize(struct vai__arena *a, void *p, size_t osize, size_t nsize)
{
	void *n = NULL;
	if (osize <= CLASS_MAX && nsize <= CLASS_MAX)
		n = resize_small(a, p, osize, nsize);
	else if (osize > CLASS_MAX && nsize > CLASS_MAX && !in_template(a, p))
		n = resize_big(a, p, nsize);
	if (n)
		return n;
	n = take(a, nsize);
	if (VAI_UNLIKELY(!n))
		return nsize < osize ? p : NULL;
	memcpy(n, p, osize < nsize ? osize : nsize);
	give(a, p, osize);
	return n;
}

#ifdef VAI_OOM
/* The program that looks for what becomes of a failure defines it (spec/oom). */
__attribute__((weak)) int vai_oom_fails(void);
#define OOM_FAILS() (vai_oom_fails && vai_oom_fails())
enum { OOM = 1 };
#else
#define OOM_FAILS() false
enum { OOM = 0 };
#endif

static VAI_NOINLINE bool fails(struct vai__arena *a)
{
	if (OOM_FAILS())
		return true;
	if (a->failing == 0)
		return false;
	if (a->failing == 1)
		return true;
	a->failing--;
	return false;
}

void *vai__arena_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
	struct vai__arena *a = ud;
	if (nsize == 0) {
		if (p && osize > 0)
			give(a, p, osize);
		return NULL;
	}
	if (VAI_UNLIKELY(a->failing || OOM) && nsize > (p ? osize : 0) && fails(a))
		return NULL;
	if (p && osize > 0)
		return resize(a, p, osize, nsize);
	if (!p && osize == LUA_TUSERDATA)
		return take_aligned(a, nsize);
	return take(a, nsize);
}

bool vai__arena_reserve(struct vai__arena *a, size_t size)
{
	if (VAI_UNLIKELY(a->failing == 1 || OOM))
		return false;
	return class_size(class_of(size)) + 8 <= room(a) || add_chunk(a, class_size(class_of(size)) + 8);
}

/* ---- the whole ---- */

struct vai__arena *vai__arena_init(void *p, size_t size)
{
	struct vai__arena *a = p;
	memset(a, 0, sizeof *a);
	a->cursor = (char *)p + ((sizeof *a + 15) & ~(size_t)15);
	a->end = (char *)p + (size & ~(size_t)7);
	a->first_size = size;
	a->held = size;
	a->limit = SIZE_MAX;
	a->next_chunk = CHUNK_MIN;
	a->free = (void **)(uintptr_t)no_blocks;
	a->vm.arena = a;
	return a;
}

struct vai__arena *vai__arena_new(size_t size)
{
	size = vai__mem_round(size);
	void *p = vai__mem_alloc(size);
	return p ? vai__arena_init(p, size) : NULL;
}

void vai__arena_lend(struct vai__arena *a, void *room, size_t size)
{
	a->room = room;
	a->room_size = room ? size : 0;
}

void vai__arena_release(struct vai__arena *a)
{
	for (struct vai__chunk *chunk = a->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		vai__mem_free(chunk, chunk->size);
	}
	for (struct vai__big *b = a->bigs, *next; b; b = next) {
		next = b->next;
		release_big(b);
	}
	a->chunks = NULL;
	a->bigs = NULL;
}

void vai__arena_free(struct vai__arena *a)
{
	vai__arena_release(a);
	vai__mem_free(a, a->first_size);
}
