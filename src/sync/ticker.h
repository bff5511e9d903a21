/* SPDX-License-Identifier: MIT */
/* Tickers: a channel that gets the time again and again. Any goroutine may call; the caller holds a reference during
 * the call. Nothing here parks. */
#ifndef VAI_TICKER_H
#define VAI_TICKER_H

#include "base/obj.h"
#include "sync/timed_chan.h"

typedef struct vai_ticker vai_ticker; /* a struct vai_obj */
extern const struct vai_class vai__ticker_class;

/* Every `period` ns (at least 1) posts stamp(now) into a channel of capacity 1, forgetting it when that is full. It
 * ticks as long as somebody holds the ticker or its channel. With one reference, or NULL: out of memory. */
vai_ticker *vai__ticker_new(vai_g *self, int64_t period, vai__stamp_fn *stamp, vai_drop_fn *drop);
/* The channel; borrowed. */
vai_chan *vai__ticker_chan(vai_ticker *t);
/* Stops it. True: it was running. */
bool vai__ticker_stop(vai_ticker *t);
/* Ticks with that period from now on, whether it was stopped or not. VAI_OK or VAI_ENOMEM, and then it is stopped. */
int vai__ticker_reset(vai_g *self, vai_ticker *t, int64_t period);

#endif
