/* SPDX-License-Identifier: MIT */
/* The loop of libuv that is nested in the poller: what goroutines start in it is done by whoever is in the poller. */
#include "sync/world.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>
#include "base/clock.h"
#include "net/uvloop.h"
#include "sched/poll.h"

enum { MANY = 200, HOUR = 3600000 /* ms */, ROUNDS = 3 };

/* Handles lie on the stacks of goroutines, which wait until they are closed. */
struct request {
	vai_g *g;
	vai_ticket ticket;
	int called;
};

static void closed(uv_handle_t *h)
{
	struct request *r = h->data;
	vai__fire(r->g, r->ticket, VAI_WAKE_USER);
}

static void done(uv_handle_t *h)
{
	struct request *r = h->data;
	r->called++;
	uv_close(h, closed);
}

static void on_timer(uv_timer_t *t)
{
	done((uv_handle_t *)t);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	CHECK(status == 0 && events == UV_READABLE);
	done((uv_handle_t *)p);
}

/* The loop is left; the handle will be closed. */
static void await(vai_g *g, struct request *r)
{
	vai__uvloop_leave();
	vai__poll_count(1);
	CHECK(vai__wait(g, VAI_WAIT_IO, NULL, VAI_FOREVER) == VAI_WAKE_USER);
	vai__poll_count(-1);
	CHECK(r->called == 1);
}

static void sleep_there(vai_g *g, void *ms)
{
	struct request r = {.g = g, .ticket = vai__wait_begin(g)};
	uv_timer_t timer;
	uv_loop_t *loop = vai__uvloop_enter();
	CHECK(loop && uv_timer_init(loop, &timer) == 0);
	timer.data = &r;
	CHECK(uv_timer_start(&timer, on_timer, (uint64_t)(uintptr_t)ms, 0) == 0);
	await(g, &r);
}

/* The loop is still in its turn when a callback has woken a goroutine. Afterwards nothing is due but what test_left has
 * left. */
static void until_quiet(void)
{
	while (vai__uvloop_next() < vai__clock_real() + (int64_t)HOUR / 2 * 1000000)
		vai__yield(vai__g_self());
}

/* No other thing of vai's is due: the loop's own timer has to end the sleep in the poller. */
static void test_timer(void **state)
{
	(void)state;
	world_go(sleep_there, (void *)(uintptr_t)5);
	world_join();
	assert_true(vai__uvloop_is_open());
	until_quiet();
}

static void test_many(void **state)
{
	(void)state;
	for (uintptr_t i = 0; i < MANY; i++)
		world_go(sleep_there, (void *)(i % 7));
	world_join();
	until_quiet();
}

static void wait_for_input(vai_g *g, void *fd)
{
	struct request r = {.g = g, .ticket = vai__wait_begin(g)};
	uv_poll_t poll;
	uv_loop_t *loop = vai__uvloop_enter();
	CHECK(loop && uv_poll_init(loop, &poll, *(int *)fd) == 0);
	poll.data = &r;
	CHECK(uv_poll_start(&poll, UV_READABLE, on_poll) == 0);
	await(g, &r);
}

/* What the loop waits for shows in its descriptor, which is a member of the poller. */
static void test_input(void **state)
{
	uint64_t one = 1;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)state;
	world_parked(world_go(wait_for_input, &fd));
	assert_int_equal(write(fd, &one, sizeof one), sizeof one);
	world_join();
	close(fd);
}

/* The end of the runtime, after all rounds, closes what is left. */
static uv_timer_t left[ROUNDS];
static int nleft;

static void never(uv_timer_t *t)
{
	(void)t;
	world_fail(__FILE__, __LINE__, "a timer of an hour fires");
}

static void test_left(void **state)
{
	(void)state;
	uv_timer_t *t = &left[nleft++];
	uv_loop_t *loop = vai__uvloop_enter();
	assert_non_null(loop);
	assert_int_equal(uv_timer_init(loop, t), 0);
	assert_int_equal(uv_timer_start(t, never, HOUR, 0), 0);
	vai__uvloop_leave();
	assert_true(vai__uvloop_next() != VAI_FOREVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_left),
	};
	int failed = WORLD_RUN("libuv's loop", tests);
	for (int i = 0; i < nleft; i++)
		failed += !uv_is_closing((uv_handle_t *)&left[i]);
	return failed || vai__uvloop_is_open();
}
