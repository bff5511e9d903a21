/* SPDX-License-Identifier: MIT */
/* Text in a buffer, for reports that are made where no Lua state may be used. One thread at a time uses a buffer. */
#ifndef VAI_TEXT_H
#define VAI_TEXT_H

#include <stdint.h>
#include "base/buffer.h"

/* Add a string, and a number in decimal digits. */
void vai__text_put(struct vai__buffer *b, const char *s);
void vai__text_int(struct vai__buffer *b, int64_t n);
/* Writes the text to a file descriptor. Text that was cut says so at its end. False: the descriptor cannot be written
 * to. */
bool vai__text_write(const struct vai__buffer *b, int fd);

#endif
