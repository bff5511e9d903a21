/* SPDX-License-Identifier: MIT */
/* Goroutines that have a thread to themselves. The M of such a one sleeps while that waits,
 * without a P and out of idle_ms, so that nobody gives it other work; who makes the
 * goroutine ready wakes the M. When the goroutine ends, so does the thread, whose state it
 * may have changed. After stoplockedm and startlockedm of Go's proc.go. */
#include "sched/rt.h"

void vai__g_lock_thread(vai_g *self)
{
	struct g *g = g_of(self);
	if (g != sched.main && g_m(g) == sched.m0) {
		g->locked_m = NULL;
		vai__g_leave_main(self);
	}
	g->locked_m = g_m(g);
	g_m(g)->lockedg = g;
}

void vai__g_unlock_thread(vai_g *self)
{
	struct g *g = g_of(self);
	g_m(g)->lockedg = NULL;
	if (g != sched.main)
		g->locked_m = OFF_MAIN;
}

/* Lock held. */
static bool stops(struct m *m)
{
	return atomic_load_explicit(&sched.stopping, memory_order_relaxed) && m != sched.m0;
}

static void sleep_for_it(struct m *m)
{
	vai__lock(&sched.lock);
	bool sleep = !stops(m) && !(m->locked.count > 0 && sched.idle_ps && !sched.world_stopped);
	if (sleep) {
		idle_enlist(m, false);
		if (m->locked.count > 0)
			want(m);
	} else if (!m_p(m)) {
		struct p *p = p_get_idle();
		if (p)
			m_own(m, p);
	}
	vai__unlock(&sched.lock);
	if (sleep) {
		idle_check();
		m_sleep(m);
		idle_delist(m);
	}
}

/* m->lockedg, when it is ready; NULL when the runtime stops. */
struct g *locked_next(struct m *m)
{
	for (;;) {
		if (atomic_load_explicit(&sched.stopping, memory_order_acquire) && m != sched.m0)
			return NULL;
		if (m_p(m) && atomic_load_explicit(&sched.attention, memory_order_relaxed))
			pay_attention(m);
		struct p *p = m_p(m);
		if (p && atomic_load_explicit(&m->nlocked, memory_order_acquire) > 0) {
			struct g *g = take_locked(m);
			if (g)
				return g;
		}
		if (p)
			m_hand_off(m);
		sleep_for_it(m);
	}
}
