/* SPDX-License-Identifier: MIT */
/* Where an arena's memory comes from: chunks, and free blocks that are cut again; and where the state's memory bound
 * is enforced (vai__memory_limit). Called by the thread that uses the arena's state.
 *
 * Free memory in pieces too small for a request still belongs to the state. So a request is served, in this order: by
 * a larger free block; by joining all free neighbours, if enough was freed since the last time to make that worth it,
 * or if the state's bound is reached; by another chunk. */
#include "state/arena_private.h"
#include <lua.h>
#include "base/mem.h"

enum {
	KEEP = 65536, /* an arena that holds no more bytes gives no chunk back */
	CHURNED = 4,  /* quotas that must be used up before joining is worth its time, when another chunk would be taken; */
	FUTILE = 16   /* the same after a joining by which no chunk went back */
};

/* Moves the cursor to from..to. What was left at its old place becomes free blocks. If there are no lists for these
 * yet, the newest chunk, where it lies, notes it in `tail`; the first chunk has no `tail`, because little is left
 * there. */
static void enter(struct vai__arena *a, char *from, char *to)
{
	if (arena_has_lists(a) && arena_left(a) > 0)
		vai__arena_spread(a, a->cursor, arena_left(a));
	else if (a->chunks && arena_left(a) > 0)
		a->chunks->tail = (uint32_t)arena_left(a);
	a->cursor = from;
	a->end = to;
}

bool vai__arena_counted(const struct vai__arena *a, size_t *bytes)
{
	int kb = a->vm.L ? lua_gc(a->vm.L, LUA_GCCOUNT) : -1;
	*bytes = (size_t)kb * 1024;
	return kb >= 0;
}

/* The limit for requests after which Lua does not collect and try again: a quarter more. */
static size_t limit_without_collecting(const struct vai__arena *a)
{
	return a->limit + a->limit / 4;
}

/* Free memory that is too scattered to serve the request does not count against the limit; but no more than twice the
 * limit may be held. */
bool vai__arena_may_exceed(struct vai__arena *a, size_t more)
{
	size_t used;
	return a->limit < SIZE_MAX / 4 && a->held + more <= 2 * a->limit && vai__arena_counted(a, &used) &&
		used + more <= limit_without_collecting(a);
}

/* Not every request lets Lua collect when memory is out (buffers of lauxlib do not). So half of what a collection
 * has left free is kept for those. When the other half is used up, the allocation of an object fails once, and Lua
 * collects. */
bool vai__arena_over(struct vai__arena *a, size_t more, bool tagged)
{
	size_t used;
	if (a->held <= a->limit - a->limit / 4) {
		a->failing = 0;
		return false;
	}
	if (!vai__arena_counted(a, &used))
		return false;
	bool collected = a->nudge_kb == UINT32_MAX;
	if (collected)
		a->nudge_kb = (uint32_t)((used + (used < a->limit ? (a->limit - used) / 2 : 0)) / 1024);
	if (used + more > (tagged ? a->limit : limit_without_collecting(a)))
		return true;
	if (!tagged || collected || used / 1024 <= a->nudge_kb)
		return false;
	a->nudge_kb = UINT32_MAX;
	return true;
}

static size_t least_chunk(size_t need)
{
	return vai__mem_round(need + sizeof(struct vai__chunk));
}

/* The size of the next chunk, if not more is needed: a quarter of what is held. (With chunks that double from 1 kB on,
 * 10,000 states of connections under load held 70 kB each, of which they used half.) The first chunk after the arena's
 * own is as small as can be, since many goroutines never need more. */
static size_t wished_chunk(const struct vai__arena *a)
{
	size_t wish = a->held / 4;
	if (!a->chunks || wish < VAI__ARENA_CHUNK_MIN)
		return VAI__ARENA_CHUNK_MIN;
	return wish < VAI__ARENA_CHUNK_MAX ? wish : VAI__ARENA_CHUNK_MAX;
}

/* Adds a chunk with at least `need` bytes. */
static bool add_chunk(struct vai__arena *a, size_t need)
{
	size_t size = least_chunk(need), wish = vai__mem_round(wished_chunk(a));
	if (size < wish && arena_fits(a, wish))
		size = wish;
	if (VAI_UNLIKELY(!arena_fits(a, size)) && !vai__arena_may_exceed(a, size))
		return false;
	struct vai__chunk *chunk = vai__mem_alloc(size);
	if (!chunk)
		return false;
	enter(a, (char *)chunk + sizeof *chunk, (char *)chunk + size);
	*chunk = (struct vai__chunk){.next = a->chunks, .size = (uint32_t)size};
	a->chunks = chunk;
	arena_hold(a, size);
	return true;
}

/* Moves the cursor into a free block of class c or larger. False: there is none. */
static bool use_class(struct vai__arena *a, unsigned c)
{
	while (c < VAI__ARENA_CLASSES && !a->free[c])
		c++;
	if (c >= VAI__ARENA_CLASSES)
		return false;
	char *p = a->free[c];
	a->free[c] = *(void **)(void *)p;
	enter(a, p, p + arena_class_size(c));
	return true;
}

/* Moves the cursor into a free block above 1 kB. False: there is none of that size. */
static bool use_run(struct vai__arena *a, size_t need)
{
	struct vai__run *run = vai__arena_find_run(a, need);
	if (!run)
		return false;
	size_t size = run->size;
	enter(a, (char *)run, (char *)run + size);
	return true;
}

/* Moves the cursor into a free block in which, after this request, there is room for another one of the same size. */
static bool use_free(struct vai__arena *a, size_t need)
{
	if (need <= VAI__ARENA_SMALL / 2 && use_class(a, arena_class_of(2 * need)))
		return true;
	return use_run(a, need);
}

/* Moves the cursor into a free block that this request nearly fills. */
static bool use_last(struct vai__arena *a, size_t need)
{
	return need <= VAI__ARENA_SMALL && use_class(a, arena_class_of(need));
}

/* Grants a new quota: a sixteenth of what is held. */
static void rearm(struct vai__arena *a)
{
	a->quota = (ptrdiff_t)(a->held / 16 > VAI__ARENA_QUOTA ? a->held / 16 : VAI__ARENA_QUOTA);
}

bool vai__arena_reclaim(struct vai__arena *a)
{
	bool done = vai__arena_join(a);
	a->churn = 0;
	if (arena_has_lists(a)) /* without lists the quota stays negative, so that the first free makes them */
		rearm(a);
	return done;
}

bool vai__arena_refill(struct vai__arena *a, size_t need)
{
	a->overflow = a->building; /* a template has no further chunks */
	if (a->overflow)
		return false;
	if (arena_has_lists(a)) {
		bool due = a->churn >= CHURNED || VAI_UNLIKELY(!arena_fits(a, least_chunk(need)));
		if (use_free(a, need) || (due && vai__arena_reclaim(a) && use_free(a, need)) || use_last(a, need))
			return true;
	}
	return add_chunk(a, need);
}

/* Joins, so that chunks go back. If none does, because each still holds something, there is no sense in trying again
 * before much more has been freed. */
static void give_back(struct vai__arena *a)
{
	size_t held = a->held;
	a->futile = vai__arena_reclaim(a) && a->held == held;
}

/* If most of a big state's memory is free, chunks go back. */
void vai__arena_churned(struct vai__arena *a)
{
	size_t used, held = a->held;
	rearm(a);
	if (a->churn < UINT8_MAX)
		a->churn++;
	if (held <= KEEP || (a->futile && a->churn < FUTILE))
		return;
	if (vai__arena_counted(a, &used) && used < held / 5 * 2)
		give_back(a);
}

void vai__arena_before_big(struct vai__arena *a)
{
	if (VAI_UNLIKELY(a->churn >= (a->futile ? FUTILE : CHURNED)) && a->held > KEEP)
		give_back(a);
}
