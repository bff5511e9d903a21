/* SPDX-License-Identifier: MIT */
/* Buffers: bytes outside all Lua heaps that goroutines share by reference, and slices of them. Any thread may call; no
 * call parks.
 *
 * The bytes are pinned while they are read or written, so that they neither move nor are freed meanwhile. A short pin
 * is for copying: its holder must not wait, park or raise, as a resize spins until it ends. A long pin is for input and
 * output: it may be held for any time, also across parks, and a resize fails meanwhile. Goroutines that write the same
 * bytes at the same time have to order that themselves; each byte gets one of the values. */
#ifndef VAI_BYTES_H
#define VAI_BYTES_H

#include "base/base.h"
#include "base/obj.h"

typedef struct vai_bytes vai_bytes; /* a struct vai_obj: a buffer or a slice of one */
extern const struct vai_class vai__bytes_class;

#define VAI_BYTES_MAX ((uint64_t)1 << 46)

/* A buffer of n zero bytes. The caller gets one reference. NULL: out of memory. */
vai_bytes *vai__bytes_new(uint64_t n);
/* Makes a slice: the n bytes of b from offset `at` on. The caller gets one reference. NULL: *rc is an error of
 * vai__bytes_pin, or VAI_OK when memory is out. */
vai_bytes *vai__bytes_slice(vai_bytes *b, uint64_t at, uint64_t n, int *rc);
/* The length in bytes. A slice keeps its length even if a resize has cut its bytes off. */
uint64_t vai__bytes_length(vai_bytes *b);
bool vai__bytes_is_slice(const vai_bytes *b);
/* Makes a buffer (not a slice) n bytes long; new bytes are zero. VAI_OK; VAI_EAGAIN: input or output in it is under
 * way; VAI_ENOMEM. */
int vai__bytes_resize(vai_bytes *b, uint64_t n);

enum vai__bytes_pin { VAI_PIN_SHORT, VAI_PIN_LONG };
/* Pins the n bytes from offset `at` on and sets *p to them; the caller unpins them with the same `how`, and keeps its
 * reference until then. VAI_ERANGE: b has fewer bytes; VAI_ECLOSED: a resize has cut bytes of the slice off. Nothing is
 * pinned after an error. */
int vai__bytes_pin(vai_bytes *b, enum vai__bytes_pin how, uint64_t at, uint64_t n, char **p);
/* Ends one pin of that kind. */
void vai__bytes_unpin(vai_bytes *b, enum vai__bytes_pin how);
/* Copies bytes of which some may be written at the same time; the two places may overlap. */
void vai__bytes_copy(char *to, const char *from, size_t n);

#endif
