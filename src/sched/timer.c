/* SPDX-License-Identifier: MIT */
/* Timers: a 4-ary heap per P, after Go's time.go (1.22 and older).
 *
 * Invariants: ts->lock guards the heap, the index of every timer in it and the callbacks that run from it. t->heap
 * is the heap that t is in, changed only under that heap's lock (under both locks when t moves). Callbacks run under
 * the lock, so when a stop returns they have ended. ts->next mirrors the earliest time for threads that look without
 * the lock. */
#include <stdlib.h>
#include <string.h>
#include "sched/poll.h"
#include "sched/turns.h"

enum { ARITY = 4, FIRST_CAP = 64 };

void vai__timers_init(struct timers *ts)
{
	vai__lock_init(&ts->lock, VAI_RANK_TIMERS);
	atomic_init(&ts->next, VAI_FOREVER);
}

static void place(struct timers *ts, uint32_t i, struct vai__timer *t)
{
	ts->heap[i] = t;
	t->index = i;
}

static void sift_up(struct timers *ts, uint32_t i)
{
	struct vai__timer *t = ts->heap[i];
	while (i > 0) {
		uint32_t up = (i - 1) / ARITY;
		if (ts->heap[up]->when <= t->when)
			break;
		place(ts, i, ts->heap[up]);
		i = up;
	}
	place(ts, i, t);
}

static uint32_t least_child(struct timers *ts, uint32_t i)
{
	uint32_t first = i * ARITY + 1, best = first;
	for (uint32_t c = first + 1; c < first + ARITY && c < ts->len; c++) {
		if (ts->heap[c]->when < ts->heap[best]->when)
			best = c;
	}
	return best;
}

static void sift_down(struct timers *ts, uint32_t i)
{
	struct vai__timer *t = ts->heap[i];
	while (i * ARITY + 1 < ts->len) {
		uint32_t c = least_child(ts, i);
		if (ts->heap[c]->when >= t->when)
			break;
		place(ts, i, ts->heap[c]);
		i = c;
	}
	place(ts, i, t);
}

static void mirror(struct timers *ts)
{
	atomic_store_seq_cst(&ts->next, ts->len ? ts->heap[0]->when : VAI_FOREVER);
}

static bool grow(struct timers *ts, uint32_t want)
{
	if (want <= ts->cap)
		return true;
	uint32_t cap = ts->cap ? ts->cap : FIRST_CAP;
	while (cap < want)
		cap *= 2;
	struct vai__timer **heap = realloc(ts->heap, cap * sizeof(struct vai__timer *));
	if (!heap)
		return false;
	ts->heap = heap;
	ts->cap = cap;
	return true;
}

static void insert(struct timers *ts, struct vai__timer *t)
{
	ts->heap[ts->len] = t;
	sift_up(ts, ts->len++);
	atomic_store_release(&t->heap, ts);
}

static void remove_at(struct timers *ts, uint32_t i)
{
	struct vai__timer *last = ts->heap[--ts->len];
	if (i < ts->len) {
		ts->heap[i] = last;
		sift_up(ts, i);
		sift_down(ts, last->index);
	}
}

int vai__timer_start(vai_g *self, struct vai__timer *t, int64_t when)
{
	struct m *m = vai__m_self();
	bool was = m && m_enter(m);
	struct p *p = m ? m_p(m) : NULL;
	struct timers *ts = &(p ? p : vai__sched.ps[0])->timers;
	struct timers *own = VAI_UNLIKELY(atomic_load_relaxed(&vai__replay_on)) ? vai__replay_timers(m) : NULL;
	ts = own ? own : ts;
	(void)self;
	t->when = when;
	vai__lock(&ts->lock);
	bool ok = grow(ts, ts->len + 1);
	if (ok) {
		insert(ts, t);
		mirror(ts);
	}
	vai__unlock(&ts->lock);
	/* Pairs with the poller, which publishes poll_until and then looks at the heaps. */
	if (ok && !own && when < atomic_load_seq_cst(&vai__sched.poll_until))
		vai__poll_wake();
	if (m)
		m_leave(m, was);
	return ok ? VAI_OK : VAI_ENOMEM;
}

bool vai__timer_stop(struct vai__timer *t)
{
	for (;;) {
		struct timers *ts = atomic_load_acquire(&t->heap);
		if (!ts)
			return false;
		vai__lock(&ts->lock);
		bool here = atomic_load_relaxed(&t->heap) == ts;
		if (here) {
			remove_at(ts, t->index);
			atomic_store_release(&t->heap, NULL);
			mirror(ts);
		}
		vai__unlock(&ts->lock);
		if (here)
			return true;
	}
}

/* Calls the first timer's fn. The timer stays in the heap meanwhile, so that a concurrent stop waits for the lock. If
 * it is done (VAI_FOREVER), its memory may be freed as soon as `heap` is NULL. */
static void run_first(struct timers *ts, int64_t now)
{
	struct vai__timer *t = ts->heap[0];
	int64_t next = t->fn(t, now);
	ts->fired++;
	if (next != VAI_FOREVER) {
		t->when = next;
		sift_down(ts, t->index);
		return;
	}
	remove_at(ts, t->index);
	atomic_store_release(&t->heap, NULL);
}

void vai__timers_run(struct timers *ts, int64_t now)
{
	if (atomic_load_relaxed(&ts->next) > now)
		return;
	vai__lock(&ts->lock);
	while (ts->len && ts->heap[0]->when <= now)
		run_first(ts, now);
	mirror(ts);
	vai__unlock(&ts->lock);
}

/* The two locks have the same rank and are taken in the order of their addresses, so that two moves cannot block each
 * other. */
void vai__timers_move(struct timers *from, struct timers *to)
{
	struct timers *a = from < to ? from : to, *b = from < to ? to : from;
	vai__lock(&a->lock);
	vai__lock(&b->lock);
	if (grow(to, to->len + from->len)) { /* without memory they stay where they are, and other Ms run them */
		for (uint32_t i = 0; i < from->len; i++)
			insert(to, from->heap[i]);
		from->len = 0;
	}
	mirror(from);
	mirror(to);
	vai__unlock(&b->lock);
	vai__unlock(&a->lock);
}

void vai__timers_clear(struct timers *ts)
{
	vai__lock(&ts->lock);
	while (ts->len)
		atomic_store_release(&ts->heap[--ts->len]->heap, NULL);
	mirror(ts);
	vai__unlock(&ts->lock);
}

static int nps(void)
{
	return atomic_load_acquire(&vai__sched.nps);
}

int64_t vai__timers_next_of_all(void)
{
	int64_t min = VAI_FOREVER;
	for (int i = 0, n = nps(); i < n; i++) {
		int64_t next = atomic_load_seq_cst(&vai__sched.ps[i]->timers.next);
		if (next < min)
			min = next;
	}
	return min;
}

void vai__timers_shift(struct timers *ts, int64_t ns)
{
	vai__lock(&ts->lock);
	for (uint32_t i = 0; i < ts->len; i++)
		if (__builtin_add_overflow(ts->heap[i]->when, ns, &ts->heap[i]->when))
			ts->heap[i]->when = VAI_FOREVER - 1;
	mirror(ts);
	vai__unlock(&ts->lock);
}

bool vai__timers_would_wake(struct timers *ts)
{
	bool may = false;
	vai__lock(&ts->lock);
	for (uint32_t k = 0; k < ts->len && !may; k++)
		may = !ts->heap[k]->idle || !ts->heap[k]->idle(ts->heap[k]);
	vai__unlock(&ts->lock);
	return may;
}

/* The answer stays the same as long as no goroutine runs. */
bool vai__timers_may_wake(void)
{
	bool may = false;
	for (int i = 0, n = nps(); i < n && !may; i++)
		may = vai__timers_would_wake(&vai__sched.ps[i]->timers);
	return may;
}

bool vai__timers_any(void)
{
	return vai__timers_next_of_all() != VAI_FOREVER;
}
