/* SPDX-License-Identifier: MIT */
/* The hash functions of all tables: multiplication by the golden ratio (Fibonacci hashing, Knuth, The Art of
 * Computer Programming 3, 6.4), folded so that low and high bits are equally good. Not for keys that an attacker
 * chooses freely. */
#ifndef VAI_HASH_H
#define VAI_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/base.h"

#define VAI__HASH_FACTOR 0x9e3779b97f4a7c15u

static inline uint64_t vai__hash_step(uint64_t h, uint64_t word)
{
	h = (h ^ word) * VAI__HASH_FACTOR;
	return h ^ h >> 32;
}

/* The hash of a number or an address. */
static inline uint64_t vai__hash_word(uint64_t word)
{
	return vai__hash_step(0, word);
}

/* Two words of n bytes: all of them up to 16, both ends of more. */
static inline void vai__hash_ends(const void *bytes, size_t n, uint64_t *first, uint64_t *last)
{
	const unsigned char *p = (const unsigned char *)bytes;
	uint32_t a, b;
	*first = *last = 0;
	if (n >= 8) {
		memcpy(first, p, 8);
		memcpy(last, p + n - 8, 8);
	} else if (n >= 4) {
		memcpy(&a, p, 4);
		memcpy(&b, p + n - 4, 4);
		*first = (uint64_t)a << 32 | b;
	} else if (n > 0) {
		*first = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
	}
}

/* memcmp's zero, without a call for short ones. */
static inline bool vai__same_bytes(const void *a, const void *b, size_t n)
{
	uint64_t first[2], last[2];
	if (VAI_UNLIKELY(n > 16))
		return memcmp(a, b, n) == 0;
	vai__hash_ends(a, n, &first[0], &last[0]);
	vai__hash_ends(b, n, &first[1], &last[1]);
	return first[0] == first[1] && last[0] == last[1];
}

/* The hash of bytes whose beginning has the hash h and whose next n bytes are given; n is part of h. Reads eight bytes
 * at a time, of which the last may be read twice. */
static inline uint64_t vai__hash_more(uint64_t h, const void *bytes, size_t n)
{
	const char *p = (const char *)bytes;
	uint64_t word, last;
	for (; n > 16; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		h = vai__hash_step(h, word);
	}
	vai__hash_ends(p, n, &word, &last);
	return vai__hash_step(vai__hash_step(h, word), last);
}

static inline uint64_t vai__hash_bytes(const void *bytes, size_t n)
{
	return vai__hash_more(n * VAI__HASH_FACTOR, bytes, n);
}

#endif
