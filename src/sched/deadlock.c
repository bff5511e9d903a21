/* SPDX-License-Identifier: MIT */
/* How a deadlock is found: the last M that would go to sleep finds no timer, no operation in the poller, and every
 * main waiting. All other Ms sleep then, so nothing can change that: the mains are told. (Several Lua states may
 * share objects, so the goroutines of all of them have to wait.) If the last M awake cannot tell them, because it
 * runs one goroutine only or its thread ends, it wakes one that can (vai__deadlock_check). Timers and sources that
 * would wake nobody (a ticker, or a channel of signals, from which no goroutine receives) are no reason to wait: while
 * all Ms sleep, sysmon looks whether there are others (vai__deadlock_check_sleepers). What is reported is in
 * bind/report/deadlock.c. */
#include "sched/poll.h"
#include "sched/rt.h"

/* Whether nothing but a timer or a source can change anything: only the `awake` Ms of the caller are awake. Under
 * sched.lock. */
static bool is_quiet(int awake)
{
	return vai__sched.nidle_ms + awake == vai__sched.nms && !vai__sched.hosted && !vai__sched.wanting &&
		!vai__sched.world_stopped && !atomic_load_relaxed(&vai__sched.stopping) && vai__home_all_wait() &&
		(vai__poll_pending() == 0 || VAI_BUG(deadlock_early)) && !vai__idle_work_anywhere(true);
}

static bool has_wakers(void)
{
	return vai__timers_any() || vai__poll_sources() > 0;
}

bool vai__deadlock_is(int awake)
{
	return is_quiet(awake) && !has_wakers();
}

/* If the M that is asleep now was the last one awake, sysmon may have looked at timers and sources a moment too early:
 * when all Ps were idle, but not yet all Ms. So it is made to look again. */
void vai__deadlock_tell_sysmon(void)
{
	if (is_quiet(0) && has_wakers())
		vai__sysmon_poke();
}

/* Other Ms are asleep, or awake only to run timers that wake no goroutine. */
void vai__deadlock_tell_main(void)
{
	if (vai__sched_hooks.deadlock)
		vai__sched_hooks.deadlock();
	vai__home_fire_all(VAI_WAKE_DEADLOCK);
}

void vai__deadlock_check(void)
{
	vai__lock(&vai__sched.lock);
	bool stuck = vai__deadlock_is(0);
	vai__deadlock_tell_sysmon();
	vai__unlock(&vai__sched.lock);
	if (stuck)
		vai__idle_wake_one();
}

/* Whether all Ms sleep and only timers and sources can wake them. *nawake: how often an M has awoken so far. */
static bool sleeps_for_wakers(uint64_t *nawake)
{
	vai__lock(&vai__sched.lock);
	bool sleeps = is_quiet(0) && has_wakers();
	*nawake = vai__sched.nawake;
	vai__unlock(&vai__sched.lock);
	return sleeps;
}

/* Whether an M that counts as asleep has just made a goroutine ready in the poller. If a source put a message into a
 * channel before sysmon asked it for waiters, it was such an M that woke the receiver, so has_polled is set by now.
 * Under sched.lock. */
static bool somebody_wakes(void)
{
	bool wakes = false;
	for (struct m *m = vai__sched.all_ms; m && !VAI_BUG(polled_unseen); m = m->next_m)
		wakes |= m->idle && atomic_load_relaxed(&m->has_polled);
	return wakes;
}

/* The lock is not held while the timers and sources are looked at. If an M awoke meanwhile (nawake), it may have
 * changed them, and the answer counts for nothing. */
void vai__deadlock_check_sleepers(void)
{
	uint64_t before;
	if (!sleeps_for_wakers(&before) || vai__timers_may_wake() || vai__poll_sources_awaited())
		return;
	vai__lock(&vai__sched.lock);
	bool stuck = is_quiet(0) && before == vai__sched.nawake && !somebody_wakes();
	bool feed = stuck && vai__idle_feed_from_caches();
	vai__unlock(&vai__sched.lock);
	if (feed)
		vai__g_feed();
	else if (stuck)
		vai__deadlock_tell_main();
}
