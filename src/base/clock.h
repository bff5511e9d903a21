/* SPDX-License-Identifier: MIT */
/* Time. Any thread may call. */
#ifndef VAI_CLOCK_H
#define VAI_CLOCK_H

#include "base/atomic.h"
#include "base/base.h"

/* Nanoseconds of the monotonic clock. */
int64_t vai__clock_real(void);
/* The same, but in a seeded run (sched/replay.h) that run's own clock, which stands while one of its goroutines can
 * go on. For whatever programs see; the scheduler, pollers and dumps go by the real one. */
int64_t vai__clock_now(void);
/* Gives the time of the run in which the calling thread is, or -1. NULL: there is no run. */
extern int64_t (*_Atomic vai__clock_of_run)(void);
/* now + seconds, rounded up and clamped: NaN and negative count as 0, too large is VAI_FOREVER. */
int64_t vai__clock_after(double seconds);
/* now + ns, too large is VAI_FOREVER. */
static inline int64_t vai__clock_add(int64_t now, int64_t ns)
{
	return ns < VAI_FOREVER - now ? now + ns : VAI_FOREVER;
}

/* Whether a deadline is over; one of 0 is in any case. */
static inline bool vai__clock_is_past(int64_t when)
{
	return when != VAI_FOREVER && (when == 0 || when <= vai__clock_now());
}

#endif
