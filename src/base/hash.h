/* SPDX-License-Identifier: MIT */
/* The hash functions of all tables: multiplication by the golden ratio (Fibonacci hashing, Knuth, The Art of
 * Computer Programming 3, 6.4), folded so that low and high bits are equally good. Not for keys that an attacker
 * chooses freely. */
#ifndef VAI_HASH_H
#define VAI_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* The hash of bytes whose beginning has the hash h and whose next n bytes are given. Reads eight bytes at a time. */
static inline uint64_t vai__hash_more(uint64_t h, const void *bytes, size_t n)
{
	const char *p = (const char *)bytes;
	uint64_t word = 0;
	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		h = vai__hash_step(h, word);
	}
	word = 0;
	memcpy(&word, p, n);
	return vai__hash_step(h, word);
}

static inline uint64_t vai__hash_bytes(const void *bytes, size_t n)
{
	return vai__hash_more(n * VAI__HASH_FACTOR, bytes, n);
}

#endif
