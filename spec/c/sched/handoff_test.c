/* SPDX-License-Identifier: MIT */
/* Ps that change hands: taken from C calls that nobody announced, given away before announced
 * ones, goroutines with a thread of their own, and the stopped world. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "sync/world.h"
#include <pthread.h>
#include <time.h>
#include "base/clock.h"
#include "sched/rt.h"
#include "sync/chan.h"
#include "whole.h"

enum { BLOCKERS = 8, ROUNDS = 200, MANY_PS = 40, MESSAGES = 3000, STOPS = 1000 };

static _Atomic(int) done, counted, stop, inside;

/* A C call as any library makes it. */
static void sleep_in_c(int ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
	while (nanosleep(&left, &left) != 0)
		continue;
}

/* Until another has counted meanwhile. */
static void compute_in_c(void)
{
	int before = atomic_load(&counted);
	int64_t end = world_in(600000);
	while (atomic_load(&counted) == before && vai__clock_now() < end)
		continue;
	CHECK(vai__clock_now() < end);
}

static void reset(void)
{
	atomic_store(&done, 0);
	atomic_store(&counted, 0);
	atomic_store(&stop, 0);
	atomic_store(&inside, 0);
}

/* In its C call until as many are, and another has counted meanwhile. */
static void sleep_together(int many)
{
	int before = atomic_load(&counted);
	int64_t end = world_in(600000);
	atomic_fetch_add(&inside, 1);
	while ((atomic_load(&inside) < many || atomic_load(&counted) == before) && vai__clock_now() < end)
		sleep_in_c(1);
	CHECK(vai__clock_now() < end);
}

static void blocker(vai_g *g, void *arg)
{
	sleep_in_c((int)(intptr_t)arg);
	vai__yield(g);
	atomic_fetch_add(&done, 1);
}

static void unannounced(vai_g *g, void *arg)
{
	sleep_together((int)(intptr_t)arg);
	vai__yield(g);
	atomic_fetch_add(&done, 1);
}

static void announced(vai_g *g, void *arg)
{
	vai__g_block_begin(g);
	sleep_together((int)(intptr_t)arg);
	vai__g_block_end(g);
	atomic_fetch_add(&done, 1);
}

static void computer(vai_g *g, void *arg)
{
	(void)g;
	if (arg)
		compute_in_c();
	atomic_fetch_add(&done, 1);
}

static void counter(vai_g *g, void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&counted, 1);
		vai__yield(g);
	}
}

/* All of them are in their C calls at once, and somebody else goes on meanwhile. */
static void all_block_at_once(void (*entry)(vai_g *g, void *arg))
{
	vai_g *self = vai__g_self();
	int procs = vai__maxprocs(self, 1);
	reset();
	world_go(counter, NULL);
	for (int i = 0; i < BLOCKERS; i++)
		world_go(entry, (void *)BLOCKERS);
	while (atomic_load(&done) < BLOCKERS)
		vai__sleep(self, world_in(2));
	atomic_store(&stop, 1);
	world_join();
	vai__maxprocs(self, procs);
}

static void ps_are_taken_back(void **state)
{
	(void)state;
	all_block_at_once(unannounced);
}

static void ps_are_given_away(void **state)
{
	(void)state;
	all_block_at_once(announced);
}

/* The C call does not sleep: its P is taken all the same. */
static void a_long_computation(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int procs = vai__maxprocs(self, 1);
	reset();
	world_go(computer, (void *)1);
	world_go(counter, NULL);
	while (atomic_load(&done) < 1)
		vai__sleep(self, world_in(1));
	atomic_store(&stop, 1);
	world_join();
	vai__maxprocs(self, procs);
}

/* Whether others, of which one is always ready, run while it answers an interruption that found it without a P, when it
 * has got one. */
static bool others_run(vai_g *g)
{
	vai__g_block_begin(g);
	vai__preempt_call_in(g_m(g_of(g)), g_of(g));
	vai__g_block_end(g);
	int before = atomic_load(&counted);
	vai__yield_late(g);
	return atomic_load(&counted) != before;
}

/* Its P may be taken away once more, but hardly each time. */
static void interrupted(vai_g *g, void *arg)
{
	int n = 0;
	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		n += others_run(g);
	CHECK(n < ROUNDS / 2);
	atomic_store(&stop, 1);
}

/* Who was interrupted because it had no P has waited for one, and does not yield it at once. */
static void an_interruption_without_p(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int procs = vai__maxprocs(self, 1);
	reset();
	world_go(counter, NULL);
	world_go(interrupted, NULL);
	world_join();
	vai__maxprocs(self, procs);
}

/* A thread that sleeps in a C call is sent no signal, whoever waits for its P: not every library copes
 * with EINTR. */
static void sleep_at_once(vai_g *g, void *arg)
{
	struct timespec t = {0, 150000000};
	vai__g_leave_main(g);
	if (arg)
		vai__g_limit_cpu(g, INT64_C(3600) * 1000000000);
	CHECK(nanosleep(&t, NULL) == 0);
	atomic_fetch_add(&done, 1);
}

static void sleepers_are_let_sleep(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	for (intptr_t limit = 0; limit < 2; limit++) {
		reset();
		world_go(sleep_at_once, (void *)limit);
		vai__yield(self);
		for (int ms = 1; atomic_load(&done) < 1; ms = ms % 40 + 7)
			vai__sleep(self, world_in(ms));
		world_join();
	}
}

/* Main is in a C call of its host: its P is not held hostage. */
static void main_in_c(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int procs = vai__maxprocs(self, 1);
	reset();
	world_go(counter, NULL);
	compute_in_c();
	vai__yield(self);
	vai__sleep(self, world_in(1));
	atomic_store(&stop, 1);
	world_join();
	vai__maxprocs(self, procs);
}

/* C calls of about the length that a P is taken after, so that return and retake meet. */
static void ping(vai_g *g, void *arg)
{
	uint32_t r = (uint32_t)(uintptr_t)arg * 2654435761u + 1;
	for (int i = 0; i < ROUNDS; i++) {
		r = r * 1664525 + 1013904223;
		struct timespec t = {0, (long)(r >> 12) % 300000};
		nanosleep(&t, NULL);
		if (r & 1u << 11)
			vai__yield(g);
		vai__g_start(g, vai__g_new(computer, NULL));
	}
	atomic_fetch_add(&done, 1);
}

static void returns_meet_retakes(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	for (int procs = 1; procs <= 3; procs++) {
		int old = vai__maxprocs(self, procs);
		reset();
		world_go(counter, NULL);
		for (intptr_t i = 0; i < 6; i++)
			world_go(ping, (void *)i);
		while (atomic_load(&done) < 6 + 6 * ROUNDS)
			vai__sleep(self, world_in(1));
		atomic_store(&stop, 1);
		world_join();
		vai__maxprocs(self, old);
	}
}

/* ---- threads of their own ---- */

static void locked(vai_g *g, void *arg)
{
	vai__g_lock_thread(g);
	pthread_t me = pthread_self();
	for (int i = 0; i < ROUNDS; i++) {
		if (i % 3 == 0)
			vai__yield(g);
		else if (i % 20 == 1)
			vai__sleep(g, world_in(1));
		CHECK(pthread_equal(me, pthread_self()));
	}
	if (arg) {
		vai__g_unlock_thread(g);
		vai__yield(g);
	}
	atomic_fetch_add(&done, 1);
}

static void threads_of_their_own(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	for (int procs = 1; procs <= 3; procs++) {
		int old = vai__maxprocs(self, procs);
		reset();
		world_go(counter, NULL);
		for (intptr_t i = 0; i < 5; i++)
			world_go(locked, (void *)(i % 2));
		while (atomic_load(&done) < 5)
			vai__sleep(self, world_in(1));
		atomic_store(&stop, 1);
		world_join();
		vai__maxprocs(self, old);
	}
}

/* Those who have threads of their own and always want a P leave some of each to others. */
static void yielder(vai_g *g, void *arg)
{
	(void)arg;
	vai__g_lock_thread(g);
	atomic_fetch_add(&inside, 1);
	while (!atomic_load(&stop))
		vai__yield(g);
}

static void others_have_turns(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	for (int procs = 1; procs <= 2; procs++) {
		int64_t end = world_in(600000);
		int old = vai__maxprocs(self, procs);
		reset();
		for (int i = 0; i < 6; i++)
			world_go(yielder, NULL);
		while (atomic_load(&inside) < 6)
			vai__sleep(self, world_in(1));
		world_go(counter, NULL);
		while (atomic_load(&counted) < ROUNDS) {
			assert_true(vai__clock_now() < end);
			vai__sleep(self, world_in(1));
		}
		atomic_store(&stop, 1);
		world_join();
		vai__maxprocs(self, old);
	}
}

/* Main has its thread for itself: no other runs on it. */
static pthread_t mains;

static void elsewhere(vai_g *g, void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(!pthread_equal(mains, pthread_self()));
		vai__yield(g);
	}
	atomic_fetch_add(&done, 1);
}

static void main_alone_on_its_thread(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	reset();
	mains = pthread_self();
	vai__g_lock_thread(self);
	for (int i = 0; i < 4; i++)
		world_go(elsewhere, NULL);
	while (atomic_load(&done) < 4)
		vai__yield(self);
	assert_true(pthread_equal(mains, pthread_self()));
	vai__g_unlock_thread(self);
	world_join();
}

/* ---- the stopped world ---- */

static void stopped_world(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	reset();
	for (int i = 0; i < 4; i++)
		world_go(counter, NULL);
	world_go(blocker, (void *)300);
	for (int i = 0; i < 20; i++) {
		assert_true(vai__world_stop(self, 10000000000));
		assert_false(vai__world_stop(self, 1000));
		int before = atomic_load(&counted);
		sleep_in_c(3);
		assert_true(atomic_load(&counted) <= before + 4); /* each may have been in the middle of it */
		vai__world_start();
		while (atomic_load(&counted) == before)
			vai__sleep(self, world_in(1));
	}
	atomic_store(&stop, 1);
	world_join();
	assert_int_equal(atomic_load(&done), 1);
}

/* Ps are put aside with what is in their queues: somebody has to take that from each of them. */
static void serve(vai_g *g, void *arg)
{
	vai_msg msg;
	while (vai__chan_recv(g, arg, &msg, VAI_FOREVER) == VAI_OK)
		continue;
	vai__obj_unref(arg);
	atomic_fetch_add(&done, 1);
}

static void ask(vai_g *g, void *arg)
{
	for (int i = 0; i < MESSAGES; i++) {
		vai_msg msg = {{1, 0, 0, 0}};
		CHECK(vai__chan_send(g, arg, &msg, VAI_FOREVER) == VAI_OK);
	}
	vai__chan_close(arg);
	vai__obj_unref(arg);
	atomic_fetch_add(&done, 1);
}

static void stopped_world_of_many(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int procs = vai__maxprocs(self, MANY_PS);
	reset();
	for (int i = 0; i < MANY_PS; i++) {
		vai_chan *ch = vai__chan_new(0, NULL);
		vai__obj_ref((struct vai_obj *)ch);
		world_go(serve, ch);
		world_go(ask, ch);
	}
	for (int i = 0; i < STOPS && atomic_load(&done) < 2 * MANY_PS; i++) {
		if (vai__world_stop(self, 10000000000))
			vai__world_start();
		vai__sleep(self, vai__clock_now() + 500000);
	}
	world_join();
	vai__maxprocs(self, procs);
}

/* Ps that were put aside go out of use: what is in their queues does not. */
static void stopped_world_shrinks(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int procs = vai__maxprocs(self, 4);
	for (int i = 0, n = spec_count(15, 50); i < n; i++) {
		int64_t end = world_in(600000);
		reset();
		vai__maxprocs(self, 4);
		for (int k = 0; k < 8; k++)
			world_go(counter, NULL);
		vai__sleep(self, world_in(1));
		assert_true(vai__world_stop(self, 10000000000));
		vai__world_start();
		vai__maxprocs(self, 1);
		atomic_store(&stop, 1);
		while (vai__g_count() > 1) {
			assert_true(vai__clock_now() < end);
			vai__yield(self);
		}
	}
	world_join();
	vai__maxprocs(self, procs);
}

static void asleep_in_c(vai_g *g, void *arg)
{
	(void)arg;
	vai__g_leave_main(g);
	atomic_fetch_add(&inside, 1);
	while (!atomic_load(&stop))
		sleep_in_c(1);
	atomic_fetch_add(&done, 1);
}

/* Ps that are put aside when they should go out of use do so. */
static void stopped_world_retires(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int procs = vai__maxprocs(self, 4);
	for (int i = 0; i < 20; i++) {
		int64_t end = world_in(600000);
		reset();
		vai__maxprocs(self, 4);
		for (int k = 0; k < 3; k++)
			world_go(asleep_in_c, NULL);
		while (atomic_load(&inside) < 3)
			vai__sleep(self, world_in(1));
		vai__maxprocs(self, 2);
		assert_true(vai__world_stop(self, 10000000000));
		vai__world_start();
		while (atomic_load(&vai__sched.retiring) > 0 || atomic_load(&vai__sched.nidle_ps) > 2) {
			assert_true(vai__clock_now() < end);
			vai__sleep(self, world_in(1));
		}
		atomic_store(&stop, 1);
		world_join();
	}
	vai__maxprocs(self, procs);
}

/* Main computes in C with a P that is to go out of use, when all others are idle: what waits behind it
 * runs elsewhere, and soon. */
static void surplus_p_in_c(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int procs = vai__maxprocs(self, 2);
	for (int i = 0; i < 5; i++) {
		reset();
		vai__maxprocs(self, 2);
		struct p *p = NULL;
		while (!p || p->index == 0) {
			vai__sleep(self, vai__clock_now() + 100000);
			p = m_p(vai__m_self());
		}
		vai__maxprocs(self, 1);
		sleep_in_c(50); /* the monitor may find time to sleep */
		int64_t start = vai__clock_now();
		world_go(counter, NULL);
		compute_in_c();
		int64_t took = vai__clock_now() - start;
		atomic_store(&stop, 1);
		world_join();
		assert_true(took < 10000000000); /* if nobody took the P it would be for as long as main computes */
	}
	vai__maxprocs(self, procs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_of_their_own),
		cmocka_unit_test(ps_are_taken_back),
		cmocka_unit_test(ps_are_given_away),
		cmocka_unit_test(a_long_computation),
		cmocka_unit_test(an_interruption_without_p),
		cmocka_unit_test(sleepers_are_let_sleep),
		cmocka_unit_test(main_in_c),
		cmocka_unit_test(returns_meet_retakes),
		cmocka_unit_test(threads_of_their_own),
		cmocka_unit_test(others_have_turns),
		cmocka_unit_test(main_alone_on_its_thread),
		cmocka_unit_test(stopped_world),
		cmocka_unit_test(stopped_world_of_many),
		cmocka_unit_test(stopped_world_shrinks),
		cmocka_unit_test(stopped_world_retires),
		cmocka_unit_test(surplus_p_in_c),
	};
	return WORLD_RUN("handoff", tests);
}
