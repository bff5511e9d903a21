/* SPDX-License-Identifier: MIT */
/* Time. Any thread may call. */
#ifndef VAI_CLOCK_H
#define VAI_CLOCK_H

#include "base/base.h"

/* Nanoseconds of the monotonic clock. */
int64_t vai__clock_now(void);
/* now + seconds, clamped: NaN and negative count as 0, too large is VAI_FOREVER. */
int64_t vai__clock_after(double seconds);
/* Whether a deadline is over; one of 0 is in any case. */
static inline bool vai__clock_is_past(int64_t when)
{
	return when != VAI_FOREVER && (when == 0 || when <= vai__clock_now());
}

#endif
