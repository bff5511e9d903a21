/* SPDX-License-Identifier: MIT */
/* The form of shapes, shared by freeze.c, which makes them, and frozen.c, which reads them. A shape is one word with
 * its numbers of keys and of slots; the keys' words; the slots; and the keys' tags, a byte each. A slot has the upper
 * half of the key's hash in its upper half and the key's number, from 1 on, in its lower half; 0: it is free. The
 * number of slots is a power of two, and one is always free. The shape at place 0 has no keys. */
#ifndef VAI_FROZEN_PRIVATE_H
#define VAI_FROZEN_PRIVATE_H

#include "base/hash.h"
#include "data/frozen.h"

enum { SHAPE_HEAD = 1 };

static inline uint64_t shape_keys(const uint64_t *shape)
{
	return *shape & UINT32_MAX;
}

static inline uint64_t shape_slots(const uint64_t *shape)
{
	return *shape >> 32;
}

static inline uint64_t vai__frozen_hash(const struct vai__frozen_key *key)
{
	if (key->tag == FROZEN_STRING)
		return vai__hash_bytes(key->bytes, (size_t)key->word);
	return vai__hash_step(key->tag, key->word);
}

#endif
