/* SPDX-License-Identifier: MIT */
/* Channels with a timer. Nothing may be released in a timer's callback: that runs under the heap's lock, and release
 * functions may take other locks or stop timers. Hence the timer lies inside the channel and holds no reference to it.
 * The dying channel stops the timer first, which waits for a callback that is running.
 *
 * The lock is held while the timer is stopped and started again, so that two restarts cannot both start it; the
 * callback does not take it. */
#include "sync/timed_chan.h"
#include "sync/timer_object.h"

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
	struct vai__timed_chan *td = VAI_CONTAINER(timer, struct vai__timed_chan, timer);
	vai_msg msg = {{0}};
	td->stamp(&msg, now);
	if (vai__chan_post(&td->chan, &msg) == VAI_ECLOSED || td->period == 0)
		return VAI_FOREVER;
	return next_tick(timer->when, td->period, now);
}

/* Whether no goroutine waits for the stamp, so that it would go to the ring or be lost. */
static bool nobody_waits(struct vai__timer *timer)
{
	return !vai__chan_is_awaited(&VAI_CONTAINER(timer, struct vai__timed_chan, timer)->chan);
}

static void stop_timed(vai_chan *ch)
{
	vai__timer_stop(&VAI_CONTAINER(ch, struct vai__timed_chan, chan)->timer);
}

struct vai__timed_chan *vai__timed_chan_new(
	vai_g *self, int64_t when, int64_t period, vai__stamp_fn *stamp, vai_drop_fn *drop)
{
	vai_chan *ch = vai__chan_alloc(sizeof(struct vai__timed_chan), 1, drop);
	struct vai__timed_chan *td;
	vai__timer_object_reap();
	if (!ch)
		return NULL;
	td = VAI_CONTAINER(ch, struct vai__timed_chan, chan);
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

bool vai__timed_chan_stop(struct vai__timed_chan *td)
{
	vai__lock(&td->lock);
	bool was = vai__timer_stop(&td->timer);
	vai__unlock(&td->lock);
	return was;
}

int vai__timed_chan_restart(vai_g *self, struct vai__timed_chan *td, int64_t when, int64_t period)
{
	vai__lock(&td->lock);
	vai__timer_stop(&td->timer);
	td->period = period;
	int r = vai__timer_start(self, &td->timer, when);
	vai__unlock(&td->lock);
	return r;
}
