/* SPDX-License-Identifier: MIT */
/* A broken invariant ends the process with SIGABRT, having said what and what each goroutine
 * does; also when that cannot be had. Each case is a process of its own. */
#include "sync/world.h"
#include "bind/report/dump_fatal.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fatal.h"
#include "bind/report/dump.h"
#include "sched/rt.h"
#include "temp.h"

static char said[4096];

/* Runs f in a child, whose stderr comes into `said`. It must abort. */
static void dies_in(void (*f)(void))
{
	char name[256];
	int fd = mkstemp(temp_path(name, sizeof name, "fatal_XXXXXX")), status;
	assert_true(fd >= 0);
	unlink(name);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL); /* cmocka's */
		dup2(fd, 2);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	ssize_t n = pread(fd, said, sizeof said - 1, 0);
	assert_true(n > 0);
	said[n] = 0;
	char *more = strstr(said, "qemu: "); /* what an emulator has to say on it */
	if (more)
		*more = 0;
	close(fd);
}

static void waits(vai_g *g, void *arg)
{
	(void)arg;
	vai__sleep(g, VAI_FOREVER);
}

static void start(void)
{
	struct vai__sched_opts opts = {.maxprocs = 1};
	vai__fatal_hook = vai__dump_fatal;
	if (vai__sched_start(&opts) != VAI_OK)
		_exit(1);
	vai_g *g = vai__g_new(waits, NULL);
	g->site = "here:12";
	vai__g_start(vai__g_self(), g);
	while (vai__g_state(g) != VAI_G_WAITING)
		vai__yield(vai__g_self());
}

static void plainly(void)
{
	vai__fatal("number %d", 7);
}

static void with_goroutines(void)
{
	start();
	VAI_ASSERT(1 > 2);
}

static void with_a_lock_held(void)
{
	start();
	vai__lock(&vai__sched.lock);
	vai__fatal("locked");
}

static void hook_fails(void)
{
	vai__fatal("again");
}

static void twice(void)
{
	vai__fatal_hook = hook_fails;
	vai__fatal("once");
}

static void *gives_up(void *unused)
{
	(void)unused;
	vai__fatal_give_up("another");
}

/* Looks for long enough that the other thread would end the process if it did not wait. */
static void hook_looks(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, gives_up, NULL) != 0)
		_exit(1);
	usleep(100000);
	fputs("looked\n", stderr);
}

static void beside_another(void)
{
	vai__fatal_hook = hook_looks;
	vai__fatal("first");
}

static void says_what(void **state)
{
	(void)state;
	dies_in(plainly);
	assert_string_equal(said, "vai: fatal: number 7\n");
}

static void lists_goroutines(void **state)
{
	(void)state;
	dies_in(with_goroutines);
	assert_non_null(strstr(said, "broken invariant: 1 > 2\n"));
	assert_non_null(strstr(said, "\ngoroutine 1 [running]\n"));
	assert_non_null(strstr(said, " [sleep] created at here:12\n"));
}

static void does_not_wait_for_ever(void **state)
{
	(void)state;
	dies_in(with_a_lock_held);
	assert_non_null(strstr(said, "vai: fatal: locked\n"));
}

static void fails_once(void **state)
{
	(void)state;
	dies_in(twice);
	assert_string_equal(said, "vai: fatal: once\nvai: fatal: again\n");
}

static void tells_to_the_end(void **state)
{
	(void)state;
	dies_in(beside_another);
	assert_string_equal(said, "vai: fatal: first\nlooked\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what),
		cmocka_unit_test(lists_goroutines),
		cmocka_unit_test(does_not_wait_for_ever),
		cmocka_unit_test(fails_once),
		cmocka_unit_test(tells_to_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
