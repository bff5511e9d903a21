/* SPDX-License-Identifier: MIT */
/* Channels: what a sender and a receiver know of each other's place in the ring stays true
 * when messages are taken back, the ring grows, and others wait or select in between. */
#include "sync/world.h"

#include "base/atomic.h"
#include "sync/chan.h"
#include "sync/select.h"

enum { N = 20000 };

static vai_chan *chan(int64_t cap)
{
	vai_chan *ch = vai__chan_new(cap, ledger_drop);
	CHECK(ch != NULL);
	return ch;
}

static void unref(vai_chan *ch)
{
	vai__obj_unref((struct vai_obj *)ch);
}

static int send_new(vai_chan *ch, int64_t deadline)
{
	vai_msg msg = ledger_make();
	int r = vai__chan_send(vai__g_self(), ch, &msg, deadline);
	if (r != VAI_OK)
		ledger_spend(&msg);
	return r;
}

static void produce(vai_g *g, void *arg)
{
	(void)g;
	for (int i = 0; i < N; i++)
		CHECK(send_new(arg, VAI_FOREVER) == VAI_OK);
	CHECK(vai__chan_close(arg) == VAI_OK);
}

/* Receives in one of three ways. */
static int receive(vai_g *g, vai_chan *ch, int i, vai_msg *msg)
{
	struct vai__case c = {.ch = ch, .dir = VAI_DIR_RECV};
	if (i % 3)
		return vai__chan_recv(g, ch, msg, i % 3 == 1 ? VAI_FOREVER : world_in(3600000));
	CHECK(vai__select(g, &c, 1, VAI_FOREVER) == 0);
	*msg = c.msg;
	return c.result;
}

/* Every message comes in its turn. */
static void consume(vai_g *g, void *arg)
{
	uint64_t last = 0;
	vai_msg msg;
	int received = 0;
	for (int i = 0; receive(g, arg, i, &msg) == VAI_OK; i++) {
		CHECK(last == 0 || ledger_id(&msg) == last + 1);
		last = ledger_id(&msg);
		ledger_spend(&msg);
		received++;
	}
	CHECK(received == N);
}

static void watch(vai_g *g, void *arg)
{
	while (!vai__chan_is_closed(arg)) {
		int64_t n = vai__chan_len(arg);
		CHECK(n >= 0 && n <= vai__chan_cap(arg));
		vai__yield(g);
	}
}

static void test_order(void **state)
{
	static const int64_t caps[] = {0, 1, 2, 3, 8, 9, 16, 100}; /* some with one lock, and some with two */
	(void)state;
	for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
		vai_chan *ch = chan(caps[i]);
		ledger_clear();
		world_go(consume, ch);
		world_go(produce, ch);
		world_go(watch, ch);
		world_join();
		unref(ch);
		ledger_balanced();
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};
	return WORLD_RUN("sides", tests);
}
