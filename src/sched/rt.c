/* SPDX-License-Identifier: MIT */
/* The start and the end of the runtime, and questions about it. Host thread, unless said
 * otherwise. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "mach/barrier.h"
#include "mach/stack.h"
#include "sched/poll.h"
#include "sched/rt.h"

enum { DEFAULT_STACK = 655360, INSIST = 5000000 /* ns */, SLOW = 500000000, RELEASE = 500000000 /* ns */ };

static struct g main_g;

int vai__numcpu(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	int n = CPU_COUNT(&set);
	return n > 0 ? n : 1;
}

/* A whole positive number from the environment, or 0. */
static long env_number(const char *name, long max)
{
	const char *s = getenv(name);
	char *end;
	if (!s || !*s)
		return 0;
	long n = strtol(s, &end, 10);
	if (*end || n <= 0)
		return 0;
	return n < max ? n : max;
}

static int choose_procs(int asked)
{
	if (asked <= 0)
		asked = (int)env_number("VAI_MAXPROCS", MAX_PROCS);
	if (asked <= 0)
		asked = vai__numcpu();
	return asked < MAX_PROCS ? asked : MAX_PROCS;
}

static size_t choose_stack(size_t asked)
{
	if (asked == 0)
		asked = (size_t)env_number("VAI_STACK", 1L << 30);
	return asked ? asked : DEFAULT_STACK;
}

static void init_main(struct m *m)
{
	uint64_t wait = atomic_load_explicit(&main_g.wait, memory_order_relaxed); /* tickets go on */
	memset(&main_g, 0, sizeof(main_g));
	atomic_init(&main_g.wait, (wait >> 32 << 32) | VAI_WAKE_USER);
	atomic_init(&main_g.state, VAI_G_RUNNING);
	main_g.pub.id = 1;
	atomic_init(&main_g.m, m);
	main_g.locked_m = m;
	vai__ctx_native(&main_g.ctx);
	m_set_curg(m, &main_g);
	m_leave(m, false);
	sched.main = &main_g;
	sched.m0 = m;
}

static void init_fields(void)
{
	vai__lock_init(&sched.lock, VAI_RANK_SCHED);
	sched.nms = 1;
	sched.nidle_ms = 0;
	sched.idle_ms = NULL;
	atomic_store(&sched.nspinning, 0);
	atomic_store(&sched.stopping, false);
	atomic_store(&sched.attention, false);
	atomic_store(&sched.retiring, 0);
	sched.wanting = NULL;
	sched.world_stopped = false;
	if (atomic_load(&sched.next_id) < 2)
		atomic_store(&sched.next_id, 2);
	clock_note();
}

/* All Ps out of use, then n in use, the first of them M0's. */
static int init_procs(int n, struct m *m)
{
	if (!sched.ps[0] && !(sched.ps[0] = p_new(0)))
		return VAI_ENOMEM;
	sched.idle_ps = NULL;
	atomic_store(&sched.nidle_ps, 0);
	if (atomic_load(&sched.nps) == 0)
		atomic_store(&sched.nps, 1);
	for (int i = 1; i < atomic_load(&sched.nps); i++)
		sched.ps[i]->retired = true;
	sched.ps[0]->retired = sched.ps[0]->idle = false;
	atomic_store(&sched.nprocs, 1);
	atomic_store(&m->p, sched.ps[0]);
	vai__maxprocs(&main_g.pub, n);
	return VAI_OK;
}

static void stop_ms(void)
{
	vai__lock(&sched.lock);
	atomic_store(&sched.stopping, true);
	attention_update();
	vai__unlock(&sched.lock);
	idle_wake_all();
}

static int64_t deadline_of(int64_t grace)
{
	return grace == VAI_FOREVER ? VAI_FOREVER : vai__clock_now() + grace;
}

static bool all_gone(int64_t deadline)
{
	unsigned n;
	while ((n = atomic_load(&sched.live_ms)) > 0 && vai__clock_now() < deadline)
		vai__futex_wait(&sched.live_ms, n, deadline);
	return n == 0;
}

/* Whether every M that is left sleeps in a call of its goroutine's. One that computes, or is
 * between goroutines, or a thread that has only begun, will leave when it gets a CPU. */
static bool all_stuck(void)
{
	unsigned n = 0;
	bool stuck = true;
	vai__lock(&sched.lock);
	for (struct m *m = sched.all_ms; m && stuck; m = m->next_m, n++)
		stuck = m_curg(m) && m_is_asleep(m);
	vai__unlock(&sched.lock);
	return stuck && n == atomic_load(&sched.live_ms);
}

/* After that grace only for those that are not stuck. */
static bool wait_for_ms(int64_t grace)
{
	int64_t now = vai__clock_now(), deadline = deadline_of(grace), last = deadline_of(grace > SLOW ? grace : SLOW);
	while (!all_gone(now + INSIST)) {
		now = vai__clock_now();
		if (now >= last || (now >= deadline && all_stuck()))
			return false;
		preempt_all();
	}
	return true;
}

int vai__sched_start(const struct vai__sched_opts *opts)
{
	if (sched.running || atomic_load(&sched.live_ms) > 0)
		return VAI_EINVAL;
	init_fields();
	vai__barrier_init();
	vai__stack_init(choose_stack(opts->stack_size));
	if (vai__poll_start() != VAI_OK)
		return VAI_ESYS;
	struct m *m = m_new_main();
	if (!m) {
		vai__poll_stop();
		return VAI_ENOMEM;
	}
	init_main(m);
	if (init_procs(choose_procs(opts->maxprocs), m) != VAI_OK || sysmon_start() != VAI_OK) {
		stop_ms(); /* more Ps may have brought some */
		wait_for_ms(VAI_FOREVER);
		m_retire_main(m);
		m_free_main(m);
		vai__poll_stop();
		sched.m0 = NULL;
		sched.main = NULL;
		return VAI_ESYS;
	}
	quit_install();
	sched.running = true;
	return VAI_OK;
}

/* Queued goroutines are in the list of all: forget the queues. */
static void forget_queues(void)
{
	bool inherit;
	memset(&sched.global, 0, sizeof(sched.global));
	memset(&sched.starved, 0, sizeof(sched.starved));
	atomic_store(&sched.nstarved, 0);
	atomic_store(&sched.nglobal, 0);
	for (int i = 0; i < atomic_load(&sched.nps); i++) {
		while (runq_get(sched.ps[i], &inherit))
			;
		timers_clear(&sched.ps[i]->timers);
	}
}

static void begin_stop(void)
{
	quit_remove();
	stop_ms();
	sysmon_stop();
	m_retire_main(sched.m0);
	sched.running = false;
}

/* ---- release ---- */

static enum { NOT_BEGUN, BEGUN } release; /* who ends the runtime */

/* What abandoned goroutines hold: their finalizers may take any time, or never return. */
static void *release_all(void *threaded)
{
	g_abandon_all();
	if (!threaded)
		return NULL;
	vai__mem_thread_exit();
	atomic_fetch_sub_explicit(&sched.live_ms, 1, memory_order_seq_cst);
	vai__futex_wake(&sched.live_ms, 1);
	return NULL;
}

static void begin_release(void)
{
	pthread_t thread;
	release = BEGUN;
	forget_queues();
	atomic_fetch_add_explicit(&sched.live_ms, 1, memory_order_seq_cst);
	if (pthread_create(&thread, NULL, release_all, &release) == 0) {
		pthread_setname_np(thread, "vai-end");
		pthread_detach(thread);
		return;
	}
	atomic_fetch_sub_explicit(&sched.live_ms, 1, memory_order_seq_cst);
	release_all(NULL);
}

void vai__sched_halt(int64_t grace)
{
	if (sched.m0 && sched.running)
		begin_stop();
	wait_for_ms(grace);
}

bool vai__sched_stop(int64_t grace)
{
	if (!sched.m0)
		return true;
	if (sched.running) {
		release = NOT_BEGUN;
		begin_stop();
	}
	if (release == NOT_BEGUN) {
		if (!wait_for_ms(grace))
			return false;
		begin_release();
	}
	if (!all_gone(deadline_of(grace > RELEASE ? grace : RELEASE)))
		return false;
	vai__poll_stop();
	m_free_main(sched.m0);
	for (int i = 0; i < atomic_load(&sched.nps); i++)
		g_flush_stacks(sched.ps[i]);
	vai__stack_reset();
	sched.m0 = NULL;
	sched.main = NULL;
	return true;
}

bool vai__sched_running(void)
{
	return sched.running;
}

bool vai__sched_alive(void)
{
	return sched.running || atomic_load(&sched.live_ms) > 0;
}

void vai__sched_forked(void)
{
	m_forget_self();
	sched.running = false;
}

vai_g *vai__g_main(void)
{
	return sched.main ? &sched.main->pub : NULL;
}

int64_t vai__g_count(void)
{
	struct vai__sched_stats st = {0};
	p_each_counter(&st);
	return (int64_t)(st.spawned - st.ended) + 1;
}

void vai__sched_stats(struct vai__sched_stats *out)
{
	memset(out, 0, sizeof(*out));
	p_each_counter(out);
	out->stacks = vai__stack_count();
	out->ps = atomic_load(&sched.nprocs);
	out->idle_ps = atomic_load(&sched.nidle_ps);
	out->spinning = atomic_load(&sched.nspinning);
	out->preempted = atomic_load(&sched.npreempted);
	vai__lock(&sched.lock);
	out->retaken = sched.nretaken;
	out->ms = sched.nms;
	out->idle_ms = sched.nidle_ms;
	vai__unlock(&sched.lock);
}
