/* SPDX-License-Identifier: MIT */
/* Wait groups: the counter's limits, and that each wait ends with its own zero. */
#include "sync/world.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "sync/waitgroup.h"

static vai_waitgroup *group(int64_t n)
{
	vai_waitgroup *wg = vai__waitgroup_new();
	CHECK(wg != NULL);
	CHECK(vai__waitgroup_add(wg, n) == VAI_OK);
	return wg;
}

static void unref(vai_waitgroup *wg)
{
	vai__obj_unref((struct vai_obj *)wg);
}

static void test_counter(void **state)
{
	vai_waitgroup *wg = group(3);
	(void)state;
	assert_int_equal(vai__waitgroup_count(wg), 3);
	assert_int_equal(vai__waitgroup_add(wg, -4), VAI_ERANGE);
	assert_int_equal(vai__waitgroup_add(wg, INT64_MIN), VAI_ERANGE);
	assert_int_equal(vai__waitgroup_add(wg, INT64_MAX), VAI_ERANGE);
	assert_int_equal(vai__waitgroup_count(wg), 3);
	assert_int_equal(vai__waitgroup_add(wg, 0), VAI_OK);
	assert_int_equal(vai__waitgroup_add(wg, -3), VAI_OK);
	assert_int_equal(vai__waitgroup_count(wg), 0);
	assert_int_equal(vai__waitgroup_add(wg, 0), VAI_OK);
	assert_int_equal(vai__waitgroup_add(wg, -1), VAI_ERANGE);
	assert_int_equal(vai__waitgroup_count(wg), 0);
	assert_int_equal(vai__waitgroup_add(wg, INT64_MAX), VAI_OK);
	assert_int_equal(vai__waitgroup_add(wg, 1), VAI_ERANGE);
	assert_int_equal(vai__waitgroup_count(wg), INT64_MAX);
	unref(wg);
}

static void test_wait_at_zero_and_timeouts(void **state)
{
	vai_waitgroup *wg = group(0);
	vai_g *self = vai__g_self();
	int64_t deadline;
	(void)state;
	assert_int_equal(vai__waitgroup_wait(self, wg, 0), VAI_OK);
	assert_int_equal(vai__waitgroup_wait(self, wg, VAI_FOREVER), VAI_OK);
	vai__waitgroup_add(wg, 1);
	assert_int_equal(vai__waitgroup_wait(self, wg, 0), VAI_ETIMEOUT);
	deadline = world_in(10);
	assert_int_equal(vai__waitgroup_wait(self, wg, deadline), VAI_ETIMEOUT);
	assert_true(vai__clock_now() >= deadline);
	vai__waitgroup_add(wg, -1);
	assert_int_equal(vai__waitgroup_wait(self, wg, VAI_FOREVER), VAI_OK);
	unref(wg);
}

struct wait {
	vai_waitgroup *wg;
	int64_t deadline;
	int result;
	vai_g *g;
};

static _Atomic(int) over; /* waits that have come back */

static void do_wait(vai_g *g, void *arg)
{
	struct wait *w = arg;
	w->result = vai__waitgroup_wait(g, w->wg, w->deadline);
	atomic_fetch_add(&over, 1);
}

static void start_wait(struct wait *w, vai_waitgroup *wg, int64_t deadline)
{
	*w = (struct wait){.wg = wg, .deadline = deadline, .result = 1};
	w->g = world_go(do_wait, w);
	world_parked(w->g);
}

static void test_zero_wakes_all(void **state)
{
	enum { N = 100 };
	vai_waitgroup *wg = group(2);
	struct wait w[N];
	(void)state;
	atomic_store(&over, 0);
	for (int i = 0; i < N; i++)
		start_wait(&w[i], wg, i % 10 == 5 ? world_in(1) : VAI_FOREVER);
	assert_true(vai__fire_any(w[7].g, VAI_WAKE_CANCELED));
	assert_int_equal(vai__waitgroup_add(wg, -1), VAI_OK);
	assert_int_equal(vai__g_state(w[0].g), VAI_G_WAITING);
	world_until(&over, N / 10 + 1);
	assert_int_equal(vai__waitgroup_add(wg, -1), VAI_OK);
	world_join();
	for (int i = 0; i < N; i++)
		assert_int_equal(w[i].result, i == 7 ? VAI_ECANCELED : i % 10 == 5 ? VAI_ETIMEOUT : VAI_OK);
	unref(wg);
}

/* Raised again at once: those who waited for the zero in between are woken all the same. */
static void test_zero_in_passing(void **state)
{
	vai_waitgroup *wg = group(1);
	struct wait w;
	(void)state;
	start_wait(&w, wg, VAI_FOREVER);
	vai__waitgroup_add(wg, -1);
	vai__waitgroup_add(wg, 1);
	world_join();
	assert_int_equal(w.result, VAI_OK);
	unref(wg);
}

/* Rounds on one group: nobody leaves a round before all of its work is done. */
struct rounds {
	vai_waitgroup *wg;
	_Atomic(int) work;
};

static void work(vai_g *g, void *arg)
{
	struct rounds *r = arg;
	(void)g;
	atomic_fetch_add(&r->work, 1);
	CHECK(vai__waitgroup_add(r->wg, -1) == VAI_OK);
}

static void test_reuse(void **state)
{
	enum { N = 4 };
	struct rounds r = {.wg = group(0)};
	(void)state;
	for (int round = 1; round <= 2000; round++) {
		CHECK(vai__waitgroup_add(r.wg, N) == VAI_OK);
		for (int i = 0; i < N; i++)
			world_go(work, &r);
		assert_int_equal(vai__waitgroup_wait(vai__g_self(), r.wg, VAI_FOREVER), VAI_OK);
		assert_int_equal(atomic_load(&r.work), round * N);
	}
	world_join();
	unref(r.wg);
}

/* The zero comes from another P while this one is about to wait. */
struct racer {
	vai_waitgroup *wg;
	_Atomic(int) go, stop;
};

static void race(vai_g *g, void *arg)
{
	struct racer *r = arg;
	for (unsigned i = 1; !atomic_load(&r->stop); i++) {
		if (atomic_exchange(&r->go, 0))
			CHECK(vai__waitgroup_add(r->wg, -1) == VAI_OK);
		else if (i % 4096 == 0 || world_procs() == 1)
			vai__yield(g);
	}
}

static void test_wait_races_with_zero(void **state)
{
	struct racer r = {.wg = group(0)};
	(void)state;
	world_go(race, &r);
	vai__yield(vai__g_self());
	for (int i = 0; i < 20000; i++) {
		CHECK(vai__waitgroup_add(r.wg, 1) == VAI_OK);
		atomic_store(&r.go, 1);
		for (volatile int k = 0; k < i % 200; k++)
			;
		assert_int_equal(vai__waitgroup_wait(vai__g_self(), r.wg, world_in(600000)), VAI_OK);
	}
	atomic_store(&r.stop, 1);
	world_join();
	unref(r.wg);
}

/* Many add and finish at random; the sum is right, the last one wakes. */
static void churn(vai_g *g, void *arg)
{
	vai_waitgroup *wg = arg;
	for (int i = 0; i < 1000; i++) {
		CHECK(vai__waitgroup_add(wg, 3) == VAI_OK);
		if (i % 64 == 0)
			vai__yield(g);
		CHECK(vai__waitgroup_add(wg, -2) == VAI_OK);
		CHECK(vai__waitgroup_add(wg, -1) == VAI_OK);
	}
	CHECK(vai__waitgroup_add(wg, -1) == VAI_OK);
}

static void test_churn(void **state)
{
	vai_waitgroup *wg = group(8);
	(void)state;
	for (int i = 0; i < 8; i++)
		world_go(churn, wg);
	assert_int_equal(vai__waitgroup_wait(vai__g_self(), wg, VAI_FOREVER), VAI_OK);
	assert_int_equal(vai__waitgroup_count(wg), 0);
	world_join();
	unref(wg);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_wait_at_zero_and_timeouts),
		cmocka_unit_test(test_zero_wakes_all),
		cmocka_unit_test(test_zero_in_passing),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_wait_races_with_zero),
		cmocka_unit_test(test_churn),
	};
	return WORLD_RUN("waitgroup", tests);
}
