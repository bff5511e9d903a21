/* SPDX-License-Identifier: MIT */
/* C functions that stay in the kernel: no signal of vai's cuts their calls short, their threads end when nobody
 * needs them, leaving does not wait for them, and main, back from such a call, has a processor at once. What
 * is bounded is processor time, which does not depend on what else the machine does. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "host/host.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/atomic.h"

enum { MEGABYTE = 1000000, RANDOM_BYTES = 20000000 };

/* ---- functions for Lua ---- */

static atomic_int inside;

/* nap(seconds): in one call after the other; inside is how many do. */
static int nap(lua_State *L)
{
	double seconds = luaL_checknumber(L, 1);
	struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
	atomic_fetch_add(&inside, 1);
	while (nanosleep(&left, &left) != 0)
		continue;
	atomic_fetch_sub(&inside, 1);
	return 0;
}

static double cpu_of(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double woke;

/* let_others(seconds): sleeps until the process has used so much processor time. */
static int let_others(lua_State *L)
{
	double end = cpu_of(CLOCK_PROCESS_CPUTIME_ID) + luaL_checknumber(L, 1);
	while ((woke = cpu_of(CLOCK_PROCESS_CPUTIME_ID)) < end)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	return 0;
}

/* since(): the processor time used since the end of let_others. */
static int since(lua_State *L)
{
	lua_pushnumber(L, cpu_of(CLOCK_PROCESS_CPUTIME_ID) - woke);
	return 1;
}

/* The reader, who begins when the writer surely waits, and takes a little at a time. */
static void *drain(void *arg)
{
	int fd = *(int *)arg;
	char part[16384];
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	while (read(fd, part, sizeof part) > 0)
		continue;
	close(fd);
	return NULL;
}

/* transfer(how): what one call for a megabyte has moved. */
static int transfer(lua_State *L)
{
	static const char *const hows[] = {"write", "send", NULL};
	int how = luaL_checkoption(L, 1, NULL, hows), fds[2];
	char *all = calloc(1, MEGABYTE);
	pthread_t thread;
	if ((how == 0 ? pipe2(fds, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) != 0 ||
		pthread_create(&thread, NULL, drain, &fds[0]) != 0 || !all)
		return luaL_error(L, "cannot begin");
	ssize_t moved = how == 0 ? write(fds[1], all, MEGABYTE) : send(fds[1], all, MEGABYTE, 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	free(all);
	lua_pushinteger(L, moved);
	return 1;
}

static atomic_int whole, parts;

/* compute_in_kernel(): one read(2) that computes there for tens of milliseconds, never sleeps, and ends early at
 * any signal. */
static int compute_in_kernel(lua_State *L)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	char *all = malloc(RANDOM_BYTES);
	if (fd < 0 || !all)
		return luaL_error(L, "cannot begin");
	ssize_t n = read(fd, all, RANDOM_BYTES);
	close(fd);
	free(all);
	atomic_fetch_add(n == RANDOM_BYTES ? &whole : &parts, 1);
	return 0;
}

static lua_State *open_all(void)
{
	static const luaL_Reg functions[] = {{"nap", nap}, {"let_others", let_others}, {"since", since},
		{"transfer", transfer}, {"compute_in_kernel", compute_in_kernel}, {NULL, NULL}};
	lua_State *L = host_open();
	lua_pushglobaltable(L);
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
	host_run(L, "vai = require 'vai'");
	return L;
}

/* ---- tests ---- */

static const char block_many[] = "for _ = 1, N do vai.go(function() nap(SECONDS) end) end\n"
								 "vai.sleep(0.001)\n";

static void block(lua_State *L, int n, double seconds)
{
	lua_pushinteger(L, n);
	lua_setglobal(L, "N");
	lua_pushnumber(L, seconds);
	lua_setglobal(L, "SECONDS");
	host_run(L, block_many);
}

enum { SLOW = 1, GONE };

/* In a process of its own, whose threads are left behind: 0, or what went wrong. */
static int leave_with_blocked(int n)
{
	lua_State *L = open_all();
	block(L, n, 1e6);
	while (atomic_load(&inside) < n)
		host_run(L, "vai.sleep(0.01)");
	double before = cpu_of(CLOCK_PROCESS_CPUTIME_ID);
	lua_close(L);
	double spent = cpu_of(CLOCK_PROCESS_CPUTIME_ID) - before;
	return atomic_load(&inside) != n ? GONE : spent > 0.5 ? SLOW : 0;
}

/* The same with threads that nobody needs any more, who all leave. To look whether they have costs this thread more
 * than it costs them, and the more the longer they take, so it does not count. */
static int leave_with_idle(int n)
{
	lua_State *L = open_all();
	block(L, n, 0.5);
	host_run(L, "repeat vai.sleep(0.01) until vai.count() == 1");
	double before = cpu_of(CLOCK_PROCESS_CPUTIME_ID);
	lua_close(L);
	double looked = cpu_of(CLOCK_THREAD_CPUTIME_ID);
	host_wait_threads(1);
	looked = cpu_of(CLOCK_THREAD_CPUTIME_ID) - looked;
	return cpu_of(CLOCK_PROCESS_CPUTIME_ID) - before - looked > 0.5 ? SLOW : 0;
}

static int in_child(int (*f)(int n), int n)
{
	int status = -1;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(f(n));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Other work makes what they do take more processor time, never less: one of three tries has to be within the bound. */
static void check_in_child(int (*f)(int n), int n)
{
	int wrong = in_child(f, n);
	for (int i = 1; i < 3 && wrong == SLOW; i++)
		wrong = in_child(f, n);
	assert_int_equal(wrong, 0);
}

static void test_leave(void **state)
{
	(void)state;
	if (host_variant("tsan")) /* no threads in a child of fork */
		skip();
	check_in_child(leave_with_blocked, host_scaled(2500));
	check_in_child(leave_with_idle, host_scaled(1500));
}

static void test_idle_threads_end(void **state)
{
	(void)state;
	lua_State *L = open_all();
	block(L, host_scaled(300) + 40, 0.2);
	host_run(L, "repeat vai.sleep(0.01) until vai.count() == 1");
	host_run(L,
		"vai.maxprocs(2)\n"
		"local limit = vai.now() + 60\n"
		"while vai.stats().threads >= 20 do assert(vai.now() < limit) vai.sleep(0.1) end\n"
		"local wg = vai.waitgroup()\n" /* and others come in their place */
		"for _ = 1, 40 do wg:go(function() nap(0.02) end) end\n"
		"wg:wait()\n");
	lua_close(L);
}

static void test_whole(void **state)
{
	(void)state;
	lua_State *L = open_all();
	lua_pushinteger(L, host_scaled(25));
	lua_setglobal(L, "N");
	host_run(L,
		"local stop = vai.chan()\n"
		"for _ = 1, 4 do vai.go(function() while not stop:is_closed() do end end) end\n"
		"local tasks = {}\n"
		"for i = 1, 4 do tasks[i] = vai.async(function()\n"
		"  for _ = 1, N do\n"
		"    local n = transfer(i % 2 == 0 and 'write' or 'send')\n"
		"    assert(n == 1000000, n)\n"
		"  end end) end\n"
		"for i = 1, 4 do assert(tasks[i]:join()) end\n"
		"stop:close()\n");
	lua_close(L);
}

/* A thread that computes in the kernel looks as one that computes in Lua: it has had its slice, others wait for its P,
 * main wants it, it is to end; the call is whole all the same. */
static const char in_kernel[] = "vai.maxprocs(1)\n"
								"local stop, begun = vai.chan(), vai.chan()\n"
								"vai.go(function() while not stop:is_closed() do end end)\n"
								"local canceled = vai.async(function()\n"
								"  begun:send(true)\n"
								"  compute_in_kernel()\n"
								"end)\n"
								"local waited_for = vai.async(function()\n"
								"  for _ = 1, 2 do compute_in_kernel() end\n"
								"end)\n"
								"begun:recv()\n"
								"while waited_for:status() ~= 'done' do\n"
								"  canceled:cancel()\n"
								"  nap(0.001)\n"
								"end\n"
								"assert(waited_for:join())\n"
								"stop:close()\n";

static void test_in_kernel(void **state)
{
	(void)state;
	lua_State *L = open_all();
	host_run(L, in_kernel);
	lua_close(L);
	assert_int_equal(atomic_load(&parts), 0);
	assert_true(atomic_load(&whole) >= 2);
}

/* The host's own calls, which come back with EINTR whatever SA_RESTART says. */
static void test_uninterrupted(void **state)
{
	int interrupted = 0;
	(void)state;
	lua_State *L = open_all();
	host_run(L,
		"stop = vai.chan()\n"
		"for _ = 1, 2 do vai.go(function() while not stop:is_closed() do end end) end\n");
	for (int i = 0; i < host_scaled(150); i++) {
		struct timeval time = {0, 5000};
		interrupted += poll(NULL, 0, 5) < 0 && errno == EINTR;
		interrupted += select(0, NULL, NULL, NULL, &time) < 0 && errno == EINTR;
	}
	host_run(L, "stop:close()");
	lua_close(L);
	assert_int_equal(interrupted, 0);
}

/* Main is back from a C call and wants the P that it has lost: the other goroutine, which has computed for 4 ms
 * of the 10 ms that it may have, gives it up at once. What it computes meanwhile is measured. */
static const char main_wants[] = "vai.maxprocs(1)\n"
								 "local stop, ch = vai.chan(), vai.chan()\n"
								 "vai.go(function() for _ in ch do end end)\n"
								 "vai.go(function() while not stop:is_closed() do for i = 1, 1000 do end end end)\n"
								 "local spent = {}\n"
								 "for i = 1, 61 do\n"
								 "  let_others(0.004)\n"
								 "  ch:try_send(1)\n"
								 "  for k = 1, 10 do end\n"
								 "  spent[i] = since()\n"
								 "end\n"
								 "stop:close()\n"
								 "ch:close()\n"
								 "table.sort(spent)\n"
								 "assert(spent[31] < 0.0025, spent[31])\n";

static void test_main_comes_first(void **state)
{
	(void)state;
	if (!host_variant("release"))
		skip();
	lua_State *L = open_all();
	host_run(L, main_wants);
	lua_close(L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_leave), /* in a child of fork vai works only where it has not been before */
		host_test(test_idle_threads_end),
		host_test(test_whole),
		host_test(test_in_kernel),
		host_test(test_uninterrupted),
		host_test(test_main_comes_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
