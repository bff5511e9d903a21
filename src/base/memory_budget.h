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

extern atomic_bool vai__memory_budget_any; /* some state that is open has one, or had */
/* That of the calling goroutine's state, or NULL. Set by stdlib/sandbox.c. */
extern struct vai__budget *(*vai__memory_budget_self)(void);

/* A bound of so many bytes, of a state that opens. NULL: out of memory. Under the gate of sched/home.h, as the next
 * two. */
struct vai__budget *vai__memory_budget_open(size_t bytes);
/* The state closes, and none of its goroutines is left. What others still hold of its memory stays counted. NULL is
 * nothing. */
void vai__memory_budget_close(struct vai__budget *b);
/* No state is open any more: nothing is counted. */
void vai__memory_budget_end(void);

/* So many bytes more for b, or NULL: nobody. False: that would be more than the bound, and nothing has changed. */
bool vai__memory_budget_charge(struct vai__budget *b, size_t bytes);
/* So many bytes less. */
void vai__memory_budget_give(struct vai__budget *b, size_t bytes);

/* So many bytes more for the calling goroutine's state; *b is whom they are charged to, maybe nobody (NULL). False: as
 * above. */
static inline bool vai__memory_budget_take(size_t bytes, struct vai__budget **b)
{
	*b = VAI_LIKELY(!atomic_load_relaxed(&vai__memory_budget_any)) ? NULL : vai__memory_budget_self();
	return VAI_LIKELY(!*b) || vai__memory_budget_charge(*b, bytes);
}

/* The block at p is charged to b. False: out of memory. */
bool vai__memory_budget_note(const void *p, struct vai__budget *b);
/* Whom it was charged to, from now on nobody; NULL: nobody. */
struct vai__budget *vai__memory_budget_forget(const void *p);

/* Widens the bound of the calling goroutine's state by so many bytes, or narrows it again: for an error's words. */
void vai__memory_budget_widen(int64_t bytes);

#endif
