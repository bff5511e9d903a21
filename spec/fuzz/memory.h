/* SPDX-License-Identifier: MIT */
/* vai's own memory, counted and made to fail: stands in for base/mem.c here and in a test of spec/c/vm. One thread. */
#ifndef VAI_SPEC_MEMORY_H
#define VAI_SPEC_MEMORY_H

#include <stdbool.h>

extern long memory_blocks;    /* outstanding */
extern long memory_countdown; /* 0: never fail; n: the n-th allocation fails and all after it */
/* Counts one attempt; true: it fails. For allocators of Lua states. */
bool memory_fails(void);

#endif
