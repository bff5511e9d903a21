/* SPDX-License-Identifier: MIT */
/* Where the memory comes from that grows with goroutines, values and objects: libc, or a host's own function
 * (vai_options.memory). Whatever has been taken from one is given back to it, so the choice is made before anything is
 * taken, and stands. Any thread. */
#ifndef VAI_HEAP_H
#define VAI_HEAP_H

#include <stdlib.h>
#include "base/base.h"

typedef void *(*vai__heap_function)(void *block, size_t size, void *data);
extern vai__heap_function vai__heap_host; /* NULL: libc. Written once */
extern void *vai__heap_data;

/* block NULL: a new one. NULL: out of memory, and the old one is as it was. */
static inline void *vai__heap_resize(void *block, size_t size)
{
	if (VAI_UNLIKELY(vai__heap_host != NULL))
		return vai__heap_host(block, size ? size : 1, vai__heap_data);
	return realloc(block, size ? size : 1);
}

/* NULL does nothing. */
static inline void vai__heap_free(void *block)
{
	if (VAI_LIKELY(!vai__heap_host))
		free(block);
	else if (block)
		vai__heap_host(block, 0, vai__heap_data);
}

/* All bytes are 0. */
void *vai__heap_zero(size_t n, size_t size);

/* Set by base/mem.c, when the program loads: nothing is kept for the next use any more. False: something was taken. */
extern bool (*vai__heap_bypass)(void);
/* Has f give all memory from now on. False: some was taken from elsewhere. NULL: libc, or what was chosen before. */
bool vai__heap_choose(vai__heap_function f, void *data);

#endif
