/* SPDX-License-Identifier: MIT */
/* The monotonic clock in nanoseconds. */
#include "base/clock.h"
#include <time.h>
#include "base/base.h"

int64_t vai__clock_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t vai__clock_after(double seconds)
{
	int64_t now = vai__clock_now();
	if (!(seconds > 0)) /* NaN too */
		return now;
	double ns = seconds * 1e9;
	return ns >= (double)(VAI_FOREVER - now) ? VAI_FOREVER : now + (int64_t)ns;
}
