/* SPDX-License-Identifier: MIT */
/* Bounds of all memory that vai has got for the scripts of one of the host's states: Lua states, messages, channels and
 * other objects, buffers. Not stacks. Who asks for memory pays for it until it is freed, by whomever: each block that
 * is charged says for whom it is, in its head or, where it has none, in a table of addresses. Where no state has such a
 * bound nothing is counted. Any thread. */
#ifndef VAI_MEMORY_BUDGET_H
#define VAI_MEMORY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include "base/atomic.h"
#include "base/base.h"

struct vai__budget;

extern atomic_bool vai__memory_budget_any; /* true once a state with a bound has been opened, until no state is open */
/* Gives the bound of the calling goroutine's state, or NULL. Set by stdlib/sandbox.c. */
extern struct vai__budget *(*vai__memory_budget_self)(void);

/* Makes a bound of `bytes` for a state that opens. NULL: out of memory. Called under the gate of sched/home.h, as
 * are the next two. */
struct vai__budget *vai__memory_budget_open(size_t bytes);
/* Called when the state closes and none of its goroutines is left. Memory of it that others still hold stays
 * counted. Does nothing where b is NULL. */
void vai__memory_budget_close(struct vai__budget *b);
/* Called when no state is open any more: from then on nothing is counted. */
void vai__memory_budget_end(void);

/* Charges `bytes` to b; charges nobody where b is NULL. False: that would exceed the bound, and nothing has
 * changed. */
bool vai__memory_budget_charge(struct vai__budget *b, size_t bytes);
/* Takes back a charge of `bytes`. */
void vai__memory_budget_give(struct vai__budget *b, size_t bytes);

/* Charges `bytes` to the calling goroutine's state and sets *b to the bound that they are charged to, or to NULL
 * where nobody is charged. False: as for vai__memory_budget_charge. */
static inline bool vai__memory_budget_take(size_t bytes, struct vai__budget **b)
{
	*b = VAI_LIKELY(!atomic_load_relaxed(&vai__memory_budget_any)) ? NULL : vai__memory_budget_self();
	return VAI_LIKELY(!*b) || vai__memory_budget_charge(*b, bytes);
}

/* Notes that the block at p is charged to b. False: out of memory. */
bool vai__memory_budget_note(const void *p, struct vai__budget *b);
/* Forgets whom the block at p is charged to, and returns that; NULL: it was charged to nobody. */
struct vai__budget *vai__memory_budget_forget(const void *p);

/* Widens the bound of the calling goroutine's state by `bytes`, or narrows it where they are negative. That lets
 * the message of an error be made when the bound is reached. */
void vai__memory_budget_widen(int64_t bytes);

#endif
