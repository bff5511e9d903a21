/* SPDX-License-Identifier: MIT */
/* Goroutines that have a thread to themselves. While such a goroutine waits, its M sleeps without a P and is not in
 * idle_ms, so it gets no other work. Whoever makes the goroutine ready wakes the M. When the goroutine ends the
 * thread ends too, because the goroutine may have changed the thread's state. After stoplockedm and startlockedm of
 * Go's proc.go. */
#include "sched/rt.h"

enum { FIRST_PAUSE = 1000000, LAST_PAUSE = 64000000, GIVE_UP_AFTER = 1000000000 /* ns */ };

/* Moves self off main's thread, where main could not run any more. If the system refuses another thread now, this is
 * tried again until GIVE_UP_AFTER. */
static int find_thread(vai_g *self)
{
	struct g *g = g_of(self);
	int64_t end = vai__clock_real() + GIVE_UP_AFTER, pause = FIRST_PAUSE;
	for (;; pause = pause < LAST_PAUSE ? 2 * pause : pause) {
		g->locked_m = NULL;
		vai__g_leave_main(self);
		if (!g_m(g)->home)
			return VAI_OK;
		int64_t now = vai__clock_real();
		if (now >= end)
			return VAI_ESYS;
		int rc = vai__sleep(self, now + pause);
		if (rc != VAI_OK)
			return rc;
	}
}

int vai__g_lock_thread(vai_g *self)
{
	struct g *g = g_of(self);
	bool must_move = !vai__g_is_main(self) && g_m(g)->home;
	int rc = must_move ? find_thread(self) : VAI_OK;
	if (rc != VAI_OK)
		return rc;
	g->locked_m = g_m(g);
	g_m(g)->lockedg = g;
	return VAI_OK;
}

void vai__g_unlock_thread(vai_g *self)
{
	struct g *g = g_of(self);
	g_m(g)->lockedg = NULL;
	if (!vai__g_is_main(self))
		g->locked_m = OFF_MAIN;
}

/* Whether m has to end. Lock held. */
static bool stops(struct m *m)
{
	return atomic_load_relaxed(&vai__sched.stopping) && !m->home;
}

/* Sleeps until m's goroutine is ready and there is a P for it, or m has to end. Takes a P that is idle already. */
static void sleep_for_it(struct m *m)
{
	vai__lock(&vai__sched.lock);
	bool sleep = !stops(m) && !(m->locked.count > 0 && vai__sched.idle_ps && !vai__sched.world_stopped);
	if (sleep) {
		vai__idle_enlist(m, false);
		if (m->locked.count > 0)
			vai__handoff_want(m);
	} else if (!m_p(m)) {
		struct p *p = vai__p_get_idle();
		if (p)
			vai__m_own(m, p);
	}
	vai__idle_unlock();
	if (sleep) {
		vai__deadlock_check();
		vai__m_sleep(m);
		vai__idle_delist(m);
	}
}

struct g *vai__locked_next(struct m *m)
{
	for (;;) {
		if (atomic_load_acquire(&vai__sched.stopping) && !m->home)
			return NULL;
		if (m_p(m) && atomic_load_relaxed(&vai__sched.attention))
			vai__loop_pay_attention(m);
		struct p *p = m_p(m);
		if (p && atomic_load_acquire(&m->nlocked) > 0) {
			struct g *g = vai__loop_take_locked(m);
			if (g)
				return g;
		}
		if (p)
			vai__m_hand_off(m);
		sleep_for_it(m);
	}
}
