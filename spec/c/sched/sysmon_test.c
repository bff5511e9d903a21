/* SPDX-License-Identifier: MIT */
/* Where the system gives no threads; and the monitor does not go to sleep for good over what it is to see to:
 * requests that come while it is at work, work for which no thread could be made. Where it does, the end of its
 * period of two seconds comes to the rescue, so that a try takes that long: of several one must be faster, which
 * on a loaded machine may not be the first. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "sync/world.h"
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include "base/clock.h"
#include "base/san.h"

enum { SOON = 1000, FIRST = 100 /* ms */, TRIES = 30 };

static atomic_bool refuse; /* threads */
static atomic_int attempts;
static atomic_int more = INT_MAX; /* threads that there may be yet */
static _Atomic(int) outcome;
static _Atomic(int) requests, counted;
static vai_ticket ticket;

#if !defined(VAI_ASAN) && !defined(VAI_TSAN) /* they have one of their own */
enum { REFUSES = true };
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*f)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	atomic_fetch_add(&attempts, 1);
	if (atomic_load(&refuse) || atomic_fetch_sub(&more, 1) <= 0)
		return EAGAIN;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attr, f, arg);
}
#else
enum { REFUSES = false };
#endif

static int start(void **state)
{
	(void)state;
	atomic_store(&requests, 0);
	atomic_store(&counted, 0);
	return vai__sched_start(&(struct vai__sched_opts){.maxprocs = 1});
}

static int finish(void **state)
{
	(void)state;
	return vai__sched_stop(1000000000) ? 0 : -1;
}

static void nap(int ms)
{
	struct timespec left = {0, ms * 1000000L};
	while (nanosleep(&left, &left) != 0)
		continue;
}

/* On sysmon's thread. */
static void on_request(void)
{
	if (atomic_fetch_add(&requests, 1) == 0)
		raise(SIGQUIT);
	else
		vai__fire(vai__g_main(), ticket, VAI_WAKE_USER);
}

/* When all has gone to sleep. */
static void *request(void *arg)
{
	nap(FIRST);
	raise(SIGQUIT);
	return arg;
}

/* Both requests are seen to, at last; true if it was soon. */
static bool try_requests(void)
{
	vai_g *self = vai__g_self();
	pthread_t thread;
	atomic_store(&requests, 0);
	ticket = vai__wait_begin(self);
	int64_t end = world_in(FIRST + SOON);
	assert_int_equal(pthread_create(&thread, NULL, request, NULL), 0);
	assert_int_equal(vai__wait(self, VAI_WAIT_COND, NULL, world_in(600000)), VAI_WAKE_USER);
	bool soon = vai__clock_now() < end;
	assert_int_equal(atomic_load(&requests), 2);
	pthread_join(thread, NULL);
	return soon;
}

static void a_request_during_another(void **state)
{
	(void)state;
	int tries = 1;
	while (!try_requests())
		assert_true(++tries <= TRIES);
}

static void count(vai_g *g, void *arg)
{
	(void)g;
	(void)arg;
	atomic_fetch_add(&counted, 1);
}

/* The goroutine runs, at last; true if it was soon after threads could be made. */
static bool try_thread(void)
{
	atomic_store(&counted, 0);
	atomic_store(&refuse, true);
	world_go(count, NULL);
	nap(FIRST);
	assert_int_equal(atomic_load(&counted), 0);
	int64_t end = world_in(SOON);
	atomic_store(&refuse, false);
	while (atomic_load(&counted) == 0)
		nap(1);
	bool soon = vai__clock_now() < end;
	world_join();
	return soon;
}

/* Main sits in a C call. Nobody is there to take its P, then somebody could be. A second try finds the thread
 * that the first has made: the scheduler is started again. */
static void no_thread_at_first(void **state)
{
	if (!REFUSES) {
		print_message("threads cannot be refused in this build\n");
		skip();
	}
	int tries = 1;
	while (!try_thread()) {
		assert_true(++tries <= TRIES);
		assert_int_equal(finish(state), 0);
		assert_int_equal(start(state), 0);
	}
}

static void lock_it(vai_g *g, void *arg)
{
	(void)arg;
	atomic_store(&outcome, vai__g_lock_thread(g));
	atomic_fetch_add(&counted, 1);
}

/* Runs it while there is no thread for so many ms. Main goes on meanwhile, and wakes up. */
static void lock_without_threads(int ms)
{
	vai_g *self = vai__g_self();
	int64_t end = world_in(600000);
	atomic_store(&refuse, true);
	atomic_store(&counted, 0);
	atomic_store(&attempts, 0);
	world_go(lock_it, NULL);
	assert_int_equal(vai__sleep(self, world_in(ms)), VAI_OK);
	atomic_store(&refuse, false);
	while (atomic_load(&counted) == 0 && vai__clock_now() < end)
		assert_int_equal(vai__sleep(self, world_in(10)), VAI_OK);
	assert_int_equal(atomic_load(&counted), 1);
	world_join();
}

static void no_thread_to_lock(void **state)
{
	(void)state;
	if (!REFUSES)
		skip();
	lock_without_threads(3 * SOON);
	assert_int_equal(atomic_load(&outcome), VAI_ESYS);
	assert_true(atomic_load(&attempts) >= 2 && atomic_load(&attempts) <= 500); /* nor is it tried all the time */
}

static void no_thread_for_a_while(void **state)
{
	(void)state;
	if (!REFUSES)
		skip();
	int64_t start = world_in(0);
	lock_without_threads(FIRST);
	/* Where main comes late, it is given up before there are threads. */
	for (int tries = 1; atomic_load(&outcome) != VAI_OK && world_in(0) - start > SOON * 900000L; tries++) {
		assert_true(tries < TRIES);
		start = world_in(0);
		lock_without_threads(FIRST);
	}
	assert_int_equal(atomic_load(&outcome), VAI_OK);
}

/* The system gives a single thread. That is sysmon's; all Ps are main's thread's then. */
static void one_thread(void **state)
{
	if (!REFUSES)
		skip();
	atomic_store(&more, 1);
	atomic_store(&counted, 0);
	assert_int_equal(vai__sched_start(&(struct vai__sched_opts){.maxprocs = 4}), VAI_OK);
	world_go(count, NULL);
	while (atomic_load(&counted) == 0)
		assert_int_equal(vai__sleep(vai__g_self(), world_in(1)), VAI_OK);
	world_join();
	atomic_store(&more, INT_MAX);
	assert_int_equal(finish(state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_during_another, start, finish),
		cmocka_unit_test_setup_teardown(no_thread_at_first, start, finish),
		cmocka_unit_test_setup_teardown(no_thread_to_lock, start, finish),
		cmocka_unit_test_setup_teardown(no_thread_for_a_while, start, finish),
		cmocka_unit_test(one_thread),
	};
	vai__sched_hooks.quit = on_request;
	return cmocka_run_group_tests_name("sysmon", tests, NULL, NULL);
}
