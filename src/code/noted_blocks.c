/* SPDX-License-Identifier: MIT */
/* See noted_blocks.h. */
#include "code/noted_blocks.h"
#include <stdlib.h>

static void *noting_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
	struct vai__noted_blocks *b = ud;
	(void)osize;
	if (nsize == 0) {
		free(p);
		return NULL;
	}
	void *fresh = p ? realloc(p, nsize) : calloc(1, nsize);
	b->last[b->n % VAI__NOTED_BLOCKS].p = fresh;
	b->last[b->n++ % VAI__NOTED_BLOCKS].size = nsize;
	return fresh;
}

void vai__noted_blocks_call(lua_CFunction f)
{
	struct vai__noted_blocks b = {.n = 0};
	lua_State *L = lua_newstate(noting_alloc, &b);
	if (!L)
		return;
	lua_pushcfunction(L, f);
	lua_pushlightuserdata(L, &b);
	lua_pcall(L, 1, 0, 0);
	lua_close(L);
}

size_t vai__noted_blocks_size(const struct vai__noted_blocks *b, const void *p)
{
	for (int i = 0; i < VAI__NOTED_BLOCKS; i++)
		if (p && b->last[i].p == p)
			return b->last[i].size;
	return 0;
}
