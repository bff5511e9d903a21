/* SPDX-License-Identifier: MIT */
/* Goroutine stacks: address space is reserved in regions, memory is committed by touching it, and a guard page lies
 * at the low end of each stack. A stack is named by its top (its highest address, aligned to 16 bytes). All stacks
 * have the same size. */
#ifndef VAI_STACK_H
#define VAI_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/atomic.h"

/* Called before the first stack is made, by one thread. size is in bytes, rounded up to whole pages and at least 64
 * KiB. When the runtime is restarted it is called again and keeps the first size. */
void vai__stack_init(size_t size);
/* The size of each, in bytes, without the guard. */
size_t vai__stack_size(void);
/* A stack, of undefined contents. NULL: out of address space or memory. Any thread. */
char *vai__stack_alloc(void);
/* Whether the last vai__stack_alloc failed and no stack was freed since. Any thread. */
bool vai__stack_short(void);
/* How many stacks somebody has, those in the caches of Ps with them. */
extern _Atomic(int64_t) vai__stack_taken;
/* Frees a stack, which must not be in use. Any thread. */
void vai__stack_free(char *top);
/* Gives back the memory that deep use has committed beyond the first pages, if it looks as if there was such use;
 * cheap if not. Called by the stack's owner while the stack is not in use. */
void vai__stack_trim(char *top);
/* Called while no stack is in use: the memory of all stacks goes back to the system, and none counts as made. */
void vai__stack_reset(void);
/* As vai__mem_unneeded and vai__mem_scavenge: the pages of stacks that were free all through a period go back to the
 * system; the stacks stay. Called by one thread, not while another calls vai__stack_reset. */
size_t vai__stack_unneeded(size_t *regained);
size_t vai__stack_scavenge(const atomic_bool *stop);
/* The lowest address of the stack that may be used. */
static inline char *vai__stack_low(char *top)
{
	return top - vai__stack_size();
}
/* Whether addr lies in the guard of some stack. Async-signal-safe. */
bool vai__stack_is_guard(const void *addr);
/* Stacks made so far, used or free. */
size_t vai__stack_count(void);

#endif
