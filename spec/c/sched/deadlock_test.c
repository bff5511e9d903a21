/* SPDX-License-Identifier: MIT */
/* A total deadlock is seen whoever is the last to go to sleep or to leave: goroutines tied to
 * threads, threads that end, goroutines that come back from C calls. A test that misses one
 * hangs until its limit of time. */
#include "sync/world.h"

enum { ROUNDS = 300 };

static _Atomic(int) begun, woken;

static void park_locked(vai_g *g, void *arg)
{
	(void)arg;
	vai__g_lock_thread(g);
	atomic_fetch_add(&begun, 1);
	vai__wait_begin(g);
	CHECK(vai__wait(g, VAI_WAIT_COND, NULL, VAI_FOREVER) == VAI_WAKE_CANCELED);
	atomic_fetch_add(&woken, 1);
	vai__g_unlock_thread(g);
}

static void end_locked(vai_g *g, void *arg)
{
	(void)arg;
	vai__g_lock_thread(g);
	vai__yield(g);
}

static void call_then_park(vai_g *g, void *arg)
{
	(void)arg;
	vai__g_block_begin(g);
	vai__g_block_end(g);
	vai__wait_begin(g);
	CHECK(vai__wait(g, VAI_WAIT_COND, NULL, VAI_FOREVER) == VAI_WAKE_CANCELED);
}

static void main_is_told(void)
{
	vai_g *self = vai__g_self();
	vai__wait_begin(self);
	assert_int_equal(vai__wait(self, VAI_WAIT_COND, NULL, VAI_FOREVER), VAI_WAKE_DEADLOCK);
}

static void by_one_that_waits(world_fn *f)
{
	for (int i = 0; i < ROUNDS; i++) {
		vai_g *g = world_go(f, NULL);
		main_is_told();
		assert_int_equal(vai__g_state(g), VAI_G_WAITING);
		assert_true(vai__fire_any(g, VAI_WAKE_CANCELED));
		world_join();
	}
}

static void one_tied_to_a_thread_waits(void **state)
{
	(void)state;
	by_one_that_waits(park_locked);
}

static void one_tied_to_a_thread_ends(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		world_go(end_locked, NULL);
		main_is_told();
		world_join();
	}
}

static void one_comes_back_from_a_call(void **state)
{
	(void)state;
	by_one_that_waits(call_then_park);
}

static void main_is_tied_too(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	vai__g_lock_thread(self);
	by_one_that_waits(park_locked);
	by_one_that_waits(call_then_park);
	main_is_told();
	vai__g_unlock_thread(self);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_tied_to_a_thread_waits),
		cmocka_unit_test(one_tied_to_a_thread_ends),
		cmocka_unit_test(one_comes_back_from_a_call),
		cmocka_unit_test(main_is_tied_too),
	};
	return WORLD_RUN("deadlock", tests);
}
