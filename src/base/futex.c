/* SPDX-License-Identifier: MIT */
/* Futexes on Linux. errno is kept, because these functions may run between a call of other code that failed and that
 * code's look at errno. */
#include "base/futex.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void vai__futex_wait(atomic_uint *word, unsigned expect, int64_t deadline)
{
	int saved = errno;
	struct timespec ts = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)};
	/* WAIT_BITSET takes an absolute time of the monotonic clock. */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expect, deadline == VAI_FOREVER ? NULL : &ts, NULL,
		FUTEX_BITSET_MATCH_ANY);
	errno = saved;
}

void vai__futex_wake(atomic_uint *word, int n)
{
	int saved = errno;
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
	errno = saved;
}
