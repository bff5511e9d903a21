/* SPDX-License-Identifier: MIT */
/* A mutex of four bytes: an atomic exchange takes it when it is free, a plain store lets go. A thread that finds it
 * held spins a little, then naps and looks again. Nobody is woken, so an unlock need not look for sleepers, which
 * would cost it an atomic exchange on every path (measured: 12 of the 34 ns of a message through a pipeline). Naps
 * are rare: a lock is held for tens of instructions, so it is found held for long only when its holder's thread was
 * preempted. While one is held there is no Lua call, no longjmp, no park and no allocation that may block.
 *
 * Ranks: a thread takes locks in rising rank only. Debug builds (VAI_DEBUG_LOCKS) check that, and abort with the
 * two ranks. */
#ifndef VAI_LOCK_H
#define VAI_LOCK_H

#include "base/atomic.h"
#include "base/base.h"

enum vai_rank {
	VAI_RANK_RUNTIME = 1, /* bind: process-wide registries */
	VAI_RANK_CODE,        /* code, require: table of code objects, module cache */
	VAI_RANK_TICKER,      /* sync: start and stop of one timer object */
	VAI_RANK_TIMERS,      /* sched: one P's timer heap; callbacks run under it */
	VAI_RANK_CONTEXT,     /* sync: one tree of contexts */
	VAI_RANK_GROUP,       /* sync: one group; its tasks are canceled under it */
	VAI_RANK_CHAN,        /* sync: one channel (several in address order: select) */
	VAI_RANK_SYNC,        /* sync: wait group, task, ... */
	VAI_RANK_MAP,         /* data: one shard of a map (all in address order: a snapshot) */
	VAI_RANK_POLL,        /* net: hand-over of work to the loop */
	VAI_RANK_REPLAY,      /* sched: the turns of a seeded run */
	VAI_RANK_SCHED,       /* sched: global queue, idle Ms and Ps */
	VAI_RANK_ALLG,        /* sched: list of all goroutines */
	VAI_RANK_STACK,       /* mach: shared list of stacks */
	VAI_RANK_MEM          /* base: shared lists of blocks */
};

struct vai_lock {
	atomic_uint word; /* 0 free, 1 held */
#ifdef VAI_DEBUG_LOCKS
	unsigned rank;
#endif
};

/* A lock that is free; it needs no end. All zero is one, too, but for the rank, which debug builds check. */
void vai__lock_init(struct vai_lock *l, enum vai_rank rank);
/* vai__lock for a lock that was found held. */
void vai__lock_slow(struct vai_lock *l);
/* Waits, as for a lock, until a flag is false that another thread sets for some instructions. */
void vai__lock_await(const atomic_bool *flag);
#ifdef VAI_DEBUG_LOCKS
/* vai__lock_check checks the rank of l and notes that the calling thread takes it; the other function notes that
 * the thread lets it go. */
void vai__lock_check(struct vai_lock *l);
void vai__lock_forget(struct vai_lock *l);
#else
#define vai__lock_check(l) ((void)0)
#define vai__lock_forget(l) ((void)0)
#endif

/* Waits until the lock is free and takes it. Does not nest. */
static inline void vai__lock(struct vai_lock *l)
{
	unsigned zero = 0;
	vai__lock_check(l);
	if (VAI_UNLIKELY(!atomic_cas_strong_acquire(&l->word, &zero, 1)))
		vai__lock_slow(l);
}

/* Takes the lock if it is free. True: the caller holds it now. */
static inline bool vai__trylock(struct vai_lock *l)
{
	unsigned zero = 0;
	if (!atomic_cas_strong_acquire(&l->word, &zero, 1))
		return false;
	vai__lock_check(l);
	return true;
}

/* Lets the lock go. Called by the thread that holds it. */
static inline void vai__unlock(struct vai_lock *l)
{
	vai__lock_forget(l);
	atomic_store_release(&l->word, 0);
}

#endif
