/* SPDX-License-Identifier: MIT */
/* Channels with a timer, and tickers: when they tick, that they stop, and that nothing outlives its last holder. */
#include "sync/world.h"
#include "sync/select.h"

#include <stdlib.h>
#include "base/atomic.h"
#include "base/clock.h"
#include "sync/ticker.h"
#include "sync/timed_chan.h"

enum { MS = 1000000, TRIES = 30 };

static void stamp(vai_msg *out, int64_t now)
{
	*out = (vai_msg){{(uint64_t)now, 0, 0, 0}};
}

static void unref(void *o)
{
	vai__obj_unref((struct vai_obj *)o);
}

/* The stamp received, or a negative result. */
static int64_t tick(vai_chan *ch, int64_t deadline)
{
	vai_msg msg;
	int r = vai__chan_recv(vai__g_self(), ch, &msg, deadline);
	return r ? r : (int64_t)msg.w[0];
}

static void pause_ms(int64_t ms)
{
	vai__sleep(vai__g_self(), world_in(ms));
}

/* ---- after ---- */

static vai_chan *after(int64_t when)
{
	return (vai_chan *)vai__timed_chan_new(vai__g_self(), when, 0, stamp, NULL);
}

static void test_after(void **state)
{
	int64_t when = world_in(10);
	vai_chan *ch = after(when);
	(void)state;
	assert_non_null(ch);
	assert_int_equal(vai__chan_cap(ch), 1);
	assert_int_equal(tick(ch, 0), VAI_EAGAIN);
	assert_true(tick(ch, VAI_FOREVER) >= when);
	assert_true(vai__clock_now() >= when);
	assert_int_equal(tick(ch, world_in(30)), VAI_ETIMEOUT);
	unref(ch);
}

static void test_after_the_past_and_never(void **state)
{
	vai_chan *past = after(1);
	vai_chan *never = after(VAI_FOREVER);
	(void)state;
	assert_true(tick(past, world_in(600000)) > 0);
	assert_int_equal(tick(never, world_in(10)), VAI_ETIMEOUT);
	unref(past);
	unref(never);
}

/* Dropped before, while and after they fire. */
static void test_after_dropped(void **state)
{
	enum { N = 2000 };
	vai_chan **ch = calloc(N, sizeof *ch);
	(void)state;
	for (int round = 0; round < 3; round++) {
		int64_t now = vai__clock_now();
		for (int i = 0; i < N; i++)
			ch[i] = after(now + i * 5000);
		for (int i = 0; i < N; i++) {
			if (i % 16 == 0)
				vai__yield(vai__g_self());
			unref(ch[i]);
		}
	}
	free(ch);
}

static void test_select_timeout_with_after(void **state)
{
	vai_chan *ch = vai__chan_new(0, NULL), *late = after(world_in(10));
	struct vai__case c[2] = {{.ch = ch, .dir = VAI_DIR_RECV}, {.ch = late, .dir = VAI_DIR_RECV}};
	(void)state;
	assert_int_equal(vai__select(vai__g_self(), c, 2, VAI_FOREVER), 1);
	assert_int_equal(c[1].result, VAI_OK);
	unref(ch);
	unref(late);
}

/* ---- ticker ---- */

static void test_ticker(void **state)
{
	int64_t begin = vai__clock_now(), last = begin;
	vai_ticker *t = vai__ticker_new(vai__g_self(), 5 * MS, stamp, NULL);
	vai_chan *ch = vai__ticker_chan(t);
	(void)state;
	for (int i = 1; i <= 4; i++) {
		int64_t at = tick(ch, VAI_FOREVER);
		assert_true(at > last && at >= begin + i * 5 * MS);
		last = at;
	}
	assert_true(vai__ticker_stop(t));
	assert_false(vai__ticker_stop(t));
	tick(ch, 0);
	assert_int_equal(tick(ch, world_in(20)), VAI_ETIMEOUT);
	assert_int_equal(vai__ticker_reset(vai__g_self(), t, 2 * MS), VAI_OK);
	assert_true(tick(ch, VAI_FOREVER) > 0);
	assert_true(tick(ch, VAI_FOREVER) > 0);
	unref(t);
}

/* On a busy machine the thread that ticks may stand still between its look at the clock and the tick, and the second
 * tick is an old one; but not in each of some tries. */
static void test_slow_receiver_misses_ticks(void **state)
{
	vai_ticker *t = vai__ticker_new(vai__g_self(), MS, stamp, NULL);
	vai_chan *ch = vai__ticker_chan(t);
	int64_t first, second;
	int tries = 0;
	(void)state;
	do {
		while (vai__chan_len(ch) == 0)
			pause_ms(1);
		pause_ms(30);
		assert_int_equal(vai__chan_len(ch), 1);
		first = tick(ch, 0);
		assert_true(first > 0);
		second = tick(ch, VAI_FOREVER);
	} while (second < first + 10 * MS && ++tries < TRIES);
	assert_true(second >= first + 10 * MS);
	unref(t);
}

static void test_channel_outlives_its_ticker(void **state)
{
	vai_ticker *t = vai__ticker_new(vai__g_self(), MS, stamp, NULL);
	vai_chan *ch = vai__ticker_chan(t);
	(void)state;
	vai__obj_ref((struct vai_obj *)ch);
	unref(t);
	for (int i = 0; i < 3; i++)
		assert_true(tick(ch, world_in(600000)) > 0);
	unref(ch);
}

static void test_closed_channel_stops_the_ticker(void **state)
{
	bool ticks = true;
	(void)state;
	for (int ms = 20; ticks && ms < 60000; ms *= 2) { /* how late the timer is, the machine's other work decides */
		vai_ticker *t = vai__ticker_new(vai__g_self(), MS, stamp, NULL);
		vai__chan_close(vai__ticker_chan(t));
		pause_ms(ms);
		ticks = vai__ticker_stop(t);
		unref(t);
	}
	assert_false(ticks);
}

static void test_extreme_periods(void **state)
{
	static const int64_t periods[] = {INT64_MIN, -1, 0, 1, VAI_FOREVER - 1, VAI_FOREVER};
	(void)state;
	for (int i = 0; i < 6; i++) {
		vai_ticker *t = vai__ticker_new(vai__g_self(), periods[i], stamp, NULL);
		int64_t r = tick(vai__ticker_chan(t), world_in(i < 4 ? 600000 : 5));
		assert_true(i < 4 ? r > 0 : r == VAI_ETIMEOUT);
		assert_int_equal(vai__ticker_reset(vai__g_self(), t, MS), VAI_OK);
		assert_true(tick(vai__ticker_chan(t), VAI_FOREVER) > 0);
		unref(t);
	}
}

/* Resets and stops from several goroutines: one timer, never two. */
struct hands {
	vai_ticker *t;
	_Atomic(int) left;
};

static void fumble(vai_g *g, void *arg)
{
	struct hands *h = arg;
	for (int i = 0; i < 500; i++) {
		if (i % 3)
			CHECK(vai__ticker_reset(g, h->t, 1 + (i % 7) * 1000) == VAI_OK);
		else
			vai__ticker_stop(h->t);
		if (i % 5 == 0)
			vai__yield(g);
	}
	atomic_fetch_sub(&h->left, 1);
}

static void test_ticker_in_many_hands(void **state)
{
	struct hands h = {.t = vai__ticker_new(vai__g_self(), 1000, stamp, NULL), .left = 4};
	(void)state;
	for (int i = 0; i < 4; i++)
		world_go(fumble, &h);
	while (atomic_load(&h.left) > 0)
		tick(vai__ticker_chan(h.t), world_in(1));
	world_join();
	vai__ticker_stop(h.t);
	assert_false(vai__ticker_stop(h.t));
	tick(vai__ticker_chan(h.t), 0);
	assert_int_equal(tick(vai__ticker_chan(h.t), world_in(10)), VAI_ETIMEOUT);
	unref(h.t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_after_the_past_and_never),
		cmocka_unit_test(test_after_dropped),
		cmocka_unit_test(test_select_timeout_with_after),
		cmocka_unit_test(test_ticker),
		cmocka_unit_test(test_slow_receiver_misses_ticks),
		cmocka_unit_test(test_channel_outlives_its_ticker),
		cmocka_unit_test(test_closed_channel_stops_the_ticker),
		cmocka_unit_test(test_extreme_periods),
		cmocka_unit_test(test_ticker_in_many_hands),
	};
	return WORLD_RUN("ticker", tests);
}
