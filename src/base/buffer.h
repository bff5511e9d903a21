/* SPDX-License-Identifier: MIT */
/* Bytes in memory of the heap (base/heap.h), which grows as they are added. One thread at a time. After memory has run
 * out once nothing more is added and `cut` is set: what is there is a beginning without gaps. */
#ifndef VAI_BUFFER_H
#define VAI_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* An empty buffer is all zero. */
struct vai__buffer {
	char *p;
	size_t n, size;
	bool cut;
};

/* Makes room for n more bytes; adding those asks for no memory. False: there is none. */
bool vai__buffer_reserve(struct vai__buffer *b, size_t n);
/* Adds n bytes. False: nothing was added, and `cut` is set. */
bool vai__buffer_add(struct vai__buffer *b, const void *bytes, size_t n);
/* Frees the memory; the buffer is empty then and may be used again. */
void vai__buffer_free(struct vai__buffer *b);

#endif
