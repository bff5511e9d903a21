/* SPDX-License-Identifier: MIT */
/* Conditions below Lua: who is woken, in which order, and that the mutex is held again whatever the end of the wait. */
#include "sync/world.h"

#include <stdatomic.h>
#include "base/obj.h"
#include "sync/cond.h"

static vai_mutex *m;
static vai_cond *c;

static void make(void)
{
	m = vai__mutex_new();
	c = vai__cond_new(m);
	assert_non_null(c);
}

/* The mutex is free: each test leaves it so. */
static void unmake(void)
{
	struct vai__mutex_info info;
	assert_int_equal(vai__cond_waiting(c), 0);
	vai__mutex_info(m, &info);
	assert_int_equal(info.holder, 0);
	vai__obj_unref((struct vai_obj *)m);
	vai__obj_unref((struct vai_obj *)c); /* has a reference to the mutex */
}

static void lock(vai_g *g)
{
	CHECK(vai__mutex_lock(g, m, VAI_FOREVER) == VAI_OK);
}

/* ---- one that waits ---- */

struct wait {
	vai_g *g;
	_Atomic(int) rc; /* 1: it waits */
	int place;
};
static _Atomic(int) woken;

static void do_wait(vai_g *g, void *arg)
{
	struct wait *w = arg;
	lock(g);
	int rc = vai__cond_wait(g, c, VAI_FOREVER);
	struct vai__mutex_info info;
	vai__mutex_info(m, &info);
	CHECK(info.holder == g->id);
	w->place = atomic_load(&woken); /* one at a time: they hold the mutex */
	atomic_store(&w->rc, rc);
	atomic_fetch_add(&woken, 1);
	CHECK(vai__mutex_unlock(m) == VAI_OK);
}

/* They wait in the order of the list. */
static void start(struct wait *w, int n)
{
	atomic_store(&woken, 0);
	for (int i = 0; i < n; i++) {
		w[i].rc = 1;
		w[i].g = world_go(do_wait, &w[i]);
		while (vai__cond_waiting(c) < i + 1)
			vai__yield(vai__g_self());
	}
}

static void test_order(void **state)
{
	enum { N = 10 };
	struct wait w[N];
	(void)state;
	make();
	start(w, N);
	for (int i = 0; i < N; i++) {
		vai__cond_signal(c);
		world_until(&woken, i + 1);
		assert_int_equal(w[i].place, i);
		assert_int_equal(vai__cond_waiting(c), N - i - 1);
	}
	world_join();
	unmake();
}

static void test_broadcast(void **state)
{
	enum { N = 10 };
	struct wait w[N], late;
	(void)state;
	make();
	start(w, N);
	lock(vai__g_self()); /* none of them comes back before the next waits */
	vai__cond_broadcast(c);
	assert_int_equal(vai__cond_waiting(c), 0);
	assert_int_equal(vai__mutex_unlock(m), VAI_OK);
	world_until(&woken, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(atomic_load(&w[i].rc), VAI_OK);
	start(&late, 1);
	assert_int_equal(atomic_load(&late.rc), 1);
	vai__cond_broadcast(c);
	vai__cond_broadcast(c); /* of nobody */
	world_join();
	assert_int_equal(atomic_load(&late.rc), VAI_OK);
	unmake();
}

/* A signal that nobody waits for is gone, and whoever gives up holds the mutex all the same. */
static void test_in_vain(void **state)
{
	vai_g *self = vai__g_self();
	(void)state;
	make();
	assert_int_equal(vai__cond_wait(self, c, VAI_FOREVER), VAI_EINVAL);
	assert_int_equal(vai__cond_waiting(c), 0);
	lock(self);
	vai__cond_signal(c);
	assert_int_equal(vai__cond_wait(self, c, 0), VAI_ETIMEOUT);
	assert_int_equal(vai__cond_wait(self, c, world_in(2)), VAI_ETIMEOUT);
	assert_int_equal(vai__mutex_unlock(m), VAI_OK);
	unmake();
}

static void test_guarded(void **state)
{
	vai_g *self = vai__g_self();
	(void)state;
	make();
	lock(self);
	vai__mutex_set_guarded(m);
	assert_int_equal(vai__cond_wait(self, c, world_in(2)), VAI_ETIMEOUT);
	assert_true(vai__mutex_is_guarded(m));
	vai__mutex_release(m, self->id);
	unmake();
}

/* One that is canceled has the mutex, too, before it goes on. */
static void test_cancel(void **state)
{
	struct wait w;
	(void)state;
	make();
	start(&w, 1);
	lock(vai__g_self());
	vai__g_end(w.g, VAI_END_CANCELED);
	while (vai__cond_waiting(c) > 0)
		vai__yield(vai__g_self());
	world_parked(w.g); /* in the lock of the mutex, which nobody can cancel */
	assert_int_equal(atomic_load(&w.rc), 1);
	assert_int_equal(vai__mutex_unlock(m), VAI_OK);
	world_join();
	assert_int_equal(atomic_load(&w.rc), VAI_ECANCELED);
	unmake();
}

/* One is signaled and then canceled: it takes the signal, or passes it on to the next. As long as the mutex is held
 * here neither has come back. */
static void test_signal_is_passed_on(void **state)
{
	struct wait w[2];
	(void)state;
	for (int round = 0; round < 50; round++) {
		make();
		start(w, 2);
		lock(vai__g_self());
		vai__cond_signal(c);
		vai__g_end(w[0].g, VAI_END_CANCELED);
		assert_int_equal(vai__mutex_unlock(m), VAI_OK);
		world_until(&woken, 1);
		while (atomic_load(&w[0].rc) == 1)
			vai__yield(vai__g_self());
		if (atomic_load(&w[0].rc) == VAI_OK) {
			assert_int_equal(vai__cond_waiting(c), 1);
			vai__cond_signal(c);
		} else {
			assert_int_equal(atomic_load(&w[0].rc), VAI_ECANCELED);
		}
		world_join();
		assert_int_equal(atomic_load(&w[1].rc), VAI_OK);
		unmake();
	}
}

/* ---- a box with room for one ---- */

enum { ITEMS = 2000, SIDES = 4 };
static int full, sum;

static void put(vai_g *g, void *arg)
{
	for (int i = 1; i <= ITEMS; i++) {
		lock(g);
		while (full)
			CHECK(vai__cond_wait(g, c, VAI_FOREVER) == VAI_OK);
		full = i;
		vai__cond_broadcast(c);
		CHECK(vai__mutex_unlock(m) == VAI_OK);
	}
	(void)arg;
}

static void take(vai_g *g, void *arg)
{
	for (int i = 1; i <= ITEMS; i++) {
		lock(g);
		while (!full)
			CHECK(vai__cond_wait(g, c, VAI_FOREVER) == VAI_OK);
		sum += full;
		full = 0;
		vai__cond_broadcast(c);
		CHECK(vai__mutex_unlock(m) == VAI_OK);
	}
	(void)arg;
}

static void test_box(void **state)
{
	(void)state;
	make();
	sum = 0;
	for (int i = 0; i < SIDES; i++) {
		world_go(put, NULL);
		world_go(take, NULL);
	}
	world_join();
	assert_int_equal(sum, SIDES * ITEMS * (ITEMS + 1) / 2);
	unmake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_broadcast),
		cmocka_unit_test(test_in_vain),
		cmocka_unit_test(test_guarded),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_signal_is_passed_on),
		cmocka_unit_test(test_box),
	};
	return WORLD_RUN("conditions", tests);
}
