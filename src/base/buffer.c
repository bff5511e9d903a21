/* SPDX-License-Identifier: MIT */
/* Bytes that grow. The size doubles, so that n bytes are copied at most twice. */
#include "base/buffer.h"
#include <string.h>
#include "base/heap.h"

enum { FIRST_SIZE = 1024 };

bool vai__buffer_reserve(struct vai__buffer *b, size_t n)
{
	if (b->cut)
		return false;
	if (b->size - b->n >= n)
		return true;
	size_t size = b->size ? b->size : FIRST_SIZE;
	while (size - b->n < n)
		size *= 2;
	char *p = vai__heap_resize(b->p, size);
	b->cut = !p;
	if (!p)
		return false;
	b->p = p;
	b->size = size;
	return true;
}

bool vai__buffer_add(struct vai__buffer *b, const void *bytes, size_t n)
{
	if (!vai__buffer_reserve(b, n))
		return false;
	memcpy(b->p + b->n, bytes, n);
	b->n += n;
	return true;
}

void vai__buffer_free(struct vai__buffer *b)
{
	vai__heap_free(b->p);
	*b = (struct vai__buffer){0};
}
