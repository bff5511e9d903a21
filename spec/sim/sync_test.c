/* SPDX-License-Identifier: MIT */
/* Channels, select and wait groups: every message is received once or still its sender's, nobody waits
 * for what has come, nothing is written to after its owner went on. */
#include "sync/chan.h"
#include "sync/select.h"
#include "sync/waitq.h"
#include "sync/waitgroup.h"
#include "tests.h"
#include "world.h"
#include "base/clock.h"

static vai_chan *a, *b;
static vai_waitgroup *wg;
static int received, closed, given_up;

static void release(void)
{
	vai__obj_unref((struct vai_obj *)a);
	if (b)
		vai__obj_unref((struct vai_obj *)b);
}

static void send(vai_g *g, vai_chan *ch, int64_t deadline)
{
	vai_msg msg = world_msg();
	int r = vai__chan_send(g, ch, &msg, deadline);
	if (r == VAI_OK)
		return;
	world_spend(&msg);
	closed += r == VAI_ECLOSED;
	given_up += r == VAI_ETIMEOUT;
	SIM_CHECK(r == VAI_ECLOSED || r == VAI_ETIMEOUT);
}

static int recv(vai_g *g, vai_chan *ch, int64_t deadline)
{
	vai_msg msg;
	int r = vai__chan_recv(g, ch, &msg, deadline);
	if (r == VAI_OK) {
		world_spend(&msg);
		received++;
	} else {
		SIM_CHECK(msg.w[0] == 0 && msg.w[1] == 0);
		closed += r == VAI_ECLOSED;
		given_up += r == VAI_ETIMEOUT;
	}
	return r;
}

static void send_one(vai_g *g, void *arg)
{
	send(g, arg, VAI_FOREVER);
}

static void recv_one(vai_g *g, void *arg)
{
	recv(g, arg, VAI_FOREVER);
}

/* ---- channels ---- */

static void rendezvous(vai_g *main)
{
	a = vai__chan_new(0, world_drop);
	world_go(main, send_one, a);
	world_go(main, recv_one, a);
	world_go(main, send_one, a);
	recv(main, a, VAI_FOREVER);
	world_join(main);
	SIM_CHECK(received == 2);
	release();
}

void test_rendezvous(void)
{
	world(2, rendezvous);
}

/* ---- receivers that wait without their stacks ---- */

struct shed {
	vai_chan *ch;
	struct vai__rest rest;
};

static void shed_over(vai_g *g, struct shed *s, int r)
{
	SIM_CHECK(g->waits == NULL);
	if (r == VAI_OK) {
		world_spend(&s->rest.msg);
		received++;
	} else {
		SIM_CHECK(r == VAI_ECLOSED && s->rest.msg.w[0] == 0 && s->rest.msg.w[1] == 0);
		closed++;
	}
}

static void shed_end(vai_g *g, void *arg)
{
	struct shed *s = arg;
	shed_over(g, s, vai__chan_recv_end(g, s->ch, &s->rest));
	world_end();
}

static void recv_without_stack(vai_g *g, void *arg)
{
	struct shed *s = arg;
	int r = vai__chan_recv_begin(g, s->ch, VAI_FOREVER, &s->rest);
	if (r == VAI_SHEDS) {
		vai__park_shed(g, shed_end, s);
		r = vai__chan_recv_end(g, s->ch, &s->rest);
	}
	shed_over(g, s, r);
}

static void go_shedding(vai_g *main, struct shed *s, vai_chan *ch)
{
	s->ch = ch;
	world_go(main, recv_without_stack, s);
}

static void shed(vai_g *main)
{
	static struct shed first, second;
	a = vai__chan_new(0, world_drop);
	go_shedding(main, &first, a);
	go_shedding(main, &second, a);
	world_go(main, send_one, a);
	send(main, a, VAI_FOREVER);
	world_join(main);
	SIM_CHECK(received == 2);
	release();
}

void test_shed(void)
{
	world(2, shed);
}

static void shed_close(vai_g *main)
{
	static struct shed receiver;
	a = vai__chan_new(1, world_drop);
	go_shedding(main, &receiver, a);
	world_go(main, send_one, a);
	vai__chan_close(a);
	world_join(main);
	SIM_CHECK(received + closed >= 1);
	release();
}

void test_shed_close(void)
{
	world(2, shed_close);
}

static void send_two(vai_g *g, void *arg)
{
	send(g, arg, VAI_FOREVER);
	send(g, arg, VAI_FOREVER);
}

static void buffered(vai_g *main)
{
	a = vai__chan_new(1, world_drop);
	world_go(main, send_two, a);
	world_go(main, send_one, a);
	recv(main, a, VAI_FOREVER);
	recv(main, a, VAI_FOREVER);
	world_join(main);
	SIM_CHECK(received == 2 && vai__chan_len(a) == 1);
	release();
	SIM_CHECK(world_dropped() == 1);
}

void test_buffered(void)
{
	world(2, buffered);
}

/* A sender and a receiver who meet in the ring only, and one of them waits now and then. */
static void send_and_close(vai_g *g, void *arg)
{
	for (int i = 0; i < 4; i++)
		send(g, arg, VAI_FOREVER);
	SIM_CHECK(vai__chan_close(arg) == VAI_OK);
}

static void pipe_through(vai_g *main)
{
	a = vai__chan_new(2, world_drop);
	world_go(main, send_and_close, a);
	while (recv(main, a, VAI_FOREVER) == VAI_OK)
		;
	world_join(main);
	SIM_CHECK(received == 4 && closed == 1);
	release();
}

void test_pipe(void)
{
	world(2, pipe_through);
}

/* The same without a scheduler, and without waiting: the locks of the two sides. */
static int busy, accepted;
static bool in_order;

static void send_some(void *arg)
{
	for (int i = 0; i < *(int *)arg; i++) {
		vai_msg msg = world_msg();
		if (vai__chan_send(NULL, a, &msg, 0) == VAI_OK)
			accepted++;
		else
			world_spend(&msg);
	}
	busy--;
}

static void recv_some(void *arg)
{
	uint64_t last = 0;
	for (int i = 0; i < *(int *)arg; i++) {
		vai_msg msg;
		if (vai__chan_recv(NULL, a, &msg, 0) != VAI_OK)
			continue;
		SIM_CHECK(!in_order || msg.w[0] > last);
		last = msg.w[0];
		world_spend(&msg);
		received++;
	}
	busy--;
}

static void close_it(void *arg)
{
	SIM_CHECK(vai__chan_close(arg) == VAI_OK);
	busy--;
}

static bool is_idle(void *arg)
{
	(void)arg;
	return busy == 0;
}

static void sides(int *first, int *second, int *receiver)
{
	a = vai__chan_new(2, world_drop);
	busy = 2 + (second != NULL);
	sim_spawn(send_some, first);
	if (second)
		sim_spawn(send_some, second);
	sim_spawn(recv_some, receiver);
	sim_wait(is_idle, NULL, INT64_MAX, "for all sides");
	SIM_CHECK(accepted == received + vai__chan_len(a));
	release();
	SIM_CHECK(accepted == received + world_dropped() && sim_blocks() == 0);
}

void test_sides(void)
{
	static int three = 3, four = 4;
	in_order = true;
	sides(&three, NULL, &four);
}

void test_sides_two(void)
{
	static int one = 1, two = 2;
	sides(&two, &one, &two);
}

void test_sides_close(void)
{
	static int two = 2;
	a = vai__chan_new(4, world_drop);
	busy = 2;
	sim_spawn(send_some, &two);
	sim_spawn(close_it, a);
	sim_wait(is_idle, NULL, INT64_MAX, "for both");
	int n = accepted;
	busy = 1;
	send_some(&two);
	SIM_CHECK(accepted == n && vai__chan_len(a) == n);
	release();
}

static void send_soon(vai_g *g, void *arg)
{
	send(g, arg, vai__clock_now() + 30000);
}

static void send_timeout(vai_g *main)
{
	a = vai__chan_new(0, world_drop);
	world_go(main, send_soon, a);
	vai__yield(main);
	recv(main, a, vai__clock_now() + 30000);
	world_join(main);
	SIM_CHECK((received == 1 && given_up == 0) || (received == 0 && given_up == 2));
	release();
}

void test_send_timeout(void)
{
	world(2, send_timeout);
}

static void close_one(vai_g *g, void *arg)
{
	(void)g;
	SIM_CHECK(vai__chan_close(arg) == VAI_OK);
}

static void close_all(vai_g *main)
{
	a = vai__chan_new(0, world_drop);
	world_go(main, send_one, a);
	world_go(main, recv_one, a);
	world_go(main, close_one, a);
	recv(main, a, VAI_FOREVER);
	world_join(main);
	SIM_CHECK(received + closed == (received ? 2 : 3));
	release();
}

void test_close(void)
{
	world(2, close_all);
}

/* ---- select ---- */

/* Sends on one or receives from the other; what it does is told by *arg. */
static void send_or_recv(vai_g *g, void *arg)
{
	struct vai__case cs[2] = {
		{.ch = arg, .dir = VAI_DIR_SEND, .msg = world_msg()},
		{.ch = arg == a ? b : a, .dir = VAI_DIR_RECV},
	};
	int i = vai__select(g, cs, 2, VAI_FOREVER);
	SIM_CHECK(i == 0 || i == 1);
	SIM_CHECK(cs[i].result == VAI_OK);
	if (i == 1) {
		world_spend(&cs[1].msg);
		world_spend(&cs[0].msg);
		received++;
	}
}

/* Two selects against each other: either sends to the other, on either channel. */
static void select_pair(vai_g *main)
{
	a = vai__chan_new(0, world_drop);
	b = vai__chan_new(0, world_drop);
	world_go(main, send_or_recv, a);
	world_go(main, send_or_recv, b);
	world_join(main);
	SIM_CHECK(received == 1);
	release();
}

void test_select_pair(void)
{
	world(2, select_pair);
}

/* The same channel in both directions and twice; it must not meet itself. */
static void same_channel(vai_g *g, void *arg)
{
	struct vai__case cs[3] = {
		{.ch = arg, .dir = VAI_DIR_RECV},
		{.ch = arg, .dir = VAI_DIR_SEND, .msg = world_msg()},
		{.ch = arg, .dir = VAI_DIR_RECV},
	};
	int i = vai__select(g, cs, 3, VAI_FOREVER);
	SIM_CHECK(i >= 0 && cs[i].result == VAI_OK);
	if (i != 1) {
		world_spend(&cs[i].msg);
		world_spend(&cs[1].msg);
		received++;
	}
}

static void select_same(vai_g *main)
{
	a = vai__chan_new(0, world_drop);
	world_go(main, same_channel, a);
	world_go(main, same_channel, a);
	world_join(main);
	SIM_CHECK(received == 1);
	release();
}

void test_select_same(void)
{
	world(2, select_same);
}

static void select_two(vai_g *g, void *arg)
{
	struct vai__case cs[2] = {{.ch = a, .dir = VAI_DIR_RECV}, {.ch = b, .dir = VAI_DIR_RECV}};
	(void)arg;
	for (int n = 0; n < 2; n++) {
		int i = vai__select(g, cs, 2, VAI_FOREVER);
		SIM_CHECK(i == 0 || i == 1);
		if (cs[i].result == VAI_OK) {
			world_spend(&cs[i].msg);
			received++;
		} else {
			SIM_CHECK(cs[i].result == VAI_ECLOSED);
			closed++;
			cs[i].ch = NULL;
		}
	}
}

static void select_close(vai_g *main)
{
	a = vai__chan_new(0, world_drop);
	b = vai__chan_new(0, world_drop);
	world_go(main, select_two, NULL);
	world_go(main, send_one, a);
	world_go(main, close_one, b);
	world_join(main);
	SIM_CHECK(received == 1 && closed == 1);
	release();
}

void test_select_close(void)
{
	world(2, select_close);
}

/* ---- wait groups ---- */

static int work;

static void done(vai_g *g, void *arg)
{
	(void)g;
	(void)arg;
	work++;
	SIM_CHECK(vai__waitgroup_add(wg, -1) == VAI_OK);
}

static void wait_for_all(vai_g *g, void *arg)
{
	(void)arg;
	SIM_CHECK(vai__waitgroup_wait(g, wg, VAI_FOREVER) == VAI_OK);
	SIM_CHECK(work == 2);
}

static void waitgroup(vai_g *main)
{
	wg = vai__waitgroup_new();
	SIM_CHECK(vai__waitgroup_add(wg, 2) == VAI_OK);
	world_go(main, done, NULL);
	world_go(main, wait_for_all, NULL);
	world_go(main, done, NULL);
	wait_for_all(main, NULL);
	world_join(main);
	vai__obj_unref((struct vai_obj *)wg);
}

void test_waitgroup(void)
{
	world(2, waitgroup);
}
