/* SPDX-License-Identifier: MIT */
/* Timers: callbacks at a time. Included by sched.h. */
#ifndef VAI_TIMER_H
#define VAI_TIMER_H

#include "sched/sched.h"

/* A timer lies wherever the caller likes (on a stack, in an object), zero-initialised but for fn and idle, and must
 * stay there until it has been stopped or is done. The callbacks run on some M under the lock of the heap that the
 * timer is in (rank VAI_RANK_TIMERS): they may fire tickets and take locks of higher rank, and must not start or stop
 * timers. */
struct vai__timer {
	int64_t when; /* absolute time at which it is due */
	/* Called when it is due. Returns the absolute time of the next call; VAI_FOREVER: the timer is done. */
	int64_t (*fn)(struct vai__timer *t, int64_t now);
	/* Whether fn would wake nobody if it were called now; asked when everything sleeps. NULL: it might wake a
	 * goroutine. */
	bool (*idle)(struct vai__timer *t);
	_Atomic(void *) heap; /* the heap that it is in; NULL: it is not pending */
	uint32_t index;       /* its place in that heap */
};
/* Starts *t, which must not be pending, for the absolute time `when`. VAI_OK or VAI_ENOMEM. Any thread; does not park.
 * self: the calling goroutine, or NULL. */
int vai__timer_start(vai_g *self, struct vai__timer *t, int64_t when);
/* Stops *t. True: it was pending, and fn is not called any more. False: it was done already. After the return fn does
 * not run, so the memory of *t may be freed. Any thread; does not park. */
bool vai__timer_stop(struct vai__timer *t);

#endif
