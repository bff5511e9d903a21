/* SPDX-License-Identifier: MIT */
/* Stacks and the switch: registers and control words survive, guards catch an overflow,
 * trimming gives deep pages back, scavenging those of idle stacks, many stacks cost few mappings. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fenv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/atomic.h"
#include "mach/ctx.h"
#include "mach/stack_overflow.h"
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
		vai__stack_overflow_install(exit_seven);
		vai__stack_overflow_thread_init();
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

/* ---- scavenging ---- */

static int by_address(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	return (x > y) - (x < y);
}

enum { IDLE = 1000, PAGES = 2 };
static char *idle[IDLE];
static atomic_bool no_stop, stop;

static size_t touched(void)
{
	return PAGES * (size_t)sysconf(_SC_PAGESIZE);
}

/* Deepest first, as if used. */
static void take_idle(int from, int n)
{
	for (int i = from; i < from + n; i++) {
		idle[i] = vai__stack_alloc();
		assert_non_null(idle[i]);
		memset(idle[i] - touched(), i & 0x7f, touched());
	}
}

static void free_idle(int from, int n)
{
	for (int i = from; i < from + n; i++)
		vai__stack_free(idle[i]);
}

static size_t resident_idle(int from, int n)
{
	size_t pages = 0;
	for (int i = from; i < from + n; i++)
		pages += resident(idle[i]);
	return pages;
}

static size_t period(void)
{
	size_t regained;
	return vai__stack_unneeded(&regained);
}

static bool is_intact(int i)
{
	for (size_t k = 1; k <= touched(); k++) {
		if (idle[i][-(ptrdiff_t)k] != (i & 0x7f))
			return false;
	}
	return true;
}

static void idle_stacks_give_their_pages_back(void **state)
{
	enum { KEPT = 100 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE), regained;
	(void)state;
	take_idle(0, IDLE);
	size_t made = vai__stack_count();
	free_idle(KEPT, IDLE - KEPT);
	period();
	assert_true(period() >= (IDLE - KEPT) * page);
	assert_true(resident_idle(KEPT, IDLE - KEPT) >= (IDLE - KEPT) * PAGES);
	assert_true(vai__stack_scavenge(&no_stop) >= (IDLE - KEPT) * page);
	assert_int_equal(resident_idle(KEPT, IDLE - KEPT), 0);
	for (int i = 0; i < KEPT; i++)
		assert_true(is_intact(i));
	period();
	assert_int_equal(period(), 0); /* none is warm */
	assert_int_equal(vai__stack_scavenge(&no_stop), 0);
	int status = overflow_status(); /* of a cold one */
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	take_idle(KEPT, IDLE - KEPT);
	assert_int_equal(vai__stack_count(), made); /* the cold ones were used again */
	for (int i = 0; i < IDLE; i++) {
		assert_true(is_intact(i));
		assert_true(vai__stack_is_guard(vai__stack_low(idle[i])));
	}
	vai__stack_unneeded(&regained);
	assert_true(regained >= (IDLE - KEPT) * page);
	free_idle(0, IDLE);
}

/* However often they are free in between. */
static void needed_stacks_stay(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	(void)state;
	period();
	period();
	vai__stack_scavenge(&no_stop); /* no others are warm */
	for (int i = 0; i < 3; i++) {
		take_idle(0, IDLE);
		free_idle(0, IDLE);
		assert_int_equal(period(), 0);
		assert_int_equal(vai__stack_scavenge(&no_stop), 0);
	}
	take_idle(0, IDLE / 4); /* as many at once, in this period */
	free_idle(0, IDLE / 4);
	assert_int_equal(period(), IDLE * 3 / 4 * page);
	take_idle(0, IDLE);
	free_idle(0, IDLE / 2);
	period();
	assert_int_equal(period(), IDLE / 2 * page);
	assert_int_equal(vai__stack_scavenge(&no_stop), IDLE / 2 * page);
	assert_int_equal(resident_idle(0, IDLE / 2), 0);
	for (int i = IDLE / 2; i < IDLE; i++)
		assert_true(is_intact(i));
	free_idle(IDLE / 2, IDLE / 2);
}

/* Stacks that belong to somebody while the scavenger is at work keep what they hold. */
static void *use_stacks(void *arg)
{
	enum { MINE = 200 };
	char *mine[MINE];
	size_t *broken = arg;
	for (unsigned round = 0; !atomic_load(&stop); round++) {
		for (int i = 0; i < MINE; i++) {
			mine[i] = vai__stack_alloc();
			memcpy(mine[i] - sizeof(char *), &mine[i], sizeof(char *));
			mine[i][-5000] = (char)round;
		}
		for (int i = 0; i < MINE; i++) {
			*broken += memcmp(mine[i] - sizeof(char *), &mine[i], sizeof(char *)) != 0;
			*broken += mine[i][-5000] != (char)round;
			vai__stack_free(mine[i]);
		}
	}
	return NULL;
}

static void others_go_on_meanwhile(void **state)
{
	enum { THREADS = 3, ROUNDS = 8 };
	pthread_t t[THREADS];
	size_t broken[THREADS] = {0}, given = 0;
	(void)state;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, use_stacks, &broken[i]);
	for (int i = 0; i < ROUNDS; i++) {
		take_idle(0, IDLE);
		free_idle(0, IDLE);
		period();
		period(); /* a short one: many are free from its beginning to its end */
		given += vai__stack_scavenge(&no_stop);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(broken[i], 0);
	}
	assert_true(given > 0);
	take_idle(0, IDLE);
	qsort(idle, IDLE, sizeof(*idle), by_address);
	for (int i = 1; i < IDLE; i++)
		assert_true(idle[i - 1] < idle[i]); /* none was given twice */
	free_idle(0, IDLE);
}

/* With the last one free all are as if never made. */
static void reset_forgets_cold_ones(void **state)
{
	(void)state;
	take_idle(0, IDLE);
	free_idle(0, IDLE);
	period();
	assert_true(period() > 0);
	vai__stack_scavenge(&no_stop);
	vai__stack_reset();
	assert_int_equal(vai__stack_count(), 0);
	assert_int_equal(period(), 0);
	assert_int_equal(vai__stack_scavenge(&no_stop), 0);
	take_idle(0, IDLE);
	assert_int_equal(vai__stack_count(), IDLE);
	free_idle(0, IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(switch_keeps_the_state),
		cmocka_unit_test(trim_gives_deep_pages_back),
		cmocka_unit_test(guard_page_reports),
		cmocka_unit_test(many_stacks_few_mappings),
		cmocka_unit_test(idle_stacks_give_their_pages_back),
		cmocka_unit_test(needed_stacks_stay),
		cmocka_unit_test(others_go_on_meanwhile),
		cmocka_unit_test(reset_forgets_cold_ones),
	};
	vai__stack_init(524288);
	return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
