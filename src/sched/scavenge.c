/* SPDX-License-Identifier: MIT */
/* Memory that goroutines have left goes back to the system: sysmon ends a period every few seconds,
 * and what nobody needed all through it (mach/stack, base/mem) is given back by a thread that
 * lives for that only, for it may take 100 ms and sysmon is to look at the Ms meanwhile.
 *
 * A program that needs now a lot and now little must not fault in every few seconds what it had:
 * when much of it is taken again, periods become longer, and shorter again after some calm ones.
 *
 * All but the work itself: sysmon's thread. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include "base/mem.h"
#include "mach/stack.h"
#include "sched/rt.h"

enum {
	CALM = 4,         /* periods until the next is shorter */
	QUIET = 2,        /* so that the last of them was idle from its beginning */
	REGRET = 8388608, /* bytes taken again in a period that make the next longer */
	SECOND = 1000000000
};
static const int64_t period_min = 2LL * SECOND, period_max = 64LL * SECOND;

static struct {
	pthread_t worker;
	bool working; /* worker has not been joined */
	atomic_bool done, stop;
	int64_t period, end; /* of this period */
	bool gave;           /* memory, since the period last became longer */
	int calm, quiet;     /* periods without regret; that ended with all idle and nothing to give back */
	uint32_t ticks[MAX_PROCS];
} scav;

static void *work(void *arg)
{
	(void)arg;
	vai__stack_scavenge(&scav.stop);
	vai__mem_scavenge(&scav.stop);
	atomic_store_release(&scav.done, true);
	return NULL;
}

/* True: the last one is still at work. */
static bool is_working(bool wait)
{
	if (scav.working && (wait || atomic_load_acquire(&scav.done))) {
		pthread_join(scav.worker, NULL);
		scav.working = false;
	}
	return scav.working;
}

/* Ps that nobody has had for a period keep no stacks. */
static void flush_idle_ps(void)
{
	vai__lock(&vai__sched.lock);
	for (int i = 0; i < atomic_load_relaxed(&vai__sched.nps); i++) {
		struct p *p = vai__sched.ps[i];
		uint32_t tick = atomic_load_relaxed(&p->tick);
		if ((p->idle || p->retired) && tick == scav.ticks[i])
			vai__g_flush_stacks(p);
		scav.ticks[i] = tick;
	}
	vai__unlock(&vai__sched.lock);
}

static void adapt(size_t regained)
{
	if (regained >= REGRET && scav.gave) {
		scav.period = scav.period < period_max ? 2 * scav.period : period_max;
		scav.calm = 0;
		scav.gave = false;
	} else if (++scav.calm >= CALM) {
		scav.period = scav.period > period_min ? scav.period / 2 : period_min;
		scav.calm = 0;
	}
}

static void end_period(bool idle)
{
	size_t stacks, blocks;
	flush_idle_ps();
	bool found = vai__stack_unneeded(&stacks) > 0;
	found |= vai__mem_unneeded(&blocks) > 0;
	adapt(stacks + blocks);
	scav.quiet = found || !idle ? 0 : scav.quiet + 1;
	scav.gave |= found;
	atomic_store_relaxed(&scav.done, false);
	if (found)
		scav.working = pthread_create(&scav.worker, NULL, work, NULL) == 0;
	if (scav.working)
		pthread_setname_np(scav.worker, "vai-scavenge");
}

void vai__scavenge_start(void)
{
	atomic_store_relaxed(&scav.stop, false);
	scav.period = period_min;
	scav.calm = scav.quiet = 0;
	scav.gave = false;
	scav.end = vai__clock_now() + scav.period;
}

void vai__scavenge_stop(void)
{
	atomic_store_relaxed(&scav.stop, true);
	is_working(true);
}

void vai__scavenge_tick(int64_t now, bool idle)
{
	if (!idle)
		scav.quiet = 0;
	if (now < scav.end)
		return;
	if (!is_working(false))
		end_period(idle);
	scav.end = now + scav.period;
}

void vai__scavenge_awake(int64_t now)
{
	if (scav.quiet >= QUIET)
		scav.end = now + scav.period;
	scav.quiet = 0;
}

int64_t vai__scavenge_next(void)
{
	return scav.quiet >= QUIET && !scav.working ? VAI_FOREVER : scav.end;
}
