/* SPDX-License-Identifier: MIT */
/* Channels into which a timer posts the time: all of `vai.after`, and what a ticker has inside. Any goroutine may call;
 * it holds a reference to the channel during the call. Nothing here parks. */
#ifndef VAI_TIMED_CHAN_H
#define VAI_TIMED_CHAN_H

#include "sched/sched.h"
#include "sync/chan_private.h"

/* Makes the message that is posted: the time `now`, in ns. Runs under the timers' lock. The message must own nothing,
 * since it is forgotten where the channel is full. */
typedef void vai__stamp_fn(vai_msg *out, int64_t now);

struct vai__timed_chan {
	vai_chan chan;           /* first; of capacity 1 */
	struct vai_lock lock;    /* start and stop of the timer */
	struct vai__timer timer; /* pending while it is to post */
	int64_t period;          /* ns; 0: once. Written while the timer is stopped. */
	vai__stamp_fn *stamp;
};

/* Posts at `when`, and from then on every `period` ns if that is not 0, as long as anybody holds the channel; ticks
 * that find it full are lost, and after a delay only the next one comes. With one reference, or NULL: out of memory. */
struct vai__timed_chan *vai__timed_chan_new(
	vai_g *self, int64_t when, int64_t period, vai__stamp_fn *stamp, vai_drop_fn *drop);
/* Posts nothing more. True: it would have. */
bool vai__timed_chan_stop(struct vai__timed_chan *td);
/* Goes on from `when`, with that period, whether it had been stopped or not. VAI_OK or VAI_ENOMEM, and then it is
 * stopped. */
int vai__timed_chan_restart(vai_g *self, struct vai__timed_chan *td, int64_t when, int64_t period);

#endif
