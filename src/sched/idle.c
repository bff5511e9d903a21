/* SPDX-License-Identifier: MIT */
/* Who sleeps and who looks for work, after the comment on worker threads in Go's proc.go.
 *
 * The rule that loses no wake-up: a thread that adds work first publishes it, then (full barrier) looks for an idle
 * P while no M spins. An M that stops spinning first says so, then (full barrier) looks at every queue once more. So
 * one of the two sees the other. An M that finds work while it was the last spinner stops in the same way, and wakes
 * another where there is more, so wake-ups spread as long as there is work and no longer. It also wakes another when no
 * M sleeps in the poller and watches timers, because while a P is idle one has to.
 *
 * idle_ms, idle_ps, m->idle and m->nextp belong to sched.lock. An M in idle_ms has no P. Whoever takes an M out of
 * idle_ms sets its nextp under the lock and wakes it afterwards.
 *
 * Deadlocks are found by the last M that would go to sleep: see deadlock.c. */
#include "mach/thread.h"
#include "sched/poll.h"
#include "sched/rt.h"

#ifdef VAI_SIM
enum { SPINS = 2, PATIENT_AFTER = 1, YIELDS = 2, YIELDS_PATIENT_AFTER = 1 };
#else
enum {
	SPINS = 400,         /* looks at the queues before an M sleeps: about the price of a wake-up */
	PATIENT_AFTER = 100, /* looks before a thief takes the runnext of a P that has not moved */
	YIELDS = 4,          /* the same two for an M that lets another run on its CPU between its looks */
	YIELDS_PATIENT_AFTER = 2
};
#endif
#if defined(VAI_SIM) || defined(VAI_HARD)
enum { SPARE_MS = 0 };
#else
enum { SPARE_MS = 4 }; /* idle Ms beyond the number of Ps */
#endif
enum {
	CHOOSY = 16 /* idle Ms up to which the best one is searched for; among more, the first that will do is taken */
};

/* m does not count as idle any more. Lock held. */
static void remove_idle_m(struct m *m)
{
	if (m->listed) {
		struct m **at = &vai__sched.idle_ms;
		while (*at != m)
			at = &(*at)->link;
		*at = m->link;
	}
	m->idle = m->listed = false;
	atomic_store_relaxed(&m->nap_until, 0);
	vai__sched.nidle_ms--;
	vai__handoff_unwant(m);
}

/* A host's M is taken first, because main waits for it, and the M that sleeps in the poller last. */
struct m *vai__idle_take_m(bool hosts)
{
	struct m **best = NULL, *poller = atomic_load_relaxed(&vai__sched.poller);
	for (struct m **at = &vai__sched.idle_ms; *at; at = &(*at)->link) {
		if ((*at)->home && !hosts)
			continue;
		if (!best || *best == poller || ((*at)->home && *at != poller))
			best = at;
		if (*best != poller && ((*best)->home || vai__sched.nidle_ms > CHOOSY))
			break;
	}
	if (!best)
		return NULL;
	struct m *m = *best;
	remove_idle_m(m);
	return m;
}

void vai__idle_stop_spinning(struct m *m)
{
	m->spinning = false;
	atomic_fetch_sub_seq_cst(&vai__sched.nspinning, 1);
}

bool vai__idle_work_anywhere(bool exact)
{
	for (int i = 0; i < atomic_load_acquire(&vai__sched.nps); i++) {
		if (!vai__runq_empty(vai__sched.ps[i]) && (exact || runq_wait(vai__sched.ps[i]) > WAKE_COST))
			return true;
	}
	return atomic_load_seq_cst(&vai__sched.nglobal) > 0;
}

/* Called when no thread could be made for p: the Ms that run go on alone. An M that went to sleep meanwhile counted
 * one thread more than there is and saw no deadlock, so it has to look again. */
static void give_back(struct p *p)
{
	if (!p)
		return;
	vai__lock(&vai__sched.lock);
	vai__p_release(p);
	bool stuck = vai__sched.idle_ms && vai__deadlock_is(0);
	vai__deadlock_tell_sysmon();
	vai__idle_unlock();
	if (stuck)
		vai__idle_wake_one();
}

void vai__idle_wake_one(void)
{
	int none = 0;
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_acquire(&vai__sched.nidle_ps) == 0 || atomic_load_relaxed(&vai__sched.nspinning) != 0 ||
		!atomic_cas_strong_seq_cst(&vai__sched.nspinning, &none, 1))
		return;
	vai__lock(&vai__sched.lock);
	struct p *p = atomic_load_relaxed(&vai__sched.stopping) ? NULL : vai__p_get_idle();
	struct m *m = p ? vai__idle_take_m(true) : NULL;
	if (m) {
		m->nextp = p;
		m->spinning = true;
	}
	if (!p) /* counted down only here: a thread that sees the next idle P must see that no M spins for it */
		atomic_fetch_sub_seq_cst(&vai__sched.nspinning, 1);
	vai__unlock(&vai__sched.lock);
	if (!p)
		return;
	count_add(&p->count.wakeups, 1);
	if (m) {
		vai__m_wake(m);
	} else if (!vai__m_new(p, true)) {
		atomic_fetch_sub_seq_cst(&vai__sched.nspinning, 1);
		give_back(p);
	}
}

/* Another M is woken only if there is work for it, or nothing watches the poller. Waking one for nothing would cost
 * what a message costs: an M that woke, looked around and slept again took the CPU from the thread that had posted
 * (measured: a post took three times as long). */
void vai__idle_got_work(struct m *m)
{
	vai__idle_stop_spinning(m);
	vai__loop_slice_begin(m_p(m));
	atomic_thread_fence(memory_order_seq_cst); /* as in vai__idle_find_or_sleep */
	if (!VAI_BUG(last_spinner) && (!vai__seat_is_watched() || vai__idle_work_anywhere(false)))
		vai__idle_wake_one();
}

void vai__idle_wake_locked_m(struct m *m)
{
	if (!m->idle)
		return; /* m looks at its queue before it sleeps */
	struct p *p = vai__p_get_idle();
	if (!p) {
		vai__handoff_want(m);
		return;
	}
	remove_idle_m(m);
	m->nextp = p;
	if (vai__sched.to_wake)
		vai__m_wake(vai__sched.to_wake);
	vai__sched.to_wake = m;
}

/* An M that was woken under the lock and has the higher priority, as a host's thread has in a frame, would take the CPU
 * from the thread that woke it at once, and then find the lock held by a thread that waits for a CPU (measured: 48 of
 * 72 waits of a host's thread of more than 0.2 ms, up to 20 ms each). That M may wake by itself before it is woken
 * here, run, and sleep again; then it is woken for nothing. */
void vai__idle_unlock(void)
{
	struct m *m = vai__sched.to_wake;
	vai__sched.to_wake = NULL;
	vai__unlock(&vai__sched.lock);
	if (m)
		vai__m_wake(m);
}

/* Takes any idle M of vai's own, listed or not; NULL: there is none. Under sched.lock. */
static struct m *take_any_m(void)
{
	struct m *m = vai__idle_take_m(false);
	for (struct m *at = vai__sched.all_ms; at && !m; at = at->next_m)
		if (at->idle && !at->home)
			remove_idle_m(m = at);
	return m;
}

/* Each M that stops wakes the next. If all were woken at once they would queue for the lock and for the CPUs. */
void vai__idle_stop_one(void)
{
	if (!atomic_load_relaxed(&vai__sched.stopping))
		return;
	vai__lock(&vai__sched.lock);
	struct m *m = vai__sched.nidle_ms > 0 ? take_any_m() : NULL;
	vai__unlock(&vai__sched.lock);
	if (m)
		vai__m_wake(m);
}

/* The M that went to sleep last is woken first (it stands first in idle_ms). So an M that has slept for long is one too
 * many. */
bool vai__idle_retire(struct m *m)
{
	vai__lock(&vai__sched.lock);
	int enough = atomic_load_relaxed(&vai__sched.nprocs) + SPARE_MS;
	bool goes = m->idle && m->listed && !m->home && m->locked.count == 0 && vai__sched.nidle_ms > enough;
	if (goes) {
		remove_idle_m(m);
		m->leaving = true;
	}
	vai__unlock(&vai__sched.lock);
	return goes;
}

/* Whether m may spin, which it does from then on. As in Go, no more Ms spin than half of those that are busy: others
 * would only take CPU time. */
static bool may_spin(struct m *m)
{
	if (m->spinning)
		return true;
	int busy = atomic_load_relaxed(&vai__sched.nprocs) - atomic_load_relaxed(&vai__sched.nidle_ps);
	if (busy < 2 || 2 * atomic_load_relaxed(&vai__sched.nspinning) >= busy)
		return false;
	m->spinning = true;
	atomic_fetch_add_seq_cst(&vai__sched.nspinning, 1);
	return true;
}

/* What a spinner saw of the Ps when it began to spin. */
struct seen {
	unsigned n;
	bool patient; /* it has looked for a while */
	uint32_t ticks[MAX_PROCS];
};

/* Whether victim's queue is worth stealing from: its owner says so, it is long, or long for the pace at which it is
 * worked off, judged also by how long the last goroutines of p ran here. A victim that has not moved since the spinner
 * began is always worth it: it may have no owner. */
static bool worth_stealing(struct p *p, struct p *victim, const struct seen *seen)
{
	unsigned i = (unsigned)victim->index;
	if (seen->patient && i < seen->n && atomic_load_relaxed(&victim->tick) == seen->ticks[i])
		return true;
	if (VAI_UNLIKELY(atomic_load_relaxed(&victim->offers))) {
		atomic_store_relaxed(&victim->offers, false);
		return true;
	}
	int64_t n = vai__runq_len(victim), slice = atomic_load_relaxed(&p->slice);
	int64_t theirs = atomic_load_relaxed(&victim->slice);
	return n >= STEAL_MANY || n * (theirs < slice ? theirs : slice) > STEAL_COST;
}

/* Looks at all other Ps once, beginning with a random one. */
static struct g *steal_round(struct m *m, const struct seen *seen)
{
	struct p *p = m_p(m);
	unsigned n = (unsigned)atomic_load_acquire(&vai__sched.nps), first = vai__random_next(&m->rand) % n;
	for (unsigned k = 0; k < n; k++) {
		struct p *victim = vai__sched.ps[(first + k) % n];
		if (victim == p || !worth_stealing(p, victim, seen))
			continue;
		struct g *g = vai__runq_steal(p, victim, true);
		if (g)
			return g;
	}
	return NULL;
}

/* Runs timers that are due: those of Ps without an owner, and of Ps whose goroutine takes long. */
static void run_all_timers(int64_t now)
{
	for (int i = 0; i < atomic_load_acquire(&vai__sched.nps); i++)
		vai__timers_run(&vai__sched.ps[i]->timers, now);
}

/* Whether an M that works was last seen on the CPU that m runs on. */
static bool is_in_the_way(struct m *m)
{
	int here = vai__thread_where();
	for (int i = 0; i < atomic_load_acquire(&vai__sched.nps) && here >= 0; i++)
		if (vai__sched.ps[i] != m_p(m) && atomic_load_relaxed(&vai__sched.ps[i]->where) == here)
			return true;
	return false;
}

/* Whether m, which spins, is to let other threads run on its CPU between its looks.
 *
 * The kernel may put two Ms on one CPU while another process has the second one. A look at the queue of a P whose M
 * cannot run meanwhile finds nothing new, and an M that went to sleep instead would be woken by the next message,
 * again on this CPU: a pipeline took 280 ns a message where one P takes 115 to 175.
 *
 * m may not have its turn for some milliseconds. So it does that only while nobody depends on it: no idle P's M has
 * to be woken, which nobody does while m spins; no timer is its to run; no input is under way, for which it would
 * sleep in the poller; and it is not a host's thread, which main needs. */
static bool may_yield(struct m *m)
{
	return !m->home && atomic_load_relaxed(&vai__sched.nidle_ps) == 0 &&
		atomic_load_relaxed(&m_p(m)->timers.next) == VAI_FOREVER && vai__poll_pending() == 0 &&
		vai__poll_sources() == 0;
}

/* A short pause. yields: other threads may run on this CPU meanwhile. */
static void pause_between_looks(bool yields)
{
	if (yields)
		vai__thread_yield();
	else
		vai__cpu_relax();
}

/* Looks for work, again and again for a while. NULL: there is none, or the caller has to look at more than queues. */
static struct g *spin(struct m *m)
{
	const bool yields = may_yield(m) && is_in_the_way(m);
	const int looks = yields ? YIELDS : SPINS, patient_after = yields ? YIELDS_PATIENT_AFTER : PATIENT_AFTER;
	struct seen seen;
	seen.n = (unsigned)atomic_load_acquire(&vai__sched.nps);
	for (unsigned i = 0; i < seen.n; i++)
		seen.ticks[i] = atomic_load_relaxed(&vai__sched.ps[i]->tick);
	for (int k = 0; k < looks; k++) {
		seen.patient = k >= patient_after;
		struct g *g = steal_round(m, &seen);
		if (g || (g = vai__global_get(m_p(m))) != NULL)
			return g;
		if (atomic_load_relaxed(&m->nlocked) > 0 || atomic_load_relaxed(&vai__sched.attention))
			return NULL;
		pause_between_looks(yields && may_yield(m));
	}
	return NULL;
}

/* Whether there is something that m must not sleep over. Under sched.lock. */
static bool must_stay(struct m *m)
{
	return vai__sched.global.count > 0 || m->locked.count > 0 ||
		(atomic_load_relaxed(&vai__sched.stopping) && !m->home);
}

/* Gives m's P up, to be idle. False: there is work after all. */
static bool release_p(struct m *m)
{
	vai__lock(&vai__sched.lock);
	bool stay = must_stay(m) || m_p(m)->index >= atomic_load_relaxed(&vai__sched.nprocs);
	if (!stay) {
		struct p *p = m_p(m);
		vai__m_own(m, NULL);
		vai__p_release(p);
	}
	vai__idle_unlock();
	if (!stay)
		vai__seat_return(m);
	return !stay;
}

/* Takes an idle P for m, which spins from then on. False: there is none. */
static bool acquire_p(struct m *m)
{
	vai__lock(&vai__sched.lock);
	struct p *p = vai__p_get_idle();
	if (p)
		vai__m_own(m, p);
	vai__unlock(&vai__sched.lock);
	if (!p)
		return false;
	m->spinning = true;
	atomic_fetch_add_seq_cst(&vai__sched.nspinning, 1);
	return true;
}

/* The caches may be touched because all Ps are idle. */
bool vai__idle_feed_from_caches(void)
{
	if (vai__sched.starved.count == 0)
		return false;
	bool found = false;
	for (int i = 0; i < atomic_load_relaxed(&vai__sched.nps); i++) {
		found |= vai__sched.ps[i]->nstacks > 0;
		vai__g_flush_stacks(vai__sched.ps[i]);
	}
	return found;
}

void vai__idle_enlist(struct m *m, bool listed)
{
	m->idle = true;
	m->listed = listed;
	m->nextp = NULL;
	atomic_store_relaxed(&m->has_polled, false);
	atomic_store_relaxed(&m->wake, 0);
	if (listed) {
		m->link = vai__sched.idle_ms;
		vai__sched.idle_ms = m;
	}
	vai__sched.nidle_ms++;
	if (!VAI_BUG(look_early))
		vai__deadlock_tell_sysmon();
}

/* What an M without work does: it sleeps, has to look again, lets a goroutine have a stack, or tells of a deadlock. */
enum verdict { SLEEP, STAY, FEED, DEADLOCK };

/* Decides that for m, under the lock. SLEEP: m counts as idle from then on. */
static enum verdict enlist(struct m *m)
{
	enum verdict v = SLEEP;
	vai__lock(&vai__sched.lock);
	bool idle_p = vai__sched.idle_ps && !vai__sched.world_stopped;
	if (must_stay(m) && idle_p) {
		v = STAY;
	} else if (atomic_load_relaxed(&vai__sched.stopping) && !m->home) {
		v = STAY;
	} else if (vai__deadlock_is(1) && idle_p) {
		v = vai__idle_feed_from_caches() ? FEED : DEADLOCK;
	} else {
		vai__idle_enlist(m, true);
		if (m->locked.count > 0)
			vai__handoff_want(m);
		else if (vai__frame_wants() && !m->home)
			vai__frame_nap(m);
	}
	vai__idle_unlock();
	return v;
}

/* If m is still idle, the poller has woken it, or its time was over, and it has to find a P. Otherwise the waker has
 * given it one. */
void vai__idle_delist(struct m *m)
{
	vai__lock(&vai__sched.lock);
	vai__sched.nawake++;
	struct p *p = m->nextp;
	if (m->idle) {
		bool general = m->listed;
		remove_idle_m(m);
		p = vai__p_get_idle();
		if (p && general) {
			m->spinning = true;
			atomic_fetch_add_seq_cst(&vai__sched.nspinning, 1);
		}
	}
	m->nextp = NULL;
	vai__m_own(m, p);
	vai__unlock(&vai__sched.lock);
	/* If the place is kept, m was back at once the last times: what it ran is not worth sharing, so `slice` stays. */
	if (p && !vai__seat_rise(m))
		atomic_store_relaxed(&p->slice, SLICE_UNKNOWN);
	if (m->polled.head)
		vai__idle_take_polled(m);
}

/* The goroutines go to m's P. If m has none, they go to the global queue, and another M is woken for them. */
void vai__idle_take_polled(struct m *m)
{
#ifdef VAI_HARD
	struct p *p = NULL;
#else
	struct p *p = m->lockedg ? NULL : m_p(m);
#endif
	bool more = m->polled.count > 1;
	struct g *g;
	while (p && (g = vai__gqueue_pop(&m->polled)) != NULL)
		vai__runq_put(p, g, false);
	vai__global_put_batch(&m->polled);
	m->polled = (struct gqueue){0};
	if (more || !p)
		vai__idle_wake_one();
}

static void sleep_until_woken(struct m *m)
{
	switch (enlist(m)) {
	case SLEEP:
		vai__m_sleep(m);
		if (!m->leaving)
			vai__idle_delist(m);
		break;
	case DEADLOCK:
		if (acquire_p(m))
			vai__deadlock_tell_main();
		break;
	case FEED:
		if (acquire_p(m))
			vai__g_feed();
		break;
	case STAY: acquire_p(m); break;
	}
}

struct g *vai__idle_find_or_sleep(struct m *m)
{
	if (m_p(m)) {
		struct g *g = may_spin(m) ? spin(m) : NULL;
		if (g)
			return g;
		run_all_timers(clock_note());
		if (!vai__runq_empty(m_p(m)) || atomic_load_relaxed(&m->nlocked) > 0)
			return NULL;
		if (VAI_UNLIKELY(m->home != NULL) && vai__frame_idle(m))
			return NULL;
		if (!release_p(m))
			return NULL;
	}
	bool early = VAI_BUG(look_before) && !vai__idle_work_anywhere(false);
	if (m->spinning)
		vai__idle_stop_spinning(m);
	/* This M has said that it no longer spins. A processor may still let later loads go first (AArch64 with LDAPR),
	 * so a barrier is needed. Pairs with share and vai__idle_wake_one. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!early && !VAI_BUG(no_second_look) && vai__idle_work_anywhere(false) && acquire_p(m))
		return NULL;
	sleep_until_woken(m);
	return NULL;
}
