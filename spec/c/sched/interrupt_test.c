/* SPDX-License-Identifier: MIT */
/* Interruptions that come at any moment: they find the goroutine that runs on the thread, or
 * none, and measure what that has used. */
#include "sync/world.h"
#include <pthread.h>
#include "base/clock.h"
#include "sched/rt.h"
#include "sync/chan.h"
#include "whole.h"

enum { PAIRS = 4 };

static int messages;

static _Atomic(bool) stop;
static _Atomic(long) interrupted;

/* In the signal handler, or on the scheduler's stack. */
static void interruption(vai_g *g)
{
	CHECK(g_m(g_of(g)) == vai__m_self());
	CHECK(vai__g_state(g) == VAI_G_RUNNING);
	atomic_fetch_add(&interrupted, 1);
}

static void *interrupt_all(void *arg)
{
	while (!atomic_load(&stop)) {
		vai__lock(&vai__sched.lock);
		for (struct m *m = vai__sched.all_ms; m; m = m->next_m)
			if (m_curg(m) && !m->idle)
				vai__preempt_send(m);
		vai__unlock(&vai__sched.lock);
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
	return arg;
}

/* Goes from thread to thread, and far from its limit. */
static void measured(vai_g *g, void *arg)
{
	vai__g_limit_cpu(g, INT64_C(3600) * 1000000000);
	vai_msg msg = {{7, 0, 0, 0}};
	for (int i = 0; i < messages; i++) {
		int (*op)(vai_g *, vai_chan *, vai_msg *, int64_t) = i % 2 ? vai__chan_send : vai__chan_recv;
		CHECK(op(g, arg, &msg, VAI_FOREVER) == VAI_OK);
		CHECK(atomic_load(&g->end) == VAI_END_NO);
	}
}

static void answering(vai_g *g, void *arg)
{
	vai_msg msg = {{7, 0, 0, 0}};
	for (int i = 0; i < messages; i++) {
		int (*op)(vai_g *, vai_chan *, vai_msg *, int64_t) = i % 2 ? vai__chan_recv : vai__chan_send;
		CHECK(op(g, arg, &msg, VAI_FOREVER) == VAI_OK);
	}
}

static void run_pairs(void)
{
	vai_chan *chans[PAIRS];
	for (int i = 0; i < PAIRS; i++) {
		chans[i] = vai__chan_new(0, NULL);
		world_go(measured, chans[i]);
		world_go(answering, chans[i]);
	}
	world_join();
	for (int i = 0; i < PAIRS; i++)
		vai__obj_unref((struct vai_obj *)chans[i]);
}

/* Many short slices, on threads whose processor times differ. The thread that interrupts may be late. */
static void only_who_runs(void **state)
{
	(void)state;
	pthread_t thread;
	int64_t end = world_in(600000);
	atomic_store(&stop, false);
	atomic_store(&interrupted, 0);
	assert_int_equal(pthread_create(&thread, NULL, interrupt_all, NULL), 0);
	do
		run_pairs();
	while (vai__preempt_mode() == VAI_PREEMPT_SIGNAL && atomic_load(&interrupted) == 0 && vai__clock_now() < end);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_true(vai__preempt_mode() != VAI_PREEMPT_SIGNAL || atomic_load(&interrupted) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_who_runs),
	};
	messages = spec_count(2000, 10000);
	vai__sched_hooks.interrupt = interruption;
	return WORLD_RUN("interrupt", tests);
}
