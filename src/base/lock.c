/* SPDX-License-Identifier: MIT */
/* What lock.h does when a lock is held: it spins, because critical sections are shorter than a system call; then it
 * naps, because the holder's thread may be waiting for this very CPU. */
#include "base/lock.h"
#include <time.h>
#include "base/futex.h"
#include "base/fatal.h"

enum { SPINS = 8, RELAX_FIRST = 32, RELAX_MAX = 128, NAP_FIRST = 10000, NAP_MAX = 640000 };

#ifdef VAI_DEBUG_LOCKS
enum { HELD_MAX = 64 };
static _Thread_local struct vai_lock *held[HELD_MAX];
static _Thread_local int nheld,
	nmore; /* how many locks this thread holds; locks that have no room in the list are only counted */

/* Locks of these ranks are held several at a time, taken in the order of their addresses. */
static bool in_order(unsigned rank)
{
	return rank == VAI_RANK_CHAN || rank == VAI_RANK_TIMERS || rank == VAI_RANK_MAP;
}

VAI_NOINLINE void vai__lock_check(struct vai_lock *l)
{
	for (int i = 0; i < nheld; i++) {
		if (held[i]->rank > l->rank || (held[i]->rank == l->rank && !in_order(l->rank)) || held[i] == l)
			vai__fatal("lock of rank %u taken while holding rank %u", l->rank, held[i]->rank);
	}
	if (nheld < HELD_MAX)
		held[nheld++] = l;
	else
		nmore++;
}

VAI_NOINLINE void vai__lock_forget(struct vai_lock *l)
{
	for (int i = nheld - 1; i >= 0; i--) {
		if (held[i] == l) {
			held[i] = held[--nheld];
			return;
		}
	}
	if (nmore > 0) {
		nmore--;
		return;
	}
	vai__fatal("lock of rank %u released by a thread that does not hold it", l->rank);
}
#endif

void vai__lock_init(struct vai_lock *l, enum vai_rank rank)
{
	atomic_init(&l->word, 0);
#ifdef VAI_DEBUG_LOCKS
	l->rank = rank;
#else
	(void)rank;
#endif
}

static bool try_lock(struct vai_lock *l)
{
	unsigned zero = 0;
	return atomic_load_relaxed(&l->word) == 0 && atomic_cas_weak_acquire(&l->word, &zero, 1);
}

static void nap(long ns)
{
	struct timespec t = {.tv_nsec = ns};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static void relax(int n)
{
	for (int i = 0; i < n; i++)
		vai__cpu_relax();
}

/* A look at the lock takes its cache line away from the holder, which needs it for the unlock and, in a loop, for its
 * next lock. So looks are some time apart: the holder then takes the lock several times in a row, and the line with the
 * data that it guards moves seldom (measured: 4 goroutines that send to 4 others through one channel on two CPUs, 375
 * ns a message with looks all the time and 194 with these on a busy machine, 100 and 92 on a quiet one). */
void vai__lock_slow(struct vai_lock *l)
{
	for (long ns = NAP_FIRST;; ns = ns < NAP_MAX ? 2 * ns : ns) {
		int pause = RELAX_FIRST;
		for (int i = 0; i < SPINS; i++) {
			relax(pause);
			if (try_lock(l))
				return;
			pause = pause < RELAX_MAX ? 2 * pause : pause;
		}
		nap(ns);
	}
}

void vai__lock_await(const atomic_bool *flag)
{
	for (int i = 0; atomic_load_acquire(flag); i++) {
		if (i < SPINS)
			relax(RELAX_FIRST);
		else
			nap(NAP_FIRST);
	}
}
