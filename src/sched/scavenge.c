/* SPDX-License-Identifier: MIT */
/* Memory that goroutines have left goes back to the system. sysmon ends a period every few seconds. What nothing
 * needed all through a period (mach/stack, base/mem) is given back by a thread that lives for that only: it may take
 * 100 ms, and sysmon has to look at the Ms meanwhile.
 *
 * A program that needs now a lot and now little must not fault in the same memory every few seconds. So when much of
 * what was given back is taken again, periods become longer, and after some calm ones shorter again.
 *
 * Everything here but the work itself runs on sysmon's thread. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <time.h>
#include "base/mem.h"
#include "mach/stack.h"
#include "sched/rt.h"

enum {
	CALM = 4,         /* calm periods in a row that make the next one shorter */
	QUIET = 2,        /* quiet periods in a row until sysmon may sleep: the last was idle from its beginning */
	PAUSES = 5,       /* pauses of 200 us, at most, from one lot of goroutines that give back to the next */
	REGRET = 8388608, /* bytes taken again in a period that make the next one longer */
	SECOND = 1000000000
};
static const int64_t period_min = 2LL * SECOND, period_max = 64LL * SECOND;

static struct {
	pthread_t worker;
	bool working; /* worker has not been joined */
	atomic_bool done, stop;
	int64_t period, end;       /* how long the period is, in ns, and when it is over */
	int64_t before;            /* for the worker: when the last period began */
	bool gave;                 /* memory was given back since the period last became longer */
	int calm;                  /* periods in a row in which less than REGRET was taken again */
	int quiet;                 /* periods in a row that ended idle and with nothing to give back */
	uint32_t ticks[MAX_PROCS]; /* the round of each P at the end of the last period */
} scav;

/* Has goroutines that wait for long give back what they can do without: few at a time, so that others have turns, and
 * the next ones once a P has nothing to do, or after PAUSES. */
static void renew_waits(void)
{
	const struct timespec pause = {.tv_nsec = 200000};
	for (int64_t next = 0; vai__renew_some(&next, scav.before) && !atomic_load_relaxed(&scav.stop);)
		for (int i = 0; i < PAUSES; i++) {
			nanosleep(&pause, NULL);
			if (atomic_load_relaxed(&vai__sched.nidle_ps) > 0)
				break;
		}
}

static void *work(void *arg)
{
	(void)arg;
	renew_waits();
	vai__stack_scavenge(&scav.stop);
	vai__mem_scavenge(&scav.stop);
	atomic_store_release(&scav.done, true);
	return NULL;
}

/* Whether the last thread is still at work. wait: waits until it is not. */
static bool is_working(bool wait)
{
	if (scav.working && (wait || atomic_load_acquire(&scav.done))) {
		pthread_join(scav.worker, NULL);
		scav.working = false;
	}
	return scav.working;
}

/* Frees the cached stacks of Ps that no M has had for a whole period. */
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

/* Chooses the length of the next period. regained: bytes that were given back and taken again in this one. */
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
	const int64_t period = scav.period;
	size_t stacks, blocks;
	flush_idle_ps();
	bool found = vai__stack_unneeded(&stacks) > 0;
	found |= vai__mem_unneeded(&blocks) > 0;
	adapt(stacks + blocks);
	scav.gave |= found;
	found |= vai__renew_wanted();
	scav.quiet = found || !idle ? 0 : scav.quiet + 1;
	scav.before = scav.end - period;
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
	scav.end = vai__clock_real() + scav.period;
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
