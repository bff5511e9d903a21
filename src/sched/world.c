/* SPDX-License-Identifier: MIT */
/* Stopping the world: no P is to be had (p_get_idle), every M gives its own up when it comes
 * to its loop (pay_attention), goroutines that run are interrupted, and from those that stay
 * in a C call the P is taken. Without a P nothing runs but such a C call; it ends in code
 * of its goroutine until that comes into vai, is interrupted and finds no P. */
#include "sched/rt.h"

enum { LOOK = 100000, PATIENCE = 50000000 /* ns */ };

/* Lock held. Whether every P but m's is in nobody's hands. */
static bool all_stopped(struct m *m)
{
	for (int i = 0; i < atomic_load_explicit(&sched.nps, memory_order_relaxed); i++) {
		struct p *p = sched.ps[i];
		if (!p->idle && !p->retired && (!m || p != m_p(m)))
			return false;
	}
	return true;
}

/* Lock held. impatient: also those that do not answer a signal. */
static void urge(struct m *self, bool impatient)
{
	for (struct m *m = sched.all_ms; m; m = m->next_m) {
		struct p *p = NULL;
		if (m == self || !m_p(m))
			continue;
		if (impatient || m_is_asleep(m))
			p = retake(m);
		if (p)
			p_put_idle(p);
		else
			preempt_send(m);
	}
}

static bool begin(void)
{
	vai__lock(&sched.lock);
	bool mine = !sched.world_stopped;
	sched.world_stopped = true;
	attention_update();
	vai__unlock(&sched.lock);
	return mine;
}

bool vai__world_stop(vai_g *self, int64_t timeout)
{
	int64_t start = vai__clock_now();
	if (!begin())
		return false;
	struct m *m = self ? g_m(g_of(self)) : NULL;
	for (;;) {
		int64_t spent = vai__clock_now() - start;
		vai__lock(&sched.lock);
		bool done = all_stopped(m);
		if (!done)
			urge(m, spent > PATIENCE);
		vai__unlock(&sched.lock);
		if (done)
			return true;
		if (spent > timeout) {
			vai__world_start();
			return false;
		}
		atomic_uint nothing = 0;
		vai__futex_wait(&nothing, 0, vai__clock_now() + LOOK);
	}
}

void vai__world_start(void)
{
	struct gqueue q = {0};
	vai__lock(&sched.lock);
	sched.world_stopped = false;
	p_shrink(&q); /* Ps that others should have retired are among those that were put aside */
	while (sched.wanting && sched.idle_ps) {
		struct m *m = sched.wanting;
		unwant(m);
		if (m->locked.count > 0)
			idle_wake_locked_m(m);
	}
	vai__unlock(&sched.lock);
	p_shrunk(&q);
}
