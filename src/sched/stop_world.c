/* SPDX-License-Identifier: MIT */
/* Stopping the world: no P is given out (vai__p_get_idle), every M gives up its own P when it comes to its loop
 * (vai__loop_pay_attention), goroutines that run are interrupted, and those that stay in a C call lose their P.
 * Without a P nothing runs but such a C call. When it returns, its goroutine runs its own code until it enters vai
 * or is interrupted, and then it finds no P. */
#include "sched/rt.h"

enum { LOOK = 100000 /* ns between two looks */, FORCE_AFTER = 50000000 /* ns */ };

/* Whether no P but m's is owned. Under sched.lock. */
static bool all_stopped(struct m *m)
{
	for (int i = 0; i < atomic_load_relaxed(&vai__sched.nps); i++) {
		struct p *p = vai__sched.ps[i];
		if (!p->idle && !p->retired && (!m || p != m_p(m)))
			return false;
	}
	return true;
}

/* Interrupts goroutines, and takes the Ps of those that are in C calls. force: also of those that have not answered a
 * signal. Under sched.lock. */
static void urge(struct m *self, bool force)
{
	for (struct m *m = vai__sched.all_ms; m; m = m->next_m) {
		struct p *p = NULL;
		if (m == self || !m_p(m))
			continue;
		if (force || vai__m_is_asleep(m))
			p = vai__handoff_retake(m);
		if (p)
			vai__p_put_idle(p);
		else
			vai__preempt_ask(m, vai__clock_real());
	}
}

/* False: another thread has stopped the world. */
static bool begin(void)
{
	vai__lock(&vai__sched.lock);
	bool mine = !vai__sched.world_stopped;
	vai__sched.world_stopped = true;
	vai__loop_attention_update();
	vai__unlock(&vai__sched.lock);
	return mine;
}

bool vai__world_stop(vai_g *self, int64_t timeout)
{
	int64_t start = vai__clock_real();
	if (!begin())
		return false;
	struct m *m = self ? g_m(g_of(self)) : NULL;
	for (;;) {
		int64_t spent = vai__clock_real() - start;
		vai__lock(&vai__sched.lock);
		bool done = all_stopped(m);
		if (!done)
			urge(m, spent > FORCE_AFTER);
		vai__unlock(&vai__sched.lock);
		if (done)
			return true;
		if (spent > timeout) {
			vai__world_start();
			return false;
		}
		atomic_uint nothing = 0;
		vai__futex_wait(&nothing, 0, vai__clock_real() + LOOK);
	}
}

void vai__world_start(void)
{
	struct gqueue q = {0};
	vai__lock(&vai__sched.lock);
	vai__sched.world_stopped = false;
	vai__p_shrink(&q); /* some of the Ps that were put aside may be beyond nprocs by now */
	while (vai__sched.wanting && vai__sched.idle_ps) {
		struct m *m = vai__sched.wanting;
		vai__handoff_unwant(m);
		if (m->locked.count > 0)
			vai__idle_wake_locked_m(m);
	}
	vai__idle_unlock();
	vai__p_shrunk(&q);
}
