/* SPDX-License-Identifier: MIT */
/* Where the memory comes from that grows with goroutines, values and objects: libc, or a host's own function
 * (vai_options.memory). Whatever has been taken from one is given back to it, so the choice is made before anything is
 * taken, and stands. Any thread. */
#ifndef VAI_HEAP_H
#define VAI_HEAP_H

#include <stdlib.h>
#include "base/base.h"

typedef void *(*vai__heap_function)(void *block, size_t size, void *data);
extern vai__heap_function vai__heap_host; /* the host's function; NULL: libc gives the memory. Written once */
extern void *vai__heap_data;

/* Resizes a block of the heap; makes a new one where `block` is NULL. Returns NULL when out of memory, and the old
 * block is unchanged then. */
static inline void *vai__heap_resize(void *block, size_t size)
{
	if (VAI_UNLIKELY(vai__heap_host != NULL))
		return vai__heap_host(block, size ? size : 1, vai__heap_data);
	return realloc(block, size ? size : 1);
}

/* Frees a block of the heap. Does nothing where `block` is NULL. */
static inline void vai__heap_free(void *block)
{
	if (VAI_LIKELY(!vai__heap_host))
		free(block);
	else if (block)
		vai__heap_host(block, 0, vai__heap_data);
}

/* A new block for n elements of `size` bytes, all zero. NULL: out of memory. */
void *vai__heap_zero(size_t n, size_t size);

/* Set by base/mem.c when the program loads. From its call on freed blocks are not kept for the next use. False:
 * blocks have been taken already, and nothing has changed. */
extern bool (*vai__heap_bypass)(void);
/* Has the host's function f give all memory from now on; f == NULL leaves it as it is. False: memory has been taken
 * from elsewhere already. */
bool vai__heap_choose(vai__heap_function f, void *data);

#endif
