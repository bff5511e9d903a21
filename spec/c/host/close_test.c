/* SPDX-License-Identifier: MIT */
/* What the end of the host's state finds at work, and what the next state finds after it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "host/host.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Far above what it takes, far below what the goroutines would. */
enum { PROMPT = 60 };
/* Seconds: a finalizer computes for so long; the end of the runtime waits for one that is given no processor for about
 * this time at most. */
#define COMPUTES 0.1
#define STARVED 9

static void close_promptly(lua_State *L)
{
	double start = host_seconds();
	lua_close(L);
	assert_true(host_seconds() - start < PROMPT);
}

static void set_number(lua_State *L, const char *name, int n)
{
	lua_pushinteger(L, n);
	lua_setglobal(L, name);
}

static void works(void)
{
	lua_State *L = host_open();
	host_run(
		L, "local vai = require 'vai' assert(select(2, vai.async(function(a) return a + 1 end, 41):join()) == 42)");
	close_promptly(L);
}

/* ---- finalizers ---- */

static char drain(int fd)
{
	char c = 0;
	return read(fd, &c, 1) == 1 ? c : 0;
}

static void test_finalizers_run(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	for (int i = 0; i < host_scaled(50); i++) {
		lua_State *L = host_open();
		set_number(L, "fd", fds[1]);
		host_run(L,
			"local vai = require 'vai'\n"
			"local ch, started = vai.chan(), vai.chan()\n"
			"vai.go(function(fd)\n"
			"  local function write(s) local f = io.open('/dev/fd/' .. fd, 'w') f:write(s) f:close() end\n"
			"  local c <close> = setmetatable({}, { __close = function() write('c') end })\n"
			"  local g = setmetatable({}, { __gc = function() write('g') end })\n"
			"  started:send(1)\n"
			"  ch:recv()\n"
			"  return g\n"
			"end, fd)\n"
			"started:recv()\n");
		close_promptly(L);
		int first = drain(fds[0]), second = drain(fds[0]);
		assert_true(first == 'c' || first == 'g'); /* a collection may come while c is closed: g is dead then */
		assert_int_equal(first + second, 'c' + 'g');
		assert_int_equal(drain(fds[0]), 0);
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- a finalizer that is given little of the processor ---- */

static atomic_int hogs_end, slow_ended;

static double used_by(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Binds the calling thread to one of the CPUs that the process may use, the same for each. */
static void share_cpu(void)
{
	cpu_set_t all, one;
	size_t cpu = 0;
	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof all, &all) == 0)
		while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &all))
			cpu++;
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
}

static void *hog(void *unused)
{
	share_cpu();
	while (!atomic_load(&hogs_end))
		;
	return unused;
}

static int slow_finalizer(lua_State *L)
{
	(void)L;
	share_cpu();
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 15);
	double begin = used_by(CLOCK_THREAD_CPUTIME_ID);
	while (used_by(CLOCK_THREAD_CPUTIME_ID) < begin + COMPUTES)
		;
	atomic_fetch_add(&slow_ended, 1);
	return 0;
}

/* Others have the processor: the close waits for a finalizer by the time that it has computed. */
static void test_finalizer_that_starves(void **state)
{
	(void)state;
	pthread_t hogs[2];
	lua_State *L = host_open();
	lua_register(L, "slow_finalizer", slow_finalizer);
	host_run(L,
		"local vai, slow_finalizer = require 'vai', slow_finalizer\n"
		"local ch, started = vai.chan(), vai.chan()\n"
		"vai.go(function()\n"
		"  local c <close> = setmetatable({}, { __close = slow_finalizer })\n"
		"  started:send(1)\n"
		"  ch:recv()\n"
		"end)\n"
		"started:recv()\n");
	atomic_store(&hogs_end, 0);
	atomic_store(&slow_ended, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&hogs[i], NULL, hog, NULL), 0);
	double begin = host_seconds();
	lua_close(L);
	double took = host_seconds() - begin;
	atomic_store(&hogs_end, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(hogs[i], NULL);
	assert_true(atomic_load(&slow_ended) == 1 || took > STARVED);
	works();
}

/* What they may do: fail, call vai, start over, exit the loop that the goroutine was in. */
static void test_finalizers_that_misbehave(void **state)
{
	(void)state;
	lua_State *L = host_open();
	host_run(L,
		"local vai = require 'vai'\n"
		"local ch, started = vai.chan(), vai.chan()\n"
		"local function misbehave()\n"
		"  pcall(vai.sleep, 1000) pcall(vai.go, print) pcall(ch.recv, ch) pcall(vai.select, { ch })\n"
		"  pcall(vai.chan) pcall(vai.timer, 0, print) pcall(ch.close, ch) pcall(vai.maxprocs, 8)\n"
		"  pcall(function() return #ch, tostring(ch), ch:cap(), ch:is_closed() end)\n"
		"  pcall(require, 'vai') pcall(collectgarbage) pcall(string.rep, 'x', 1 << 40)\n"
		"  setmetatable({}, getmetatable(started) and { __gc = error })\n"
		"  error(setmetatable({}, { __tostring = error }))\n"
		"end\n"
		"for i = 1, 8 do\n"
		"  vai.go(function()\n"
		"    local c <close> = setmetatable({}, { __close = misbehave })\n"
		"    local g = setmetatable({}, { __gc = misbehave })\n"
		"    started:send(1)\n"
		"    if i % 2 == 0 then ch:recv() else table.sort({ 2, 1 }, function() ch:recv() end) end\n"
		"    return g, c\n"
		"  end)\n"
		"end\n"
		"for i = 1, 8 do started:recv() end\n");
	close_promptly(L);
	works();
}

/* A finalizer that takes long keeps the process no longer than a moment, and the next state waits for it. */
static void test_finalizer_that_hangs(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	lua_State *L = host_open();
	set_number(L, "fd", fds[0]);
	host_run(L,
		"local vai = require 'vai'\n"
		"local ch, started = vai.chan(), vai.chan()\n"
		"vai.go(function(fd)\n"
		"  local f = io.open('/dev/fd/' .. fd)\n"
		"  local c <close> = setmetatable({}, { __close = function() f:read(1) end })\n"
		"  started:send(1)\n"
		"  ch:recv()\n"
		"end, fd)\n"
		"started:recv()\n");
	close_promptly(L);
	L = host_open();
	host_fails(L, "require 'vai'", "still");
	assert_int_equal(write(fds[1], "x", 1), 1);
	host_run(L, "require 'vai'.sleep(0)");
	close_promptly(L);
	close(fds[0]);
	close(fds[1]);
	works();
}

/* ---- goroutines that do not come back ---- */

static void test_stuck_in_a_call(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	lua_State *L = host_open();
	set_number(L, "fd", fds[0]);
	host_run(L,
		"local vai = require 'vai'\n"
		"vai.maxprocs(2)\n"
		"local started = vai.chan(1)\n"
		"vai.go(function(fd)\n"
		"  local f = io.open('/dev/fd/' .. fd)\n"
		"  started:send(1)\n"
		"  f:read(1)\n"
		"  while preempts do started:try_send(1) end\n"
		"end, fd)\n"
		"while #started == 0 do end\n");
	close_promptly(L);
	L = host_open();
	double start = host_seconds();
	host_fails(L, "require 'vai'", "still");
	assert_true(host_seconds() - start < PROMPT);
	host_fails(L, "require 'vai'", "still");
	lua_close(L);
	assert_int_equal(write(fds[1], "x", 1), 1); /* it comes back, into a loop that calls vai */
	works();
	host_wait_threads(1);
	close(fds[0]);
	close(fds[1]);
}

static void test_children_that_go_on(void **state)
{
	(void)state;
	lua_State *L = host_open();
	host_run(L,
		"local vai = require 'vai'\n"
		"local ch, started = vai.chan(), vai.chan()\n"
		"vai.go(function()\n"
		"  local p = io.popen('echo $$; exec sleep 30 2>/dev/null')\n"
		"  started:send(p:read('n'))\n"
		"  ch:recv()\n"
		"  p:close()\n"
		"end)\n"
		"pid = started:recv()\n");
	lua_getglobal(L, "pid");
	pid_t child = (pid_t)lua_tointeger(L, -1);
	close_promptly(L); /* pclose waits for the child */
	L = host_open();
	host_fails(L, "require 'vai'", "still");
	lua_close(L);
	assert_int_equal(kill(child, SIGKILL), 0);
	works();
}

/* ---- more than one state, more than one thread ---- */

static void test_second_state(void **state)
{
	(void)state;
	lua_State *A = host_open(), *B = host_open();
	host_run(A, "vai = require 'vai' ch = vai.chan(1) vai.go(function() ch:recv() end)");
	for (int i = 0; i < 3; i++)
		host_fails(B, "require 'vai'", "vai cannot start: this thread has another Lua state that has opened vai");
	host_run(A, "vai.sleep(0.001) assert(require 'vai' == vai)");
	close_promptly(A);
	host_run(B, "vai = require 'vai' ch = vai.chan(1) vai.go(function() ch:send(7) end) assert(ch:recv() == 7)");
	close_promptly(B);
}

static void test_from_a_coroutine(void **state)
{
	(void)state;
	for (int i = 0; i < host_scaled(50); i++) {
		lua_State *L = host_open();
		host_run(L,
			"local co = coroutine.wrap(function() vai = require 'vai' ch = vai.chan()\n"
			"  vai.go(function() ch:send(1) end) assert(ch:recv() == 1) coroutine.yield() ch:recv() end)\n"
			"co() co = nil collectgarbage()\n"
			"vai.go(function() ch:send(2) end) assert(ch:recv() == 2)\n");
		close_promptly(L);
	}
}

static void *open_there(void *L)
{
	host_run(
		L, "vai = require 'vai' ch = vai.chan() vai.go(function() for i = 1, 1e9 do ch:send(i) end end) ch:recv()");
	return NULL;
}

static void *use_there(void *L)
{
	return host_try(L, "require 'vai'.sleep(0)");
}

static void *open_and_close(void *unused)
{
	lua_State *L = host_open();
	open_there(L);
	close_promptly(L);
	return unused;
}

static void *on_a_thread(void *(*f)(void *), void *arg)
{
	pthread_t t;
	void *result;
	assert_int_equal(pthread_create(&t, NULL, f, arg), 0);
	assert_int_equal(pthread_join(t, &result), 0);
	return result;
}

static void test_other_threads(void **state)
{
	(void)state;
	for (int i = 0; i < host_scaled(50); i++) {
		lua_State *L = host_open();
		on_a_thread(open_and_close, NULL);
		host_run(L, "vai = require 'vai' ch = vai.chan() vai.go(function() ch:send(1) end) assert(ch:recv() == 1)");
		char *text = on_a_thread(use_there, L);
		assert_non_null(text);
		assert_non_null(strstr(text, "thread"));
		free(text);
		close_promptly(L);
	}
}

/* The thread that opened it has gone when the state is closed. */
static void test_closed_by_another_thread(void **state)
{
	(void)state;
	for (int i = 0; i < host_scaled(50); i++) {
		lua_State *L = host_open();
		on_a_thread(open_there, L);
		if (i % 2)
			usleep(30000); /* the monitor looks after it */
		close_promptly(L);
		works();
	}
	host_wait_threads(1);
}

/* ---- what libraries do at a thread's end ---- */

static pthread_key_t thread_key;
static pthread_t main_thread;
static atomic_int noted, cleaned;

static void clean_slowly(void *unused)
{
	(void)unused;
	usleep(30000);
	atomic_fetch_add(&cleaned, 1);
}

static int note_thread(lua_State *L)
{
	(void)L;
	if (!pthread_equal(pthread_self(), main_thread) && !pthread_getspecific(thread_key)) {
		assert_int_equal(pthread_setspecific(thread_key, &thread_key), 0);
		atomic_fetch_add(&noted, 1);
	}
	usleep(1000);
	return 0;
}

/* The host may leave the process after lua_close, and exit handlers free what is used at the end of threads. */
static void test_threads_have_ended(void **state)
{
	(void)state;
	main_thread = pthread_self();
	assert_int_equal(pthread_key_create(&thread_key, clean_slowly), 0);
	for (int i = 0; i < host_scaled(10); i++) {
		lua_State *L = host_open();
		lua_register(L, "note_thread", note_thread);
		host_run(L,
			"local vai, note_thread, tasks = require 'vai', note_thread, {}\n"
			"for i = 1, 16 do tasks[i] = vai.async(function() note_thread() end) end\n"
			"for i = 1, 16 do assert(tasks[i]:join()) end\n");
		close_promptly(L);
		assert_true(atomic_load(&noted) > 0);
		assert_int_equal(atomic_load(&cleaned), atomic_load(&noted));
	}
	pthread_key_delete(thread_key);
}

/* ---- goroutines that never ended ---- */

/* What a wait would have taken back must not be there for the goroutine that gets the record in the next state. */
static void test_records_used_again(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		lua_State *L = host_open();
		host_run(L,
			"local vai = require 'vai'\n"
			"local ctx = vai.context():with_cancel()\n"
			"local c, tasks = vai.chan(), {}\n"
			"for i = 1, 40 do tasks[i] = vai.async(function() return c:recv(4) end) end\n"
			"for i = 1, 40 do\n"
			"	local ok, v, why = tasks[i]:join()\n"
			"	assert(ok and v == nil and why == 'timeout', tostring(v))\n"
			"end\n"
			"for i = 1, 20 do vai.go(function() local a, b = vai.net.pipe() a:read() b:close() end) end\n"
			"for i = 1, 20 do vai.go(function(ctx) vai.chan():recv(ctx) end, ctx) end\n"
			"vai.sleep(0.1)\n");
		lua_close(L);
	}
}

/* A channel that ends a block is closed while others' waiters are in its queue. */
static void test_queues_of_the_abandoned(void **state)
{
	(void)state;
	lua_State *L = host_open();
	host_run(L,
		"local vai = require 'vai'\n"
		"local a, b, other = vai.chan(), vai.chan(), vai.chan()\n"
		"for i = 1, 300 do\n"
		"	vai.go(function() a:send(1) end)\n"
		"	vai.go(function() b:recv() end)\n"
		"end\n"
		"vai.go(function() local cases = { b } for i = 2, 12 do cases[i] = vai.chan() end vai.select(cases) end)\n"
		"vai.sleep(0.2)\n"
		"for _, c in ipairs { a, b } do\n"
		"	vai.go(function() local _ <close> = c other:recv() end)\n"
		"end\n"
		"vai.sleep(0.1)\n");
	lua_close(L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_records_used_again),
		host_test(test_queues_of_the_abandoned),
		host_test(test_threads_have_ended),
		host_test(test_finalizers_run),
		host_test(test_finalizer_that_starves),
		host_test(test_finalizers_that_misbehave),
		host_test(test_finalizer_that_hangs),
		host_test(test_stuck_in_a_call),
		host_test(test_children_that_go_on),
		host_test(test_second_state),
		host_test(test_from_a_coroutine),
		host_test(test_other_threads),
		host_test(test_closed_by_another_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
