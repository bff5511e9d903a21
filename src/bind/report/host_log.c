/* SPDX-License-Identifier: MIT */
/* The bound is a bucket of AT_ONCE bytes that fills up again by one byte in NS_A_BYTE. It is kept as one number, the
 * time at which it is full again (main->log_full): a line moves that time on by what the line costs, and is dropped if
 * the time would be too far away then. So any number of threads may take from it, by a compare-and-swap. */
#include "bind/report/host_log.h"
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/clock.h"
#include "base/fatal.h"

enum {
	AT_ONCE = 1 << 20,    /* bytes */
	NS_A_BYTE = 16000,    /* 61 KiB a second */
	LINE_COSTS = 1024,    /* what a shorter line counts as: 1,024 lines at once and 61 a second */
	LONGEST = 130 * 1024, /* what is left of a line: a report has up to 64 KiB each of text and traceback */
	BRIEF = 512           /* bytes of a line for which no memory is asked */
};

/* Whether a line of n bytes may be written. If so, *dropped is how many were not before it. */
static bool admit(struct vai__main *main, size_t n, uint64_t *dropped)
{
	const int64_t now = vai__clock_real(), cost = (int64_t)(n > LINE_COSTS ? n : LINE_COSTS) * NS_A_BYTE;
	int64_t full = atomic_load_relaxed(&main->log_full), then;
	do {
		then = (full > now ? full : now) + cost;
		if (then - now > (int64_t)AT_ONCE * NS_A_BYTE) {
			atomic_fetch_add_relaxed(&main->log_dropped, 1);
			return false;
		}
	} while (!atomic_compare_exchange_weak(&main->log_full, &full, then));
	*dropped = atomic_exchange(&main->log_dropped, 0);
	return true;
}

static void tell_dropped(uint64_t n)
{
	if (n)
		vai__log("%" PRIu64 " lines of sandboxed scripts were dropped, as too many came at once", n);
}

/* Formats a line of at most `most` bytes: into brief, which has room for BRIEF, or into memory from malloc if it is
 * longer and there is some. */
static char *compose(char *brief, size_t most, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	const int n = vsnprintf(brief, BRIEF, fmt, ap);
	const size_t size = (n < 0 ? 0 : (size_t)n < most ? (size_t)n : most) + 1;
	char *line = size > BRIEF ? malloc(size) : NULL;
	if (line)
		vsnprintf(line, size, fmt, again);
	va_end(again);
	return line ? line : brief;
}

void vai__host_log(const char *fmt, ...)
{
	const struct vai__home *home = vai__home_self();
	struct vai__main *main = home->sandbox ? home->bind : NULL;
	char brief[BRIEF];
	uint64_t dropped = 0;
	va_list ap;
	va_start(ap, fmt);
	char *line = compose(brief, main ? LONGEST : INT_MAX, fmt, ap);
	va_end(ap);
	if (!main || admit(main, strlen(line), &dropped)) {
		tell_dropped(dropped);
		vai__log("%s", line);
	}
	if (line != brief)
		free(line);
}

void vai__host_log_end(struct vai__main *main)
{
	tell_dropped(atomic_exchange(&main->log_dropped, 0));
	atomic_store_relaxed(&main->log_full, 0);
}
