/* SPDX-License-Identifier: MIT */
/* Mutexes below Lua: exclusion, order, and that what a goroutine was given is never lost with it. */
#include "sync/world.h"

#include <stdatomic.h>
#include "base/clock.h"
#include "sync/mutex.h"

enum { MS = 1000000 };

static void unref(vai_mutex *m)
{
	vai__obj_unref((struct vai_obj *)m);
}

static vai_g *self_g(void)
{
	return vai__g_self();
}

static bool is_free(vai_mutex *m)
{
	if (!vai__mutex_trylock(self_g(), m))
		return false;
	return vai__mutex_unlock(m) == VAI_OK;
}

static void test_alone(void **state)
{
	vai_mutex *m = vai__mutex_new();
	struct vai__mutex_info info;
	(void)state;
	assert_int_equal(vai__mutex_unlock(m), VAI_EINVAL);
	assert_int_equal(vai__mutex_lock(self_g(), m, 0), VAI_OK);
	assert_false(vai__mutex_trylock(self_g(), m));
	assert_int_equal(vai__mutex_lock(self_g(), m, 0), VAI_ETIMEOUT);
	assert_int_equal(vai__mutex_lock(self_g(), m, world_in(5)), VAI_ETIMEOUT);
	vai__mutex_info(m, &info);
	assert_int_equal(info.holder, self_g()->id);
	assert_int_equal(info.waiting, 0);
	vai__mutex_release(m, self_g()->id + 1);
	assert_false(is_free(m));
	vai__mutex_release(m, self_g()->id);
	assert_true(is_free(m));
	assert_int_equal(vai__mutex_unlock(m), VAI_EINVAL);
	unref(m);
}

/* ---- one that waits ---- */

struct wait {
	vai_mutex *m;
	int64_t deadline;
	int result;
	_Atomic(int) *order;
	int place;
	vai_g *g;
};

static void do_wait(vai_g *g, void *arg)
{
	struct wait *w = arg;
	w->result = vai__mutex_lock(g, w->m, w->deadline);
	if (w->order)
		w->place = atomic_fetch_add(w->order, 1);
	if (w->result == VAI_OK)
		CHECK(vai__mutex_unlock(w->m) == VAI_OK);
}

static void start_wait(struct wait *w, vai_mutex *m, int64_t deadline, _Atomic(int) *order)
{
	*w = (struct wait){.m = m, .deadline = deadline, .result = 1, .order = order};
	w->g = world_go(do_wait, w);
	world_parked(w->g);
}

/* First come, first served, once they have waited for long enough. */
static void test_order(void **state)
{
	enum { N = 20 };
	vai_mutex *m = vai__mutex_new();
	_Atomic(int) order = 0;
	struct wait w[N];
	(void)state;
	CHECK(vai__mutex_trylock(self_g(), m));
	for (int i = 0; i < N; i++)
		start_wait(&w[i], m, i % 5 == 3 ? world_in(1) : VAI_FOREVER, &order);
	world_until(&order, N / 5); /* those with a limit have come back */
	vai__sleep(self_g(), world_in(3));
	CHECK(vai__fire_any(w[7].g, VAI_WAKE_CANCELED));
	assert_int_equal(vai__mutex_unlock(m), VAI_OK);
	world_join();
	for (int i = 0, last = -1; i < N; i++) {
		assert_int_equal(w[i].result, i == 7 ? VAI_ECANCELED : i % 5 == 3 ? VAI_ETIMEOUT : VAI_OK);
		if (w[i].result != VAI_OK)
			continue;
		assert_true(w[i].place > last);
		last = w[i].place;
	}
	assert_true(is_free(m));
	unref(m);
}

/* Somebody who locks again and again does not keep a waiter out for long: the waiter need not even run. */
static void test_hog(void **state)
{
	vai_mutex *m = vai__mutex_new();
	_Atomic(int) served = 0;
	struct wait w;
	(void)state;
	CHECK(vai__mutex_trylock(self_g(), m));
	start_wait(&w, m, VAI_FOREVER, &served);
	int64_t from = vai__clock_now();
	for (;;) {
		assert_int_equal(vai__mutex_unlock(m), VAI_OK);
		bool mine = vai__mutex_trylock(self_g(), m);
		if (!mine)
			break;                      /* it was handed over */
		if (atomic_load(&served) > 0) { /* it has found it free, on another P */
			assert_int_equal(vai__mutex_unlock(m), VAI_OK);
			break;
		}
		assert_true(vai__clock_now() - from < 10000 * (int64_t)MS);
	}
	world_join();
	assert_int_equal(w.result, VAI_OK);
	assert_true(is_free(m));
	unref(m);
}

/* A waiter that is ended (or times out) in the moment in which it is given the mutex, before it runs
 * or after: the next one gets it. */
struct round {
	vai_mutex *m;
	_Atomic(int) got, ended, over;
};

static void lock_in_round(vai_g *g, void *arg)
{
	struct round *r = arg;
	int rc = vai__mutex_lock(g, r->m, VAI_FOREVER);
	if (rc == VAI_OK) {
		atomic_fetch_add(&r->got, 1);
		CHECK(vai__mutex_unlock(r->m) == VAI_OK);
	} else {
		CHECK(rc == VAI_ECANCELED);
		atomic_fetch_add(&r->ended, 1);
	}
	while (!atomic_load(&r->over))
		vai__yield(g);
	atomic_store(&g->end, VAI_END_NO);
}

/* aged: so that the mutex is handed over. */
static void end_while_woken(bool aged)
{
	struct round r = {.m = vai__mutex_new()};
	int rounds = aged ? 200 : 10000;
	for (int i = 0; i < rounds; i++) {
		CHECK(vai__mutex_trylock(self_g(), r.m));
		vai_g *one = world_go(lock_in_round, &r);
		world_parked(one);
		vai_g *two = world_go(lock_in_round, &r);
		world_parked(two);
		if (aged)
			vai__sleep(self_g(), world_in(2));
		CHECK(vai__mutex_unlock(r.m) == VAI_OK);
		vai__g_end(one, VAI_END_CANCELED);
		world_until(&r.got, 1);
		atomic_store(&r.over, 1);
		world_join();
		assert_int_equal(atomic_load(&r.got) + atomic_load(&r.ended), 2);
		assert_true(is_free(r.m));
		atomic_store(&r.got, 0);
		atomic_store(&r.ended, 0);
		atomic_store(&r.over, 0);
	}
	unref(r.m);
}

static void test_ended_while_woken(void **state)
{
	(void)state;
	end_while_woken(false);
}

static void test_ended_while_granted(void **state)
{
	(void)state;
	end_while_woken(true);
}

/* One that is ended still gets it, where it must. */
static void relock(vai_g *g, void *arg)
{
	struct round *r = arg;
	CHECK(vai__mutex_relock(g, r->m) == VAI_OK);
	CHECK(vai__g_ending(g));
	atomic_store(&g->end, VAI_END_NO);
	atomic_fetch_add(&r->got, 1);
	CHECK(vai__mutex_unlock(r->m) == VAI_OK);
}

static void test_relock(void **state)
{
	struct round r = {.m = vai__mutex_new()};
	(void)state;
	CHECK(vai__mutex_trylock(self_g(), r.m));
	vai_g *g = world_go(relock, &r);
	for (int i = 0; i < 3; i++) {
		world_parked(g);
		vai__g_end(g, VAI_END_CANCELED);
		vai__yield(self_g());
	}
	assert_int_equal(atomic_load(&r.got), 0);
	CHECK(vai__mutex_unlock(r.m) == VAI_OK);
	world_join();
	assert_int_equal(atomic_load(&r.got), 1);
	assert_true(is_free(r.m));
	unref(r.m);
}

/* Many lock with all sorts of limits: never two at once, and it is free in the end. */
struct churn {
	vai_mutex *m;
	int inside; /* plain: the mutex' */
	int64_t sum;
	_Atomic(int64_t) got;
};

static void churn(vai_g *g, void *arg)
{
	struct churn *c = arg;
	for (unsigned i = 0; i < 2000; i++) {
		unsigned dice = (unsigned)(g->id * 7919 + i * 104729) % 16;
		int64_t deadline = dice < 8 ? VAI_FOREVER : dice < 10 ? 0 : vai__clock_now() + dice * 5000;
		if (vai__mutex_lock(g, c->m, deadline) != VAI_OK)
			continue;
		CHECK(c->inside++ == 0);
		if (dice == 3)
			vai__yield(g);
		c->sum++;
		CHECK(c->inside-- == 1);
		atomic_fetch_add(&c->got, 1);
		CHECK(vai__mutex_unlock(c->m) == VAI_OK);
	}
}

static void test_churn(void **state)
{
	struct churn c = {.m = vai__mutex_new()};
	(void)state;
	for (int i = 0; i < 16; i++)
		world_go(churn, &c);
	world_join();
	assert_int_equal(c.sum, atomic_load(&c.got));
	assert_true(c.sum > 0);
	assert_true(is_free(c.m));
	unref(c.m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_hog),
		cmocka_unit_test(test_ended_while_woken),
		cmocka_unit_test(test_ended_while_granted),
		cmocka_unit_test(test_relock),
		cmocka_unit_test(test_churn),
	};
	return WORLD_RUN("mutex", tests);
}
