/* SPDX-License-Identifier: MIT */
/* Growing text. What it gives out of a lack of memory is cut, never wrong. */
#include "bind/report/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST = 4096 };

bool vai__text_reserve(struct vai__text *t, size_t n)
{
	if (t->cut)
		return false;
	if (t->size - t->n >= n)
		return true;
	size_t size = t->size ? t->size : FIRST;
	while (size - t->n < n)
		size *= 2;
	char *p = realloc(t->p, size);
	t->cut = !p;
	if (!p)
		return false;
	t->p = p;
	t->size = size;
	return true;
}

void vai__text_add(struct vai__text *t, const char *s, size_t n)
{
	if (!vai__text_reserve(t, n))
		return;
	memcpy(t->p + t->n, s, n);
	t->n += n;
}

void vai__text_put(struct vai__text *t, const char *s)
{
	vai__text_add(t, s, strlen(s));
}

void vai__text_int(struct vai__text *t, int64_t n)
{
	char digits[24], *at = digits + sizeof digits;
	uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;
	do
		*--at = (char)('0' + u % 10);
	while ((u /= 10) > 0);
	if (n < 0)
		*--at = '-';
	vai__text_add(t, at, (size_t)(digits + sizeof digits - at));
}

void vai__text_free(struct vai__text *t)
{
	free(t->p);
	*t = (struct vai__text){0};
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return true;
}

bool vai__text_write(const struct vai__text *t, int fd)
{
	static const char cut[] = "\n... (cut: not enough memory)\n";
	return write_all(fd, t->p, t->n) && (!t->cut || write_all(fd, cut, sizeof cut - 1));
}
