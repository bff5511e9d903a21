/* SPDX-License-Identifier: MIT */
/* When idle memory goes back, by a clock of the test's own: after a period in which nobody needed it,
 * later where it is taken again; and that sysmon sleeps for good only when nothing is left to do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "mach/stack.h"
#include "sched/rt.h"

enum { STACKS = 3000, SECOND = 1000000000 };

static char *tops[STACKS];

static int setup(void **state)
{
	(void)state;
	vai__scavenge_start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vai__scavenge_stop();
	vai__stack_reset();
	return 0;
}

static void use_stacks(void)
{
	for (int i = 0; i < STACKS; i++) {
		tops[i] = vai__stack_alloc();
		assert_non_null(tops[i]);
		memset(tops[i] - 64, 1, 64);
	}
	for (int i = 0; i < STACKS; i++)
		vai__stack_free(tops[i]);
}

static bool all_cold(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	bool resident = false;
	for (int i = 0; i < STACKS && !resident; i++) {
		unsigned char in;
		assert_int_equal(mincore(tops[i] - page, page, &in), 0);
		resident = in & 1;
	}
	return !resident;
}

/* How long the next one is to be, in seconds; VAI_FOREVER if sysmon need not come again. */
static int64_t end_period(bool idle)
{
	int64_t at = vai__scavenge_next();
	assert_true(at != VAI_FOREVER);
	vai__scavenge_tick(at - 1, idle);
	assert_int_equal(vai__scavenge_next(), at);
	vai__scavenge_tick(at, idle);
	int64_t next = vai__scavenge_next();
	return next == VAI_FOREVER ? next : (next - at) / SECOND;
}

/* The first such period from now on; meanwhile the thread that gives back may end. The time limit of
 * the test ends a wait in vain. */
static void until_length(int64_t seconds)
{
	while (end_period(false) != seconds)
		usleep(1000);
}

static void after_a_period_without_need(void **state)
{
	(void)state;
	use_stacks();
	assert_int_equal(end_period(true), 2);
	assert_false(all_cold());
	assert_int_equal(end_period(true), 2);
	while (!all_cold())
		usleep(1000);
	while (end_period(true) != VAI_FOREVER)
		usleep(1000);
}

static void not_what_is_needed_once_a_period(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		use_stacks();
		assert_int_equal(end_period(i & 1), 2);
		assert_false(all_cold());
	}
}

static void sleeps_only_after_idle_periods(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(end_period(false), 2);
	assert_int_equal(end_period(true), 2);
	vai__scavenge_tick(vai__scavenge_next() - 1, false);
	assert_int_equal(end_period(true), 2);
	assert_int_equal(end_period(true), VAI_FOREVER);
	vai__scavenge_awake(1000);
	assert_int_equal(vai__scavenge_next(), 1000 + 2LL * SECOND);
}

static void periods_grow_with_regret(void **state)
{
	(void)state;
	use_stacks();
	while (!all_cold()) {
		assert_int_equal(end_period(false), 2);
		usleep(1000);
	}
	use_stacks();
	until_length(4);
	until_length(2); /* after some calm ones */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(after_a_period_without_need, setup, teardown),
		cmocka_unit_test_setup_teardown(not_what_is_needed_once_a_period, setup, teardown),
		cmocka_unit_test_setup_teardown(sleeps_only_after_idle_periods, setup, teardown),
		cmocka_unit_test_setup_teardown(periods_grow_with_regret, setup, teardown),
	};
	vai__stack_init(65536);
	return cmocka_run_group_tests_name("scavenge", tests, NULL, NULL);
}
