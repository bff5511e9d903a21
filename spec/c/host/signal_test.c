/* SPDX-License-Identifier: MIT */
/* Signals of the host's: a storm of them, with and without SA_RESTART, disturbs no wait and no end, and each
 * reaches the host's handler. */
#include "host/host.h"
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "base/atomic.h"

static atomic_long seen;

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&seen, 1);
}

static void storm(int flags)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags}, old_alarm, old_int;
	struct itimerval fast = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, &old_alarm);
	sigaction(SIGINT, &sa, &old_int);
	atomic_store(&seen, 0);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (int i = 0; i < host_scaled(20); i++) {
		lua_State *L = host_open();
		host_run(L,
			"local vai = require 'vai'\n"
			"vai.maxprocs(3)\n"
			"local ch, wg = vai.chan(), vai.waitgroup()\n"
			"for i = 1, 4 do\n"
			"  wg:go(function() for j = 1, 50 do ch:send({ j }) end end)\n"
			"  wg:go(function() for j = 1, 50 do assert(ch:recv()[1]) end end)\n"
			"  wg:go(function() for j = 1, 5 do vai.sleep(0.001) end end)\n"
			"end\n"
			"wg:wait()\n"
			"local start = vai.now()\n"
			"vai.sleep(0.005) assert(vai.now() - start >= 0.005)\n"
			"assert(not ch:recv(0.002))\n"
			"vai.go(function() while preempts do end end)\n"
			"vai.yield()\n");
		raise(SIGINT);
		lua_close(L);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old_alarm, NULL);
	sigaction(SIGINT, &old_int, NULL);
	assert_true(atomic_load(&seen) > 20);
}

static void test_interrupting(void **state)
{
	(void)state;
	storm(0);
}

static void test_restarting(void **state)
{
	(void)state;
	storm(SA_RESTART);
}

/* SIGURG is the signal of vai's own interruptions: others are passed on. */
static void test_urgent(void **state)
{
	(void)state;
	struct sigaction sa = {.sa_handler = on_signal};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGURG, &sa, NULL);
	lua_State *L = host_open();
	host_run(L, "require 'vai'.sleep(0.01)");
	atomic_store(&seen, 0);
	raise(SIGURG);
	assert_int_equal(atomic_load(&seen), 1);
	lua_close(L);
	raise(SIGURG);
	assert_int_equal(atomic_load(&seen), 2);
}

/* A host that takes all its signals in one thread blocks them in all others. */
static void test_blocked(void **state)
{
	(void)state;
	sigset_t all, before, now;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	lua_State *L = host_open();
	host_run(L,
		"local vai = require 'vai'\n"
		"vai.maxprocs(1)\n"
		"local task = vai.async(function() while true do end end)\n"
		"vai.sleep(0.001)\n"
		"task:cancel()\n"
		"local ok, err = task:join()\n"
		"assert(not ok and err == 'canceled')\n"
		"vai.go(function() while preempts do end end)\n"
		"vai.yield()\n");
	lua_close(L);
	pthread_sigmask(SIG_SETMASK, &before, &now);
	for (int sig = 1; sig < 32; sig++)
		assert_int_equal(sigismember(&now, sig), sig != SIGKILL && sig != SIGSTOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urgent), /* before vai has its handler */
		cmocka_unit_test(test_interrupting),
		cmocka_unit_test(test_restarting),
		cmocka_unit_test(test_blocked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
