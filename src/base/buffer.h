/* SPDX-License-Identifier: MIT */
/* Bytes that grow in memory of malloc's. One thread at a time. Once memory was out nothing more is added, and
 * `cut` says so: what is there is a whole beginning. */
#ifndef VAI_BUFFER_H
#define VAI_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* All zero: empty. */
struct vai__buffer {
	char *p;
	size_t n, size;
	bool cut;
};

/* Room for n more bytes, for which no memory is asked from then on. */
bool vai__buffer_reserve(struct vai__buffer *b, size_t n);
/* False: it is cut. */
bool vai__buffer_add(struct vai__buffer *b, const void *bytes, size_t n);
void vai__buffer_free(struct vai__buffer *b);

#endif
