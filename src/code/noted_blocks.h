/* SPDX-License-Identifier: MIT */
/* States in which something is found out about this Lua by trying. Their allocator tells where blocks begin, so that no
 * other address is followed. */
#ifndef VAI_NOTED_BLOCKS_H
#define VAI_NOTED_BLOCKS_H

#include <lua.h>
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

/* Calls f in such a state, with a light userdata of the struct as its argument. Errors end f. Fresh blocks are all
 * zero, for gaps are looked at, too. */
void vai__noted_blocks_call(lua_CFunction f);
/* Bytes of the block at that address, if it is one of the last; else 0. */
size_t vai__noted_blocks_size(const struct vai__noted_blocks *b, const void *p);

#endif
