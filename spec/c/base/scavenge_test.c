/* SPDX-License-Identifier: MIT */
/* Blocks that nobody needs for a period go back to the system, and no others. With the real caches in
 * every build. */
#define VAI_TEST_CACHES
#include "base/mem.c"
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "resident.h"

enum { SIZE = 2000, N = 20000, BYTES = N * SIZE, THREADS = 3, SLOTS = 200, ROUNDS = 8 };

static uint64_t *blocks[N];
static atomic_bool no_stop, stop;

static uint64_t *make(size_t words)
{
	uint64_t *b = vai__mem_alloc(words * 8);
	assert_non_null(b);
	for (size_t i = 1; i < words; i++)
		b[i] = (uintptr_t)b * i;
	b[0] = words;
	return b;
}

static bool intact(const uint64_t *b)
{
	for (size_t i = 1; i < b[0]; i++) {
		if (b[i] != (uintptr_t)b * i)
			return false;
	}
	return true;
}

static void drop(uint64_t *b)
{
	vai__mem_free(b, b[0] * 8);
}

static void make_all(void)
{
	for (int i = 0; i < N; i++)
		blocks[i] = make(SIZE / 8);
}

/* But every so manyth. */
static void drop_all(int but)
{
	for (int i = 0; i < N; i++) {
		if (i % but != but - 1)
			drop(blocks[i]);
	}
}

/* Every thread's blocks are in the shared lists after it. */
static size_t period(void)
{
	size_t regained;
	vai__mem_thread_exit();
	return vai__mem_unneeded(&regained);
}

static bool is_mapped(const void *p)
{
	unsigned char in;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	return mincore((void *)((uintptr_t)p & ~(page - 1)), page, &in) == 0 || errno != ENOMEM;
}

static void what_nobody_needed_goes_back(void **state)
{
	size_t regained;
	(void)state;
	make_all();
	long full = spec_resident();
	drop_all(N + 1);
	assert_int_equal(period(), 0); /* it was in use for a part of this one */
	assert_true(is_mapped(blocks[N / 2]));
	assert_true(period() > BYTES * 9L / 10);
	assert_true(vai__mem_scavenge(&no_stop) > BYTES * 8L / 10);
	assert_true(spec_resident() < full - BYTES / 2);
	int mapped = 0;
	for (int i = 0; i < N; i++)
		mapped += is_mapped(blocks[i]);
	assert_true(mapped < N / 10);
	period();
	assert_int_equal(period(), 0); /* nothing is left, or not worth it */
	make_all();
	for (int i = 0; i < N; i++)
		assert_true(intact(blocks[i]));
	vai__mem_unneeded(&regained);
	assert_true(regained > BYTES / 2);
	vai__mem_unneeded(&regained);
	assert_int_equal(regained, 0);
	drop_all(N + 1);
	vai__mem_thread_exit();
}

static void what_was_needed_stays(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		make_all();
		drop_all(N + 1);
		assert_int_equal(period(), 0);
	}
	for (int i = 0; i < N / 4; i++) /* as many at once, in this period */
		blocks[i] = make(SIZE / 8);
	for (int i = 0; i < N / 4; i++)
		drop(blocks[i]);
	size_t found = period();
	assert_true(found > BYTES * 2L / 3 && found < BYTES * 5L / 6);
	make_all(); /* half of it is needed in the next */
	for (int i = N / 2; i < N; i++)
		drop(blocks[i]);
	period();
	found = period();
	assert_true(found > BYTES / 3 && found < BYTES * 2L / 3);
	vai__mem_scavenge(&no_stop);
	for (int i = 0; i < N / 2; i++) {
		assert_true(intact(blocks[i]));
		drop(blocks[i]);
	}
	vai__mem_thread_exit();
}

/* One block in each span is enough to keep it. */
static void spans_in_use_stay(void **state)
{
	(void)state;
	make_all();
	drop_all(500); /* of some 1,000 in a span */
	period();
	assert_true(period() > BYTES / 2);
	assert_int_equal(vai__mem_scavenge(&no_stop), 0);
	period();
	assert_int_equal(period(), 0); /* the same is not looked through again */
	for (int i = 499; i < N; i += 500) {
		assert_true(intact(blocks[i]));
		drop(blocks[i]);
	}
	for (int i = 0; i < 3; i++) { /* but when there was traffic */
		make_all();
		drop_all(N + 1);
	}
	period();
	assert_true(period() > BYTES / 2);
	assert_true(vai__mem_scavenge(&no_stop) > BYTES / 2);
}

/* Of the same size and another, through slots that all threads share. */
static _Atomic(uint64_t *) slots[SLOTS];
static atomic_int broken;

static void *churn(void *arg)
{
	uint32_t x = (uint32_t)(uintptr_t)arg;
	for (unsigned i = 0; !atomic_load(&stop); i++) {
		x = x * 1664525 + 1013904223;
		uint64_t *b = (x & 64) ? NULL : make((x & 128) ? SIZE / 8 : 900);
		b = atomic_exchange(&slots[(x >> 8) % SLOTS], b);
		if (b && !intact(b))
			atomic_fetch_add(&broken, 1);
		if (b)
			drop(b);
		if (i % 1009 == 0)
			vai__mem_thread_exit();
	}
	vai__mem_thread_exit();
	return NULL;
}

static void others_go_on_meanwhile(void **state)
{
	pthread_t t[THREADS];
	size_t given = 0;
	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, churn, (void *)(i * 7919 + 1));
	for (int i = 0; i < ROUNDS; i++) {
		make_all();
		drop_all(N + 1);
		period();
		period(); /* a short one: much of it is free from its beginning to its end */
		given += vai__mem_scavenge(&no_stop);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < SLOTS; i++) {
		uint64_t *b = atomic_load(&slots[i]);
		assert_true(!b || intact(b));
		if (b)
			drop(b);
	}
	assert_int_equal(atomic_load(&broken), 0);
	assert_true(given > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_nobody_needed_goes_back),
		cmocka_unit_test(what_was_needed_stays),
		cmocka_unit_test(spans_in_use_stay),
		cmocka_unit_test(others_go_on_meanwhile),
	};
	return cmocka_run_group_tests_name("scavenge", tests, NULL, NULL);
}
