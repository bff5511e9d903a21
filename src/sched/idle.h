/* SPDX-License-Identifier: MIT */
/* Private to sched/: which Ms sleep and which look for work (idle.c), and how a deadlock is found (deadlock.c).
 * Included by rt.h. "Lock held": sched.lock. Where nothing else is said, m's own thread calls. */
#ifndef VAI_IDLE_H
#define VAI_IDLE_H

#include "sched/rt.h"

/* Wakes or makes an M for an idle P, if there is one and no M spins. The caller has put work into some queue before.
 * Any thread. */
void vai__idle_wake_one(void);
/* m, which spins, has found work: it stops spinning, and wakes another M where there is more. */
void vai__idle_got_work(struct m *m);
/* Looks for work for m, or sleeps until there may be some. NULL: the caller looks again from the top. */
struct g *vai__idle_find_or_sleep(struct m *m);
/* m->locked has grown: has m woken if it sleeps and a P is idle. Any thread; lock held, which the caller lets go by
 * vai__idle_unlock. The same holds for what calls this one: vai__p_release, vai__handoff_want, vai__watch_for_main. */
void vai__idle_wake_locked_m(struct m *m);
/* Lets go of sched.lock, and wakes the M that was to be woken under it. Any thread. */
void vai__idle_unlock(void);
/* Takes an M out of the idle ones, for the caller to wake; NULL: none. hosts: a host's may be taken, and is taken
 * first. Any thread; lock held. */
struct m *vai__idle_take_m(bool hosts);
/* Counts m as idle. listed: it may be woken for any work; otherwise for m->locked only. Lock held. */
void vai__idle_enlist(struct m *m, bool listed);
/* m, which has awoken, counts as awake, and owns the P that its waker gave it, or an idle one, or none. */
void vai__idle_delist(struct m *m);
/* Makes the goroutines runnable that m made ready in the poller. */
void vai__idle_take_polled(struct m *m);
/* m, which spins, does so no longer. */
void vai__idle_stop_spinning(struct m *m);
/* While the runtime stops: wakes one idle M, which leaves and calls this again. Any thread. */
void vai__idle_stop_one(void);
/* m has slept for long. True: there are enough other idle Ms, and its thread has to end. */
bool vai__idle_retire(struct m *m);
/* Whether there is work in any queue. exact: any at all; otherwise such as is worth a wake-up. Any thread. */
bool vai__idle_work_anywhere(bool exact);
/* Frees the stacks in the caches of all Ps, which must be idle, if a goroutine waits for a stack. True: that goroutine
 * can have one now (vai__g_feed). Any thread; lock held. */
bool vai__idle_feed_from_caches(void);

/* Whether there is a deadlock: no more than the caller's `awake` Ms are awake, and nothing can wake a goroutine. Any
 * thread; lock held. */
bool vai__deadlock_is(int awake);
/* One M less is awake; if that was the last one, sysmon looks for a deadlock. Any thread; lock held. */
void vai__deadlock_tell_sysmon(void);
/* Calls hooks.deadlock and ends every main's wait. Nothing else runs. Any thread. */
void vai__deadlock_tell_main(void);
/* An M has gone idle or ended without a look for a deadlock: looks, and wakes an M that tells. Any thread. */
void vai__deadlock_check(void);
/* Looks for a deadlock while all Ms sleep and only timers or sources could wake one. sysmon. */
void vai__deadlock_check_sleepers(void);

#endif
