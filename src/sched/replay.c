/* SPDX-License-Identifier: MIT */
/* A seeded run: who has the turn, the run's clock, and the record.
 *
 * Invariants. At most one goroutine of the run, the holder, is in a run queue, runs, or stands between the two. All
 * others wait, or are in run.ready in the order in which they became ready. The turn passes on in three steps: the
 * holder switches to its M's loop, which calls vai__replay_settled; that asks the plan; the goroutine that the plan
 * names becomes the holder and goes to a run queue. While none is ready the clock jumps and the run's timers fire, on
 * that M (run.timing). If that makes none ready either, all wait for ever, or for what is outside of the run. In that
 * case the run is idle (run.idle): a goroutine that is woken from outside passes the turn on itself, and so does the
 * next timer, in real time (run.alarm).
 *
 * run.lock guards `ready`, `holder`, `granted`, `idle` and `rung`. One thread at a time decides about turns: that of
 * the holder before it has given the turn up, or the one that found the run idle. So the plan, the clock and the record
 * need no lock. */
#include "sched/poll.h"
#include "sched/replay_pick.h"
#include "sched/turns.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MOST_CANDIDATES = 256, /* goroutines among which a plan chooses; the others have to wait */
	MOST_LONELY = 10000,   /* slices of a lonely holder after which time passes (waits_for_time) */
	AGAIN = 1000000,       /* ns after which the alarm tries again, if there was no memory */
	START = 1000000000     /* ns: the run's clock when it begins; not 0, which means "no time" in some places */
};

static struct {
	struct vai_lock lock;
	struct gqueue ready;
	struct g *holder;
	struct g *granted;          /* the holder, until vai__replay_hold has let it through to a run queue */
	bool idle;                  /* no goroutine has the turn */
	bool closing;               /* the first goroutine waits for the end of the others */
	vai_ticket ticket;          /* in that wait */
	struct g *first;            /* the goroutine that has begun the run */
	struct g *chosen;           /* the goroutine to which the holder gives its turn at a point */
	_Atomic(struct m *) timing; /* the M that runs callbacks of the run's timers; NULL: none */
	_Atomic(int64_t) now;       /* the run's clock */
	struct timers timers;
	struct vai__replay_pick pick;
	uint64_t rand;                /* state of the generator for vai__replay_random */
	atomic_int waits_outside;     /* how many goroutines wait for what is outside of the run */
	struct vai__timer alarm;      /* in real time: the next of the run's timers, while the run is idle */
	bool rung;                    /* the alarm has fired while a goroutine had the turn; under the lock */
	uint32_t alive;               /* goroutines of the run that have not ended */
	uint64_t turns;               /* how many there were */
	uint32_t lonely;              /* slices that the holder has had since it got its turn, while no other could run */
	atomic_bool broken;           /* vai__replay_break */
	struct vai__replay_turn note; /* what the holder says of the end of its turn */
	struct vai__replay_record record;
	struct member {      /* by number */
		struct g *g;     /* NULL: it has ended */
		uint32_t points; /* twice the number of points that it has come to (struct vai__replay_at) */
	} * members;
	size_t members_size, turns_size, decisions_size, made_size;
} run = {.timers = {.next = VAI_FOREVER,
#ifdef VAI_DEBUG_LOCKS
			 .lock = {.rank = VAI_RANK_TIMERS}
#endif
		 },
#ifdef VAI_DEBUG_LOCKS
	.lock = {.rank = VAI_RANK_REPLAY}
#endif
};
static atomic_bool taken; /* a run has begun and has not ended */
atomic_bool vai__replay_on;

/* ---- the record ---- */

/* Makes room in *list for one more element of size `one`. False: out of memory. */
static bool make_room(void **list, size_t n, size_t *size, size_t one)
{
	if (n < *size)
		return true;
	size_t more = *size ? 2 * *size : 256;
	void *grown = realloc(*list, more * one);
	if (!grown) {
		run.record.incomplete = true;
		return false;
	}
	*list = grown;
	*size = more;
	return true;
}

static void note_decision(const uint32_t *candidates, uint32_t of, uint32_t took)
{
	struct vai__replay_record *r = &run.record;
	void *list = r->decisions;
	if (!make_room(&list, r->ndecisions, &run.decisions_size, sizeof *r->decisions))
		return;
	r->decisions = list;
	struct vai__replay_decision *d = &r->decisions[r->ndecisions++];
	*d = (struct vai__replay_decision){
		.at = {run.note.g, run.note.point}, .of = of, .took = took, .next = candidates[took]};
	memcpy(d->candidates, candidates, sizeof(uint32_t) * (of < VAI__REPLAY_NAMED ? of : VAI__REPLAY_NAMED));
}

static void note_made(struct g *g)
{
	struct vai__replay_record *r = &run.record;
	void *list = r->made;
	r->goroutines++;
	if (make_room(&list, r->nmade, &run.made_size, sizeof *r->made)) {
		r->made = list;
		snprintf(r->made[r->nmade++], sizeof *r->made, "%s", vai__g_site(&g->pub));
	}
	list = run.members;
	if (make_room(&list, r->goroutines, &run.members_size, sizeof *run.members)) {
		run.members = list;
		run.members[r->goroutines] = (struct member){g, 0};
	}
}

static void note_turn(uint32_t next)
{
	struct vai__replay_record *r = &run.record;
	void *list = r->turns;
	run.note.next = next;
	run.note.at = atomic_load_relaxed(&run.now) - START;
	if (run.note.g != next && !run.closing && make_room(&list, r->nturns, &run.turns_size, sizeof *r->turns)) {
		r->turns = list;
		r->turns[r->nturns++] = run.note;
	}
	run.note = (struct vai__replay_turn){.g = next};
	run.lonely = 0;
}

/* Numbers the point to which the holder has come. If it waits in the call whose point was the last one, it gets no new
 * number but the odd one after that: whether the call has to wait depends on other goroutines, and numbers must not. */
static void note_point(bool waits)
{
	if (run.note.g >= run.members_size)
		return;
	struct member *m = &run.members[run.note.g];
	m->points += waits ? 0 : 2;
	run.note.point = m->points | waits;
}

/* Notes where and why the turn of g, the holder, is over. Called on g's own stack. */
static void note_place(struct g *g, enum vai__replay_why why, enum vai_wait_reason reason)
{
	run.note.why = (uint8_t)why;
	run.note.reason = (uint8_t)reason;
	run.note.place = run.pick.plan.place ? run.pick.plan.place(&g->pub) : 0;
}

/* ---- whose turn ---- */

/* Takes the goroutine at place i out of `ready`. Under the lock. */
static struct g *take_at(uint32_t i)
{
	struct gqueue rest = {0};
	struct g *g, *found = NULL;
	while ((g = vai__gqueue_pop(&run.ready)) != NULL) {
		if (i-- == 0)
			found = g;
		else
			vai__gqueue_push(&rest, g);
	}
	run.ready = rest;
	return found;
}

/* Adds the numbers of the goroutines in `ready` to the list of n, and returns its new length. Under the lock. */
static uint32_t list_ready(uint32_t *out, uint32_t n)
{
	for (struct g *g = run.ready.head; g && n < MOST_CANDIDATES; g = g->link)
		out[n++] = turn_of(g);
	return n;
}

/* Asks the plan for one of n candidates, and returns its place. */
static uint32_t decide(const uint32_t *candidates, uint32_t n, bool goes_on)
{
	const struct vai__replay_at at = {run.note.g, run.note.point};
	if (n < 2)
		return 0;
	uint32_t took = vai__replay_pick_next(&run.pick, at, candidates, n, goes_on);
	note_decision(candidates, n, took);
	run.note.chosen = took > 0;
	return took;
}

/* The place of the first goroutine in `ready` if it has to give up, or -1. Under the lock. */
static int place_of_first(void)
{
	int i = 0;
	if (!atomic_load_relaxed(&run.broken))
		return -1;
	for (struct g *g = run.ready.head; g; g = g->link, i++)
		if (g == run.first)
			return i;
	return -1;
}

/* Takes the goroutine that gets the next turn out of `ready`; NULL: none is ready. Under the lock. */
static struct g *take_next(void)
{
	uint32_t candidates[MOST_CANDIDATES];
	int urgent = place_of_first();
	if (urgent >= 0)
		return take_at((uint32_t)urgent);
	uint32_t n = list_ready(candidates, 0);
	return n == 0 ? NULL : take_at(decide(candidates, n, false));
}

/* Counts a turn, and breaks the run off after plan.most of them. */
static void count_turn(void)
{
	if (++run.turns != run.pick.plan.most || run.closing)
		return;
	run.record.exhausted = true;
	vai__replay_break();
}

/* Lets g, the new holder, run. Without the lock. */
static void grant(struct g *g)
{
	note_turn(turn_of(g));
	count_turn();
	vai__loop_ready(g, true);
}

/* Makes g the holder. Under the lock; grant follows without it. */
static void set_holder(struct g *g)
{
	run.holder = run.granted = g;
	run.idle = false;
}

/* Sets the run's clock to `next`, and fires the timers that are due then. */
static void fire_timers(int64_t next)
{
	atomic_store_relaxed(&run.timing, vai__m_self());
	atomic_store_relaxed(&run.now, next);
	vai__timers_run(&run.timers, next);
	atomic_store_relaxed(&run.timing, NULL);
}

static void on_time(vai_g *self, void *arg);

/* Has the timers fired that are due at `next`; false: by a goroutine, which passes the turn on, too. What a timer
 * starts takes a P, which an M may have lost by the time that its goroutine gives the turn up. Such an M holds nobody
 * up while it waits for memory for that goroutine. */
static bool have_timers_fired(int64_t next)
{
	struct m *m = vai__m_self();
	if (VAI_LIKELY(m && m_p(m))) {
		fire_timers(next);
		return true;
	}
	while (!vai__g_post(on_time, NULL)) {
		atomic_uint nothing = 0;
		vai__futex_wait(&nothing, 0, vai__clock_real() + AGAIN);
	}
	return false;
}

/* No goroutine of the run can ever go on: its first one is told. */
static void tell_stuck(void)
{
	if (vai__sched_hooks.deadlock && !run.closing)
		vai__sched_hooks.deadlock();
	vai__fire_any(&run.first->pub, VAI_WAKE_DEADLOCK);
}

/* All wait, some of them for what is outside. False: the run is idle, or another goroutine passes the turn on. */
static bool wait_outside(int64_t next)
{
	vai__timer_stop(&run.alarm);
	run.rung = false;
	if (next != VAI_FOREVER)
		vai__timer_start(NULL, &run.alarm, vai__clock_real() + next - atomic_load_relaxed(&run.now));
	vai__lock(&run.lock);
	bool rung = run.rung;
	run.idle = run.ready.count == 0 && !rung;
	bool idle = run.idle;
	vai__unlock(&run.lock);
	return rung ? have_timers_fired(next) : !idle;
}

/* No goroutine is ready. Lets time pass until the next timer. False: the run is idle, or another goroutine passes the
 * turn on. */
static bool pass_time(void)
{
	int64_t next = atomic_load_relaxed(&run.timers.next);
	if (atomic_load_acquire(&run.waits_outside) > 0)
		return wait_outside(next);
	if (next != VAI_FOREVER && vai__timers_would_wake(&run.timers))
		return have_timers_fired(next);
	tell_stuck();
	return true;
}

/* Gives the turn to the next goroutine, or leaves the run idle. */
static void pass_on(void)
{
	struct g *g;
	do {
		vai__lock(&run.lock);
		g = take_next();
		if (g)
			set_holder(g);
		vai__unlock(&run.lock);
	} while (!g && pass_time());
	if (g)
		grant(g);
}

/* The body of a goroutine outside of the run (vai__g_post): the time of the run's next timer has come while the run was
 * idle, or on an M without a P. */
static void on_time(vai_g *self, void *arg)
{
	struct m *m = g_m(g_of(self));
	bool was;
	(void)arg;
	vai__m_need_p(&m, &was);
	fire_timers(atomic_load_relaxed(&run.timers.next));
	pass_on();
	m_leave(m, was);
}

/* The alarm's callback. It runs under its heap's lock, so it cannot pass the turn on itself. */
static int64_t ring(struct vai__timer *t, int64_t now)
{
	(void)t;
	vai__lock(&run.lock);
	bool idle = run.idle;
	run.idle = false;
	run.rung = !idle;
	vai__unlock(&run.lock);
	if (!idle || vai__g_post(on_time, NULL))
		return VAI_FOREVER;
	vai__lock(&run.lock);
	run.idle = true;
	vai__unlock(&run.lock);
	return now + AGAIN;
}

bool vai__replay_hold(struct g *g)
{
	vai__lock(&run.lock);
	if (!atomic_load_relaxed(&vai__replay_on) || run.granted == g) {
		run.granted = NULL;
		vai__unlock(&run.lock);
		return false;
	}
	vai__gqueue_push(&run.ready, g);
	bool idle = run.idle;
	run.idle = false;
	vai__unlock(&run.lock);
	if (idle)
		pass_on();
	return true;
}

/* ---- the end of a turn ---- */

/* The holder has ended. */
static void settle_end(void)
{
	note_point(false);
	if (run.note.g < run.members_size)
		run.members[run.note.g].g = NULL;
	run.note.why = VAI_REPLAY_ENDS;
	run.note.place = 0;
	if (--run.alive == 1 && run.closing)
		vai__fire(&run.first->pub, run.ticket, VAI_WAKE_USER);
}

/* g yields. If it is the only one that can go on, the next timer fires first. */
static void settle_yield(struct g *g)
{
	atomic_store_relaxed(&g->state, VAI_G_RUNNABLE);
	int64_t next = atomic_load_relaxed(&run.timers.next);
	vai__replay_pick_lower(&run.pick, turn_of(g));
	if (run.note.why == VAI_REPLAY_YIELDS && run.ready.count == 0 && next != VAI_FOREVER)
		fire_timers(next);
	vai__lock(&run.lock);
	vai__gqueue_push(&run.ready, g);
	vai__unlock(&run.lock);
}

/* g gives its turn to the one that was chosen. */
static void settle_point(struct g *g)
{
	atomic_store_relaxed(&g->state, VAI_G_RUNNABLE);
	vai__lock(&run.lock);
	vai__gqueue_push(&run.ready, g);
	set_holder(run.chosen);
	vai__unlock(&run.lock);
	struct g *next = run.chosen;
	run.chosen = NULL;
	grant(next);
}

void vai__replay_settled(struct g *g, enum op op)
{
	if (op == OP_YIELD || op == OP_PREEMPTED || !atomic_load_relaxed(&vai__replay_on))
		return;
	if (op == OP_TURN && run.chosen) {
		settle_point(g);
		return;
	}
	if (op == OP_TURN)
		settle_yield(g);
	else if (op == OP_EXIT)
		settle_end();
	pass_on();
}

void vai__replay_yield(struct g *g)
{
	note_point(false);
	note_place(g, VAI_REPLAY_YIELDS, VAI_WAIT_NONE);
	vai__park_switch(g, OP_TURN);
}

/* Whether the holder has computed for so long while it was the only one of n that could run, and timers are pending,
 * that it most probably waits for one of them. */
static bool waits_for_time(uint32_t n)
{
	if (n > 1)
		return false;
	count_turn();
	if (++run.lonely < MOST_LONELY)
		return false;
	run.lonely = 0;
	return atomic_load_relaxed(&run.timers.next) != VAI_FOREVER;
}

void vai__replay_point(vai_g *self, bool slice)
{
	uint32_t candidates[MOST_CANDIDATES];
	struct g *g = g_of(self);
	if (turn_of(g) == 0)
		return;
	note_point(false);
	vai__lock(&run.lock);
	candidates[0] = turn_of(g);
	uint32_t n = list_ready(candidates, 1), took = 0;
	bool stays = n < 2 || vai__replay_gives_up(self);
	if (!stays && !slice && (took = decide(candidates, n, true)) > 0)
		run.chosen = take_at(took - 1);
	vai__unlock(&run.lock);
	if (slice && stays && waits_for_time(n))
		vai__replay_yield(g);
	if (stays || (!slice && took == 0))
		return;
	note_place(g, VAI_REPLAY_PREEMPTED, VAI_WAIT_NONE);
	vai__park_switch(g, OP_TURN);
}

/* ---- waits ---- */

/* Whether such a wait is ended from outside of the run. */
static bool is_outside(enum vai_wait_reason reason)
{
	return reason >= VAI_WAIT_IO && reason != VAI_WAIT_FRAME;
}

/* As the rest of vai__wait. */
static int wait_bounded(struct g *g, int64_t deadline)
{
	struct vai__bound *bound = g->pub.bound;
	if (bound)
		return bound->wait(bound, &g->pub, (vai_ticket)(atomic_load_relaxed(&g->wait) >> 32), deadline);
	return vai__wait_parked(&g->pub, deadline);
}

int vai__replay_wait(struct g *g, enum vai_wait_reason reason, int64_t deadline)
{
	bool outside = is_outside(reason);
	note_point(reason != VAI_WAIT_SLEEP);
	note_place(g, VAI_REPLAY_WAITS, reason);
	if (vai__replay_gives_up(&g->pub))
		vai__fire_any(&g->pub, VAI_WAKE_DEADLOCK);
	if (outside) {
		run.record.outside = true;
		atomic_fetch_add_relaxed(&run.waits_outside, 1);
	}
	int code = wait_bounded(g, deadline);
	if (outside)
		atomic_fetch_sub_relaxed(&run.waits_outside, 1);
	return code;
}

bool vai__replay_gives_up(const vai_g *self)
{
	return atomic_load_relaxed(&run.broken) && self == &run.first->pub && !run.closing;
}

void vai__replay_break(void)
{
	if (!atomic_load_relaxed(&vai__replay_on) || atomic_exchange(&run.broken, true))
		return;
	vai__fire_any(&run.first->pub, VAI_WAKE_DEADLOCK);
}

/* ---- the set ---- */

bool vai__replay_is_closing(void)
{
	return vai__replay_is_on() && run.closing;
}

bool vai__replay_is_on(void)
{
	return atomic_load_relaxed(&vai__replay_on);
}

uint32_t vai__replay_number(const vai_g *g)
{
	return turn_of((const struct g *)(const void *)g);
}

/* Calls f for each goroutine of the run, in the order of their numbers. */
static void each(void (*f)(struct g *g))
{
	for (uint32_t i = 1; i <= run.record.goroutines && i < run.members_size; i++)
		if (run.members[i].g)
			f(run.members[i].g);
}

void vai__replay_each(void (*f)(vai_g *g, const struct vai_g_info *info, void *arg), void *arg)
{
	struct vai_g_info info;
	for (uint32_t i = 1; i <= run.record.goroutines && i < run.members_size; i++) {
		struct g *g = run.members[i].g;
		if (g) {
			vai__g_info(g, &info);
			f(&g->pub, &info, arg);
		}
	}
}

uint64_t vai__replay_name_of(uint64_t id)
{
	for (uint32_t i = 1; vai__replay_is_on() && i <= run.record.goroutines && i < run.members_size; i++)
		if (run.members[i].g && run.members[i].g->pub.id == id)
			return i;
	return id;
}

static bool is_timing(const struct m *m)
{
	return m && atomic_load_relaxed(&run.timing) == m;
}

/* Whether the calling thread acts for the run. */
static bool is_inside(const struct m *m)
{
	const struct g *g = m ? atomic_load_relaxed(&m->curg) : NULL;
	return (g && turn_of(g) != 0) || is_timing(m);
}

void vai__replay_adopt(struct g *self, struct g *g)
{
	bool ours = self ? turn_of(self) != 0 : is_inside(vai__m_self());
	if (!ours || g->locked_m)
		return;
	run.alive++;
	note_made(g);
	atomic_store_relaxed(&g->turn, run.record.goroutines);
}

struct timers *vai__replay_timers(const struct m *m)
{
	return is_inside(m) ? &run.timers : NULL;
}

static int64_t clock_of_run(void)
{
	return is_inside(vai__m_self()) ? atomic_load_relaxed(&run.now) : -1;
}

bool vai__replay_random(uint64_t *out)
{
	if (!atomic_load_relaxed(&vai__replay_on) || !is_inside(vai__m_self()))
		return false;
	run.rand += VAI__RANDOM_STEP;
	*out = vai__random_mix(run.rand);
	return true;
}

bool vai__replay_seed(uint64_t *out)
{
	struct m *m = vai__m_self();
	struct g *g = m ? m_curg(m) : NULL;
	if (!atomic_load_relaxed(&vai__replay_on) || !g || turn_of(g) == 0)
		return false;
	*out = vai__random_mix(run.pick.plan.seed ^ vai__random_mix(turn_of(g)));
	return true;
}

const struct vai__replay_record *vai__replay_record(void)
{
	return &run.record;
}

/* ---- begin and end ---- */

/* Makes `run` ready for a new run. */
static void reset(struct g *first, const struct vai__replay_plan *plan)
{
	struct vai__replay_record *r = &run.record;
	*r = (struct vai__replay_record){.turns = r->turns, .decisions = r->decisions, .made = r->made, .most = plan->most};
	vai__replay_pick_begin(&run.pick, plan);
	note_made(first);
	run.rand = vai__random_mix(~plan->seed);
	run.first = run.holder = first;
	run.alarm.fn = ring;
	run.granted = run.chosen = NULL;
	run.idle = run.closing = false;
	run.alive = 1;
	run.turns = 0;
	run.note = (struct vai__replay_turn){.g = 1};
	atomic_store_relaxed(&run.now, START);
	atomic_store_relaxed(&run.broken, false);
}

int vai__replay_begin(vai_g *self, const struct vai__replay_plan *plan)
{
	bool off = false;
	if (!atomic_compare_exchange_strong(&taken, &off, true))
		return VAI_EAGAIN;
	reset(g_of(self), plan);
	atomic_store_relaxed(&g_of(self)->turn, 1);
	atomic_store(&vai__clock_of_run, clock_of_run);
	atomic_store(&vai__replay_on, true);
	vai__preempt_count_too(true);
	return VAI_OK;
}

static void cancel(struct g *g)
{
	if (g != run.first)
		vai__g_end(&g->pub, VAI_END_CANCELED);
}

/* g is no goroutine of the run any more. */
static void let_go(struct g *g)
{
	atomic_store_relaxed(&g->turn, 0);
}

/* Cancels all others and waits until they have ended. Neither a bound nor an end of self's ends this wait. */
static bool wait_for_end(vai_g *self)
{
	struct vai__bound *bound = self->bound;
	int end = vai__g_hold_end(self), code = VAI_WAKE_USER;
	self->bound = NULL;
	run.ticket = vai__wait_begin(self);
	run.closing = true;
	each(cancel);
	if (run.alive > 1)
		code = vai__wait(self, VAI_WAIT_GROUP, NULL, VAI_FOREVER);
	else
		vai__fire(self, run.ticket, code);
	self->bound = bound;
	vai__g_restore_end(self, end);
	return code == VAI_WAKE_USER;
}

/* Timers that are left go on in real time. */
static void move_timers(void)
{
	vai__timers_shift(&run.timers, vai__clock_real() - atomic_load_relaxed(&run.now));
	vai__timers_move(&run.timers, &vai__sched.ps[0]->timers);
	vai__poll_wake();
}

bool vai__replay_end(vai_g *self)
{
	struct g *g;
	bool all = wait_for_end(self);
	vai__timer_stop(&run.alarm);
	run.record.at = atomic_load_relaxed(&run.now) - START;
	vai__lock(&run.lock);
	atomic_store(&vai__replay_on, false);
	struct gqueue left = run.ready;
	run.ready = (struct gqueue){0};
	vai__unlock(&run.lock);
	atomic_store(&vai__clock_of_run, NULL);
	vai__preempt_count_too(false);
	each(let_go);
	while ((g = vai__gqueue_pop(&left)) != NULL)
		vai__loop_ready(g, false);
	move_timers();
	atomic_store(&taken, false);
	return all;
}
