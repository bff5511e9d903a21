/* SPDX-License-Identifier: MIT */
/* memory.h: every block straight from malloc, so that a sanitizer sees its ends. */
#include "memory.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

long memory_blocks, memory_countdown;

bool memory_fails(void)
{
	if (memory_countdown > 1)
		memory_countdown--;
	else if (memory_countdown == 1)
		return true;
	return false;
}

size_t vai__mem_round(size_t size)
{
	return size;
}

void *vai__mem_alloc(size_t size)
{
	void *p = memory_fails() ? NULL : malloc(size ? size : 1);
	memory_blocks += p != NULL;
	return p;
}

void *vai__mem_zalloc(size_t size)
{
	void *p = vai__mem_alloc(size);
	return p ? memset(p, 0, size) : NULL;
}

void vai__mem_free(void *p, size_t size)
{
	(void)size;
	memory_blocks -= p != NULL;
	free(p);
}

void vai__mem_thread_exit(void)
{
}

size_t vai__mem_unneeded(size_t *regained)
{
	return *regained = 0;
}

size_t vai__mem_scavenge(const atomic_bool *stop)
{
	(void)stop;
	return 0;
}
