/* SPDX-License-Identifier: MIT */
/* sysmon's look at the Ms: whose goroutine keeps its P for too long while others wait, and
 * what to do about it. After Go's retake (proc.go), with these differences: a goroutine in a
 * C call has not said so, and the signal that would tell must not reach a thread that sleeps in
 * the kernel if it can be helped, for not every C library expects to be interrupted. So
 * the system is asked first whether the thread sleeps: then its P is taken at once. One that
 * computes gets the signal after SLICE_MAX, and loses its P when it does not answer. */
#include "sched/rt.h"

enum {
	SLICE_SHORT = 1000000, /* ns that a goroutine may run on while a timer of its P is due, or one is to end */
	ANSWER = 10000000,     /* ns from the signal until the P is taken */
	IN_A_HURRY = 5000000,  /* ns for which main, when it wants a P, is looked after at once */
	LET_RUN = 200000,      /* ns: one that has its P for less may come round by itself */
	EVICTED_MAX = 8,       /* so many may compute without a P because main has got it */
	LOOKS = 16             /* Ms without a P that are looked at in one round */
};

static struct {
	unsigned first; /* of the Ms without a P: the one to look at next */
	bool soon;      /* another look is due soon */
	bool bounded;   /* some goroutine that runs is to end or is measured */
} watch;

bool vai__m_is_asleep(struct m *m)
{
	return vai__preempt_computes(m) < 0;
}

/* Its goroutine is to end, or has to be measured whether it is. One that sleeps need not be measured, one
 * without a P is looked at in its turn (watch_outsider). */
static void watch_bounded(struct m *m, int64_t now)
{
	struct g *g = atomic_load_acquire(&m->curg);
	bool ends = g && atomic_load_relaxed(&g->pub.end) != VAI_END_NO;
	if (!ends && !(g && has_cpu_limit(g)))
		return;
	watch.bounded = true;
	if (ends || m_p(m))
		watch.soon |= vai__preempt_ask(m, now);
}

/* One that is to end may be in a queue, and gets its turn sooner if all have short ones. */
bool vai__watch_hurries(int64_t now)
{
	return now < atomic_load_relaxed(&vai__sched.hurry_until);
}

static bool timer_is_due(struct p *p, int64_t now)
{
	return atomic_load_relaxed(&p->timers.next) <= now;
}

/* Whether anybody waits for what m's goroutine keeps: its P, or m itself. */
static bool is_waited_for(struct m *m, struct p *p, int64_t now)
{
	return !vai__runq_empty(p) || vai__sched.wanting || atomic_load_relaxed(&vai__sched.nglobal) > 0 ||
		atomic_load_relaxed(&m->nlocked) > 0 || timer_is_due(p, now);
}

/* Since when m's goroutine has had p without a round of the scheduler. */
static int64_t runs_since(struct m *m, struct p *p, int64_t now)
{
	uint32_t tick = atomic_load_relaxed(&p->tick);
	if (m->seen_p != p || m->seen_tick != tick) {
		m->seen_p = p;
		m->seen_tick = tick;
		m->seen_at = now;
		m->seen_asleep = false;
	}
	return m->seen_at;
}

/* A thread that waits for a page sleeps as well, but not for long: two looks must find it so. */
static bool stays_asleep(struct m *m)
{
	bool asleep = vai__preempt_computes(m) < 0, before = m->seen_asleep;
	m->seen_asleep = asleep;
	watch.soon |= asleep && !before;
	return asleep && before;
}

/* Lock held. A P that its M has lost, or NULL. Where another P is idle who waits can have
 * that, and the M keeps its own. */
static struct p *watch_owner(struct m *m, int64_t now)
{
	struct p *p = m_p(m);
	int64_t since = runs_since(m, p, now);
	if (atomic_load_relaxed(&m->busy) || !is_waited_for(m, p, now))
		return NULL;
	bool last = atomic_load_relaxed(&vai__sched.nidle_ps) == 0;
	if (last && stays_asleep(m)) /* sets seen_asleep */
		return vai__handoff_retake(m);
	if (last && now - since >= SLICE_MAX + ANSWER)
		return vai__handoff_retake(m);
	if (now - since >=
		(timer_is_due(p, now) || vai__watch_hurries(now) ? SLICE_SHORT : SLICE_MAX - vai__preempt_lead(m)))
		watch.soon |= vai__preempt_ask(m, now);
	return NULL;
}

/* Lock held. Its goroutine has lost its P; if it is back from the C call and runs Lua code,
 * let it come in. */
static void watch_outsider(struct m *m, unsigned number, int64_t now)
{
	if (number >= watch.first && number < watch.first + LOOKS)
		vai__preempt_ask(m, now);
}

/* Lock held. The M whose goroutine has had its P for longest, or NULL: none may be sent on. */
static struct m *longest_running(int64_t now)
{
	struct m *found = NULL;
	int64_t longest = LET_RUN;
	int evicted = 0;
	for (struct m *m = vai__sched.all_ms; m; m = m->next_m) {
		struct p *p = m_p(m);
		evicted += m->evicted;
		int64_t ran = p ? now - runs_since(m, p, now) : -1;
		if (ran < longest || vai__p_is_surplus(p) || atomic_load_relaxed(&m->busy))
			continue;
		longest = ran;
		found = m;
	}
	return evicted < EVICTED_MAX ? found : NULL;
}

/* Main does not wait until somebody answers: it gets the P of a goroutine that computes, which goes on without one
 * for the moment that the timer takes, as if main were a thread beside it. */
void vai__watch_for_main(void)
{
	int64_t now = vai__clock_now();
	struct m *m = vai__sched.world_stopped ? NULL : longest_running(now);
	struct p *p = m ? vai__handoff_retake(m) : NULL;
	if (!p)
		return;
	m->evicted = true;
	vai__preempt_ask(m, now);
	vai__p_release(p);
}

/* Lock held. Main has no P, so it may want one at any moment: then it is known whose. */
static bool main_is_outside(void)
{
	struct m *m0 = vai__sched.m0;
	return m0->wants || (!m_p(m0) && !m0->idle && m_curg(m0) == vai__sched.main);
}

/* One look at everybody. True: another one should follow soon. */
bool vai__watch_ms(int64_t now)
{
	struct p *taken[LOOKS];
	unsigned n = 0, outsiders = 0;
	watch.bounded = watch.soon = false;
	vai__lock(&vai__sched.lock);
	bool outside = main_is_outside();
	for (struct m *m = vai__sched.all_ms; m; m = m->next_m) {
		watch_bounded(m, now);
		if (outside && m_p(m))
			runs_since(m, m_p(m), now);
		if (m_p(m)) {
			struct p *p = n < LOOKS ? watch_owner(m, now) : NULL;
			if (p)
				taken[n++] = p;
		} else if (m_curg(m) && !m->idle) {
			watch_outsider(m, outsiders++, now);
		}
	}
	if (vai__sched.m0->wants && now - vai__sched.m0->wants_at < IN_A_HURRY) {
		vai__watch_for_main();
		watch.soon = true;
	}
	vai__unlock(&vai__sched.lock);
	watch.first = watch.first + LOOKS < outsiders ? watch.first + LOOKS : 0;
	for (unsigned i = 0; i < n; i++)
		vai__p_hand_off(taken[i]);
	return n > 0 || watch.soon;
}

bool vai__watch_needed(void)
{
	return watch.bounded;
}
