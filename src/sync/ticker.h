/* SPDX-License-Identifier: MIT */
/* Timers as objects: one that posts into a channel (after, ticker) and one that starts a
 * goroutine (timer). */
#ifndef VAI_TICKER_H
#define VAI_TICKER_H

#include "base/obj.h"
#include "sched/sched.h"
#include "sync/chan.h"

typedef struct vai_ticker vai_ticker;            /* a struct vai_obj */
extern const struct vai_class vai__ticker_class; /* vai.ticker */
extern const struct vai_class vai__timer_class;  /* vai.timer */

/* Every `period` ns posts stamp(now) into a channel of capacity 1, forgetting it when full;
 * so a stamp must own nothing. stamp runs under the timers lock. It ticks as long as
 * somebody holds the ticker or its channel. NULL when out of memory. */
vai_ticker *vai__ticker_new(vai_g *self, int64_t period, void (*stamp)(vai_msg *out, int64_t now), vai_drop_fn *drop);
vai_chan *vai__ticker_chan(vai_ticker *t); /* borrowed */
bool vai__ticker_stop(vai_ticker *t);      /* true if it was running */
int vai__ticker_reset(vai_g *self, vai_ticker *t, int64_t period);

/* A channel that gets stamp(now) once, at `when`, if anybody still holds it then. NULL when
 * out of memory. */
vai_chan *vai__after(vai_g *self, int64_t when, void (*stamp)(vai_msg *out, int64_t now), vai_drop_fn *drop);

/* Runs fire(arg) at `when`, on some M, under the timers lock: it may start goroutines
 * (vai__g_new, vai__g_start with self NULL) and nothing that waits; where it answers
 * false, for want of memory, again a little later. A timer that was
 * stopped or has fired can be reset and fires again. It fires also when nobody holds the
 * object any more. release(arg) once, at the end, without locks. NULL when out of memory:
 * arg remains the caller's. */
vai_ticker *vai__timer_new(vai_g *self, int64_t when, bool (*fire)(void *arg), void (*release)(void *arg), void *arg);
bool vai__timer_object_stop(vai_ticker *t); /* true if it was pending */
/* Starts it again for `when`; *was: it was pending. VAI_OK or VAI_ENOMEM. */
int vai__timer_object_reset(vai_g *self, vai_ticker *t, int64_t when, bool *was);
/* Releases timers that have fired and that nobody holds: callbacks cannot. The calls that
 * make timers or tasks or end tasks do it; cheap when there is nothing to do. No lock held. */
void vai__timer_reap(void);

#endif
