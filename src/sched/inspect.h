/* SPDX-License-Identifier: MIT */
/* Looking at goroutines and at the scheduler, for dumps and counters; the last part of sched.h. */
#ifndef VAI_INSPECT_H
#define VAI_INSPECT_H

#include "sched/sched.h"

/* What g does at this moment; g may have ended and be another by now. Any thread. */
enum vai_g_state vai__g_state(vai_g *g);

/* A snapshot of one goroutine, for dumps and deadlock reports. */
struct vai_g_info {
	enum vai_g_state state;
	enum vai_wait_reason reason;
	bool in_c;       /* it runs, but has been in a C call for so long that others have its P */
	bool still;      /* its stack stands still as long as the world is stopped */
	const void *obj; /* what it waits for: identity only, do not follow */
	int64_t since;   /* vai__clock_now() when it began to wait or, in_c, to run; coarse; 0: unknown */
};
/* Calls f for every goroutine alive, main first then by age. f must not park or start
 * goroutines. Others may run and end meanwhile, except during a deadlock. */
void vai__g_each(void (*f)(vai_g *g, const struct vai_g_info *info, void *arg), void *arg);

/* ---- counters ---- */

struct vai__sched_stats {
	uint64_t spawned, ended, parks, steals, stolen, handoffs, wakeups, global_gets, overflows, timers_fired, stacks;
	uint64_t preempted, retaken; /* goroutines that were interrupted for their slice, and Ps taken from C calls */
	int ps, idle_ps, ms, idle_ms, spinning;
};
void vai__sched_stats(struct vai__sched_stats *out);

#endif
