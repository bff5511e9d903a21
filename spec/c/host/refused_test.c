/* SPDX-License-Identifier: MIT */
/* What a system refuses to the runtime, by a filter of system calls, and descriptors that other code closes under it:
 * programs go on where they can, and end with a message where they cannot. Each in a process of its own. */
#include "host/host.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NO_FILTERS = 77, FAILED = 3, ABORTED = 128 + SIGABRT, MOST_CALLS = 2, TEXT = 1024 };

/* From now on these calls fail with EPERM in all threads of the process. */
static void refuse(const int calls[MOST_CALLS])
{
	struct sock_filter code[2 * MOST_CALLS + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	unsigned short n = 1;
	for (int i = 0; i < MOST_CALLS && calls[i] > 0; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {n, code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
		_exit(NO_FILTERS);
}

/* Runs a chunk; where it fails its error is the last that the process says. */
static void run(lua_State *L, const char *chunk)
{
	char *error = host_try(L, chunk);
	if (!error)
		return;
	fprintf(stderr, "%s\n", error);
	_exit(FAILED);
}

struct program {
	int calls[MOST_CALLS]; /* refused, 0 ends them */
	bool later;            /* once vai runs */
	const char *poll;      /* VAI_POLL */
	bool aborts;           /* a SIGABRT is an outcome, too */
	void (*between)(void); /* called when vai runs; may be NULL */
	const char *chunk;
};

static _Noreturn void child(const struct program *p)
{
	alarm(600);
	if (p->poll)
		setenv("VAI_POLL", p->poll, 1);
	if (!p->later)
		refuse(p->calls);
	lua_State *L = host_open();
	run(L, "vai = require 'vai' vai.maxprocs(1)");
	if (p->later)
		refuse(p->calls);
	if (p->between)
		p->between();
	run(L, p->chunk);
	_exit(0);
}

/* Runs the program in a child; what that writes to stderr comes to `text`. Returns its status, or ABORTED. */
static int outcome(const struct program *p, char text[TEXT])
{
	int out[2], status = 0;
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out[1], 2);
		close(out[1]);
		child(p);
	}
	close(out[1]);
	ssize_t n, all = 0;
	while ((n = read(out[0], text + all, (size_t)(TEXT - 1 - all))) > 0)
		all += n;
	text[all] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTERS)
		skip();
	if (p->aborts && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		return ABORTED;
	if (!WIFEXITED(status))
		fail_msg("died of signal %d: %s", WTERMSIG(status), text);
	return WEXITSTATUS(status);
}

/* Main wakes up beside a goroutine that computes, and that is canceled. */
static const char preempts[] = "local task = vai.async(function() while true do end end)\n"
							   "for _ = 1, 3 do vai.sleep(0.001) end\n"
							   "task:cancel()\n"
							   "local ok, err = task:join()\n"
							   "assert(not ok and err == 'canceled')\n";

static void test_tgkill(void **state)
{
	char text[TEXT];
	(void)state;
	if (!host_variant("release"))
		skip();
	struct program p = {.calls = {SYS_tgkill}, .chunk = preempts};
	assert_int_equal(outcome(&p, text), 0);
	assert_string_equal(text,
		"vai: the system refuses tgkill (Operation not permitted): goroutines look themselves whether they are to be "
		"interrupted (VAI_PREEMPT=count)\n");
	p.later = true;
	/* The threads' timers interrupt; that tgkill is refused is told if it was needed, and once. */
	assert_int_equal(outcome(&p, text), 0);
	const char *told = strstr(text, "tgkill");
	assert_ptr_equal(told ? strstr(told + 1, "tgkill") : NULL, NULL);
}

/* Neither tgkill nor a thread's timer: a signal to the process finds its way to the goroutine's thread, and goroutines
 * that begin afterwards look themselves. */
static void test_no_timers(void **state)
{
	char text[TEXT];
	(void)state;
	if (!host_variant("release"))
		skip();
	for (int i = 0; i < 4; i++) {
		struct program p = {.calls = {SYS_tgkill, i < 2 ? SYS_timer_create : SYS_timer_settime},
			.later = i % 2 == 1,
			.chunk = preempts};
		assert_int_equal(outcome(&p, text), 0);
		assert_non_null(strstr(text, "vai: the system refuses tgkill (Operation not permitted): "));
	}
	struct program only = {.calls = {SYS_timer_settime}, .chunk = preempts};
	assert_int_equal(outcome(&only, text), 0);
	assert_string_equal(text, "");
}

static void test_start(void **state)
{
	static const struct {
		int call;
		const char *name, *poll;
	} needed[] = {
		{SYS_epoll_create1, "epoll_create1", NULL},
		{SYS_eventfd2, "eventfd", NULL},
		{SYS_epoll_ctl, "epoll_ctl", NULL},
		{SYS_sigaltstack, "sigaltstack", NULL},
		{SYS_eventfd2, "libuv's loop", "uv"},
	};
	char text[TEXT], expected[TEXT];
	(void)state;
	if (!host_variant("release")) /* sanitizers make such calls themselves */
		skip();
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		struct program p = {.calls = {needed[i].call}, .poll = needed[i].poll, .chunk = ""};
		assert_int_equal(outcome(&p, text), FAILED);
		snprintf(expected, sizeof expected, "vai cannot start: the system refused %s (Operation not permitted)",
			needed[i].name);
		if (!strstr(text, expected))
			fail_msg("\"%s\" is not in \"%s\"", expected, text);
	}
}

/* ---- closed descriptors ---- */

static void close_all(void)
{
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
}

/* And the numbers belong to other files then. */
static void replace_all(void)
{
	close_all();
	for (int fd = 3; fd < 64; fd++)
		dup2(1, fd);
}

static void test_closed(void **state)
{
	char text[TEXT];
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct program p = {.later = true,
			.poll = i == 2 ? "uv" : NULL,
			.aborts = i == 2, /* libuv does where it is the first to meet the closed descriptor */
			.between = i == 1 ? replace_all : close_all,
			.chunk = "vai.maxprocs(2)\n"
					 "local ch = vai.chan()\n"
					 "vai.go(function() for i = 1, 10000 do vai.sleep(0.001) ch:send(i) end end)\n"
					 "for _ = 1, 10000 do ch:recv() end"};
		int status = outcome(&p, text);
		if (status == ABORTED)
			continue;
		assert_int_equal(status, 1);
		assert_non_null(strstr(text, "other code has closed descriptors of vai's, so the program ends\n"));
		assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_tgkill), /* in a child of fork vai works only where it has not been before */
		host_test(test_no_timers),
		host_test(test_start),
		host_test(test_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
