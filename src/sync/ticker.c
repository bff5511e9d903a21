/* SPDX-License-Identifier: MIT */
/* Timers as objects. Any goroutine may call; the caller holds a reference during the call.
 *
 * Nothing may be released where a timer fires: that happens under the heap's lock, and release functions may take
 * other locks or stop timers. Hence:
 *
 * - A timer that posts to a channel lies inside the channel and holds no reference to it. It runs as long as anybody
 * can receive from the channel (a ticker holds its channel). The dying channel stops the timer first, which waits
 * for a callback that is running.
 *
 * - A timer that calls a function must do so even if nobody holds it any more. While it is pending it holds a
 * reference to itself. The callback gives that up, unless it is the last one: then nobody else can reach the timer,
 * and the callback puts it on the list of the dead, which calls from outside (vai__timer_reap) release.
 *
 * The lock of an object is held while its timer is stopped and started again, so that two resets cannot both start
 * it; callbacks do not take it. */
#include "sync/ticker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sync/chan_private.h"
#include "sync/context.h"

enum { RETRY = 10000000 /* ns until a timer that could not fire tries again */ };

typedef void stamp_fn(vai_msg *out, int64_t now);

/* ---- channels with a timer: after, ticker ---- */

struct timed {
	vai_chan chan; /* first */
	struct vai_lock lock;
	struct vai__timer timer;
	int64_t period; /* 0: once. Written while the timer is stopped. */
	stamp_fn *stamp;
};

/* The first of when, when + period, when + 2 * period, ... that comes after now. */
static int64_t next_tick(int64_t when, int64_t period, int64_t now)
{
	int64_t missed = now > when ? (now - when) / period : 0, next;
	if (__builtin_mul_overflow(missed + 1, period, &next) || __builtin_add_overflow(when, next, &next))
		return VAI_FOREVER;
	return next;
}

/* Posts the time. A stamp owns nothing, so it can simply be forgotten if the channel is full. */
static int64_t post_stamp(struct vai__timer *timer, int64_t now)
{
	struct timed *td = VAI_CONTAINER(timer, struct timed, timer);
	vai_msg msg = {{0}};
	td->stamp(&msg, now);
	if (vai__chan_post(&td->chan, &msg) == VAI_ECLOSED || td->period == 0)
		return VAI_FOREVER;
	return next_tick(timer->when, td->period, now);
}

/* Whether nobody waits for the stamp, which would go to the ring or nowhere. */
static bool nobody_waits(struct vai__timer *timer)
{
	vai_chan *ch = &VAI_CONTAINER(timer, struct timed, timer)->chan;
	vai__lock(&ch->lock);
	bool nobody = vai__waitq_empty(&ch->recvq);
	vai__unlock(&ch->lock);
	return nobody;
}

static void stop_timed(vai_chan *ch)
{
	vai__timer_stop(&VAI_CONTAINER(ch, struct timed, chan)->timer);
}

static struct timed *timed_new(vai_g *self, int64_t when, int64_t period, stamp_fn *stamp, vai_drop_fn *drop)
{
	vai_chan *ch = vai__chan_alloc(sizeof(struct timed), 1, drop);
	struct timed *td;
	vai__timer_reap();
	if (!ch)
		return NULL;
	td = VAI_CONTAINER(ch, struct timed, chan);
	vai__lock_init(&td->lock, VAI_RANK_TICKER);
	td->timer.fn = post_stamp;
	td->timer.idle = nobody_waits;
	td->period = period;
	td->stamp = stamp;
	ch->fini = stop_timed;
	if (vai__chan_grow(ch) == VAI_OK && vai__timer_start(self, &td->timer, when) == VAI_OK)
		return td;
	vai__obj_unref(&ch->obj);
	return NULL;
}

vai_chan *vai__after(vai_g *self, int64_t when, stamp_fn *stamp, vai_drop_fn *drop)
{
	struct timed *td = timed_new(self, when, 0, stamp, drop);
	return td ? &td->chan : NULL;
}

/* ---- the two classes ---- */

struct vai_ticker {
	struct vai_obj obj;
	union {
		struct timed *timed; /* vai__ticker_class: holds a reference to its channel */
		struct {             /* vai__timer_class */
			struct vai_lock lock;
			struct vai__timer timer;
			bool (*fire)(void *arg);
			void (*release)(void *arg);
			void *arg;
			vai_ticker *dead; /* next in the list of the dead */
		};
	};
};

/* ---- ticker ---- */

static void ticker_destroy(struct vai_obj *o)
{
	vai_ticker *t = VAI_CONTAINER(o, vai_ticker, obj);
	vai__obj_unref(&t->timed->chan.obj);
	vai__mem_free(t, sizeof *t);
}

const struct vai_class vai__ticker_class = {"ticker", ticker_destroy};

static int64_t first_tick(int64_t period)
{
	int64_t when;
	return __builtin_add_overflow(vai__clock_now(), period, &when) ? VAI_FOREVER : when;
}

vai_ticker *vai__ticker_new(vai_g *self, int64_t period, stamp_fn *stamp, vai_drop_fn *drop)
{
	vai_ticker *t = vai__mem_zalloc(sizeof *t);
	if (!t)
		return NULL;
	if (period < 1)
		period = 1;
	vai__obj_init(&t->obj, &vai__ticker_class);
	t->timed = timed_new(self, first_tick(period), period, stamp, drop);
	if (t->timed)
		return t;
	vai__mem_free(t, sizeof *t);
	return NULL;
}

vai_chan *vai__ticker_chan(vai_ticker *t)
{
	return &t->timed->chan;
}

bool vai__ticker_stop(vai_ticker *t)
{
	bool was;
	vai__lock(&t->timed->lock);
	was = vai__timer_stop(&t->timed->timer);
	vai__unlock(&t->timed->lock);
	return was;
}

int vai__ticker_reset(vai_g *self, vai_ticker *t, int64_t period)
{
	struct timed *td = t->timed;
	int r;
	if (period < 1)
		period = 1;
	vai__lock(&td->lock);
	vai__timer_stop(&td->timer);
	td->period = period;
	r = vai__timer_start(self, &td->timer, first_tick(period));
	vai__unlock(&td->lock);
	return r;
}

/* ---- timer ---- */

static _Atomic(vai_ticker *) the_dead; /* linked by dead; pushed from callbacks, taken as a whole */

static void timer_destroy(struct vai_obj *o)
{
	vai_ticker *t = VAI_CONTAINER(o, vai_ticker, obj);
	vai__timer_stop(&t->timer); /* its callback may not have returned yet */
	if (t->release)
		t->release(t->arg);
	vai__mem_free(t, sizeof *t);
}

const struct vai_class vai__timer_class = {"timer", timer_destroy};

void vai__timer_reap(void)
{
	vai_ticker *t, *next;
	vai__context_reap();
	if (VAI_LIKELY(!atomic_load_relaxed(&the_dead)))
		return;
	for (t = atomic_exchange_acquire(&the_dead, NULL); t; t = next) {
		next = t->dead;
		vai__obj_unref(&t->obj);
	}
}

/* Gives up the timer's reference to itself, destroying nothing. */
static void let_go(vai_ticker *t)
{
	unsigned refs = atomic_load_acquire(&t->obj.refs);
	while (refs > 1)
		if (atomic_cas_weak_acq_rel_acquire(&t->obj.refs, &refs, refs - 1))
			return;
	t->dead = atomic_load_relaxed(&the_dead);
	while (!atomic_cas_weak_release(&the_dead, &t->dead, t))
		;
}

static int64_t timer_fire(struct vai__timer *timer, int64_t now)
{
	vai_ticker *t = VAI_CONTAINER(timer, vai_ticker, timer);
	if (!t->fire(t->arg))
		return now + RETRY;
	let_go(t);
	return VAI_FOREVER;
}

/* The timer is not pending. */
static int timer_start(vai_g *self, vai_ticker *t, int64_t when)
{
	int r;
	vai__obj_ref(&t->obj);
	r = vai__timer_start(self, &t->timer, when);
	if (r)
		vai__obj_unref(&t->obj); /* this is not the last reference: the caller has one */
	return r;
}

vai_ticker *vai__timer_new(vai_g *self, int64_t when, bool (*fire)(void *arg), void (*release)(void *arg), void *arg)
{
	vai_ticker *t = vai__mem_zalloc(sizeof *t);
	vai__timer_reap();
	if (!t)
		return NULL;
	vai__obj_init(&t->obj, &vai__timer_class);
	vai__lock_init(&t->lock, VAI_RANK_TICKER);
	t->timer.fn = timer_fire;
	t->fire = fire;
	t->release = release;
	t->arg = arg;
	if (timer_start(self, t, when) == VAI_OK)
		return t;
	vai__mem_free(t, sizeof *t);
	return NULL;
}

bool vai__timer_object_stop(vai_ticker *t)
{
	bool was;
	vai__lock(&t->lock);
	was = vai__timer_stop(&t->timer);
	vai__unlock(&t->lock);
	if (was)
		vai__obj_unref(&t->obj);
	return was;
}

int vai__timer_object_reset(vai_g *self, vai_ticker *t, int64_t when, bool *was)
{
	int r;
	vai__lock(&t->lock);
	*was = vai__timer_stop(&t->timer);
	r = timer_start(self, t, when);
	vai__unlock(&t->lock);
	if (*was)
		vai__obj_unref(&t->obj); /* the reference of the pending timer that was stopped */
	return r;
}
