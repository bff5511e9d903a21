/* SPDX-License-Identifier: MIT */
/* Sized blocks from per-thread caches of size classes; what a cache has too many of
 * moves in batches to a shared list. Blocks are aligned to 16 bytes, not zeroed.
 * Any thread may call; a block may be freed by another thread than allocated it. */
#ifndef VAI_MEM_H
#define VAI_MEM_H

#include <stddef.h>
#include "base/atomic.h"

/* Bytes that an allocation of `size` really gets; never less than size. A caller that
 * can use the rest asks for vai__mem_round(size). */
size_t vai__mem_round(size_t size);
/* NULL when out of memory. */
void *vai__mem_alloc(size_t size);
void *vai__mem_zalloc(size_t size);
/* `size` is what was asked for. p may be NULL. */
void vai__mem_free(void *p, size_t size);
/* Gives the calling thread's cache back: its last call before the thread ends, or when it will
 * not need one for long. */
void vai__mem_thread_exit(void);

/* Memory that nobody needs goes back to the system: one thread, every few seconds. The first ends
 * a period and tells how many bytes were free all through it, so far as that is worth the trouble
 * of the second, and how many of those given back in earlier periods were mapped again in this
 * one; the second gives back what the first found, as whole spans, unless *stop, and
 * tells how many bytes. */
size_t vai__mem_unneeded(size_t *regained);
size_t vai__mem_scavenge(const atomic_bool *stop);

#endif
