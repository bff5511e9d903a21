/* SPDX-License-Identifier: MIT */
/* Faults and their signals from outside end the process as they do without vai. Signals of the host's: a storm
 * of them, with and without SA_RESTART, disturbs no wait and no end, and each reaches the host's handler. */
#include "host/host.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/atomic.h"

static atomic_long seen;

/* ---- SIGSEGV and SIGBUS, each in a process of its own ---- */

static void catch_and_exit(int sig)
{
	_exit(sig + 1);
}

static void fault(int sig)
{
	volatile char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)sig;
	*nowhere = 1;
}

static void send_to_process(int sig)
{
	kill(getpid(), sig);
}

static void send_to_thread(int sig)
{
	raise(sig);
}

static void queue_signal(int sig)
{
	sigqueue(getpid(), sig, (union sigval){.sival_int = 1});
}

/* What becomes of a process that has vai and meets it. */
static int end_of(void (*meet)(int sig), int sig, void (*handler)(int), int flags)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		sigemptyset(&sa.sa_mask);
		sigaction(sig, &sa, NULL);
		host_run(host_open(), "local vai = require 'vai' vai.go(function() vai.sleep(1000) end) vai.sleep(0.001)");
		meet(sig);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool dies_of(int status, int sig)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == sig;
}

static bool exits(int status, int code)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static void test_deadly(void **state)
{
	static void (*const meets[])(int) = {send_to_process, send_to_thread, queue_signal};
	(void)state;
	for (size_t i = 0; i < sizeof meets / sizeof *meets; i++) {
		assert_true(dies_of(end_of(meets[i], SIGSEGV, SIG_DFL, 0), SIGSEGV));
		assert_true(dies_of(end_of(meets[i], SIGBUS, SIG_DFL, 0), SIGBUS));
		assert_true(exits(end_of(meets[i], SIGSEGV, SIG_IGN, 0), 0));
		assert_true(exits(end_of(meets[i], SIGSEGV, catch_and_exit, 0), SIGSEGV + 1));
		assert_true(exits(end_of(meets[i], SIGBUS, catch_and_exit, SA_NODEFER), SIGBUS + 1));
	}
}

static void test_fault(void **state)
{
	(void)state;
	assert_true(dies_of(end_of(fault, SIGSEGV, SIG_DFL, 0), SIGSEGV));
	assert_true(dies_of(end_of(fault, SIGSEGV, SIG_IGN, 0), SIGSEGV));
	assert_true(exits(end_of(fault, SIGSEGV, catch_and_exit, 0), SIGSEGV + 1));
}

/* More stack than a handler should want. */
static void catch_with_much(int sig)
{
	volatile char much[100000];
	if (atomic_fetch_add(&seen, 1) > 0)
		_exit(0);
	for (size_t i = 0; i < sizeof much; i += 1000)
		much[sizeof much - 1 - i] = 1;
	_exit(sig + 1);
}

static void catch_and_fault(int sig)
{
	if (atomic_fetch_add(&seen, 1) > 0)
		_exit(0);
	fault(sig);
}

/* The host's handler has room, and one that faults itself is not called again. */
static void test_handler(void **state)
{
	(void)state;
	atomic_store(&seen, 0);
	assert_true(exits(end_of(fault, SIGSEGV, catch_with_much, 0), SIGSEGV + 1));
	assert_true(exits(end_of(send_to_thread, SIGBUS, catch_with_much, 0), SIGBUS + 1));
	assert_true(dies_of(end_of(fault, SIGSEGV, catch_and_fault, 0), SIGSEGV));
	assert_true(exits(end_of(fault, SIGSEGV, catch_and_fault, SA_NODEFER), 0));
}

static void notice(int sig)
{
	(void)sig;
	atomic_fetch_add(&seen, 1);
}

static void send_twice(int sig)
{
	atomic_store(&seen, 0);
	raise(sig);
	if (atomic_load(&seen) == 1)
		raise(sig);
}

/* A handler for once. */
static void test_reset(void **state)
{
	(void)state;
	assert_true(dies_of(end_of(send_twice, SIGSEGV, notice, (int)SA_RESETHAND), SIGSEGV));
	assert_true(exits(end_of(send_twice, SIGSEGV, notice, 0), 0));
}

/* ---- the host's own ---- */

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

/* ---- Ctrl-C, as the `lua` program handles it ---- */

static lua_State *of_main;

static void raise_interrupted(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	lua_sethook(L, NULL, 0, 0);
	luaL_error(L, "interrupted!");
}

static void like_lua(int sig)
{
	signal(sig, SIG_DFL);
	lua_sethook(of_main, raise_interrupted, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static int interrupt(lua_State *L)
{
	(void)L;
	raise(SIGINT);
	return 0;
}

/* The signal comes as soon as main waits, on the thread that has run main and has not slept since. */
static void test_interrupt_at_once(void **state)
{
	(void)state;
	setenv("VAI_MAXPROCS", "1", 1);
	for (int i = 0; i < 20; i++) {
		lua_State *L = of_main = host_open();
		void (*before)(int) = signal(SIGINT, like_lua);
		lua_register(L, "interrupt", interrupt);
		host_run(L,
			"local vai, interrupt = require 'vai', interrupt\n"
			"vai.go(function() interrupt() end)\n"
			"vai.go(function() while true do vai.sleep(0.01) end end)\n"
			"local ch, begin = vai.chan(), vai.now()\n"
			"local ok, err = pcall(ch.recv, ch, 60)\n"
			"assert(not ok and tostring(err):find('interrupted!'), tostring(err))\n"
			"assert(vai.now() - begin < 50, 'the wait has not ended')\n");
		lua_close(L);
		signal(SIGINT, before);
	}
	unsetenv("VAI_MAXPROCS");
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
		host_test(test_deadly), /* in a child of fork vai works only where it has not been before */
		host_test(test_fault),
		host_test(test_handler),
		host_test(test_reset),
		host_test(test_urgent), /* before vai has its handler */
		host_test(test_interrupt_at_once),
		host_test(test_interrupting),
		host_test(test_restarting),
		host_test(test_blocked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
