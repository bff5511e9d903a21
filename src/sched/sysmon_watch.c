/* SPDX-License-Identifier: MIT */
/* sysmon's look at the Ms: which goroutine keeps its P for too long while others wait, and what to do about it.
 * After Go's retake (proc.go), with two differences. A goroutine in a C call has not said so. And the signal that
 * would tell should not reach a thread that sleeps in the kernel, for not every C library expects to be interrupted.
 * So the system is first asked whether the thread sleeps; if it does, its P is taken at once. A thread that computes
 * gets the signal after SLICE_MAX, and loses its P when it does not answer. */
#include "mach/thread.h"
#include "sched/rt.h"

enum {
	/* ns that a goroutine may run on while a timer of its P is due, or while some goroutine is to end */
	SLICE_SHORT = 1000000,
	ANSWER = 10000000,    /* ns from the signal until the P is taken */
	IN_A_HURRY = 5000000, /* ns for which sysmon looks after main without a pause, once main wants a P */
	LET_RUN = 200000,     /* ns: a goroutine that has had its P for less may come to its loop by itself */
	EVICTED_MAX = 8,      /* goroutines that may compute without a P at once because main has got theirs */
	GOOD_PART = 4,        /* has_computed: a thread that was on a CPU for 1/4 of the time */
	LOOKS = 16            /* Ms without a P that are looked at in one round */
};

static struct {
	unsigned first; /* which of the Ms without a P to look at next */
	bool soon;      /* another look is due soon */
	bool bounded;   /* some goroutine that runs is to end or is measured */
} watch;

bool vai__m_is_asleep(struct m *m)
{
	return vai__preempt_computes(m) < 0;
}

/* Interrupts m's goroutine if it is to end, or if it has to be measured whether it is. A goroutine that sleeps need
 * not be measured; one without a P is looked at in its turn (watch_outsider). */
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

bool vai__watch_hurries(int64_t now)
{
	return now < atomic_load_relaxed(&vai__sched.hurry_until);
}

static bool timer_is_due(struct p *p, int64_t now)
{
	return atomic_load_relaxed(&p->timers.next) <= now;
}

/* Whether a goroutine or a timer waits for what m's goroutine keeps: its P, or m itself. */
static bool is_waited_for(struct m *m, struct p *p, int64_t now)
{
	return !vai__runq_empty(p) || vai__sched.wanting || atomic_load_relaxed(&vai__sched.nglobal) > 0 ||
		atomic_load_relaxed(&m->nlocked) > 0 || timer_is_due(p, now);
}

/* Since when m's goroutine has had p without another round of the scheduler. */
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

/* Whether m's thread has computed for a good part of the time since this was last asked. */
static bool has_computed(struct m *m, int64_t now)
{
	int64_t cpu = vai__thread_cpu(m->tid), used = cpu - m->seen_cpu, time = now - m->seen_cpu_at;
	m->seen_cpu = cpu;
	m->seen_cpu_at = now;
	return cpu >= 0 && used >= time / GOOD_PART;
}

/* Whether m's thread was found asleep in two looks. A thread that waits for a page sleeps as well, but not for long.
 * Asking the system costs 25 us. An M that has begun a round since the last look and has computed in between is hardly
 * in a call for long; if it is after all, the next look tells. (A web server's Ms were asked 170 times a second.) */
static bool stays_asleep(struct m *m, int64_t since, int64_t now)
{
	if (has_computed(m, now) && since == now)
		return false;
	bool asleep = vai__preempt_computes(m) < 0, before = m->seen_asleep;
	m->seen_asleep = asleep;
	watch.soon |= asleep && !before;
	return asleep && before;
}

/* Looks at m, which owns a P. Returns the P if m has lost it, else NULL. While another P is idle, the goroutines that
 * wait can have that one, and m keeps its own. Under sched.lock. */
static struct p *watch_owner(struct m *m, int64_t now)
{
	struct p *p = m_p(m);
	int64_t since = runs_since(m, p, now);
	if (atomic_load_relaxed(&m->busy) || !is_waited_for(m, p, now))
		return NULL;
	bool last = atomic_load_relaxed(&vai__sched.nidle_ps) == 0;
	if (last && stays_asleep(m, since, now)) /* called in any case, because it sets seen_asleep */
		return vai__handoff_retake(m);
	if (last && now - since >= SLICE_MAX + ANSWER)
		return vai__handoff_retake(m);
	if (now - since >=
		(timer_is_due(p, now) || vai__watch_hurries(now) ? SLICE_SHORT : SLICE_MAX - vai__preempt_lead(m)))
		watch.soon |= vai__preempt_ask(m, now);
	return NULL;
}

/* Looks at m, whose goroutine has lost its P. If the goroutine is back from its C call and runs Lua code, it is
 * interrupted so that it comes in. Under sched.lock. */
static void watch_outsider(struct m *m, unsigned number, int64_t now)
{
	if (number >= watch.first && number < watch.first + LOOKS)
		vai__preempt_ask(m, now);
}

/* How long m's goroutine has had its P; below 0: it must not lose it. Under sched.lock. */
static int64_t runs_for(struct m *m, int64_t now)
{
	struct p *p = m_p(m);
	if (!p)
		return -1;
	int64_t ran = now - runs_since(m, p, now);
	return vai__p_is_surplus(p) || atomic_load_relaxed(&m->busy) ? -1 : ran;
}

/* The M on CPU `here` or, if there is none, the one whose goroutine has had its P for longest; in any case for
 * `least`. NULL: none may be interrupted. Under sched.lock. */
static struct m *find_victim(int64_t now, int64_t least, int here)
{
	struct m *found = NULL;
	int64_t longest = least;
	int evicted = 0;
	for (struct m *m = vai__sched.all_ms; m; m = m->next_m) {
		int64_t ran = runs_for(m, now);
		evicted += m->evicted;
		if (ran >= least && here >= 0 && atomic_load_relaxed(&m_p(m)->where) == here)
			ran = INT64_MAX;
		if (ran < longest)
			continue;
		longest = ran;
		found = m;
	}
	return evicted < EVICTED_MAX ? found : NULL;
}

/* Takes the P of a goroutine that has run for `least`. It goes on without one until the signal finds it, as if main
 * were a thread beside it. */
static struct p *evict(int64_t least, int here)
{
	int64_t now = vai__clock_real();
	struct m *m = vai__sched.world_stopped ? NULL : find_victim(now, least, here);
	struct p *p = m ? vai__handoff_retake(m) : NULL;
	if (!p)
		return NULL;
	m->evicted = true;
	vai__preempt_urge(m, now);
	return p;
}

/* The P is taken at once, so that main does not have to wait until a goroutine answers the signal. */
void vai__watch_for_main(void)
{
	struct p *p = evict(vai__frame_wants() ? 0 : LET_RUN, -1);
	if (p)
		vai__p_release(p);
}

/* For how short a time the goroutine has run does not matter. If an M runs on the caller's own CPU it is the one to
 * stop: otherwise both would share that CPU while another is free. */
struct p *vai__watch_evict(void)
{
	return evict(0, vai__thread_where());
}

/* Whether a main runs without a P. It may want one at any moment, and then it must be known whose. Under sched.lock. */
static bool main_is_outside(void)
{
	for (struct home *h = atomic_load_relaxed(&vai__sched.homes); h; h = atomic_load_relaxed(&h->next)) {
		struct m *m = h->m;
		if (m->wants || (!m_p(m) && !m->idle && m_curg(m) == g_of(h->pub.main)))
			return true;
	}
	return false;
}

/* Whether a main has wanted a P for so short a time that it is looked after without a pause. Under sched.lock. */
static bool main_is_in_a_hurry(int64_t now)
{
	for (struct home *h = atomic_load_relaxed(&vai__sched.homes); h; h = atomic_load_relaxed(&h->next))
		if (h->m->wants && now - h->m->wants_at < IN_A_HURRY)
			return true;
	return false;
}

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
	if (main_is_in_a_hurry(now)) {
		vai__watch_for_main();
		watch.soon = true;
	}
	vai__idle_unlock();
	watch.first = watch.first + LOOKS < outsiders ? watch.first + LOOKS : 0;
	for (unsigned i = 0; i < n; i++)
		vai__p_hand_off(taken[i]);
	return n > 0 || watch.soon;
}

bool vai__watch_needed(void)
{
	return watch.bounded;
}
