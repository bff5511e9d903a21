/* SPDX-License-Identifier: MIT */
/* The start and the end of the runtime, and questions about it. Called on the host's thread, unless said otherwise. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "mach/barrier.h"
#include "mach/cpus.h"
#include "mach/stack.h"
#include "mach/thread.h"
#include "sched/poll.h"
#include "sched/rt.h"

enum {
	DEFAULT_STACK = 655360, /* bytes */
	INSIST = 1000000,       /* ns until goroutines that still run are interrupted again; doubles up to the next */
	INSIST_MAX = 32000000,
	STOP_AT_ONCE = 4,   /* idle Ms that are woken first; each wakes the next */
	SLOW = 500000000,   /* ns that an M which computes has to reach its loop */
	RELEASE = 500000000 /* ns that the thread has which releases */
};

/* ns for which the end of the runtime waits at most for threads that get no CPU. */
#define STARVED INT64_C(10000000000)

/* While the runtime runs, sysmon looks now and then how many CPUs there are. */
int vai__numcpu(void)
{
	int n = vai__sched.running ? atomic_load_relaxed(&vai__sched.ncpus) : 0;
	return n > 0 ? n : vai__cpus();
}

/* Reads a whole positive number from the environment; 0: there is none. */
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

/* How many Ps there are to be. *chosen: the user has set the number, so that sysmon does not change it. */
static int choose_procs(int asked, bool *chosen)
{
	int ncpus = vai__cpus();
	atomic_store(&vai__sched.ncpus, ncpus);
	if (asked <= 0)
		asked = (int)env_number("VAI_MAXPROCS", MAX_PROCS);
	*chosen = asked > 0;
	if (asked <= 0)
		asked = ncpus;
	return asked < MAX_PROCS ? asked : MAX_PROCS;
}

static size_t choose_stack(size_t asked, size_t least)
{
	if (asked == 0)
		asked = (size_t)env_number("VAI_STACK", 1L << 30);
	return asked ? asked : least > DEFAULT_STACK ? least : DEFAULT_STACK;
}

static void init_fields(void)
{
	vai__lock_init(&vai__sched.lock, VAI_RANK_SCHED);
	vai__sched.nms = 0;
	atomic_store(&vai__sched.nwatched, 0);
	vai__sched.nidle_ms = 0;
	vai__sched.idle_ms = NULL;
	atomic_store(&vai__sched.nspinning, 0);
	atomic_store(&vai__sched.stopping, false);
	atomic_store(&vai__sched.attention, false);
	atomic_store(&vai__sched.retiring, 0);
	vai__sched.wanting = NULL;
	vai__sched.world_stopped = false;
	if (atomic_load(&vai__sched.next_id) < 2)
		atomic_store(&vai__sched.next_id, 2);
	clock_note();
}

/* Takes all Ps out of use but the first, which is M0's. */
static int init_procs(struct m *m)
{
	if (!vai__sched.ps[0] && !(vai__sched.ps[0] = vai__p_new(0)))
		return VAI_ENOMEM;
	vai__sched.idle_ps = NULL;
	atomic_store(&vai__sched.nidle_ps, 0);
	if (atomic_load(&vai__sched.nps) == 0)
		atomic_store(&vai__sched.nps, 1);
	for (int i = 1; i < atomic_load(&vai__sched.nps); i++)
		vai__sched.ps[i]->retired = true;
	vai__sched.ps[0]->retired = vai__sched.ps[0]->idle = false;
	atomic_store(&vai__sched.nprocs, 1);
	atomic_store(&m->p, vai__sched.ps[0]);
	return VAI_OK;
}

/* Takes as many Ps into use as there are to be. Comes after the start of sysmon, whose thread is needed: those that new
 * Ps wake are not, where the system gives few. */
static void add_procs(int asked)
{
	bool chosen;
	int n = choose_procs(asked, &chosen);
	vai__maxprocs(&vai__sched.main->pub, n);
	vai__lock(&vai__sched.lock); /* sysmon may look by now */
	vai__sched.procs_chosen = chosen;
	vai__unlock(&vai__sched.lock);
}

/* Makes all Ms of vai's own leave. */
static void stop_ms(void)
{
	vai__lock(&vai__sched.lock);
	for (struct m *m = vai__sched.all_ms; m; m = m->next_m)
		m->end_cpu = vai__thread_cpu(m->tid);
	atomic_store(&vai__sched.stopping, true);
	vai__loop_attention_update();
	vai__unlock(&vai__sched.lock);
	for (int i = 0; i < STOP_AT_ONCE; i++)
		vai__idle_stop_one();
}

static int64_t deadline_of(int64_t grace)
{
	return grace == VAI_FOREVER ? VAI_FOREVER : vai__clock_real() + grace;
}

/* Waits until all threads of vai's own have ended. False: some have not at the deadline. */
static bool all_gone(int64_t deadline)
{
	unsigned n;
	while ((n = atomic_load(&vai__sched.live_ms)) > 0 && vai__clock_real() < deadline)
		vai__futex_wait(&vai__sched.live_ms, n, deadline);
	return n == 0;
}

/* Whether every M that is left sleeps in a C call of its goroutine's. An M that computes or is between goroutines,
 * or a thread that has only begun, will leave when it gets a CPU. */
static bool all_stuck(void)
{
	unsigned n = 0;
	bool stuck = true;
	vai__lock(&vai__sched.lock);
	for (struct m *m = vai__sched.all_ms; m && stuck; m = m->next_m, n++)
		stuck = m_curg(m) && vai__m_is_asleep(m);
	vai__unlock(&vai__sched.lock);
	return stuck && n == atomic_load(&vai__sched.live_ms);
}

/* Whether the thread, which had used `from` of processor time when it was asked to end, is not asleep and has had less
 * than `share` of it since: the machine runs others. */
static bool is_starved(int tid, int64_t from, int64_t share)
{
	struct vai__thread_look look;
	int64_t cpu = vai__thread_cpu(tid);
	if (cpu < 0 || from < 0 || cpu - from >= share)
		return false;
	vai__thread_look(tid, &look);
	return !look.asleep;
}

static bool some_m_starves(int64_t share)
{
	bool starves = false;
	vai__lock(&vai__sched.lock);
	for (struct m *m = vai__sched.all_ms; m && !starves; m = m->next_m)
		starves = is_starved(m->tid, m->end_cpu, share);
	vai__unlock(&vai__sched.lock);
	return starves;
}

/* Waits until all Ms have left: for `grace` in any case, and then for those that are not stuck. An M that computes has
 * SLOW for it, which counts as processor time where the machine has other things to do. */
static bool wait_for_ms(int64_t grace)
{
	const int64_t share = grace > SLOW ? grace : SLOW;
	int64_t now = vai__clock_real(), deadline = deadline_of(grace), last = deadline_of(share), starved = now + STARVED;
	for (int64_t pause = INSIST; !all_gone(now + pause); pause = pause < INSIST_MAX ? 2 * pause : pause) {
		now = vai__clock_real();
		if (now >= last && (now >= starved || !some_m_starves(share)))
			return false;
		if (now >= deadline && all_stuck())
			return false;
		vai__preempt_all();
	}
	return true;
}

static char refusal[128]; /* vai__sched_refusal */

const char *vai__sched_refusal(void)
{
	return refusal;
}

static void note_refusal(const char *call)
{
	snprintf(refusal, sizeof refusal, errno ? "the system refused %s (%m)" : "the system refused %s", call);
}

int vai__sched_start(const struct vai__sched_opts *opts)
{
	if (vai__sched.running || atomic_load(&vai__sched.live_ms) > 0)
		return VAI_EINVAL;
	const char *call = NULL;
	int rc = vai__threads_wish(opts->host);
	if (rc != VAI_OK)
		return rc;
	init_fields();
	vai__barrier_init();
	vai__stack_init(choose_stack(opts->stack_size, opts->least_stack));
	errno = 0;
	if (vai__poll_start(&call) != VAI_OK) {
		note_refusal(call);
		return VAI_ESYS;
	}
	struct home *h = vai__home_begin(&call);
	if (!h) {
		note_refusal(call);
		vai__poll_stop();
		return VAI_ESYS;
	}
	errno = ENOMEM;
	if (init_procs(h->m) != VAI_OK || vai__sysmon_start() != VAI_OK) {
		note_refusal(errno == ENOMEM ? "memory" : "pthread_create");
		stop_ms(); /* Ms may have begun meanwhile */
		wait_for_ms(VAI_FOREVER);
		vai__m_retire_main(h->m);
		vai__m_free_main(h->m);
		vai__poll_stop();
		vai__home_forget_all();
		return VAI_ESYS;
	}
	add_procs(opts->maxprocs);
	vai__sigquit_install();
	vai__sigint_wrap();
	atomic_store_seq_cst(&vai__sched.running, true);
	return VAI_OK;
}

/* Forgets the queues: queued goroutines are in the list of all goroutines, too. */
static void forget_queues(void)
{
	memset(&vai__sched.global, 0, sizeof(vai__sched.global));
	memset(&vai__sched.starved, 0, sizeof(vai__sched.starved));
	atomic_store(&vai__sched.nstarved, 0);
	atomic_store(&vai__sched.nglobal, 0);
	for (int i = 0; i < atomic_load(&vai__sched.nps); i++) {
		while (vai__runq_get(vai__sched.ps[i]))
			;
		vai__timers_clear(&vai__sched.ps[i]->timers);
	}
}

/* From here on no M begins to run a goroutine, except main on its own thread. */
static void begin_stop(void)
{
	vai__outside_shut();
	vai__sigquit_remove();
	vai__sigint_remove();
	stop_ms();
	vai__sysmon_stop();
	if (vai__home_count() == 1) /* otherwise the process ends, and other threads may be in the middle of something */
		vai__m_retire_main(vai__sched.m0);
}

/* ---- release ---- */

static enum { NOT_BEGUN, BEGUN } release; /* written by the thread that ends the runtime */
static atomic_int release_tid;            /* the thread that releases; 0: it has not begun to run */

/* Releases what abandoned goroutines hold. Finalizers run in here, which may take any time or never return. */
static void *release_all(void *threaded)
{
	if (threaded)
		atomic_store(&release_tid, vai__thread_id());
	vai__g_abandon_all();
	if (!threaded)
		return NULL;
	vai__mem_thread_exit();
	vai__threads_gone();
	return NULL;
}

/* Starts the thread that releases; if there is none to be had, releases on this one. */
static void begin_release(void)
{
	pthread_t thread;
	release = BEGUN;
	atomic_store(&release_tid, 0);
	forget_queues();
	atomic_fetch_add_seq_cst(&vai__sched.live_ms, 1);
	if (pthread_create(&thread, NULL, release_all, &release) == 0) {
		pthread_setname_np(thread, "vai-end");
		pthread_detach(thread);
		return;
	}
	atomic_fetch_sub_seq_cst(&vai__sched.live_ms, 1);
	release_all(NULL);
}

/* Whether the thread that releases has not had `share` ns of processor time, though it does not sleep. */
static bool release_starves(int64_t share)
{
	int tid = atomic_load(&release_tid);
	return tid == 0 || is_starved(tid, 0, share);
}

/* Waits for the thread that releases: RELEASE, which counts as processor time where the machine has other things to do,
 * as long as the thread does not sleep. */
static bool wait_for_release(int64_t grace)
{
	const int64_t share = grace > RELEASE ? grace : RELEASE;
	int64_t deadline = deadline_of(share), starved = deadline_of(STARVED);
	while (!all_gone(deadline)) {
		int64_t now = vai__clock_real();
		if (now >= starved || !release_starves(share))
			return false;
		deadline = now + INSIST_MAX;
	}
	return true;
}

void vai__sched_halt(int64_t grace)
{
	if (vai__sched.m0 && vai__sched.running)
		begin_stop();
	wait_for_ms(grace);
}

bool vai__sched_stop(int64_t grace)
{
	if (!vai__sched.m0)
		return true;
	if (vai__sched.running) {
		release = NOT_BEGUN;
		begin_stop();
	}
	if (release == NOT_BEGUN) {
		if (!wait_for_ms(grace))
			return false;
		begin_release();
	}
	if (!wait_for_release(grace))
		return false;
	vai__poll_stop();
	vai__frame_stop();
	vai__m_free_main(vai__sched.m0);
	for (int i = 0; i < atomic_load(&vai__sched.nps); i++)
		vai__g_flush_stacks(vai__sched.ps[i]);
	vai__stack_reset();
	vai__home_forget_all();
	return true;
}

bool vai__sched_running(void)
{
	return vai__sched.running;
}

bool vai__sched_alive(void)
{
	return vai__sched.running || atomic_load(&vai__sched.live_ms) > 0;
}

void vai__sched_forked(void)
{
	vai__m_forget_self();
	vai__sched.running = false;
}

vai_g *vai__g_main(void)
{
	return vai__sched.main ? &vai__sched.main->pub : NULL;
}

int64_t vai__g_count(void)
{
	struct vai__sched_stats st = {0};
	vai__p_sum_counters(&st);
	return (int64_t)(st.spawned - st.ended) + vai__home_count();
}

void vai__sched_stats(struct vai__sched_stats *out)
{
	memset(out, 0, sizeof(*out));
	vai__p_sum_counters(out);
	out->stacks = vai__stack_count();
	out->ps = atomic_load(&vai__sched.nprocs);
	out->idle_ps = atomic_load(&vai__sched.nidle_ps);
	out->spinning = atomic_load(&vai__sched.nspinning);
	out->preempted = atomic_load(&vai__sched.npreempted);
	vai__lock(&vai__sched.lock);
	out->retaken = vai__sched.nretaken;
	out->ms = vai__sched.nms;
	out->idle_ms = vai__sched.nidle_ms;
	vai__unlock(&vai__sched.lock);
}
