/* SPDX-License-Identifier: MIT */
/* Goroutine stacks: address space reserved in regions, memory committed by touch, a
 * guard page at the low end of each. A stack is named by its top (highest address, 16
 * bytes aligned); all have the same size. */
#ifndef VAI_STACK_H
#define VAI_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include "base/atomic.h"

/* Before the first stack, by one thread. size in bytes, rounded up to whole pages and at
 * least 64 KiB. Called again (a restart of the runtime) it keeps the first size. */
void vai__stack_init(size_t size);
size_t vai__stack_size(void);
/* NULL: out of address space or memory. Any thread. */
char *vai__stack_alloc(void);
/* The last vai__stack_alloc failed and no stack was freed since. Any thread. */
bool vai__stack_short(void);
/* Any thread; the stack must not be in use. */
void vai__stack_free(char *top);
/* Gives back what deep use has committed beyond the first pages, if it looks as if
 * there was any; cheap if not. The owner's call, when the stack is not in use. */
void vai__stack_trim(char *top);
/* Where no stack is in use: all memory of theirs goes back to the system, and none counts as made. */
void vai__stack_reset(void);
/* As vai__mem_unneeded and vai__mem_scavenge: the pages of stacks that were free all through a period
 * go back to the system; the stacks stay. One thread, not while another calls vai__stack_reset. */
size_t vai__stack_unneeded(size_t *regained);
size_t vai__stack_scavenge(const atomic_bool *stop);
static inline char *vai__stack_low(char *top)
{
	return top - vai__stack_size();
}
/* Whether addr lies in the guard of some stack. Async-signal-safe. */
bool vai__stack_is_guard(const void *addr);
/* Stacks made so far, used or free. */
size_t vai__stack_count(void);

#endif
