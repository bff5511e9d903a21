/* SPDX-License-Identifier: MIT */
/* The lock-free run queue: order, runnext, overflow, and stealing under load, where each
 * goroutine must come out exactly once. */
#include "sync/world.h"
#include "sched/rt.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 200000, THIEVES = 3 };

static struct p *procs[THIEVES + 1];
static struct g *gs;

static int make(void **state)
{
	(void)state;
	memset(&vai__sched.global, 0, sizeof(vai__sched.global));
	atomic_store(&vai__sched.nglobal, 0);
	atomic_store(&vai__sched.nprocs, 1);
	for (int i = 0; i <= THIEVES; i++)
		procs[i] = vai__p_new(i);
	gs = calloc(MANY, sizeof(struct g));
	return gs ? 0 : -1;
}

static int unmake(void **state)
{
	(void)state;
	for (int i = 0; i <= THIEVES; i++)
		free(procs[i]);
	free(gs);
	return 0;
}

static void fifo(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		vai__runq_put(procs[0], &gs[i], false);
	assert_int_equal(vai__runq_len(procs[0]), 4);
	for (int i = 0; i < 4; i++)
		assert_ptr_equal(vai__runq_get(procs[0]), &gs[i]);
	assert_null(vai__runq_get(procs[0]));
	assert_true(vai__runq_empty(procs[0]));
}

static void next_goes_first_and_kicks_out(void **state)
{
	(void)state;
	vai__runq_put(procs[0], &gs[0], false);
	vai__runq_put(procs[0], &gs[1], true);
	vai__runq_put(procs[0], &gs[2], true);
	assert_ptr_equal(vai__runq_get(procs[0]), &gs[2]);
	assert_int_equal(procs[0]->streak, 1);
	assert_ptr_equal(vai__runq_get(procs[0]), &gs[0]);
	assert_int_equal(procs[0]->streak, 0);
	assert_ptr_equal(vai__runq_get(procs[0]), &gs[1]);
}

static void streak_ends_the_inheritance(void **state)
{
	(void)state;
	procs[0]->streak = RUNNEXT_STREAK;
	vai__runq_put(procs[0], &gs[0], false);
	vai__runq_put(procs[0], &gs[1], true);
	assert_ptr_equal(vai__runq_get(procs[0]), &gs[0]);
	assert_ptr_equal(vai__runq_get(procs[0]), &gs[1]);
}

/* Of two that take turns the ring sees none. */
static void exchange_goes_through_runnext(void **state)
{
	(void)state;
	assert_null(vai__runq_exchange(procs[0], &gs[0]));
	assert_ptr_equal(vai__runq_exchange(procs[0], &gs[1]), &gs[0]);
	assert_ptr_equal(vai__runq_exchange(procs[0], &gs[0]), &gs[1]);
	assert_int_equal(atomic_load(&procs[0]->tail), 0);
	vai__runq_put(procs[0], &gs[2], false);
	assert_ptr_equal(vai__runq_exchange(procs[0], &gs[1]), &gs[0]);
	assert_ptr_equal(vai__runq_exchange(procs[0], &gs[0]), &gs[2]);
	assert_ptr_equal(vai__runq_get(procs[0]), &gs[1]);
	assert_ptr_equal(vai__runq_get(procs[0]), &gs[0]);
}

static void overflow_moves_half(void **state)
{
	(void)state;
	for (int i = 0; i <= RUNQ_SIZE; i++)
		vai__runq_put(procs[0], &gs[i], false);
	assert_int_equal(vai__runq_len(procs[0]), RUNQ_SIZE / 2);
	assert_int_equal(vai__sched.global.count, RUNQ_SIZE / 2 + 1);
	assert_ptr_equal(vai__sched.global.head, &gs[0]);
	assert_ptr_equal(vai__runq_get(procs[0]), &gs[RUNQ_SIZE / 2]);
}

static void global_share(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		vai__global_put(&gs[i]);
	atomic_store(&vai__sched.nprocs, 2);
	assert_ptr_equal(vai__global_get(procs[0]), &gs[0]);
	assert_int_equal(vai__runq_len(procs[0]), RUNQ_SIZE / 2 - 1 < 4 ? RUNQ_SIZE / 2 - 1 : 4);
}

static void steal_half(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		vai__runq_put(procs[0], &gs[i], false);
	assert_ptr_equal(vai__runq_steal(procs[1], procs[0], false), &gs[1]);
	assert_ptr_equal(vai__runq_get(procs[1]), &gs[0]);
	assert_int_equal(vai__runq_len(procs[0]), 2);
}

static void steal_next_only_when_told(void **state)
{
	(void)state;
	vai__runq_put(procs[0], &gs[0], true);
	assert_null(vai__runq_steal(procs[1], procs[0], false));
	assert_ptr_equal(vai__runq_steal(procs[1], procs[0], true), &gs[0]);
	assert_true(vai__runq_empty(procs[0]));
}

static atomic_int seen[MANY];
static atomic_bool finished;

static void note(struct g *g)
{
	if (g)
		atomic_fetch_add(&seen[g - gs], 1);
}

static void *thieve(void *arg)
{
	struct p *p = arg;
	while (!atomic_load(&finished)) {
		note(vai__runq_steal(p, procs[0], true));
		for (struct g *g; (g = vai__runq_get(p)) != NULL;)
			note(g);
	}
	return NULL;
}

static void each_comes_out_once(void **state)
{
	pthread_t t[THIEVES];
	(void)state;
	memset(seen, 0, sizeof(seen));
	atomic_store(&finished, false);
	for (int i = 0; i < THIEVES; i++)
		pthread_create(&t[i], NULL, thieve, procs[i + 1]);
	for (int i = 0; i < MANY; i++) {
		vai__runq_put(procs[0], &gs[i], i % 3 == 0);
		if (i % 5 == 0)
			note(vai__runq_get(procs[0]));
	}
	for (struct g *g; (g = vai__runq_get(procs[0])) != NULL;)
		note(g);
	while (!vai__runq_empty(procs[0]))
		;
	atomic_store(&finished, true);
	for (int i = 0; i < THIEVES; i++)
		pthread_join(t[i], NULL);
	for (int i = 1; i <= THIEVES; i++) {
		for (struct g *g; (g = vai__runq_get(procs[i])) != NULL;)
			note(g);
	}
	for (struct g *g; (g = vai__gqueue_pop(&vai__sched.global)) != NULL;)
		note(g);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(atomic_load(&seen[i]), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fifo, make, unmake),
		cmocka_unit_test_setup_teardown(next_goes_first_and_kicks_out, make, unmake),
		cmocka_unit_test_setup_teardown(streak_ends_the_inheritance, make, unmake),
		cmocka_unit_test_setup_teardown(exchange_goes_through_runnext, make, unmake),
		cmocka_unit_test_setup_teardown(overflow_moves_half, make, unmake),
		cmocka_unit_test_setup_teardown(global_share, make, unmake),
		cmocka_unit_test_setup_teardown(steal_half, make, unmake),
		cmocka_unit_test_setup_teardown(steal_next_only_when_told, make, unmake),
		cmocka_unit_test_setup_teardown(each_comes_out_once, make, unmake),
	};
	vai__lock_init(&vai__sched.lock, VAI_RANK_SCHED);
	return cmocka_run_group_tests_name("runq", tests, NULL, NULL);
}
