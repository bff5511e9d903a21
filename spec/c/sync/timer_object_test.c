/* SPDX-License-Identifier: MIT */
/* Timer objects: when they fire, that they stop, and that nothing outlives its last holder. */
#include "sync/world.h"

#include <stdlib.h>
#include "base/atomic.h"
#include "base/clock.h"
#include "sync/timer_object.h"

enum { MS = 1000000 };

static void unref(void *o)
{
	vai__obj_unref((struct vai_obj *)o);
}

static void pause_ms(int64_t ms)
{
	vai__sleep(vai__g_self(), world_in(ms));
}

struct alarm {
	_Atomic(int) fired, released;
	_Atomic(int64_t) at;
};

static bool fire(void *arg)
{
	struct alarm *a = arg;
	atomic_store(&a->at, vai__clock_now());
	atomic_fetch_add(&a->fired, 1);
	return true;
}

static void release(void *arg)
{
	atomic_fetch_add(&((struct alarm *)arg)->released, 1);
}

static vai_timer_object *timer(struct alarm *a, int64_t when)
{
	vai_timer_object *t = vai__timer_object_new(vai__g_self(), when, fire, release, a, false);
	CHECK(t != NULL);
	return t;
}

/* The callback gives the timer up just after `fired` changes. */
static void released(struct alarm *a)
{
	while (atomic_load(&a->released) == 0) {
		vai__yield(vai__g_self());
		vai__timer_object_reap();
	}
	CHECK(atomic_load(&a->released) == 1);
}

static void test_timer_fires_once(void **state)
{
	struct alarm a = {0};
	int64_t when = world_in(10);
	vai_timer_object *t = timer(&a, when);
	(void)state;
	world_until(&a.fired, 1);
	assert_true(a.at >= when);
	pause_ms(10);
	assert_int_equal(a.fired, 1);
	assert_false(vai__timer_object_stop(t));
	assert_int_equal(a.released, 0);
	unref(t);
	released(&a);
}

static void test_timer_fires_unheld(void **state)
{
	struct alarm a = {0};
	(void)state;
	unref(timer(&a, world_in(10)));
	assert_int_equal(a.released, 0);
	world_until(&a.fired, 1);
	released(&a);
	assert_int_equal(a.fired, 1);
}

static void test_timer_stop(void **state)
{
	bool in_time = false;
	(void)state;
	for (int ms = 20; !in_time; ms *= 2) { /* again, where its time was over before it was stopped */
		struct alarm a = {0};
		int64_t when = world_in(ms);
		vai_timer_object *t = timer(&a, when);
		bool stopped = vai__timer_object_stop(t);
		in_time = vai__clock_now() < when;
		assert_true(stopped || !in_time);
		assert_false(vai__timer_object_stop(t));
		pause_ms(2 * ms);
		assert_int_equal(a.fired, stopped ? 0 : 1);
		unref(t);
		released(&a);
	}
}

static void test_timer_reset(void **state)
{
	struct alarm a = {0};
	vai_timer_object *t = timer(&a, world_in(60000));
	bool was = false;
	(void)state;
	assert_int_equal(vai__timer_object_reset(vai__g_self(), t, world_in(5), &was), VAI_OK);
	assert_true(was);
	world_until(&a.fired, 1);
	pause_ms(1);
	assert_int_equal(vai__timer_object_reset(vai__g_self(), t, world_in(5), &was), VAI_OK);
	assert_false(was);
	assert_int_equal(a.released, 0);
	unref(t);
	world_until(&a.fired, 2);
	released(&a);
}

/* Released here while the callback has not yet returned there. */
static void test_reap_races_with_the_callback(void **state)
{
	enum { N = 2000 };
	static struct alarm a[N];
	int64_t now = vai__clock_now(), patience = now + 20 * MS;
	int done = 0;
	(void)state;
	for (int i = 0; i < N; i++) {
		a[i] = (struct alarm){0};
		unref(timer(&a[i], now + MS + i * 2000));
	}
	while (done < N) {
		vai__timer_object_reap();
		for (; done < N && atomic_load(&a[done].released); done++)
			assert_int_equal(a[done].fired, 1);
		/* While this P is busy another one runs the timers, if there is another. */
		if (world_procs() == 1 || vai__clock_now() > patience)
			vai__yield(vai__g_self());
	}
}

/* A goroutine started from the callback. */
struct starter {
	_Atomic(int) ran;
	_Atomic(int) released;
};

static void started(vai_g *g, void *arg)
{
	struct starter *s = arg;
	vai__yield(g);
	atomic_fetch_add(&s->ran, 1);
}

static bool fire_start(void *arg)
{
	vai_g *g = vai__g_new(started, arg);
	CHECK(g != NULL);
	vai__g_start(NULL, g);
	return true;
}

static void release_starter(void *arg)
{
	atomic_fetch_add(&((struct starter *)arg)->released, 1);
}

static void test_timer_starts_goroutines(void **state)
{
	struct starter s = {0};
	(void)state;
	for (int i = 0; i < 100; i++)
		unref(vai__timer_object_new(vai__g_self(), world_in(1 + i % 5), fire_start, release_starter, &s, false));
	while (atomic_load(&s.ran) < 100)
		pause_ms(1);
	while (atomic_load(&s.released) < 100) {
		vai__timer_object_reap();
		pause_ms(1);
	}
	assert_int_equal(s.ran, 100);
	assert_int_equal(s.released, 100);
	while (vai__g_count() > 1)
		pause_ms(1);
}

/* Stop against fire: exactly one of them happens. */
static void test_stop_races_with_fire(void **state)
{
	enum { N = 3000 };
	static struct alarm a[N];
	vai_timer_object **t = calloc(N, sizeof(vai_timer_object *));
	int64_t now = vai__clock_now();
	int stopped = 0, fired = 0;
	(void)state;
	for (int i = 0; i < N; i++) {
		a[i] = (struct alarm){0};
		t[i] = timer(&a[i], now + i * 1000);
	}
	for (int i = 0; i < N; i++) {
		if (i % 8 == 0)
			vai__yield(vai__g_self());
		if (vai__timer_object_stop(t[i])) {
			stopped++;
			CHECK(atomic_load(&a[i].fired) == 0);
		} else {
			CHECK(atomic_load(&a[i].fired) == 1);
		}
		unref(t[i]);
	}
	pause_ms(10);
	vai__timer_object_reap();
	for (int i = 0; i < N; i++) {
		fired += atomic_load(&a[i].fired);
		assert_int_equal(atomic_load(&a[i].released), 1);
	}
	assert_int_equal(stopped + fired, N);
	free(t);
}

static void reset_often(vai_g *g, void *arg)
{
	vai_timer_object *t = arg;
	bool was;
	for (int i = 0; i < 500; i++) {
		if (i % 4 == 3)
			vai__timer_object_stop(t);
		else
			CHECK(vai__timer_object_reset(g, t, vai__clock_now() + (i % 5) * 1000, &was) == VAI_OK);
		if (i % 5 == 0)
			vai__yield(g);
	}
	unref(t);
}

static void test_timer_in_many_hands(void **state)
{
	struct alarm a = {0};
	vai_timer_object *t = timer(&a, world_in(1));
	(void)state;
	for (int i = 0; i < 4; i++) {
		vai__obj_ref((struct vai_obj *)t);
		world_go(reset_often, t);
	}
	unref(t);
	world_join();
	released(&a);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer_fires_once),
		cmocka_unit_test(test_timer_fires_unheld),
		cmocka_unit_test(test_timer_stop),
		cmocka_unit_test(test_timer_reset),
		cmocka_unit_test(test_reap_races_with_the_callback),
		cmocka_unit_test(test_timer_starts_goroutines),
		cmocka_unit_test(test_stop_races_with_fire),
		cmocka_unit_test(test_timer_in_many_hands),
	};
	return WORLD_RUN("timer object", tests);
}
