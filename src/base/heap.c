/* SPDX-License-Identifier: MIT */
/* The heap: libc's functions, or the host's allocator once that is chosen. */
#include "base/heap.h"
#include <string.h>

vai__heap_function vai__heap_host;
void *vai__heap_data;
bool (*vai__heap_bypass)(void);

bool vai__heap_choose(vai__heap_function f, void *data)
{
	if (!f || (f == vai__heap_host && data == vai__heap_data))
		return true;
	if (vai__heap_host || !vai__heap_bypass || !vai__heap_bypass())
		return false;
	vai__heap_data = data;
	vai__heap_host = f;
	return true;
}

void *vai__heap_zero(size_t n, size_t size)
{
	if (VAI_LIKELY(!vai__heap_host))
		return calloc(n, size);
	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	void *p = vai__heap_resize(NULL, n * size);
	return p ? memset(p, 0, n * size) : NULL;
}
