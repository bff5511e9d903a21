/* SPDX-License-Identifier: MIT */
/* The monitor does not go to sleep for good over what it is to see to: requests that come while it
 * is at work, work for which no thread could be made. Where it does, the end of its period of two
 * seconds comes to the rescue: too late here. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "sync/world.h"
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include "base/clock.h"
#include "base/san.h"

enum { SOON = 1000, FIRST = 100 /* ms */ };

static atomic_bool refuse; /* threads */
static _Atomic(int) requests, counted;
static vai_ticket ticket;

#if !defined(VAI_ASAN) && !defined(VAI_TSAN) /* they have one of their own */
enum { REFUSES = true };
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*f)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	if (atomic_load(&refuse))
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

static int stop(void **state)
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

static void a_request_during_another(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, request, NULL), 0);
	ticket = vai__wait_begin(self);
	assert_int_equal(vai__wait(self, VAI_WAIT_COND, NULL, world_in(SOON)), VAI_WAKE_USER);
	assert_int_equal(atomic_load(&requests), 2);
	pthread_join(thread, NULL);
}

static void count(vai_g *g, void *arg)
{
	(void)g;
	(void)arg;
	atomic_fetch_add(&counted, 1);
}

/* Main sits in a C call. Nobody is there to take its P, then somebody could be. */
static void no_thread_at_first(void **state)
{
	(void)state;
	int64_t end = world_in(SOON);
	if (!REFUSES) {
		print_message("threads cannot be refused in this build\n");
		skip();
	}
	atomic_store(&refuse, true);
	world_go(count, NULL);
	nap(FIRST);
	assert_int_equal(atomic_load(&counted), 0);
	atomic_store(&refuse, false);
	while (atomic_load(&counted) == 0 && vai__clock_now() < end)
		nap(1);
	assert_int_equal(atomic_load(&counted), 1);
	world_join();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_during_another, start, stop),
		cmocka_unit_test_setup_teardown(no_thread_at_first, start, stop),
	};
	vai__sched_hooks.quit = on_request;
	return cmocka_run_group_tests_name("sysmon", tests, NULL, NULL);
}
