/* SPDX-License-Identifier: MIT */
/* A ticker is an object that holds a channel with a timer (timed_chan.h). */
#include "sync/ticker.h"
#include "base/clock.h"
#include "base/mem.h"
#include "sync/timed_chan.h"

struct vai_ticker {
	struct vai_obj obj;
	struct vai__timed_chan *timed; /* holds a reference to its channel */
};

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

static int64_t at_least_one(int64_t period)
{
	return period < 1 ? 1 : period;
}

vai_ticker *vai__ticker_new(vai_g *self, int64_t period, vai__stamp_fn *stamp, vai_drop_fn *drop)
{
	vai_ticker *t = vai__mem_zalloc(sizeof *t);
	if (!t)
		return NULL;
	period = at_least_one(period);
	vai__obj_init(&t->obj, &vai__ticker_class);
	t->timed = vai__timed_chan_new(self, first_tick(period), period, stamp, drop);
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
	return vai__timed_chan_stop(t->timed);
}

int vai__ticker_reset(vai_g *self, vai_ticker *t, int64_t period)
{
	period = at_least_one(period);
	return vai__timed_chan_restart(self, t->timed, first_tick(period), period);
}
