/* SPDX-License-Identifier: MIT */
/* Stacks and the switch: registers and control words survive, guards catch an overflow,
 * trimming gives deep pages back, many stacks cost few mappings. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "mach/ctx.h"
#include "mach/guard.h"
#include "mach/stack.h"

static struct vai__ctx home, away;
static int steps;

static void bounce(void *arg)
{
	vai__ctx_entered();
	fesetround(FE_UPWARD);
	for (;;) {
		steps += *(int *)arg;
		vai__ctx_switch(&away, &home, false);
		if (fegetround() != FE_UPWARD)
			abort();
	}
}

static void switch_keeps_the_state(void **state)
{
	int step = 3;
	double keep = 1.5;
	char *top = vai__stack_alloc();
	(void)state;
	assert_non_null(top);
	assert_int_equal((uintptr_t)top % 16, 0);
	memset(&away, 0, sizeof(away));
	vai__ctx_native(&home);
	vai__ctx_make(&away, vai__stack_low(top), top - 16, bounce, &step);
	for (int i = 1; i <= 1000; i++) {
		vai__ctx_switch(&home, &away, false);
		assert_int_equal(steps, 3 * i);
		assert_int_equal(fegetround(), FE_TONEAREST);
		keep += 1;
	}
	assert_true(keep == 1001.5);
	vai__ctx_free(&away);
	vai__stack_free(top);
}

/* Pages above the guard: qemu-user does not say whether a protected one is there. */
static size_t resident(char *top)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = vai__stack_size() / page - 1, count = 0;
	unsigned char *vec = malloc(n);
	assert_int_equal(mincore(top - n * page, n * page, vec), 0);
	for (size_t i = 0; i < n; i++)
		count += vec[i] & 1;
	free(vec);
	return count;
}

static void trim_gives_deep_pages_back(void **state)
{
	(void)state;
	char *top = vai__stack_alloc();
	memset(top - 200000, 1, 200000);
	assert_true(resident(top) >= 48);
	vai__stack_trim(top);
#ifndef VAI_VALGRIND /* there nothing is trimmed */
	assert_true(resident(top) <= 3);
#endif
	assert_int_equal(top[-1], 1);
	vai__stack_free(top);
}

static long mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	long n = 0;
	for (int c; (c = fgetc(f)) != EOF;)
		n += c == '\n';
	fclose(f);
	return n;
}

static void many_stacks_few_mappings(void **state)
{
	enum { N = 20000 };
	static char *tops[N];
	(void)state;
	for (int i = 0; i < N; i++) {
		tops[i] = vai__stack_alloc();
		assert_non_null(tops[i]);
		tops[i][-1] = 1;
	}
	assert_true(mappings() < 50000);
	for (int i = 0; i < N; i++)
		vai__stack_free(tops[i]);
	assert_true(vai__stack_count() >= N);
}

static void exit_seven(void)
{
	_exit(7);
}

static int overflow_status(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		vai__guard_install(exit_seven);
		vai__guard_thread_init();
		char *top = vai__stack_alloc();
		*(volatile char *)(top - vai__stack_size() + 8) = 1;
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	return status;
}

static void guard_page_reports(void **state)
{
	(void)state;
	char *top = vai__stack_alloc();
	assert_true(vai__stack_is_guard(top - vai__stack_size()));
	assert_false(vai__stack_is_guard(top - 1));
	assert_false(vai__stack_is_guard(state));
	int status = overflow_status();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	vai__stack_free(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(switch_keeps_the_state),
		cmocka_unit_test(trim_gives_deep_pages_back),
		cmocka_unit_test(guard_page_reports),
		cmocka_unit_test(many_stacks_few_mappings),
	};
	vai__stack_init(524288);
	return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
