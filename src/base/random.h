/* SPDX-License-Identifier: MIT */
/* Random numbers that are fast and good enough for choices: no secrets. */
#ifndef VAI_RANDOM_H
#define VAI_RANDOM_H

#include <stdint.h>

/* splitmix64 (Steele, Lea, Flood 2014): the mix of a counter that grows by RANDOM_STEP is a random sequence. */
#define VAI__RANDOM_STEP 0x9e3779b97f4a7c15u
static inline uint64_t vai__random_mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* xorshift32 (Marsaglia 2003). The state belongs to the caller and is never 0. */
static inline uint32_t vai__random_next(uint32_t *state)
{
	uint32_t x = *state;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

#endif
