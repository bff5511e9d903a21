/* SPDX-License-Identifier: MIT */
/* The bound of all memory that vai has got for scripts: Lua states, messages, channels and other objects, buffers. Not
 * stacks. Set while nothing runs; any thread takes and gives. What was taken before it was set may be given later: the
 * count is then a little too low. */
#ifndef VAI_MEMORY_BUDGET_H
#define VAI_MEMORY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include "base/atomic.h"
#include "base/base.h"

extern _Atomic(int64_t) vai__memory_budget_most; /* bytes; 0: no bound, and nothing is counted */

/* What the two functions at the end call where there is a bound. */
bool vai__memory_budget_take_counted(size_t bytes);
void vai__memory_budget_give_counted(size_t bytes);

/* Widens the bound by so many bytes, or narrows it again: for the words of an error. */
void vai__memory_budget_widen(int64_t bytes);

/* Sets the bound, in bytes; 0: none. */
void vai__memory_budget_set(size_t bytes);

/* So many bytes more are in use. False: that would be more than the bound, and nothing has changed. */
static inline bool vai__memory_budget_take(size_t bytes)
{
	return VAI_LIKELY(atomic_load_relaxed(&vai__memory_budget_most) == 0) || vai__memory_budget_take_counted(bytes);
}

/* So many bytes less are in use. */
static inline void vai__memory_budget_give(size_t bytes)
{
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__memory_budget_most) != 0))
		vai__memory_budget_give_counted(bytes);
}

#endif
