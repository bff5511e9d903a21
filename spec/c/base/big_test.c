/* SPDX-License-Identifier: MIT */
/* Big blocks: what is freed is the next block of its size, what is kept has a bound, and nothing is lost. With the real
 * lists in every build. */
#define VAI_TEST_CACHES
#include "base/big.c"
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include "base/atomic.h"

enum { MB = 1048576, THREADS = 4, SLOTS = 40, ROUNDS = 4000 };

/* Both lists are empty, and no block is in use. */
static void assert_clean(void)
{
	vai__big_thread_exit();
	vai__big_end_period();
	vai__big_end_period();
	assert_int_equal(common.n, 0);
	assert_int_equal(common.bytes, 0);
	assert_int_equal(common.used, 0);
}

static void sizes(void **state)
{
	(void)state;
	for (size_t size = 1; size < 6 * MB; size += 1 + size / 300) {
		size_t got = vai__big_round(size);
		assert_true(got >= size && got - size <= size / 16);
		assert_int_equal(vai__big_round(got), got);
		assert_true(size < BIG_MAX || got == size);
	}
	assert_int_equal(vai__big_round(BIG_MIN - 1), BIG_MIN - 1);
	assert_int_equal(vai__big_round(BIG_MAX + 1), BIG_MAX + 1);
}

static void one_thread_gets_its_own_back(void **state)
{
	(void)state;
	char *a = vai__big_take(100000), *b = vai__big_take(100000), *c = vai__big_take(200000);
	assert_true(a && b && c && a != b);
	vai__big_give(a, 100000);
	vai__big_give(b, 100000);
	vai__big_give(c, 200000);
	assert_ptr_equal(vai__big_take(100001), b); /* the newest of the same class */
	assert_ptr_equal(vai__big_take(200000), c);
	assert_ptr_equal(vai__big_take(100000), a);
	assert_int_equal(common.n, 0);
	vai__big_give(a, 100000);
	vai__big_give(b, 100000);
	vai__big_give(c, 200000);
	assert_clean();
}

static void *take_two(void *arg)
{
	char **got = arg;
	got[0] = vai__big_take(MB);
	got[1] = vai__big_take(MB);
	return NULL;
}

/* The first of three blocks of 1 MB does not fit the thread's list any more when the second is freed, and so on. */
static void another_thread_gets_what_one_has_no_room_for(void **state)
{
	(void)state;
	char *made[3], *got[2];
	for (int i = 0; i < 3; i++)
		assert_non_null(made[i] = vai__big_take(MB));
	for (int i = 0; i < 3; i++)
		vai__big_give(made[i], MB);
	assert_int_equal(common.n, 2);
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, take_two, got), 0);
	pthread_join(t, NULL);
	assert_ptr_equal(got[0], made[1]);
	assert_ptr_equal(got[1], made[0]);
	vai__big_give(got[0], MB);
	vai__big_give(got[1], MB);
	assert_clean();
}

static void what_is_kept_has_a_bound(void **state)
{
	(void)state;
	void *made[60];
	for (int i = 0; i < 60; i++)
		assert_non_null(made[i] = vai__big_take(MB));
	for (int i = 0; i < 60; i++) {
		vai__big_give(made[i], MB);
		assert_true(common.bytes <= SPARE_BYTES + common.peak / 2);
	}
	assert_true(common.n > 20 && common.n <= 31);
	for (int i = 0; i < 100000; i++) /* the peak was long ago */
		vai__big_give(vai__big_take(2 * MB), 2 * MB);
	assert_true(common.bytes <= 4 * MB);
	assert_clean();

	void *many[300];
	for (int i = 0; i < 300; i++)
		assert_non_null(many[i] = vai__big_take(BIG_MIN));
	for (int i = 0; i < 300; i++)
		vai__big_give(many[i], BIG_MIN);
	assert_true(common.n <= ENTRIES);
	assert_clean();
}

/* The peak has faded when a block is freed that is larger than the bound then: all that is kept goes, and it. */
static void all_may_go_at_once(void **state)
{
	(void)state;
	enum { N = 3000 };
	static void *small[N];
	void *large = vai__big_take(BIG_MAX);
	assert_non_null(large);
	for (int i = 0; i < N; i++)
		assert_non_null(small[i] = vai__big_take(BIG_MIN));
	for (int i = 0; i < N; i++)
		vai__big_give(small[i], BIG_MIN);
	common.peak = 0; /* as far as it can fade */
	assert_int_equal(common.n, ENTRIES);
	vai__big_give(large, BIG_MAX);
	assert_int_equal(common.n, 0);
	assert_clean();
}

static void what_a_period_needed_stays(void **state)
{
	(void)state;
	void *made[4];
	for (int i = 0; i < 4; i++)
		made[i] = vai__big_take(2 * MB);
	for (int i = 0; i < 4; i++)
		vai__big_give(made[i], 2 * MB);
	unsigned had = common.n;
	assert_true(had >= 2);
	vai__big_end_period();
	void *again = vai__big_take(2 * MB); /* of had blocks this period needs one */
	vai__big_give(again, 2 * MB);
	assert_int_equal(common.n, had);
	vai__big_end_period();
	assert_int_equal(common.n, 1);
	vai__big_end_period();
	assert_int_equal(common.n, 0);
	assert_clean();
}

static void resizes(void **state)
{
	(void)state;
	char *p = vai__big_take(1000); /* too small to be counted */
	memset(p, 7, 1000);
	static const size_t to[] = {40000, 90000, 5 * MB, 300000, 20000, 70000};
	size_t old = 1000;
	for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
		p = vai__big_resize(p, old, to[i]);
		assert_non_null(p);
		old = to[i];
		assert_int_equal(common.used, is_big(vai__big_round(old)) ? vai__big_round(old) : 0);
		for (int k = 0; k < 1000; k++)
			assert_int_equal(p[k], 7);
	}
	vai__big_give(p, old);
	assert_clean();
}

/* ---- threads that give each other blocks ---- */

static _Atomic(uint64_t *) slots[SLOTS];
static atomic_int broken;

static size_t size_of(uint64_t seed)
{
	return BIG_MIN / 2 + seed % (3 * BIG_MIN);
}

static void *exchange(void *arg)
{
	uint64_t rand = (uintptr_t)arg * 2654435761u + 1;
	for (int i = 0; i < ROUNDS; i++) {
		rand = rand * 6364136223846793005u + 1442695040888963407u;
		size_t seed = (size_t)(rand >> 33), size = size_of(seed);
		uint64_t *b = vai__big_take(size);
		b[0] = seed;
		b[size / 8 - 1] = seed;
		b = atomic_exchange(&slots[seed % SLOTS], b);
		if (!b)
			continue;
		size = size_of(b[0]);
		if (b[size / 8 - 1] != b[0])
			atomic_fetch_add(&broken, 1);
		vai__big_give(b, size);
	}
	vai__big_thread_exit();
	return NULL;
}

static void threads_exchange_blocks(void **state)
{
	(void)state;
	pthread_t t[THREADS];
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, exchange, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&broken), 0);
	for (int i = 0; i < SLOTS; i++) {
		uint64_t *b = atomic_load(&slots[i]);
		if (b)
			vai__big_give(b, size_of(b[0]));
	}
	assert_clean();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(one_thread_gets_its_own_back),
		cmocka_unit_test(another_thread_gets_what_one_has_no_room_for),
		cmocka_unit_test(what_is_kept_has_a_bound),
		cmocka_unit_test(all_may_go_at_once),
		cmocka_unit_test(what_a_period_needed_stays),
		cmocka_unit_test(resizes),
		cmocka_unit_test(threads_exchange_blocks),
	};
	return cmocka_run_group_tests_name("big", tests, NULL, NULL);
}
