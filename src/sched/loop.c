/* SPDX-License-Identifier: MIT */
/* The scheduler's loop: every M runs it on a stack of its own and switches to goroutines
 * from it. Where to look for work, in order: what only this M may run, the global queue
 * every 61st round, the P's own queue, timers, the global queue, the poller, other Ps. */
#include "base/fatal.h"
#include "mach/thread.h"
#include "sched/poll.h"
#include "sched/turns.h"

struct sched vai__sched;
struct vai__sched_hooks vai__sched_hooks;

/* Wakes an M for work that the caller has just made known, if a P is idle. The barrier pairs with that of an M which
 * goes idle: such an M first says so and then looks at the queues (idle.c). */
static void wake_for_idle_p(void)
{
	if (!VAI_BUG(share_fence))
		atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_relaxed(&vai__sched.nidle_ps) > 0)
		vai__idle_wake_one();
}

/* Called when p's queue has grown; wakes another M if the queue is worth sharing. Goroutines that hand each other
 * messages run for less than a microsecond each. Waking an M for such a goroutine, or moving it to another cache,
 * costs more than waiting for its turn on this P. So each P measures how long its goroutines run, and shares those
 * that would wait for long. If one runs for longer than expected, sysmon sees the queue behind it. A ping-pong stays
 * on one P, and a pipeline whose stages compute spreads over all. */
static void share(struct p *p)
{
	if (atomic_load_relaxed(&vai__sched.nprocs) > 1 && runq_wait(p) >= WAKE_COST)
		wake_for_idle_p();
}

uint8_t vai__sched_round(vai_g *self)
{
	struct p *p = m_p(g_m(g_of(self)));
	return p ? (uint8_t)(atomic_load_relaxed(&p->tick) + (unsigned)p->index) : 0;
}

static void slice_begin(struct p *p, int64_t now)
{
	p->slice_at = now;
	p->slice_tick = atomic_load_relaxed(&p->tick);
	atomic_store_relaxed(&p->where, vai__thread_where());
}

void vai__loop_slice_begin(struct p *p)
{
	slice_begin(p, clock_note());
}

/* Ends the measurement that has begun at slice_at: p->slice is the mean of the rounds since. */
static void slice_measure(struct p *p, int64_t now)
{
	uint32_t rounds = atomic_load_relaxed(&p->tick) - p->slice_tick;
	if (p->slice_at != 0 && rounds > 0)
		atomic_store_relaxed(&p->slice, (now - p->slice_at) / rounds + 1);
}

static void slice_end(struct p *p)
{
	if (p->slice_at != 0)
		slice_measure(p, clock_note());
	p->slice_at = 0;
}

static void slice_next(struct p *p)
{
	int64_t now = clock_note();
	slice_measure(p, now);
	slice_begin(p, now);
}

/* Adds g to p's queue. next: it runs before all others. While an M looks for work, g stands first in the ring in place
 * of runnext: a thief takes it from there by one compare-and-swap, and from runnext by a barrier of all threads
 * (runq.c), which costs as much as 100 messages where processors are virtual (measured: 10 us). */
static inline void enqueue(struct p *p, struct g *g, bool next)
{
	if (next && VAI_UNLIKELY(atomic_load_relaxed(&vai__sched.nspinning) != 0) && vai__runq_empty(p))
		next = false;
	vai__runq_put(p, g, next);
}

/* Adds g to p's queue or, if p is NULL, to the global one, and wakes another M where that pays. */
static void put(struct p *p, struct g *g, bool next)
{
	if (VAI_UNLIKELY(!p)) {
		vai__global_put(g);
		vai__idle_wake_one();
		return;
	}
	enqueue(p, g, next);
	share(p);
}

/* Where what m makes ready goes to: its P, or NULL for the global queue. */
static inline struct p *place_of(struct m *m, struct g *g)
{
#ifdef VAI_HARD
	if (!g->locked_m)
		return NULL; /* it goes through the global queue, because another M is likely to take it */
#endif
	(void)g;
	return m_p(m);
}

/* Makes g runnable. next: it runs on this P before all others. quiet: no M is woken for it if it is in this P's
 * queue; then this returns true, and the caller sees to vai__sched_fired. Any thread may call. */
static inline bool ready(struct g *g, bool next, bool quiet)
{
	struct m *m = vai__m_self();
	atomic_store_relaxed(&g->state, VAI_G_RUNNABLE);
	if (turn_hold(g))
		return false;
	if (VAI_UNLIKELY(g->locked_m && g->locked_m != m && g->locked_m != OFF_MAIN)) {
		vai__loop_ready_locked(g);
		return false;
	}
	if (VAI_UNLIKELY(!m)) {
		put(NULL, g, next);
		return false;
	}
	bool was = m_enter(m);
	struct p *p = place_of(m, g);
	quiet = quiet && p;
	if (m->polling && (!m_p(m) || m->behind)) {
		vai__gqueue_push(&m->polled, g);
		atomic_store_relaxed(&m->has_polled, true);
	} else if (quiet)
		enqueue(p, g, next);
	else
		put(p, g, next);
	m_leave(m, was);
	return quiet;
}

void vai__loop_ready(struct g *g, bool next)
{
	ready(g, next, false);
}

bool vai__loop_ready_quietly(struct g *g)
{
	return ready(g, true, true);
}

void vai__sched_fired(void)
{
	struct m *m = vai__m_self();
	bool was = m_enter(m);
	/* If another thread has taken the P meanwhile, its new owner looks at the queue. */
	if (VAI_LIKELY(m_p(m) != NULL))
		share(m_p(m));
	m_leave(m, was);
}

void vai__sched_offer(vai_g *self)
{
	struct m *m = g_m(g_of(self));
	if (atomic_load_relaxed(&vai__sched.nprocs) == 1)
		return;
	bool was = m_enter(m);
	struct p *p = m_p(m);
	if (p && !vai__runq_empty(p)) {
		atomic_store_relaxed(&p->offers, true);
		wake_for_idle_p();
	}
	m_leave(m, was);
}

void vai__loop_ready_locked(struct g *g)
{
	struct m *m = g->locked_m;
	vai__lock(&vai__sched.lock);
	struct home *home = m->home;
	vai__gqueue_push(&m->locked, g);
	atomic_store_release(&m->nlocked, m->locked.count);
	vai__idle_wake_locked_m(m);
	vai__idle_unlock();
	if (home)
		vai__frame_ring(home);
}

void vai__loop_attention_update(void)
{
	bool on = atomic_load_relaxed(&vai__sched.stopping) || vai__sched.wanting || vai__sched.world_stopped ||
		atomic_load_relaxed(&vai__sched.retiring) > 0;
	atomic_store_seq_cst(&vai__sched.attention, on);
	if (vai__frame_due()) /* the signal handler, which takes no lock, may have set `attention` just before */
		atomic_store_seq_cst(&vai__sched.attention, true);
}

struct g *vai__loop_take_locked(struct m *m)
{
	vai__lock(&vai__sched.lock);
	struct g *g = vai__gqueue_pop(&m->locked);
	atomic_store_relaxed(&m->nlocked, m->locked.count);
	vai__unlock(&vai__sched.lock);
	return g;
}

/* Gives this M's P away where another M needs it more: one that sleeps with a goroutine which only it may run (M0
 * has main), while every P is busy. The P goes there with its whole queue, unless this M was given it for the same
 * reason or the queues have their turn. If the world is to stop, the P is put aside instead. */
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
	vai__idle_unlock();
}

void vai__loop_pay_attention(struct m *m)
{
	if (m->home)
		vai__frame_check(m);
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

/* Looks into the poller. The goroutines that this makes ready go behind all that are ready. */
static void poll_behind(struct m *m)
{
	m->polling = m->behind = true;
	vai__seat_look();
	m->polling = m->behind = false;
	if (m->polled.head) {
		vai__global_put_batch(&m->polled);
		m->polled = (struct gqueue){0};
		vai__idle_wake_one();
	}
}

/* Looks into the poller now and then, so that goroutines whose turn is always due do not keep out those that wait for
 * input. Those that wait for input must not keep out others either: while there are goroutines in the global queue, or
 * soon will be because p's ring overflows, they go to that queue. (When they always went to p's ring, which was never
 * empty then, a few hundred of 1,000 connections were served over and over, and the others once in 61 rounds.) */
static void poll_now_and_then(struct m *m, struct p *p)
{
	int64_t now = atomic_load_relaxed(&vai__sched.coarse_now);
	if (now - atomic_load_relaxed(&vai__sched.polled_at) < POLL_PAUSE || VAI_BUG(poll_late))
		return;
	if (atomic_load_relaxed(&vai__sched.nglobal) > 0 || vai__runq_len(p) > RUNQ_SIZE / 2)
		poll_behind(m);
	else
		vai__seat_look();
}

/* Looks into the poller, as p has nothing to do. */
static struct g *poll_others(struct p *p)
{
	return vai__seat_look() ? vai__runq_get(p) : NULL;
}

/* Whether p is to look at more than its queue in this round. Signed, because the due round may have been left out. */
static inline bool is_due(const struct p *p, uint32_t tick)
{
	return (int32_t)(tick - p->due) >= 0;
}

/* Does what is to be done in some of the rounds only. A goroutine from the global queue, or NULL. */
static VAI_NOINLINE struct g *look_around(struct m *m, struct p *p, uint32_t tick)
{
	_Static_assert(SLICE_TICK % TIMER_TICK == 0, "the end of a slice is seen when timers are looked at");
	uint32_t timers = tick - tick % TIMER_TICK + TIMER_TICK, global = tick - tick % GLOBAL_TICK + GLOBAL_TICK;
	struct g *g;
	p->due = timers - tick < global - tick ? timers : global;
	if (tick % GLOBAL_TICK == 0 && (g = vai__global_get(p)) != NULL)
		return g;
	if (tick % TIMER_TICK == 0)
		run_timers(p);
	if (tick % SLICE_TICK == 0) {
		slice_next(p);
		poll_now_and_then(m, p);
	}
	return NULL;
}

/* Looks for a goroutine for m, in the order that the head of this file names, and sleeps if there is none. NULL: the
 * caller is to look again, or the runtime stops. */
static struct g *find_work(struct m *m)
{
	struct p *p = m_p(m);
	struct g *g;
	if (VAI_UNLIKELY(!p)) {
		g = m->home ? vai__frame_return(m) : NULL;
		return g ? g : vai__idle_find_or_sleep(m);
	}
	uint32_t tick = atomic_load_relaxed(&p->tick) + 1;
	atomic_store_relaxed(&p->tick, tick);
	if (VAI_UNLIKELY(atomic_load_acquire(&m->nlocked) > 0) && (g = vai__loop_take_locked(m)) != NULL) {
		p->locked_tick = tick;
		return g;
	}
	if (is_due(p, tick) && (g = look_around(m, p, tick)) != NULL)
		return g;
	if ((g = vai__runq_get(p)) != NULL)
		return g;
	run_timers(p);
	if ((g = vai__runq_get(p)) != NULL)
		return g;
	if ((g = vai__global_get(p)) != NULL)
		return g;
	if ((g = poll_others(p)) != NULL)
		return g;
	slice_end(p); /* the time spent looking for work is not part of a slice */
	return vai__idle_find_or_sleep(m);
}

/* Whether m runs g, which only some Ms may run (locked_m). If not, g is in a queue where others find it. */
static bool accept(struct m *m, struct g *g)
{
	if (g->locked_m == OFF_FRAME) {
		if (m->home && vai__frame_puts_off(m, g))
			return false;
		g->locked_m = NULL;
		return true;
	}
	if (g->locked_m == OFF_MAIN)
		return !m->home || !vai__m0_leave_to_others(m, g);
	vai__loop_ready_locked(g);
	return false;
}

/* The goroutine that m is to run now; NULL: m's thread has to end. */
static struct g *next_goroutine(struct m *m)
{
	if (VAI_UNLIKELY(m->leaving))
		return NULL;
	if (VAI_UNLIKELY(m->lockedg != NULL))
		return vai__locked_next(m);
	for (;;) {
		if (VAI_UNLIKELY(atomic_load_relaxed(&vai__sched.attention))) {
			if (atomic_load_acquire(&vai__sched.stopping) && !m->home)
				return NULL;
			if (m_p(m))
				vai__loop_pay_attention(m);
		}
		struct g *g = find_work(m);
		if (!g && VAI_UNLIKELY(m->leaving))
			return NULL;
		if (!g)
			continue;
		if (m->spinning)
			vai__idle_got_work(m);
		if (VAI_LIKELY(!g->locked_m || g->locked_m == m) || accept(m, g))
			return g;
	}
}

/* Ends g. If g had its thread for itself, the thread ends too, because g may have changed the thread's state. */
static void end_goroutine(struct m *m, struct g *g)
{
	if (VAI_UNLIKELY(m->lockedg == g)) {
		m->lockedg = NULL;
		m->leaving = !m->home;
	}
	vai__g_take_stack(m, g);
	count_add(&m_p(m)->count.ended, 1);
	struct vai__home *home = vai__g_home(&g->pub);
	vai__g_free(m, g);
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__sched.nwatched) > 0))
		vai__home_note_end(home);
}

/* Puts g back into a queue. late: it has used a whole slice and goes to the global queue, as in Go. In its own P's
 * queue a few goroutines that compute would keep those in the global queue from their turn for many slices. */
static void yield(struct m *m, struct g *g, bool late)
{
	atomic_store_relaxed(&g->state, VAI_G_RUNNABLE);
	if (VAI_UNLIKELY(g->locked_m == m && (m->lockedg || !m_p(m)))) {
		vai__loop_ready_locked(g);
		if (m_p(m))
			vai__m_hand_off(m);
	} else {
		if (late && !g->locked_m && vai__frame_wants())
			g->locked_m = OFF_FRAME;
		put(late ? NULL : m_p(m), g, false);
	}
}

/* Puts g, which has yielded, back into p's queue, and returns the goroutine that comes next. NULL: the loop is to look,
 * because it is due to look at more than p's queue, or there is nothing else in that. */
static struct g *yield_to_next(struct m *m, struct g *g)
{
	struct p *p = m_p(m);
	uint32_t tick = p ? atomic_load_relaxed(&p->tick) + 1 : 0;
	if (!p || is_due(p, tick) || m->lockedg || atomic_load_relaxed(&m->nlocked) > 0 ||
		atomic_load_relaxed(&vai__sched.attention)) {
		yield(m, g, false);
		return NULL;
	}
	atomic_store_relaxed(&g->state, VAI_G_RUNNABLE);
	struct g *next = vai__runq_exchange(p, g);
	share(p);
	if (!next)
		return NULL;
	atomic_store_relaxed(&p->tick, tick);
	return VAI_LIKELY(!next->locked_m || next->locked_m == m) || accept(m, next) ? next : NULL;
}

/* Switches to g, which may lose its P from here on. m->curg is g only while m owns g: the signal handler, which may
 * come at any moment, takes it for what runs here.
 *
 * The caller has set m->curg, and has looked whether g is held in a serial phase.
 *
 * It is inlined up to the loop, as its callers are: goroutines return from functions that other goroutines called, and
 * the processor predicts those returns only if the loop itself returns from nothing in between (measured: a switch
 * takes 17 ns instead of 32). */
static inline __attribute__((always_inline)) void resume(struct m *m, struct g *g)
{
	atomic_store_relaxed(&m->asked, false);
	m_leave(m, false);
	vai__ctx_switch_known(&m->ctx, &g->ctx, m->words);
	m_set_curg(m, NULL);
	if (VAI_UNLIKELY(has_cpu_limit(g)))
		vai__preempt_cpu_end(g);
}

/* m is about to run g, and m->curg says so from here on. True: some home is watched, which may concern g. */
static inline __attribute__((always_inline)) bool is_watched(struct m *m, struct g *g)
{
	m_set_curg(m, g);
	vai__barrier_light();
	return VAI_UNLIKELY(atomic_load_relaxed(&vai__sched.nwatched) > 0);
}

/* g has begun to wait; another M may run it again already. If its home began to close while g still ran, nobody else
 * may ask g to end. The commit of the wait comes before the load of nwatched: pairs with the heavy barrier of
 * vai__home_end. */
static inline __attribute__((always_inline)) void look_again(struct g *g)
{
	vai__barrier_light();
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__sched.nwatched) > 0))
		vai__home_parked(g);
}

static inline void count_park(struct m *m)
{
	if (VAI_LIKELY(m_p(m) != NULL))
		count_add(&m_p(m)->count.parks, 1);
}

/* Whether m's goroutine, which has switched to the loop, begins to wait. */
static inline bool waits(const struct m *m)
{
	return m->op <= OP_SHED;
}

/* It does. False: its wait is over already. */
static inline __attribute__((always_inline)) bool commit(struct m *m, struct g *g)
{
	return VAI_LIKELY(m->op == OP_PARK) ? vai__park_commit(g) : vai__g_shed_stack(m, g);
}

/* Deals with g, which has just switched to the loop. m may have lost its P. Returns the goroutine that m is to run now;
 * NULL: it is to look for one. */
static inline __attribute__((always_inline)) struct g *settle(struct m *m, struct g *g)
{
	const uint32_t turn = turn_of(g);
	struct g *next = NULL;
	while (waits(m) && !commit(m, g)) {
		if (is_watched(m, g) && vai__serial_holds(m, g))
			return NULL;
		resume(m, g);
	}
	/* After the commit another M may already run g: only its address may be used. */
	if (waits(m)) {
		count_park(m);
		look_again(g);
	} else if (m->op == OP_YIELD) {
		next = yield_to_next(m, g);
	} else if (m->op == OP_PREEMPTED) {
		if (m_p(m))
			run_timers(m_p(m)); /* goroutines that timers make ready run before g does */
		yield(m, g, true);
	} else if (m->op == OP_EXIT) {
		end_goroutine(m, g);
	} else {
		count_park(m);
	}
	if (VAI_UNLIKELY(turn != 0))
		vai__replay_settled(g, m->op);
	return next;
}

/* Runs g until it switches to the loop. Returns as settle does. */
static inline __attribute__((always_inline)) struct g *run(struct m *m, struct g *g)
{
	if (VAI_UNLIKELY(!g->stack && !vai__g_is_main(&g->pub)) && !vai__g_give_stack(m, g)) {
		vai__g_starve(g);
		return NULL;
	}
	atomic_store_relaxed(&g->m, m);
	atomic_store_relaxed(&g->state, VAI_G_RUNNING);
	if (VAI_UNLIKELY(has_cpu_limit(g)))
		vai__preempt_cpu_begin(g);
	if (is_watched(m, g)) {
		if (vai__serial_holds(m, g))
			return NULL;
		vai__home_tell(g);
	}
	if (VAI_UNLIKELY(atomic_load_relaxed(&g->pub.end) != VAI_END_NO))
		vai__preempt_interrupt(g);
	resume(m, g);
	return settle(m, g);
}

void vai__loop_schedule(struct m *m)
{
	struct g *g = m_curg(m);
	m->words = vai__ctx_words();
	if (g) { /* M0's loop begins with main's first switch to it */
		m_set_curg(m, NULL);
		g = settle(m, g);
	}
	while (g || (g = next_goroutine(m)) != NULL)
		g = run(m, g);
}
