/* SPDX-License-Identifier: MIT */
/* The monotonic clock in nanoseconds. */
#include "base/clock.h"
#include <time.h>
#include "base/base.h"

int64_t (*_Atomic vai__clock_of_run)(void);

int64_t vai__clock_real(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t vai__clock_now(void)
{
	int64_t (*of_run)(void) = atomic_load_relaxed(&vai__clock_of_run);
	int64_t now = VAI_UNLIKELY(of_run != NULL) ? of_run() : -1;
	return now >= 0 ? now : vai__clock_real();
}

int64_t vai__clock_after(double seconds)
{
	int64_t now = vai__clock_now();
	if (!(seconds > 0)) /* NaN too */
		return now;
	double ns = seconds * 1e9;
	if (ns >= (double)(VAI_FOREVER - now))
		return VAI_FOREVER;
	int64_t whole = (int64_t)ns;
	return now + whole + ((double)whole < ns); /* rounded up: a wait that ended too early would begin again and again */
}
