/* SPDX-License-Identifier: MIT */
/* The allocator of a state in which something is found out about this Lua by trying: it tells where the state's blocks
 * begin, so that no other address is followed. */
#ifndef VAI_NOTED_BLOCKS_H
#define VAI_NOTED_BLOCKS_H

#include "base/base.h"

enum { VAI__NOTED_BLOCKS = 16 };

/* The blocks that the state got last. */
struct vai__noted_blocks {
	struct {
		const void *p;
		size_t size;
	} last[VAI__NOTED_BLOCKS];
	unsigned n;
};

/* A lua_Alloc; ud: the struct. Fresh blocks are all zero, for gaps are looked at, too. */
void *vai__noted_blocks_alloc(void *ud, void *p, size_t osize, size_t nsize);
/* Bytes of the block at that address, if it is one of the last; else 0. */
size_t vai__noted_blocks_size(const struct vai__noted_blocks *b, const void *p);

#endif
