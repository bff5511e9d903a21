/* SPDX-License-Identifier: MIT */
/* Blocks: alignment, no overlap, freed by other threads than allocated them, no growth. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/mem.h"

enum { SLOTS = 2000, ROUNDS = 50000, THREADS = 4 };

static void sizes(void **state)
{
	(void)state;
	size_t last = 0;
	for (size_t size = 0; size <= 70000; size += size < 600 ? 1 : 37) {
		size_t got = vai__mem_round(size);
		assert_true(got >= size && got >= last);
		assert_true(size > 65536 || size < 300 || got - size <= got / 16);
		last = got;
		char *p = vai__mem_alloc(size);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		memset(p, 0xee, got);
		vai__mem_free(p, size);
	}
	vai__mem_free(NULL, 10);
}

/* States of about the same size, one behind the other, begin in all sets of a cache. */
static void spreads_states(void **state)
{
	(void)state;
	for (size_t size = 4097; size <= 16384; size += 13)
		assert_int_equal(vai__mem_round(size) / VAI_CACHELINE % 2, 1);
	char *a = vai__mem_alloc(8000), *b = vai__mem_alloc(8000);
	assert_int_equal((uintptr_t)a % VAI_CACHELINE, 0);
	assert_int_equal((uintptr_t)b % VAI_CACHELINE, 0);
	vai__mem_free(a, 8000);
	vai__mem_free(b, 8000);
}

static void zeroed(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		char *p = vai__mem_zalloc(1000);
		for (int k = 0; k < 1000; k++)
			assert_int_equal(p[k], 0);
		memset(p, 1, 1000);
		vai__mem_free(p, 1000);
	}
}

/* Slots that all threads put blocks into and take out of. A block holds its own address
 * and size at both ends: an overlap shows. */
static _Atomic(uint64_t *) slots[SLOTS];
static atomic_int broken;

static uint64_t *fill(size_t words)
{
	uint64_t *b = vai__mem_alloc(words * 8);
	b[0] = words;
	b[words - 1] = (uint64_t)(uintptr_t)b ^ words;
	return b;
}

static void check_and_free(uint64_t *b)
{
	if (!b)
		return;
	size_t words = b[0];
	if (b[words - 1] != ((uint64_t)(uintptr_t)b ^ words))
		atomic_fetch_add(&broken, 1);
	vai__mem_free(b, words * 8);
}

static void *churn(void *arg)
{
	uint32_t x = (uint32_t)(uintptr_t)arg;
	for (int i = 0; i < ROUNDS; i++) {
		x = x * 1664525 + 1013904223;
		size_t words = 2 + (x >> 8) % ((x & 64) ? 40 : 1200);
		check_and_free(atomic_exchange(&slots[(x >> 4) % SLOTS], fill(words)));
	}
	vai__mem_thread_exit();
	return NULL;
}

static void threads_share_blocks(void **state)
{
	pthread_t t[THREADS];
	(void)state;
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, churn, (void *)(i * 7919 + 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < SLOTS; i++)
		check_and_free(atomic_exchange(&slots[i], NULL));
	assert_int_equal(atomic_load(&broken), 0);
}

static struct vai_lock lock;
static long counter;

static void *add(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100000; i++) {
		vai__lock(&lock);
		counter++;
		vai__unlock(&lock);
	}
	return NULL;
}

static void lock_excludes(void **state)
{
	pthread_t t[THREADS];
	(void)state;
	vai__lock_init(&lock, VAI_RANK_SYNC);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, add, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(counter, THREADS * 100000L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(spreads_states),
		cmocka_unit_test(zeroed),
		cmocka_unit_test(threads_share_blocks),
		cmocka_unit_test(lock_excludes),
	};
	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
