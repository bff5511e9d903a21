/* SPDX-License-Identifier: MIT */
/* See noted_blocks.h. */
#include "code/noted_blocks.h"
#include <stdlib.h>

void *vai__noted_blocks_alloc(void *ud, void *p, size_t osize, size_t nsize)
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

size_t vai__noted_blocks_size(const struct vai__noted_blocks *b, const void *p)
{
	for (int i = 0; i < VAI__NOTED_BLOCKS; i++)
		if (p && b->last[i].p == p)
			return b->last[i].size;
	return 0;
}
