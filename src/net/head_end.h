/* SPDX-License-Identifier: MIT */
/* The end of a head: lines up to an empty one, as HTTP begins each message. In a header, because vai.http, which is not
 * linked with vai.so, must find it where net/serve.c does. */
#ifndef VAI_HEAD_END_H
#define VAI_HEAD_END_H

#include <stddef.h>
#include <string.h>

/* The offset in text[0..n) at which the head ends, behind its empty line. 0: the end has not come yet. Negative: a line
 * ends in a bare LF. *from: the offset to begin at, which the call moves on for the next one. */
static inline ptrdiff_t vai__head_end(const char *text, size_t n, size_t *from)
{
	size_t line = *from; /* where a line begins */
	const char *end;
	while (line < n && (end = memchr(text + line, '\n', n - line)) != NULL) {
		size_t at = (size_t)(end - text);
		if (at == 0 || text[at - 1] != '\r')
			return -1;
		if (at == line + 1)
			return (ptrdiff_t)at + 1;
		line = at + 1;
	}
	*from = line;
	return 0;
}

#endif
