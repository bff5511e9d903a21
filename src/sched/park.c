/* SPDX-License-Identifier: MIT */
/* Blocking: waits, tickets and who wins them.
 *
 * g->wait is ticket << 32 | code. The codes of one ticket go PREPARING -> PARKED -> final, or PREPARING -> final.
 * Each step is a compare-and-swap, so:
 *
 * - One waker wins. All others see a final code or another ticket, and leave.
 *
 * - A waker that finds PREPARING need not make g runnable: the commit below fails and g goes on. A waker that finds
 * PARKED must make g runnable, and is the only one to do so.
 *
 * - A goroutine that is to end is first parked and then looked at; its canceller first sets g->end and then fires.
 * One of the two sees the other.
 *
 * - The commit runs on the M's own stack, after g's registers are saved: once PARKED is visible, any M may run g.
 *
 * The swaps are acquire-release: g reads what the waker wrote before firing. */
#include "base/fatal.h"
#include "base/mem.h"
#include "sched/turns.h"

static const char *const reason_names[VAI_WAIT_REASONS] = {
	[VAI_WAIT_NONE] = "running",
	[VAI_WAIT_CHAN_SEND] = "chan send",
	[VAI_WAIT_CHAN_RECV] = "chan receive",
	[VAI_WAIT_SELECT] = "select",
	[VAI_WAIT_SELECT_NONE] = "select (no cases)",
	[VAI_WAIT_WAITGROUP] = "waitgroup wait",
	[VAI_WAIT_JOIN] = "task join",
	[VAI_WAIT_SLEEP] = "sleep",
	[VAI_WAIT_MUTEX] = "mutex lock",
	[VAI_WAIT_COND] = "cond wait",
	[VAI_WAIT_SEMAPHORE] = "semaphore acquire",
	[VAI_WAIT_ONCE] = "once",
	[VAI_WAIT_GROUP] = "group wait",
	[VAI_WAIT_GROUP_GO] = "group go",
	[VAI_WAIT_IO] = "IO wait",
	[VAI_WAIT_READ] = "IO wait: read",
	[VAI_WAIT_WRITE] = "IO wait: write",
	[VAI_WAIT_ACCEPT] = "IO wait: accept",
	[VAI_WAIT_CONNECT] = "IO wait: connect",
	[VAI_WAIT_LOOKUP] = "IO wait: lookup",
	[VAI_WAIT_SERVE] = "IO wait: serve",
	[VAI_WAIT_CLOSE] = "IO wait: close",
	[VAI_WAIT_FRAME] = "frame",
	[VAI_WAIT_PROCESS] = "IO wait: process",
};

const char *vai__wait_reason_name(enum vai_wait_reason r)
{
	return r < VAI_WAIT_REASONS ? reason_names[r] : "?";
}

#define LOST UINT64_MAX /* no wait's word: its code would be none */

static uint64_t wait_word(uint64_t ticket, uint32_t code)
{
	return ticket << 32 | code;
}

/* The ticket of the wait that g, the caller, has begun. */
static inline vai_ticket ticket_of(const struct g *g)
{
	return (vai_ticket)(atomic_load_relaxed(&g->wait) >> 32);
}

vai_ticket vai__wait_begin(vai_g *self)
{
	struct g *g = g_of(self);
	vai_ticket ticket = ticket_of(g) + 1;
	/* A plain store will do: the old code is final, so no waker's swap can succeed now. */
	atomic_store_relaxed(&g->wait, wait_word(ticket, VAI_WAKE_PREPARING));
	return ticket;
}

int vai__park_forget(struct g *g)
{
	int code = (int)(uint32_t)atomic_load_relaxed(&g->wait);
	vai__wait_begin(&g->pub);
	atomic_fetch_add_relaxed(&g->wait, VAI_WAKE_CANCELED);
	return code;
}

/* Ends g's wait if it has that ticket and is not over. Returns its word as it was before, or LOST. */
static inline uint64_t fire(struct g *g, vai_ticket ticket, int code)
{
	uint64_t w = atomic_load_relaxed(&g->wait);
	do {
		if ((uint32_t)(w >> 32) != ticket && !VAI_BUG(fire_any_ticket))
			return LOST;
		if ((uint32_t)w > VAI_WAKE_PARKED)
			return LOST;
		VAI_BUG_TEAR(fire_store);
	} while (!atomic_cas_weak_acq_rel(&g->wait, &w, wait_word(ticket, (uint32_t)code)));
	return w;
}

bool vai__fire(vai_g *pub, vai_ticket ticket, int code)
{
	uint64_t w = fire(g_of(pub), ticket, code);
	if ((uint32_t)w == VAI_WAKE_PARKED && !VAI_BUG(fire_no_ready))
		vai__loop_ready(g_of(pub), true);
	return w != LOST;
}

bool vai__fire_here(vai_g *pub, vai_ticket ticket, int code)
{
	return (uint32_t)fire(g_of(pub), ticket, code) == VAI_WAKE_PARKED;
}

bool vai__fire_quietly(vai_g *pub, vai_ticket ticket, int code, bool *owed)
{
	uint64_t w = fire(g_of(pub), ticket, code);
	*owed = (uint32_t)w == VAI_WAKE_PARKED && vai__loop_ready_quietly(g_of(pub));
	return w != LOST;
}

/* Once this call has ended the wait no other thread runs g until g is made ready. So the record is still that of the
 * goroutine which waited. */
bool vai__fire_end(struct g *g, uint64_t word, bool force)
{
	int no = VAI_END_NO;
	if ((uint32_t)word != VAI_WAKE_PARKED || (atomic_load_relaxed(&g->told) && !force))
		return false;
	if (fire(g, (vai_ticket)(word >> 32), VAI_WAKE_CANCELED) == LOST)
		return false;
	atomic_store_relaxed(&g->told, true);
	atomic_cas_strong_relaxed(&g->pub.end, &no, VAI_END_CLOSED);
	vai__loop_ready(g, false);
	return true;
}

bool vai__fire_any(vai_g *pub, int code)
{
	/* This load must not come before the caller's store to g->end. Pairs with vai__park_commit. */
	uint64_t w = atomic_load_seq_cst(&g_of(pub)->wait);
	return vai__fire(pub, (vai_ticket)(w >> 32), code);
}

void vai__g_end(vai_g *g, enum vai_end why)
{
	int no = VAI_END_NO;
	atomic_cas_strong_seq_cst_seq_cst(&g->end, &no, why);
	if (vai__fire_any(g, VAI_WAKE_CANCELED))
		return;
	atomic_store_relaxed(&vai__sched.hurry_until, vai__clock_real() + HURRY);
	vai__sysmon_hurry();
}

int vai__g_hold_end(vai_g *self)
{
	return atomic_exchange_seq_cst(&self->end, VAI_END_NO);
}

void vai__g_restore_end(vai_g *self, int end)
{
	int no = VAI_END_NO;
	if (end != VAI_END_NO)
		atomic_cas_strong_seq_cst(&self->end, &no, end);
}

bool vai__park_commit(struct g *g)
{
	uint64_t w = atomic_load_relaxed(&g->wait);
	if ((uint32_t)w == VAI_WAKE_PREPARING) {
		atomic_store_release(&g->state, VAI_G_WAITING);
		VAI_BUG_TEAR(commit_store);
		if (atomic_cas_strong_seq_cst_acquire(&g->wait, &w, w + VAI_WAKE_PARKED)) {
			if (VAI_UNLIKELY(atomic_load_seq_cst(&g->pub.end) != VAI_END_NO) && !VAI_BUG(commit_blind))
				vai__fire(&g->pub, (vai_ticket)(w >> 32), VAI_WAKE_CANCELED);
			return true;
		}
		atomic_store_relaxed(&g->state, VAI_G_RUNNING);
	}
	return false;
}

/* Never returns after OP_EXIT and OP_SHED. */
void vai__park_switch(struct g *g, enum op op)
{
	struct m *m = g_m(g);
	m_enter(m); /* the M is busy until the loop runs the next goroutine */
	m->op = op;
	vai__ctx_switch(&g->ctx, &m->ctx, op == OP_EXIT || op == OP_SHED);
}

/* The code of g's latest wait; PREPARING while it goes on. */
static int code_of(struct g *g)
{
	return (int)(uint32_t)atomic_load_acquire(&g->wait);
}

/* Notes what g is about to wait for, for dumps and for vai__park_shed_pays. */
static inline void note(struct g *g, enum vai_wait_reason reason, const void *obj)
{
	atomic_store_relaxed(&g->reason, (uint8_t)reason);
	atomic_store_relaxed(&g->obj, obj);
	atomic_store_relaxed(&g->since, atomic_load_relaxed(&vai__sched.coarse_now));
}

/* Waits until the wait is over, and returns its code. */
static int park(struct g *g)
{
	int code = code_of(g);
	if (code != VAI_WAKE_PREPARING)
		return code;
	vai__park_switch(g, OP_PARK);
	return code_of(g);
}

/* ---- deadlines ---- */

struct vai__timeout {
	struct vai__timer timer;
	struct g *g;
	vai_ticket ticket;
};

static int64_t time_out(struct vai__timer *t, int64_t now)
{
	(void)now;
	struct vai__timeout *to = VAI_CONTAINER(t, struct vai__timeout, timer);
	vai__fire(&to->g->pub, to->ticket, VAI_WAKE_TIMEOUT);
	return VAI_FOREVER;
}

/* Starts the timer that ends g's wait at the deadline. */
static void timeout_begin(struct g *g, struct vai__timeout *to, int64_t deadline)
{
	*to = (struct vai__timeout){.timer = {.fn = time_out}, .g = g};
	to->ticket = ticket_of(g);
	if (vai__timer_start(&g->pub, &to->timer, deadline) != VAI_OK)
		vai__fire(&g->pub, to->ticket, VAI_WAKE_NOMEM); /* without a timer g must not wait at all */
	atomic_store_relaxed(&g->timed, true);
}

/* Stops that timer, after a wait that has ended with `code`. No heap refers to *to afterwards. */
static void timeout_end(struct g *g, struct vai__timeout *to, int code)
{
	atomic_store_relaxed(&g->timed, false);
	if ((code != VAI_WAKE_TIMEOUT || atomic_load_acquire(&to->timer.heap)) && !VAI_BUG(timer_left))
		vai__timer_stop(&to->timer);
}

/* ---- waiting without a stack ---- */

void vai__park_shed_begin(
	vai_g *self, enum vai_wait_reason reason, const void *obj, int64_t deadline, struct vai__timeout **timeout)
{
	struct g *g = g_of(self);
	note(g, reason, obj);
	*timeout = NULL;
	if (VAI_LIKELY(deadline == VAI_FOREVER))
		return;
	*timeout = vai__mem_alloc(sizeof **timeout);
	if (*timeout)
		timeout_begin(g, *timeout, deadline);
	else
		vai__fire(self, ticket_of(g), VAI_WAKE_NOMEM);
}

void vai__park_shed(vai_g *self, void (*entry)(vai_g *g, void *arg), void *arg)
{
	struct g *g = g_of(self);
	if (code_of(g) != VAI_WAKE_PREPARING)
		return;
	g->entry = entry;
	g->arg = arg;
	vai__park_switch(g, OP_SHED);
	vai__fatal("a goroutine came back to a stack that it had shed");
}

int vai__park_shed_end(vai_g *self, struct vai__timeout **timeout)
{
	int code = code_of(g_of(self));
	if (VAI_UNLIKELY(*timeout != NULL)) {
		timeout_end(g_of(self), *timeout, code);
		vai__park_shed_drop(*timeout);
		*timeout = NULL;
	}
	return code;
}

void vai__park_shed_drop(struct vai__timeout *timeout)
{
	if (timeout)
		vai__mem_free(timeout, sizeof *timeout);
}

#ifdef VAI_HARD
enum { SHED_AFTER = -1 };
#else
enum { SHED_AFTER = 10000000 }; /* ns since its last wait began before a goroutine sheds its stack in the next one */
#endif

/* Shedding takes 30 to 80 ns (measured in rings of 503 and of 8 goroutines), and saves a page of stack and its part of
 * a page table. So it pays for goroutines that wait seldom. `since` is when the last wait began; 0: there was none. */
bool vai__park_shed_pays(const vai_g *self)
{
	const struct g *g = (const struct g *)(const void *)self;
	return !self->bound && turn_of(g) == 0 && !g->locked_m &&
		atomic_load_relaxed(&vai__sched.coarse_now) - atomic_load_relaxed(&g->since) > SHED_AFTER;
}

/* ---- waiting on the stack ---- */

/* Parks with a deadline. Its timer lies on g's stack, so it is stopped before this returns. */
static VAI_NOINLINE int park_until(struct g *g, int64_t deadline)
{
	struct vai__timeout to;
	timeout_begin(g, &to, deadline);
	int code = park(g);
	timeout_end(g, &to, code);
	return code;
}

int vai__wait_parked(vai_g *self, int64_t deadline)
{
	struct g *g = g_of(self);
	return deadline == VAI_FOREVER ? park(g) : park_until(g, deadline);
}

int vai__wait(vai_g *self, enum vai_wait_reason reason, const void *obj, int64_t deadline)
{
	struct g *g = g_of(self);
	note(g, reason, obj);
	if (VAI_UNLIKELY(turn_of(g) != 0))
		return vai__replay_wait(g, reason, deadline);
	if (VAI_UNLIKELY(self->bound != NULL))
		return self->bound->wait(self->bound, self, ticket_of(g), deadline);
	return vai__wait_parked(self, deadline);
}

int vai__wake_result(int code)
{
	switch (code) {
	case VAI_WAKE_TIMEOUT: return VAI_ETIMEOUT;
	case VAI_WAKE_DEADLOCK: return VAI_EDEADLOCK;
	case VAI_WAKE_NOMEM: return VAI_ENOMEM;
	case VAI_WAKE_CONTEXT: return VAI_ECONTEXT;
	case VAI_WAKE_CONTEXT_DEADLINE: return VAI_ECONTEXT_DEADLINE;
	case VAI_WAKE_INTERRUPTED: return VAI_EINTERRUPTED;
	default: return VAI_ECANCELED;
	}
}

int64_t vai__sched_coarse_now(void)
{
	return VAI_UNLIKELY(atomic_load_relaxed(&vai__replay_on)) ? vai__clock_now()
															  : atomic_load_relaxed(&vai__sched.coarse_now);
}

static int slept(int code)
{
	return code == VAI_WAKE_TIMEOUT ? VAI_OK : vai__wake_result(code);
}

int vai__sleep(vai_g *self, int64_t deadline)
{
	vai__wait_begin(self);
	return slept(vai__wait(self, VAI_WAIT_SLEEP, NULL, deadline));
}

void vai__sleep_begin(vai_g *self, int64_t deadline, struct vai__timeout **timeout)
{
	vai__wait_begin(self);
	vai__park_shed_begin(self, VAI_WAIT_SLEEP, NULL, deadline, timeout);
}

int vai__sleep_end(vai_g *self, struct vai__timeout **timeout)
{
	return slept(vai__park_shed_end(self, timeout));
}

/* A goroutine that was interrupted because it had no P (main, when it comes back from a C call) and has got one since
 * has been in the queue for that already. (When it queued again, it waited for 40 ms behind eight goroutines that
 * compute.) */
void vai__yield_late(vai_g *self)
{
	struct g *g = g_of(self);
	bool done = g->asked_outside && m_p(g_m(g));
	g->asked_outside = false;
	if (!done)
		vai__park_switch(g, OP_PREEMPTED);
}

void vai__yield(vai_g *self)
{
	if (VAI_UNLIKELY(turn_of(g_of(self)) != 0))
		vai__replay_yield(g_of(self));
	else
		vai__park_switch(g_of(self), OP_YIELD);
}

/* In a seeded run each yield is a step, and what stands in runnext is not of the run. */
void vai__yield_to_next(vai_g *self)
{
	struct p *p = m_p(g_m(g_of(self)));
	if (p && atomic_load_relaxed(&p->runnext) && turn_of(g_of(self)) == 0)
		vai__park_switch(g_of(self), OP_YIELD);
}
