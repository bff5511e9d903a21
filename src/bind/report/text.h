/* SPDX-License-Identifier: MIT */
/* Text that grows in memory of malloc's: for reports that are made where no Lua state may be
 * touched. One thread at a time. Out of memory it keeps what it has and says so at the end. */
#ifndef VAI_TEXT_H
#define VAI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: empty. */
struct vai__text {
	char *p;
	size_t n, size;
	bool cut; /* something did not fit into memory */
};

/* Room for n more bytes, for which no memory is asked from then on. */
bool vai__text_reserve(struct vai__text *t, size_t n);
void vai__text_add(struct vai__text *t, const char *s, size_t n);
void vai__text_put(struct vai__text *t, const char *s);
void vai__text_int(struct vai__text *t, int64_t n);
void vai__text_free(struct vai__text *t);
/* To a file descriptor; false: it cannot be written to. */
bool vai__text_write(const struct vai__text *t, int fd);

#endif
