/* SPDX-License-Identifier: MIT */
/* Time. Any thread may call. */
#ifndef VAI_CLOCK_H
#define VAI_CLOCK_H

#include <stdint.h>

/* Nanoseconds of the monotonic clock. */
int64_t vai__clock_now(void);
/* now + seconds, clamped: NaN and negative count as 0, too large is VAI_FOREVER. */
int64_t vai__clock_after(double seconds);

#endif
