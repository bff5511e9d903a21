/* SPDX-License-Identifier: MIT */
/* See text.h. If memory is out the text is cut, but never wrong. */
#include "bind/report/text.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

void vai__text_put(struct vai__buffer *t, const char *s)
{
	vai__buffer_add(t, s, strlen(s));
}

void vai__text_int(struct vai__buffer *t, int64_t n)
{
	char digits[24], *at = digits + sizeof digits;
	uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;
	do
		*--at = (char)('0' + u % 10);
	while ((u /= 10) > 0);
	if (n < 0)
		*--at = '-';
	vai__buffer_add(t, at, (size_t)(digits + sizeof digits - at));
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

bool vai__text_write(const struct vai__buffer *t, int fd)
{
	static const char cut[] = "\n... (cut: not enough memory)\n";
	return write_all(fd, t->p, t->n) && (!t->cut || write_all(fd, cut, sizeof cut - 1));
}
