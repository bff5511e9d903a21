/* SPDX-License-Identifier: MIT */
/* Private to the arena: sizes and classes, free blocks, and how those are joined. Called by the thread that uses the
 * arena's state. */
#ifndef VAI_ARENA_PRIVATE_H
#define VAI_ARENA_PRIVATE_H

#include "base/base.h"
#include "base/san.h"
#include "state/arena.h"

enum {
#ifdef VAI_VALGRIND
	VAI__ARENA_INNER = 0, /* every block is a big one, and so one of libc's */
#else
	VAI__ARENA_INNER = 8192, /* blocks up to here lie in chunks */
#endif
	VAI__ARENA_BINS = 28,    /* lists of free blocks above 1 kB */
	VAI__ARENA_QUOTA = 8192, /* bytes that are freed, at least, before the arena looks how much is free */
	VAI__ARENA_CHUNK_MIN = 1024,
	VAI__ARENA_CHUNK_MAX = 65536 /* bytes of a chunk */
};

struct vai__chunk {
	struct vai__chunk *next;
	uint32_t size;
	uint32_t tail; /* bytes at its end that were left over when there were no lists of free blocks to take them */
};

/* At the start of a free block above 1 kB. */
struct vai__run {
	struct vai__run *next;
	size_t size;
};

extern const uint16_t vai__arena_coarse[];
extern const uint8_t vai__arena_coarse_class[];

/* The size class of a block of 1 to 1024 bytes. */
static inline unsigned arena_class_of(size_t size)
{
	return VAI_LIKELY(size <= VAI__ARENA_FINE * 8) ? (unsigned)((size - 1) >> 3)
												   : vai__arena_coarse_class[(size + 15) >> 4];
}

static inline size_t arena_class_size(unsigned c)
{
	return VAI_LIKELY(c < VAI__ARENA_FINE) ? ((size_t)c + 1) * 8 : vai__arena_coarse[c - VAI__ARENA_FINE];
}

/* Bytes that are left of the newest chunk. */
static inline size_t arena_left(const struct vai__arena *a)
{
	return (size_t)(a->end - a->cursor);
}

extern void *const vai__arena_no_blocks[];

/* Whether the arena has lists of free blocks of its own. */
static inline bool arena_has_lists(const struct vai__arena *a)
{
	return a->free != (void **)(uintptr_t)vai__arena_no_blocks;
}

/* Counts `more` bytes as held. From three quarters of the limit on each allocation is looked at. */
static inline void arena_hold(struct vai__arena *a, size_t more)
{
	a->held += more;
	if (VAI_UNLIKELY(a->held > a->limit - a->limit / 4) && a->failing == 0)
		a->failing = (unsigned)VAI__ARENA_WATCHED;
}

/* Whether `more` bytes can be held within the limit. */
static inline bool arena_fits(const struct vai__arena *a, size_t more)
{
	return a->held <= a->limit && more <= a->limit - a->held;
}

/* ---- free blocks (arena_free.c) ---- */

/* Turns n bytes at p, a multiple of 8, into free blocks. */
void vai__arena_spread(struct vai__arena *a, char *p, size_t n);
/* Takes a free block above 1 kB of at least `need` bytes out of its bin; NULL: there is none. */
struct vai__run *vai__arena_find_run(struct vai__arena *a, size_t need);
/* Joins neighbouring free blocks, and gives back chunks that are free. The cursor points to nothing afterwards.
 * False: nothing was done, because nothing is free or there is no memory. */
bool vai__arena_join(struct vai__arena *a);

/* ---- chunks (arena_chunk.c) ---- */

/* Makes the cursor point to at least `need` bytes. False: out of memory, or over the limit. */
bool vai__arena_refill(struct vai__arena *a, size_t need);
/* As vai__arena_join; what is freed is counted anew from then on. */
bool vai__arena_reclaim(struct vai__arena *a);
/* Called before a big block is taken, which no free memory of chunks serves: chunks go back first, if enough was freed
 * since the last time to make that worth it. */
void vai__arena_before_big(struct vai__arena *a);
/* Called when a->quota is used up: joins free memory if that is worth it, and grants a new quota. */
void vai__arena_churned(struct vai__arena *a);
/* Sets *bytes to what the state needs by Lua's own count. False: Lua does not tell, or not now. */
bool vai__arena_counted(const struct vai__arena *a, size_t *bytes);
/* Near the limit: whether a request for `more` bytes fails. tagged: it is Lua's own request for an object, so Lua
 * collects and asks again. */
bool vai__arena_over(struct vai__arena *a, size_t more, bool tagged);
/* Whether `more` bytes may be had although more is held than the limit then. */
bool vai__arena_may_exceed(struct vai__arena *a, size_t more);

#endif
