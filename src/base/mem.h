/* SPDX-License-Identifier: MIT */
/* Sized blocks from per-thread caches of size classes; what a cache has too many of
 * moves in batches to a shared list. Blocks are aligned to 16 bytes, not zeroed.
 * Any thread may call; a block may be freed by another thread than allocated it. */
#ifndef VAI_MEM_H
#define VAI_MEM_H

#include <stddef.h>
#include "base/atomic.h"

/* The number of bytes that an allocation of `size` really gets, never less than `size`. A caller that can use the
 * rest asks for vai__mem_round(size) bytes. */
size_t vai__mem_round(size_t size);
/* A block of at least `size` bytes; NULL: out of memory. */
void *vai__mem_alloc(size_t size);
/* The same, with all bytes zero. */
void *vai__mem_zalloc(size_t size);
/* Frees p, which may be NULL. `size` is what was asked for. */
void vai__mem_free(void *p, size_t size);
/* Gives the calling thread's cache back. It is a thread's last call before it ends, or is made when the thread will
 * not need the cache for long. */
void vai__mem_thread_exit(void);

/* Memory that is not needed goes back to the system. Called by one thread, every few seconds.
 *
 * vai__mem_unneeded ends a period, that of big.h, too. It returns how many bytes were free all through the period, as
 * far as giving them back is worth the trouble, and sets *regained to how many of the bytes given back in earlier
 * periods were mapped again in this one. vai__mem_scavenge then gives back what the first has found, as whole spans,
 * unless *stop, and returns how many bytes that were. */
size_t vai__mem_unneeded(size_t *regained);
size_t vai__mem_scavenge(const atomic_bool *stop);

#endif
