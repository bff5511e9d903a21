/* SPDX-License-Identifier: MIT */
/* Who sleeps in the poller, and for whom the place there is kept.
 *
 * While a P is idle some M has to sleep in the poller, for input and timers. So an M that wakes there and has work
 * wakes another for the place. Where little is to be done for each event that is most of what an event costs: two
 * threads wake for it. With main it is worse, for main runs on its own thread only: the other M is in the poller by the
 * time main waits again, and wakes that thread for the next event after it was woken itself.
 *
 * So an M that was asleep again within BRIEF each of the last times keeps the place. It wakes nobody for it, and an M
 * that goes to sleep meanwhile does so on its futex. What comes meanwhile waits as long as waking another M would take.
 * If the M is not back in time, it gives the place up when it looks into the poller, and sysmon takes it away when it
 * looks.
 *
 * The place is kept only while its M has a P. When the P is taken away or given up it becomes idle, and an M is woken
 * or goes to sleep after that: the next M that sleeps finds the place free. */
#include "sched/poll.h"
#include "sched/rt.h"

enum { BRIEF = 50000 /* ns: about what it takes to wake an M from the poller, twice */ };

int vai__seat_times = 16;

static _Atomic(struct m *) kept_for; /* NULL: nobody; valid while that M has a P */
static _Atomic(int64_t) kept_since;

/* Marks the poller as taken by a thread that polls without sleeping, so it never needs a wake-up. */
#define POLLING ((struct m *)(void *)&vai__sched)

bool vai__seat_is_kept(void)
{
	struct m *m = atomic_load_seq_cst(&kept_for);
	return m && (m_p(m) || VAI_BUG(seat_forever));
}

bool vai__seat_is_watched(void)
{
	return atomic_load_relaxed(&vai__sched.poller) != NULL || vai__seat_is_kept();
}

bool vai__seat_rise(struct m *m)
{
	struct m *nobody = NULL;
	m->seat.rose_at = clock_note();
	if (m->seat.brief < vai__seat_times || m->lockedg || !(m->seat.sat || m->home))
		return false;
	atomic_store_relaxed(&kept_since, m->seat.rose_at);
	return atomic_cas_strong_seq_cst(&kept_for, &nobody, m);
}

void vai__seat_return(struct m *m)
{
	if (atomic_load_relaxed(&kept_for) == m)
		atomic_store_seq_cst(&kept_for, NULL);
	if (m->seat.rose_at == 0)
		return;
	bool brief = atomic_load_relaxed(&vai__sched.coarse_now) - m->seat.rose_at < BRIEF;
	m->seat.brief = !brief ? 0 : m->seat.brief < vai__seat_times ? m->seat.brief + 1 : m->seat.brief;
	m->seat.rose_at = 0;
}

/* Takes the place from an M that is not back in time. True: an M is to be woken for it. */
static bool expire(int64_t now)
{
	struct m *m = atomic_load_relaxed(&kept_for);
	return m && now - atomic_load_relaxed(&kept_since) >= BRIEF && atomic_cas_strong_seq_cst(&kept_for, &m, NULL);
}

void vai__seat_watch(int64_t now)
{
	if (!VAI_BUG(seat_unwatched) && expire(now))
		vai__idle_wake_one();
}

bool vai__seat_look(void)
{
	struct m *nobody = NULL;
	bool nothing = vai__poll_pending() == 0 && vai__poll_sources() == 0;
	if (VAI_LIKELY(nothing) || !atomic_cas_strong_acquire(&vai__sched.poller, &nobody, POLLING))
		return false;
	vai__poll_wait(0);
	int64_t now = clock_note();
	atomic_store_relaxed(&vai__sched.polled_at, now);
	atomic_store_seq_cst(&vai__sched.poller, NULL);
	expire(now);
	if (!VAI_BUG(poll_alone) && !vai__seat_is_kept())
		vai__idle_wake_one(); /* an M that went to sleep meanwhile found the poller taken and could not sleep in it */
	return true;
}

/* While all Ps are busy no M sleeps in the poller. Their Ms look into it between goroutines, and sysmon does if they do
 * not come to that (as in Go): an M that slept there would be woken for every event, find no P, and take a CPU from
 * those that have one (measured: a web server's request cost twice the time with 512 connections). When a P becomes
 * idle later, the M that had it goes to sleep and comes by here, or vai__idle_wake_one follows. */
bool vai__seat_take(struct m *m)
{
	struct m *nobody = NULL;
	m->seat.sat = atomic_load_seq_cst(&vai__sched.nidle_ps) > 0 && !vai__seat_is_kept() &&
		atomic_cas_strong_seq_cst(&vai__sched.poller, &nobody, m);
	return m->seat.sat;
}

void vai__seat_leave(void)
{
	atomic_store_seq_cst(&vai__sched.poller, NULL);
}
