/* SPDX-License-Identifier: MIT */
/* The system monitor: a thread without a P that looks now and then for what the Ms, busy with their goroutines, do
 * not see: work that waits on a busy P while another P is idle, timers that are due on a busy P, and what the poller
 * has while all Ms have work. When all Ps are idle it sleeps too, once no memory is left to give back (scavenge.c). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include "mach/cpus.h"
#include "sched/poll.h"
#include "sched/rt.h"

enum {
	HURRY_DELAY = 100000,  /* ns between two looks when another is due soon */
	MIN_DELAY = 500000,    /* ns between two looks, at least */
	IDLE_DELAY = 2000000,  /* ns between two looks, at most while a P is idle */
	MAX_DELAY = 5000000,   /* and at most otherwise */
	POLL_LATE = 10000000,  /* ns after which sysmon looks into the poller if no other thread did */
	LOOK_PAUSE = 50,       /* a look at all timers takes 1/50 of the time at most */
	CPUS_MIN = 1000000000, /* ns between two looks at the number of CPUs, at least */
	CPUS_PAUSE = 1000      /* such a look takes 1/1000 of the time at most */
};

static struct {
	pthread_t thread;
	atomic_uint wake;   /* futex: 1 when woken */
	atomic_bool asleep; /* it sleeps, or is about to, until it is woken */
	atomic_bool stop, hurry;
	uint32_t ticks[MAX_PROCS]; /* the round of each P at the last look */
	int64_t look;              /* when to look at timers again */
	int64_t cpus_at;           /* when to look at the number of CPUs again */
} mon;

/* Whether work waits though all Ps are idle. That is so where a thread could not be made: it has to be tried again. */
static bool work_waits(void)
{
	bool found = atomic_load_relaxed(&vai__sched.nglobal) > 0;
	for (int i = 0; i < atomic_load_acquire(&vai__sched.nps); i++)
		found |= !vai__runq_empty(vai__sched.ps[i]);
	return found;
}

/* Whether some P's queue has work and the P has not come round since the last look. */
static bool stuck_work(void)
{
	bool found = false;
	for (int i = 0; i < atomic_load_acquire(&vai__sched.nps); i++) {
		struct p *p = vai__sched.ps[i];
		uint32_t tick = atomic_load_relaxed(&p->tick);
		found |= tick == mon.ticks[i] && !vai__runq_empty(p);
		mon.ticks[i] = tick;
	}
	return found;
}

/* Whether a timer should have fired by now. */
static bool overdue_timer(int64_t now)
{
	return vai__timers_next_of_all() < now;
}

/* Looks into the poller if no other thread did for POLL_LATE. */
static void poll_late(int64_t now)
{
	if (now - atomic_load_relaxed(&vai__sched.polled_at) >= POLL_LATE && !VAI_BUG(poll_late))
		vai__seat_look();
}

/* Looks whether the poller is still there and, as Go 1.25 does, how many CPUs the process may use: affinity and quotas
 * may change while the program runs. There may be very many mounts to look through for that (CPUS_PAUSE). */
static void look_at_system(int64_t now)
{
	if (now < mon.cpus_at)
		return;
	vai__poll_check();
	vai__p_follow_cpus(vai__cpus());
	int64_t pause = CPUS_PAUSE * (vai__clock_real() - now);
	mon.cpus_at = now + (pause > CPUS_MIN ? pause : CPUS_MIN);
}

bool vai__sysmon_tick(void)
{
	int64_t now = clock_note();
	vai__seat_watch(now);
	poll_late(now);
	vai__schedtrace_tick(now);
	look_at_system(now);
	bool work = stuck_work();
	if (atomic_load_relaxed(&vai__sched.nidle_ps) > 0 &&
		(work || overdue_timer(now) || atomic_load_relaxed(&vai__sched.nglobal) > 0))
		vai__idle_wake_one();
	return vai__watch_ms(now);
}

static bool all_idle(void)
{
	return atomic_load_seq_cst(&vai__sched.nidle_ps) == atomic_load_relaxed(&vai__sched.nprocs) &&
		atomic_load_seq_cst(&vai__sched.retiring) == 0;
}

/* Whether there is nothing for sysmon to do until it is woken. */
static bool may_doze(void)
{
	return all_idle() && !vai__watch_needed() && !atomic_load_seq_cst(&mon.hurry) && !work_waits() &&
		!vai__sigint_pending();
}

/* Looks whether timers can wake a goroutine, for a deadlock, and returns when to look again. There may be very many
 * timers (LOOK_PAUSE). */
static int64_t look_at_timers(void)
{
	if (vai__clock_real() < mon.look)
		return mon.look;
	int64_t start =
		vai__preempt_thread_cpu(); /* this thread's own processor time, for other threads may have run meanwhile */
	vai__deadlock_check_sleepers();
	int64_t spent = vai__preempt_thread_cpu() - start;
	mon.look = vai__clock_real() + LOOK_PAUSE * spent;
	return VAI_FOREVER;
}

/* Sleeps until it is poked. Pairs with vai__sysmon_poke and vai__sysmon_hurry: it says that it is asleep first, and
 * then looks whether there is a reason not to be. */
static void doze(void)
{
	atomic_store_seq_cst(&mon.wake, 0);
	atomic_store_seq_cst(&mon.asleep, true);
	if (may_doze() && !atomic_load_seq_cst(&mon.stop)) {
		int64_t look = look_at_timers(), line = vai__schedtrace_next(), period = vai__scavenge_next();
		look = look < line ? look : line;
		vai__futex_wait(&mon.wake, 0, look < period ? look : period);
	}
	atomic_store_seq_cst(&mon.asleep, false);
	if (atomic_load_seq_cst(&mon.wake) != 0)
		vai__scavenge_awake(vai__clock_real());
}

void vai__sysmon_poke(void)
{
	if (atomic_load_seq_cst(&mon.asleep)) {
		atomic_store_seq_cst(&mon.wake, 1);
		vai__futex_wake(&mon.wake, 1);
	}
}

void vai__sysmon_hurry(void)
{
	atomic_store_seq_cst(&mon.hurry, true);
	atomic_store_seq_cst(&mon.wake, 1);
	vai__futex_wake(&mon.wake, 1);
}

/* How long to wait until the next look, after one with the pause `delay`. taken: another should follow soon. hurried:
 * it was made by vai__sysmon_hurry. */
static int64_t next_delay(int64_t delay, bool taken, bool hurried)
{
	if (taken)
		return HURRY_DELAY;
	if (hurried)
		return MIN_DELAY;
	bool idle = atomic_load_relaxed(&vai__sched.nidle_ps) > 0;
	if (!idle && vai__watch_hurries(vai__clock_real()))
		return MIN_DELAY;
	int64_t max = idle ? IDLE_DELAY : MAX_DELAY;
	if (!idle) { /* no M sleeps until the next timer, so sysmon does */
		int64_t left = vai__timers_next_of_all() - vai__clock_real();
		if (left < max)
			max = left > MIN_DELAY ? left : MIN_DELAY;
	}
	return delay * 2 < max ? delay * 2 : max;
}

/* Under SCHED_FIFO a thread keeps its CPU until it waits or one of a higher priority wants it: goroutines that
 * compute on all CPUs would keep off the thread that is to interrupt them. Where the system refuses the higher
 * priority, that remains so. */
static void go_first(void)
{
	struct sched_param param;
	if (sched_getscheduler(0) != SCHED_FIFO || sched_getparam(0, &param) != 0)
		return;
	param.sched_priority++;
	sched_setscheduler(0, SCHED_FIFO, &param);
}

static void *monitor(void *arg)
{
	(void)arg;
	int64_t delay = MIN_DELAY;
	vai__threads_begin("sysmon");
	go_first();
	while (!atomic_load_seq_cst(&mon.stop)) {
		if (may_doze()) {
			doze();
			delay = MIN_DELAY;
		}
		atomic_store_relaxed(&mon.wake, 0);
		vai__futex_wait(&mon.wake, 0, vai__clock_real() + delay);
		/* The reason for the hurry was set before the flag. It is seen now, or mon.hurry is set again. */
		bool hurried = atomic_exchange_seq_cst(&mon.hurry, false);
		vai__sigquit_check();
		vai__sigint_check();
		delay = next_delay(delay, vai__sysmon_tick(), hurried);
		vai__scavenge_tick(atomic_load_relaxed(&vai__sched.coarse_now), all_idle());
	}
	vai__scavenge_stop();
	vai__threads_end();
	return NULL;
}

int vai__sysmon_start(void)
{
	atomic_store_relaxed(&mon.stop, false);
	mon.cpus_at = vai__clock_real() + CPUS_MIN;
	vai__schedtrace_start();
	vai__scavenge_start();
	int rc = pthread_create(&mon.thread, NULL, monitor, NULL);
	errno = rc;
	if (rc != 0)
		return VAI_ESYS;
	return VAI_OK;
}

void vai__sysmon_stop(void)
{
	atomic_store_seq_cst(&mon.stop, true);
	atomic_store_seq_cst(&mon.wake, 1);
	vai__futex_wake(&mon.wake, 1);
	pthread_join(mon.thread, NULL);
}
