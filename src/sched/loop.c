/* SPDX-License-Identifier: MIT */
/* The scheduler's loop: every M runs it on a stack of its own and switches to goroutines
 * from it. Where to look for work, in order: what only this M may run, the global queue
 * every 61st round, the P's own queue, timers, the global queue, the poller, other Ps. */
#include "base/fatal.h"
#include "sched/poll.h"
#include "sched/rt.h"

struct sched vai__sched;
struct vai__sched_hooks vai__sched_hooks;

/* p's queue has grown: whether that is work for another P too. Goroutines that hand each
 * other messages run for less than a microsecond each; waking an M for such a one, or
 * moving it to another cache, costs more than its turn on this P takes to come. So a P
 * measures how long its goroutines run, and shares what would wait for long. Should one
 * run for longer than expected, sysmon sees the queue behind it. A ping-pong stays on
 * one P, a pipeline whose stages compute spreads over all.
 *
 * The barrier pairs with the one of an M that goes idle: it says so first and looks at the
 * queues then (idle.c). */
static void share(struct p *p)
{
	if (atomic_load_relaxed(&vai__sched.nprocs) == 1 || runq_wait(p) < WAKE_COST)
		return;
	if (!VAI_BUG(share_fence))
		atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_relaxed(&vai__sched.nidle_ps) > 0)
		vai__idle_wake_one();
}

void vai__loop_slice_begin(struct p *p)
{
	p->slice_at = clock_note();
	p->slice_tick = atomic_load_relaxed(&p->tick);
}

static void slice_end(struct p *p)
{
	uint32_t rounds = atomic_load_relaxed(&p->tick) - p->slice_tick;
	if (p->slice_at != 0 && rounds > 0)
		atomic_store_relaxed(&p->slice, (clock_note() - p->slice_at) / rounds + 1);
	p->slice_at = 0;
}

static void slice_next(struct p *p)
{
	slice_end(p);
	vai__loop_slice_begin(p);
}

/* p may be NULL. */
static void put(struct p *p, struct g *g, bool next)
{
	if (VAI_UNLIKELY(!p)) {
		vai__global_put(g);
		vai__idle_wake_one();
		return;
	}
	vai__runq_put(p, g, next);
	share(p);
}

/* Any thread. next: it runs here before all others. */
void vai__loop_ready(struct g *g, bool next)
{
	struct m *m = vai__m_self();
	atomic_store_relaxed(&g->state, VAI_G_RUNNABLE);
	if (VAI_UNLIKELY(g->locked_m && g->locked_m != m && g->locked_m != OFF_MAIN)) {
		vai__loop_ready_locked(g);
		return;
	}
	if (VAI_UNLIKELY(!m)) {
		put(NULL, g, next);
		return;
	}
	bool was = m_enter(m);
	struct p *p = m_p(m);
	if (!p && m->polling) {
		vai__gqueue_push(&m->polled, g);
		m_leave(m, was);
		return;
	}
#ifdef VAI_HARD
	if (!g->locked_m)
		p = NULL; /* through the global queue: another M is likely to take it */
#endif
	put(p, g, next);
	m_leave(m, was);
}

/* g belongs to an M that is not the caller's. */
void vai__loop_ready_locked(struct g *g)
{
	struct m *m = g->locked_m;
	vai__lock(&vai__sched.lock);
	vai__gqueue_push(&m->locked, g);
	atomic_store_release(&m->nlocked, m->locked.count);
	vai__idle_wake_locked_m(m);
	vai__unlock(&vai__sched.lock);
}

/* Lock held. */
void vai__loop_attention_update(void)
{
	bool on = atomic_load_relaxed(&vai__sched.stopping) || vai__sched.wanting || vai__sched.world_stopped ||
		atomic_load_relaxed(&vai__sched.retiring) > 0;
	atomic_store_seq_cst(&vai__sched.attention, on);
}

struct g *vai__loop_take_locked(struct m *m)
{
	vai__lock(&vai__sched.lock);
	struct g *g = vai__gqueue_pop(&m->locked);
	atomic_store_relaxed(&m->nlocked, m->locked.count);
	vai__unlock(&vai__sched.lock);
	return g;
}

/* An M sleeps that has a goroutine to run which only it may (M0 has main), and every P is
 * busy: ours goes there, queue and all, unless it was given to us for the same, or those in
 * the queues have their turn. Or the world is to stop: then it is put aside. */
static void give_p_up(struct m *m)
{
	struct p *p = m_p(m);
	vai__lock(&vai__sched.lock);
	bool wanted = vai__sched.wanting && m->locked.count == 0 && !m->lockedg && !vai__p_owes_turn(p);
	if (wanted || vai__sched.world_stopped) {
		vai__m_own(m, NULL);
		vai__p_release(p);
		count_add(&p->count.handoffs, 1);
	}
	vai__unlock(&vai__sched.lock);
}

/* The M may have no P after it. */
void vai__loop_pay_attention(struct m *m)
{
	if (atomic_load_relaxed(&vai__sched.retiring) > 0 && vai__p_is_surplus(m_p(m)))
		vai__p_retire(m_p(m), m);
	else
		give_p_up(m);
	if (!m_p(m) && m->spinning)
		vai__idle_stop_spinning(m);
}

static void run_timers(struct p *p)
{
	if (atomic_load_relaxed(&p->timers.next) != VAI_FOREVER)
		vai__timers_run(&p->timers, clock_note());
}

/* Those whose turn is always due would keep the poller's from theirs. */
static void poll_now_and_then(void)
{
	int64_t now = atomic_load_relaxed(&vai__sched.coarse_now);
	if (now - atomic_load_relaxed(&vai__sched.polled_at) >= POLL_PAUSE && !VAI_BUG(poll_late))
		vai__m_poll_once();
}

static struct g *poll_others(struct p *p)
{
	bool inherit;
	return vai__m_poll_once() ? vai__runq_get(p, &inherit) : NULL;
}

static struct g *from_own_queue(struct p *p)
{
	bool inherit;
	struct g *g = vai__runq_get(p, &inherit);
	p->streak = inherit ? p->streak + 1 : 0;
	return g;
}

/* NULL: look again (or the runtime stops). */
static struct g *find(struct m *m)
{
	struct p *p = m_p(m);
	struct g *g;
	if (VAI_UNLIKELY(!p))
		return vai__idle_find_or_sleep(m);
	uint32_t tick = atomic_load_relaxed(&p->tick) + 1;
	atomic_store_relaxed(&p->tick, tick);
	if (VAI_UNLIKELY(atomic_load_acquire(&m->nlocked) > 0) && (g = vai__loop_take_locked(m)) != NULL) {
		p->locked_tick = tick;
		return g;
	}
	if (tick % GLOBAL_TICK == 0 && (g = vai__global_get(p)) != NULL)
		return g;
	if (tick % TIMER_TICK == 0)
		run_timers(p);
	if (tick % SLICE_TICK == 0) {
		slice_next(p);
		poll_now_and_then();
	}
	if ((g = from_own_queue(p)) != NULL)
		return g;
	run_timers(p);
	if ((g = from_own_queue(p)) != NULL)
		return g;
	if ((g = vai__global_get(p)) != NULL)
		return g;
	if ((g = poll_others(p)) != NULL)
		return g;
	slice_end(p); /* looking for work is no part of it */
	return vai__idle_find_or_sleep(m);
}

/* A goroutine for this M to run now; NULL when the runtime stops. */
static struct g *next(struct m *m)
{
	if (VAI_UNLIKELY(m->leaving))
		return NULL;
	if (VAI_UNLIKELY(m->lockedg != NULL))
		return vai__locked_next(m);
	for (;;) {
		if (VAI_UNLIKELY(atomic_load_relaxed(&vai__sched.attention))) {
			if (atomic_load_acquire(&vai__sched.stopping) && m != vai__sched.m0)
				return NULL;
			if (m_p(m))
				vai__loop_pay_attention(m);
		}
		struct g *g = find(m);
		if (!g && VAI_UNLIKELY(m->leaving))
			return NULL;
		if (!g)
			continue;
		if (m->spinning)
			vai__idle_got_work(m);
		if (VAI_LIKELY(!g->locked_m || g->locked_m == m))
			return g;
		if (g->locked_m != OFF_MAIN)
			vai__loop_ready_locked(g);
		else if (m != vai__sched.m0 || !vai__m0_leave_to_others(m, g))
			return g;
	}
}

/* A goroutine that had its thread for itself has left who knows what there. */
static void end(struct m *m, struct g *g)
{
	if (VAI_UNLIKELY(m->lockedg == g)) {
		m->lockedg = NULL;
		m->leaving = m != vai__sched.m0;
	}
	vai__g_take_stack(m, g);
	count_add(&m_p(m)->count.ended, 1);
	vai__g_free(m, g);
}

/* late: it had a whole slice. Then it goes to the global queue, as in Go: in this P's own, a few
 * that compute would keep whoever waits in the global one from its turn for many slices. */
static void yield(struct m *m, struct g *g, bool late)
{
	atomic_store_relaxed(&g->state, VAI_G_RUNNABLE);
	if (VAI_UNLIKELY(g->locked_m == m && (m->lockedg || !m_p(m)))) {
		vai__loop_ready_locked(g);
		if (m_p(m))
			vai__m_hand_off(m);
	} else {
		put(late ? NULL : m_p(m), g, false);
	}
}

/* g may lose its P from here on. curg is g only as long as g is this M's own: the signal handler, which may
 * come at any moment, and others who enter vai on this thread take it for what runs here.
 * Inlined up to the loop, as its callers are: goroutines return from functions that others
 * called, and the processor foresees where to only as long as the loop itself returns
 * from none in between (measured: a switch takes 17 ns, or 32). */
static inline __attribute__((always_inline)) void resume(struct m *m, struct g *g)
{
	m_set_curg(m, g);
	atomic_store_relaxed(&m->asked, false);
	m_leave(m, false);
	vai__ctx_switch(&m->ctx, &g->ctx, false);
	m_set_curg(m, NULL);
	if (VAI_UNLIKELY(has_cpu_limit(g)))
		vai__preempt_cpu_end(g);
}

/* g has switched to the loop; m may have lost its P. */
static inline __attribute__((always_inline)) void settle(struct m *m, struct g *g)
{
	while (m->op == OP_PARK && !vai__park_commit(g))
		resume(m, g);
	/* After the commit g may already run elsewhere: only its address is ours. */
	if (m->op == OP_PREEMPTED && m_p(m))
		run_timers(m_p(m)); /* those whom it makes ready come before g */
	if (m->op == OP_YIELD || m->op == OP_PREEMPTED)
		yield(m, g, m->op == OP_PREEMPTED);
	else if (m->op == OP_EXIT)
		end(m, g);
	else if (VAI_LIKELY(m_p(m) != NULL))
		count_add(&m_p(m)->count.parks, 1);
}

static inline __attribute__((always_inline)) void run(struct m *m, struct g *g)
{
	if (VAI_UNLIKELY(!g->stack && g != vai__sched.main) && !vai__g_give_stack(m, g)) {
		vai__g_starve(g);
		return;
	}
	atomic_store_relaxed(&g->m, m);
	atomic_store_relaxed(&g->state, VAI_G_RUNNING);
	if (VAI_UNLIKELY(has_cpu_limit(g)))
		vai__preempt_cpu_begin(g);
	if (VAI_UNLIKELY(atomic_load_relaxed(&g->pub.end) != VAI_END_NO))
		vai__preempt_interrupt(g);
	resume(m, g);
	settle(m, g);
}

void vai__loop_schedule(struct m *m)
{
	struct g *g = m_curg(m);
	if (g) { /* M0's loop begins with main's first switch to it */
		m_set_curg(m, NULL);
		settle(m, g);
	}
	while ((g = next(m)) != NULL)
		run(m, g);
}
