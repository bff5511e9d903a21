/* SPDX-License-Identifier: MIT */
/* Big blocks of the heap, 32 kB to 4 MB: long strings, their messages. What is freed is kept for the next block of its
 * size, first by the thread that freed it, so that it is still in that CPU's caches. libc would give such blocks back
 * to the system when a thread frees what another one has allocated, and fetch them again page by page: strings of
 * 100 kB from one goroutine to another took 28 us in place of 7.
 *
 * Each thread keeps up to 1 MB, and all together at most half of what such blocks have taken lately, and 1 MB. What
 * nobody takes from the common list for a period goes back to libc. Blocks of other sizes come from the heap and return
 * there. Any thread may call, and may free what another has taken. Nothing here parks. */
#ifndef VAI_BIG_H
#define VAI_BIG_H

#include <stddef.h>

/* The size that a block of `size` bytes gets: at most a sixteenth more. Rounds no further if it is called twice. */
size_t vai__big_round(size_t size);
/* A block of vai__big_round(size) bytes; NULL: out of memory. */
void *vai__big_take(size_t size);
/* Resizes a block that was taken or resized for `old` bytes to vai__big_round(size). NULL: out of memory, and the block
 * is unchanged. */
void *vai__big_resize(void *block, size_t old, size_t size);
/* Frees a block that was taken or resized for `size` bytes. */
void vai__big_give(void *block, size_t size);
/* Gives back what the calling thread keeps: see vai__mem_thread_exit. */
void vai__big_thread_exit(void);
/* Ends a period, and frees what the threads' common list had to spare all through it. One thread at a time. */
void vai__big_end_period(void);

#endif
