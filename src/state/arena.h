/* SPDX-License-Identifier: MIT */
/* The memory of one Lua state: one first chunk that starts with the arena's own header and the struct vai_vm,
 * further chunks as needed, and big blocks one by one. Used by one thread at a time; no locks. Chunks that have
 * become free go back to the process (base/mem.h) now and then, and everything goes back at once at the end. */
#ifndef VAI_ARENA_H
#define VAI_ARENA_H

#include "base/base.h"
#include "state/state.h"

enum {
	VAI__ARENA_FINE = 16,    /* size classes of 8, 16, ... 128 bytes */
	VAI__ARENA_CLASSES = 29, /* all size classes; the others are coarser, */
	VAI__ARENA_SMALL = 1024  /* up to this many bytes */
};

struct vai__arena {
	char *cursor, *end; /* what is left of the newest chunk */
	void **free;        /* one list for each class; before anything was freed, a shared array of empty ones */
	ptrdiff_t quota;    /* bytes that may still be freed before the arena finds out how much is free in all */
	unsigned failing;   /* 0; VAI__ARENA_WATCHED; tests: 1 fails always, n lets n - 1 allocations pass */
	bool building;      /* a template is being built: everything goes into the first chunk, freed bytes are zeroed */
	bool overflow;      /* the template did not fit into the first chunk */
	uint8_t churn;      /* how often the quota was used up since free blocks were joined, at most UINT8_MAX */
	bool futile;        /* when free blocks were joined last, no chunk went back */
	size_t held;        /* bytes of all chunks and big blocks */
	size_t limit;       /* the state's memory bound: for `held`; if much of that is free, for what Lua counts as used */
	uint32_t first_size;       /* bytes of the first chunk */
	uint32_t nudge_kb;         /* near the limit: Lua is made to collect once it uses more kB than these */
	struct vai__chunk *chunks; /* all chunks but the first */
	struct vai__big *bigs;     /* all big blocks */
	struct vai__run **bins;    /* free blocks above 1 kB by size; NULL before there was one */
	struct vai_vm vm;
};
enum { VAI__ARENA_WATCHED = -1 }; /* value of `failing`: the limit is near, so each allocation is looked at */

/* Makes an arena whose first chunk is the `size` bytes at p, which are zero and aligned to 16, and stay the
 * caller's. */
struct vai__arena *vai__arena_init(void *p, size_t size);
/* Makes an arena in memory of its own; NULL: out of memory. */
struct vai__arena *vai__arena_new(size_t size);
/* The first call begins the building of a template in the arena, the second ends it and returns the bytes that the
 * template takes; 0: it did not fit. Blocks that are free then are not used any more. */
void vai__arena_build(struct vai__arena *a);
size_t vai__arena_built(struct vai__arena *a);
/* Joins free memory and gives free chunks back. For a state that will do nothing for long, as this takes more time
 * than vai__arena_alloc would spend on it. */
void vai__arena_trim(struct vai__arena *a);
/* Gives everything back; a first chunk that was not allocated here stays. */
void vai__arena_release(struct vai__arena *a);
/* The same for an arena of vai__arena_new. Its first chunk is given back, too. */
void vai__arena_free(struct vai__arena *a);
/* A lua_Alloc whose ud is the arena. */
void *vai__arena_alloc(void *ud, void *p, size_t osize, size_t nsize);
/* True if the next block of up to `size` bytes (and no more than 1 kB) cannot fail. A template cannot tell. */
bool vai__arena_reserve(struct vai__arena *a, size_t size);

#endif
