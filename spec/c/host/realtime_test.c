/* SPDX-License-Identifier: MIT */
/* A process under SCHED_FIFO: goroutines that compute on all CPUs are interrupted for others. In a process of its own,
 * which the system ends when a thread has computed for two seconds without a wait. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "host/host.h"
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 2000000 /* us */, REFUSED = 77 };

static void compute(void)
{
	struct sched_param first = {.sched_priority = 1};
	struct rlimit none = {0, 0}, most = {MOST, MOST};
	setrlimit(RLIMIT_CORE, &none);
	if (setrlimit(RLIMIT_RTTIME, &most) != 0 || sched_setscheduler(0, SCHED_FIFO, &first) != 0)
		_exit(REFUSED);
	lua_State *L = host_open();
	host_run(L,
		"local vai = require 'vai'\n"
		"local ch = vai.chan()\n"
		"for _ = 1, vai.maxprocs() + 1 do vai.go(function() while true do end end) end\n"
		"for i = 1, 5 do\n"
		"  vai.sleep(0.01)\n"
		"  vai.go(function() ch:send(i) end)\n"
		"  assert(ch:recv() == i)\n"
		"end\n");
	lua_close(L);
	_exit(0);
}

static void test_fifo(void **state)
{
	int status = -1;
	(void)state;
	if (host_variant("tsan")) /* no threads in a child of fork */
		skip();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		compute();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSED)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {host_test(test_fifo)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
