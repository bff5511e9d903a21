/* SPDX-License-Identifier: MIT */
/* The scheduler as the layers above see it: waits and who wins them, yield, sleep,
 * timers, maxprocs, goroutines tied to main, deadlock, start and stop. */
#include "sync/world.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/futex.h"
#include "sched/rt.h"

enum { RACES = 3000, CROWD = 2000 };

static _Atomic(int) hits, sum;
static _Atomic(vai_g *) waiter;
static _Atomic(vai_ticket) ticket;

static void waits_once(vai_g *g, void *arg)
{
	atomic_store(&ticket, vai__wait_begin(g));
	atomic_store(&waiter, g);
	int code = vai__wait(g, VAI_WAIT_COND, arg, VAI_FOREVER);
	atomic_fetch_add(&sum, code);
}

static void one_waker_wins(void **state)
{
	(void)state;
	atomic_store(&sum, 0);
	vai_g *g = world_go(waits_once, NULL);
	world_parked(g);
	assert_true(vai__fire(g, atomic_load(&ticket), VAI_WAKE_USER + 5));
	assert_false(vai__fire(g, atomic_load(&ticket), VAI_WAKE_USER + 6));
	world_join();
	assert_int_equal(atomic_load(&sum), VAI_WAKE_USER + 5);
	assert_false(vai__fire(g, atomic_load(&ticket), VAI_WAKE_USER));
}

static void fire_before_park(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	vai_ticket t = vai__wait_begin(self);
	assert_true(vai__fire(self, t, VAI_WAKE_USER + 1));
	assert_int_equal(vai__wait(self, VAI_WAIT_COND, NULL, VAI_FOREVER), VAI_WAKE_USER + 1);
}

/* A goroutine that waits again and again, and two that fire at it at any moment. */
static _Atomic(int) won;
static _Atomic(bool) over;

static void racing_waiter(vai_g *g, void *arg)
{
	(void)arg;
	for (int i = 0; i < RACES; i++) {
		atomic_store(&ticket, vai__wait_begin(g));
		atomic_store(&waiter, g);
		CHECK(vai__wait(g, VAI_WAIT_COND, NULL, VAI_FOREVER) >= VAI_WAKE_USER);
		atomic_fetch_add(&hits, 1);
	}
	atomic_store(&over, true);
}

static void racing_waker(vai_g *g, void *arg)
{
	while (!atomic_load(&over)) {
		vai_g *w = atomic_load(&waiter);
		if (w && vai__fire(w, atomic_load(&ticket), VAI_WAKE_USER + (int)(intptr_t)arg))
			atomic_fetch_add(&won, 1);
		vai__yield(g);
	}
}

static void every_wait_has_one_winner(void **state)
{
	(void)state;
	atomic_store(&hits, 0);
	atomic_store(&won, 0);
	atomic_store(&over, false);
	atomic_store(&waiter, NULL);
	world_go(racing_waiter, NULL);
	world_go(racing_waker, (void *)1);
	world_go(racing_waker, (void *)2);
	world_join();
	assert_int_equal(atomic_load(&hits), RACES);
	assert_int_equal(atomic_load(&won), RACES);
}

/* The same, but the goroutine sheds its stack in each wait. Where the wait is over before the stack is given away it
 * goes on with that one, on which the frames of before have never returned: AddressSanitizer must not know them any
 * more. So each round's frames lie elsewhere than those of the round before. */
static struct vai__timeout *no_timeout;

static void shed_again(vai_g *g, void *left);

static VAI_NOINLINE void wait_and_shed(vai_g *g, intptr_t left)
{
	atomic_store(&ticket, vai__wait_begin(g));
	vai__park_shed_begin(g, VAI_WAIT_COND, NULL, VAI_FOREVER, &no_timeout);
	atomic_store(&waiter, g);
	vai__park_shed(g, shed_again, (void *)left);
}

static VAI_NOINLINE void fill(volatile char *p, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (char)n;
}

static VAI_NOINLINE void shed_deep(vai_g *g, intptr_t left)
{
	char deep[97];
	fill(deep, sizeof deep);
	wait_and_shed(g, left);
	CHECK(deep[left % 97] == sizeof deep);
}

static VAI_NOINLINE void shed_flat(vai_g *g, intptr_t left)
{
	char flat[32];
	fill(flat, sizeof flat);
	wait_and_shed(g, left);
	CHECK(flat[left % 32] == sizeof flat);
}

/* Behind a wait after which so many are left. */
static void shed_rest(vai_g *g, intptr_t left)
{
	for (;; left--) {
		CHECK(vai__park_shed_end(g, &no_timeout) >= VAI_WAKE_USER);
		atomic_fetch_add(&hits, 1);
		if (left == 0)
			break;
		left % 2 ? shed_deep(g, left - 1) : shed_flat(g, left - 1);
	}
	atomic_store(&over, true);
}

static void shed_again(vai_g *g, void *left)
{
	shed_rest(g, (intptr_t)left);
	world_end();
}

static void racing_shedder(vai_g *g, void *arg)
{
	(void)arg;
	shed_flat(g, RACES - 1);
	shed_rest(g, RACES - 1); /* the wait was over before it began */
}

/* It meets each wait a little later after its beginning than the one before, and then earlier again. */
static void *thread_fires(void *arg)
{
	vai_ticket last = (vai_ticket)-1;
	for (unsigned n = 0; !atomic_load(&over);) {
		vai_g *w = atomic_load(&waiter);
		vai_ticket t = atomic_load(&ticket);
		if (!w || t == last)
			continue;
		for (unsigned i = n++ * 8 % 1024; i > 0; i--)
			vai__cpu_relax();
		if (vai__fire(w, t, VAI_WAKE_USER))
			atomic_fetch_add(&won, 1);
		last = t;
	}
	return arg;
}

static void who_sheds_has_one_winner(void **state)
{
	pthread_t thread;
	(void)state;
	atomic_store(&hits, 0);
	atomic_store(&won, 0);
	atomic_store(&over, false);
	atomic_store(&waiter, NULL);
	assert_int_equal(pthread_create(&thread, NULL, thread_fires, NULL), 0);
	world_go(racing_shedder, NULL);
	world_join();
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&hits), RACES);
	assert_int_equal(atomic_load(&won), RACES);
}

static void deadline_ends_a_wait(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int64_t until = world_in(5);
	vai_ticket t = vai__wait_begin(self);
	assert_int_equal(vai__wait(self, VAI_WAIT_COND, NULL, until), VAI_WAKE_TIMEOUT);
	assert_true(vai__clock_now() >= until);
	assert_false(vai__fire(self, t, VAI_WAKE_USER));
}

static void sleeper(vai_g *g, void *arg)
{
	int64_t until = vai__clock_now() + (int64_t)(intptr_t)arg * 1000000;
	CHECK(vai__sleep(g, until) == VAI_OK);
	CHECK(vai__clock_now() >= until);
	atomic_fetch_add(&hits, 1);
}

static void many_sleep(void **state)
{
	(void)state;
	atomic_store(&hits, 0);
	for (intptr_t i = 0; i < CROWD; i++)
		world_go(sleeper, (void *)(i % 7));
	world_join();
	assert_int_equal(atomic_load(&hits), CROWD);
}

static struct vai__timer timers[100];
static int order[100];
static _Atomic(int) norder, noted; /* places taken in `order`, and filled */

static int64_t note_order(struct vai__timer *t, int64_t now)
{
	(void)now;
	order[atomic_fetch_add(&norder, 1)] = (int)(t - timers);
	atomic_fetch_add(&noted, 1);
	return VAI_FOREVER;
}

/* True: main has had one P all the while, and has stopped every second one in time. */
static bool try_order(int ms)
{
	vai_g *self = vai__g_self();
	struct p *p = m_p(vai__m_self());
	int64_t base = world_in(ms);
	memset(timers, 0, sizeof(timers));
	atomic_store(&norder, 0);
	atomic_store(&noted, 0);
	for (int i = 99; i >= 0; i--) {
		timers[i].fn = note_order;
		assert_int_equal(vai__timer_start(self, &timers[i], base + i), VAI_OK);
	}
	int stopped = 0;
	for (int i = 1; i < 100; i += 2)
		stopped += vai__timer_stop(&timers[i]);
	bool good = vai__clock_now() < base && p && m_p(vai__m_self()) == p;
	assert_true(stopped == 50 || !good);
	vai__sleep(self, base);
	world_until(&noted, 100 - stopped);
	return good;
}

static void timers_fire_in_order(void **state)
{
	(void)state;
	for (int ms = 100; !try_order(ms); ms *= 2)
		continue;
	assert_int_equal(atomic_load(&norder), 50);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(order[i], 2 * i);
		assert_false(vai__timer_stop(&timers[2 * i]));
	}
}

static int64_t again(struct vai__timer *t, int64_t now)
{
	(void)t;
	return atomic_fetch_add(&hits, 1) < 4 ? now + 1000 : VAI_FOREVER;
}

static void a_timer_may_repeat(void **state)
{
	struct vai__timer t = {.fn = again};
	(void)state;
	atomic_store(&hits, 0);
	assert_int_equal(vai__timer_start(vai__g_self(), &t, vai__clock_now()), VAI_OK);
	while (atomic_load(&t.heap))
		vai__sleep(vai__g_self(), world_in(1));
	assert_int_equal(atomic_load(&hits), 5);
}

static void yields(vai_g *g, void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		uint64_t id = g->id;
		vai__yield(g);
		CHECK(vai__g_self() == g && g->id == id);
	}
	atomic_fetch_add(&hits, 1);
}

static void crowd_yields(void **state)
{
	(void)state;
	atomic_store(&hits, 0);
	for (int i = 0; i < CROWD; i++)
		world_go(yields, NULL);
	assert_true(vai__g_count() >= 2);
	world_join();
	assert_int_equal(atomic_load(&hits), CROWD);
}

static void on_main(vai_g *g, void *arg)
{
	CHECK(pthread_equal(pthread_self(), *(pthread_t *)arg));
	vai__yield(g);
	vai__sleep(g, world_in(1));
	CHECK(pthread_equal(pthread_self(), *(pthread_t *)arg));
	atomic_fetch_add(&hits, 1);
}

static pthread_t main_thread;

static void starts_on_main(vai_g *g, void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++) {
		vai__g_start(g, vai__g_new_on_main(on_main, &main_thread));
		vai__yield(g);
	}
}

static void tied_to_mains_thread(void **state)
{
	(void)state;
	main_thread = pthread_self();
	atomic_store(&hits, 0);
	world_go(starts_on_main, NULL);
	world_go(starts_on_main, NULL);
	world_until(&hits, 100);
	world_join();
	assert_true(pthread_equal(pthread_self(), main_thread));
}

static void changes_procs(vai_g *g, void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++) {
		vai__maxprocs(g, 1 + i % 5);
		vai__yield(g);
		vai__sleep(g, vai__clock_now() + 1000);
	}
}

static void maxprocs_while_running(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int old = vai__maxprocs(self, 0);
	atomic_store(&hits, 0);
	world_go(changes_procs, NULL);
	for (int i = 0; i < 200; i++)
		world_go(yields, NULL);
	for (intptr_t i = 0; i < 200; i++)
		world_go(sleeper, (void *)(i % 5));
	world_join();
	assert_int_equal(atomic_load(&hits), 400);
	vai__maxprocs(self, old);
	assert_int_equal(vai__maxprocs(self, 0), old);
}

static void flips_procs(vai_g *g, void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		vai__maxprocs(g, 1 + i % 2 * 4);
		if (i % 3 == 0)
			vai__yield(g);
	}
}

/* A P that was to go out of use and is wanted again meanwhile: none is lost, and none that
 * should go stays (its M would not sleep again). */
static void maxprocs_back_and_forth(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	int old = vai__maxprocs(self, 0);
	atomic_store(&hits, 0);
	for (int i = 0; i < 3; i++)
		world_go(flips_procs, NULL);
	for (int i = 0; i < 200; i++)
		world_go(yields, NULL);
	world_join();
	vai__maxprocs(self, 1);
	vai__maxprocs(self, old);
	vai__wait_begin(self); /* all others sleep */
	assert_int_equal(vai__wait(self, VAI_WAIT_COND, NULL, VAI_FOREVER), VAI_WAKE_DEADLOCK);
	assert_int_equal(vai__maxprocs(self, 0), old);
	struct vai__sched_stats st = {0};
	do /* who told main goes back to sleep */
		vai__sched_stats(&st);
	while (st.idle_ps < old - 1);
	assert_int_equal(st.idle_ps, old - 1);
}

static void deadlock_is_told_to_main(void **state)
{
	(void)state;
	vai_g *self = vai__g_self();
	atomic_store(&sum, 0);
	vai_g *g = world_go(waits_once, NULL);
	vai__wait_begin(self);
	assert_int_equal(vai__wait(self, VAI_WAIT_COND, NULL, VAI_FOREVER), VAI_WAKE_DEADLOCK);
	assert_int_equal(vai__g_state(g), VAI_G_WAITING);
	vai__wait_begin(self);
	assert_int_equal(vai__wait(self, VAI_WAIT_COND, NULL, VAI_FOREVER), VAI_WAKE_DEADLOCK);
	assert_true(vai__fire_any(g, VAI_WAKE_CANCELED));
	world_join();
	assert_int_equal(atomic_load(&sum), VAI_WAKE_CANCELED);
}

static void count_each(vai_g *g, const struct vai_g_info *info, void *arg)
{
	(void)g;
	*(int *)arg += info->state == VAI_G_WAITING && info->reason == VAI_WAIT_COND;
}

static void each_sees_who_waits(void **state)
{
	(void)state;
	int n = 0;
	vai_g *g = world_go(waits_once, NULL);
	world_parked(g);
	vai__g_each(count_each, &n);
	assert_int_equal(n, 1);
	assert_true(vai__fire_any(g, VAI_WAKE_USER));
	world_join();
}

static void restarts(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		struct vai__sched_opts opts = {.maxprocs = 1 + i % 3};
		assert_int_equal(vai__sched_start(&opts), VAI_OK);
		assert_int_equal(vai__sched_start(&opts), VAI_EINVAL);
		for (intptr_t k = 0; k < 20; k++)
			vai__g_start(vai__g_main(), vai__g_new(sleeper, (void *)(k % 2 * 1000)));
		vai__sleep(vai__g_main(), world_in(1));
		assert_true(vai__sched_stop(VAI_FOREVER));
		assert_null(vai__g_self());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_waker_wins),
		cmocka_unit_test(fire_before_park),
		cmocka_unit_test(every_wait_has_one_winner),
		cmocka_unit_test(who_sheds_has_one_winner),
		cmocka_unit_test(deadline_ends_a_wait),
		cmocka_unit_test(many_sleep),
		cmocka_unit_test(timers_fire_in_order),
		cmocka_unit_test(a_timer_may_repeat),
		cmocka_unit_test(crowd_yields),
		cmocka_unit_test(tied_to_mains_thread),
		cmocka_unit_test(maxprocs_while_running),
		cmocka_unit_test(maxprocs_back_and_forth),
		cmocka_unit_test(deadlock_is_told_to_main),
		cmocka_unit_test(each_sees_who_waits),
	};
	const struct CMUnitTest alone[] = {cmocka_unit_test(restarts)};
	return WORLD_RUN("sched", tests) + cmocka_run_group_tests_name("restart", alone, NULL, NULL);
}
