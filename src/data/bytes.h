/* SPDX-License-Identifier: MIT */
/* Buffers: bytes outside all Lua heaps that goroutines share by reference, and slices of them. Any thread may call.
 *
 * Who reads or writes the bytes pins them, so that they neither move nor go meanwhile. A short pin is for copying:
 * nothing that may wait or raise comes before its end, for a resize spins until then. A long one is for input and
 * output: it may be held for any time, across parks too, and a resize fails meanwhile. What goroutines write to the
 * same bytes at the same time is theirs to order: byte for byte it is one of the values. */
#ifndef VAI_BYTES_H
#define VAI_BYTES_H

#include "base/base.h"
#include "base/obj.h"

typedef struct vai_bytes vai_bytes; /* a struct vai_obj: a buffer or a slice of one */
extern const struct vai_class vai__bytes_class;

#define VAI_BYTES_MAX ((uint64_t)1 << 46)

/* A buffer of n zero bytes. The caller gets one reference. NULL: out of memory. */
vai_bytes *vai__bytes_new(uint64_t n);
/* A slice: the n bytes of b from `at` on, which counts from 0. The caller gets one reference. NULL: *rc is an error
 * of vai__bytes_pin, or VAI_OK when out of memory. */
vai_bytes *vai__bytes_slice(vai_bytes *b, uint64_t at, uint64_t n, int *rc);
/* How many bytes it has now. A slice keeps its length, also where a resize has taken bytes of it away. */
uint64_t vai__bytes_length(vai_bytes *b);
bool vai__bytes_is_slice(const vai_bytes *b);
/* Makes the buffer, which is no slice, n bytes long; new bytes are zero. VAI_OK; VAI_EAGAIN: input or output in it
 * is under way; VAI_ENOMEM. */
int vai__bytes_resize(vai_bytes *b, uint64_t n);

enum vai__bytes_pin { VAI_PIN_SHORT, VAI_PIN_LONG };
/* *p: the n bytes from `at` on, until they are unpinned in the same way; the caller keeps its reference to b until
 * then. VAI_ERANGE: b has not so many (now), VAI_ECLOSED: a resize has taken bytes of the slice away; nothing is
 * pinned then. */
int vai__bytes_pin(vai_bytes *b, enum vai__bytes_pin how, uint64_t at, uint64_t n, char **p);
/* Ends one such pin. */
void vai__bytes_unpin(vai_bytes *b, enum vai__bytes_pin how);
/* Copies bytes of which some may be written at the same time; the two places may overlap. */
void vai__bytes_copy(char *to, const char *from, size_t n);

#endif
