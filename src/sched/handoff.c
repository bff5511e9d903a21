/* SPDX-License-Identifier: MIT */
/* How Ps change hands while there is work: from an M that is stuck in a C call, from an M that must not run what it
 * found, to an M that alone may run what is ready.
 *
 * An M touches its P only while m->busy is set: in its loop, and in those calls of its goroutine that need the P
 * (m_enter, m_leave). While the goroutine runs code of its own, sysmon may take the P. The two agree as in Dekker's
 * algorithm, with the whole price on the rare side (mach/barrier.h): the M says that it is busy and then looks at
 * m->retake; sysmon, under sched.lock, sets m->retake and then looks whether the M is busy. If the M is not busy, it
 * will see retake when it comes back, and takes the lock before it looks at its P. After Go's retake and handoffp;
 * Go knows when a call begins and needs no such barrier. */
#include "mach/barrier.h"
#include "mach/thread.h"
#include "sched/rt.h"

void vai__m_own(struct m *m, struct p *p)
{
	atomic_store_relaxed(&m->p, p);
	atomic_store_relaxed(&m->retake, false);
	m->evicted = false;
	if (!p)
		return;
	p->slice_at = 0;
	atomic_store_relaxed(&p->where, vai__thread_where());
}

/* If m has lost its P, it gets an idle one; if there is none, its goroutine is made to come to the loop soon. */
VAI_NOINLINE void vai__m_enter_slowly(struct m *m)
{
	struct g *g = m_curg(m);
	vai__lock(&vai__sched.lock);
	struct p *p = m_p(m);
	bool lost = !p && atomic_load_relaxed(&m->retake), blocks = lost && !m->evicted;
	if (lost && g && (p = vai__p_get_idle()) != NULL)
		vai__m_own(m, p);
	atomic_store_relaxed(&m->retake, false);
	m->evicted = false;
	vai__unlock(&vai__sched.lock);
	if (blocks && g && !g->locked_m)
		g->locked_m = OFF_MAIN; /* it has shown that it blocks, so it keeps off M0 from now on */
	if (!p && g)
		vai__preempt_call_in(m, g);
}

struct p *vai__m_need_p(struct m **m, bool *was)
{
	struct p *p;
	while (*was = m_enter(*m), VAI_UNLIKELY(!(p = m_p(*m)))) {
		m_leave(*m, *was);
		vai__park_switch(m_curg(*m), OP_YIELD);
		*m = vai__m_self();
	}
	return p;
}

/* The first M in sched.wanting gets p. */
void vai__p_release(struct p *p)
{
	vai__p_put_idle(p);
	struct m *m = vai__sched.world_stopped ? NULL : vai__sched.wanting;
	if (!m)
		return;
	vai__handoff_unwant(m);
	if (m->locked.count > 0)
		vai__idle_wake_locked_m(m);
}

void vai__handoff_want(struct m *m)
{
	if (m->wants)
		return;
	struct m **at = &vai__sched.wanting;
	while (*at)
		at = &(*at)->next_wanting;
	m->wants = true;
	m->next_wanting = NULL;
	*at = m;
	vai__loop_attention_update();
	if (m->home) {
		m->wants_at = vai__clock_real();
		vai__watch_for_main();
		if (m->wants)
			vai__sysmon_hurry(); /* sysmon looks again soon, until main has a P */
	}
}

void vai__handoff_unwant(struct m *m)
{
	if (!m->wants)
		return;
	struct m **at = &vai__sched.wanting;
	while (*at != m)
		at = &(*at)->next_wanting;
	*at = m->next_wanting;
	m->wants = false;
	vai__loop_attention_update();
}

/* Gives p, which has no owner, to an M of vai's own, which then looks for work. False: there is no such M. */
static bool start_m(struct p *p)
{
	vai__lock(&vai__sched.lock);
	struct m *m = vai__idle_take_m(false);
	if (m)
		m->nextp = p;
	vai__unlock(&vai__sched.lock);
	if (!m)
		return vai__m_new(p, false);
	vai__m_wake(m);
	return true;
}

/* Whether there is work for p before `until`. */
static bool has_work(struct p *p, int64_t until)
{
	return !vai__runq_empty(p) || atomic_load_relaxed(&vai__sched.nglobal) > 0 ||
		atomic_load_relaxed(&p->timers.next) <= until;
}

/* Ms that want a P for a goroutine of their own come before the queues, but not twice in a row: otherwise a few of them
 * that yield to each other would keep all other goroutines from running. */
bool vai__p_owes_turn(const struct p *p)
{
	return p->locked_tick == atomic_load_relaxed(&p->tick);
}

/* Whether the queues come first for p, although Ms may want it (vai__p_owes_turn), and have work for it. */
static bool turn_is_due(struct p *p)
{
	if (!vai__p_owes_turn(p) || !has_work(p, vai__clock_real()))
		return false;
	vai__lock(&vai__sched.lock);
	bool stops = vai__sched.world_stopped || atomic_load_relaxed(&vai__sched.stopping);
	vai__unlock(&vai__sched.lock);
	return !stops;
}

void vai__p_hand_off(struct p *p)
{
	if (vai__p_is_surplus(p)) {
		vai__p_retire(p, NULL);
		return;
	}
	bool wanted = atomic_load_seq_cst(&vai__sched.attention);
	if ((wanted ? turn_is_due(p) : has_work(p, VAI_FOREVER - 1)) && start_m(p))
		return;
	vai__lock(&vai__sched.lock);
	vai__p_release(p);
	vai__idle_unlock();
	vai__idle_wake_one();
}

/* Gives p, which has no owner, to an M whose P main has taken while its goroutine computed (m->evicted), if that
 * goroutine has not come into vai since. The M looks at its P under the lock before it touches it, because m->retake
 * stays set. False: there is no such M. Lock held. */
static bool return_p(struct p *p)
{
	struct m *m = vai__sched.all_ms;
	while (m && !(m->evicted && !m_p(m)))
		m = m->next_m;
	if (!m || vai__sched.world_stopped || vai__p_is_surplus(p))
		return false;
	atomic_store_relaxed(&m->p, p);
	m->evicted = false;
	p->slice_at = 0;
	return true;
}

void vai__m_hand_off(struct m *m)
{
	vai__lock(&vai__sched.lock);
	struct p *p = m_p(m);
	if (p) {
		if (m->lockedg)
			p->locked_tick = atomic_load_relaxed(&p->tick);
		vai__m_own(m, NULL);
	}
	vai__unlock(&vai__sched.lock);
	if (p)
		vai__p_hand_off(p);
}

/* If there is nothing to do for the P, the M that it was taken from gets it back without a wake-up. */
void vai__m_give_back(struct m *m)
{
	vai__lock(&vai__sched.lock);
	struct p *p = m_p(m);
	if (p)
		vai__m_own(m, NULL);
	bool back = p && !vai__sched.wanting && !has_work(p, vai__clock_real()) && return_p(p);
	if (p && !back && !vai__p_is_surplus(p) && vai__frame_left_to_a_napper(m->home)) {
		vai__p_release(p);
		back = true;
	}
	vai__idle_unlock();
	if (p && !back)
		vai__p_hand_off(p);
}

/* Called when main's thread has taken a goroutine from a queue that is known to stay in C calls for long: main could
 * not run meanwhile. */
bool vai__m0_leave_to_others(struct m *m, struct g *g)
{
	struct p *p = m_p(m);
	vai__runq_put(p, g, true);
	vai__lock(&vai__sched.lock);
	vai__m_own(m, NULL);
	vai__unlock(&vai__sched.lock);
	if (start_m(p)) {
		count_add(&p->count.handoffs, 1);
		return true;
	}
	vai__lock(&vai__sched.lock);
	vai__m_own(m, p);
	vai__unlock(&vai__sched.lock);
	return !vai__runq_take_back(p, g); /* otherwise another M has stolen it meanwhile */
}

void vai__g_leave_main(vai_g *self)
{
	struct g *g = g_of(self);
	if (g->locked_m)
		return;
	g->locked_m = OFF_MAIN;
	if (g_m(g)->home)
		vai__park_switch(g, OP_YIELD);
}

bool vai__g_holds_main(vai_g *self)
{
	struct g *g = g_of(self);
	return !g->locked_m && g_m(g)->home;
}

void vai__g_block_begin(vai_g *self)
{
	struct g *g = g_of(self);
	vai__g_leave_main(self);
	int64_t now = atomic_load_relaxed(&vai__sched.coarse_now);
	atomic_store_relaxed(&g->since, now);
	atomic_store_release(&g->blocks, true);
	bool was = m_enter(g_m(g));
	vai__m_hand_off(g_m(g));
	m_leave(g_m(g), was);
}

void vai__g_block_end(vai_g *self)
{
	struct m *m = g_m(g_of(self));
	bool was;
	vai__m_need_p(&m, &was);
	m_leave(m, was);
	atomic_store_release(&g_of(self)->blocks, false);
	vai__barrier_light();
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__sched.nwatched) > 0))
		vai__serial_pass(self);
}

struct p *vai__handoff_retake(struct m *m)
{
	struct p *p = NULL;
	if (!m_p(m) || atomic_load_relaxed(&m->busy))
		return NULL;
	atomic_store_relaxed(&m->retake, true);
	if (!VAI_BUG(retake_barrier))
		vai__barrier_heavy();
	if ((!atomic_load_acquire(&m->busy) || VAI_BUG(retake_blind)) && (p = m_p(m)) != NULL) {
		atomic_store_relaxed(&m->p, NULL);
		p->slice_at = 0;
		atomic_store_relaxed(&p->slice, SLICE_UNKNOWN);
		vai__sched.nretaken++;
	} else {
		atomic_store_relaxed(&m->retake, false);
	}
	return p;
}
