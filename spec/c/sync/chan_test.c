/* SPDX-License-Identifier: MIT */
/* Channels: what each call answers, who is served first, and that no message is lost or
 * doubled whatever ends a wait. */
#include "sync/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "base/atomic.h"
#include "base/clock.h"
#include "base/san.h"
#include "sync/chan.h"
#include "sync/select.h"

#ifdef VAI_TSAN /* each goroutine is a thread to it, with a clock for every other; 8,128 are its limit */
enum { CHAIN = 2000, PRIMES = 60, LAST_PRIME = 281 };
#else
enum { CHAIN = 10000, PRIMES = 300, LAST_PRIME = 1987 };
#endif
enum { SHORT = 10, LONG = 60000 };

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

/* Receives and spends; the id, or a negative result. */
static int64_t recv_id(vai_chan *ch, int64_t deadline)
{
	static const vai_msg none;
	vai_msg msg = {{1, 2, 3, 4}};
	int r = vai__chan_recv(vai__g_self(), ch, &msg, deadline);
	if (r != VAI_OK) {
		for (int i = 0; i < 4; i++)
			CHECK(msg.w[i] == none.w[i]);
		return r;
	}
	ledger_spend(&msg);
	return (int64_t)ledger_id(&msg);
}

/* One goroutine that does one operation and notes what came of it. */
struct op {
	vai_chan *ch;
	int64_t deadline;
	int64_t result; /* receive: the id or an error */
	vai_g *g;
};

static _Atomic(int) received; /* receives that have come back, with a message or without */

static void op_recv(vai_g *g, void *arg)
{
	struct op *op = arg;
	(void)g;
	op->result = recv_id(op->ch, op->deadline);
	atomic_fetch_add(&received, 1);
}

static void op_send(vai_g *g, void *arg)
{
	struct op *op = arg;
	(void)g;
	op->result = send_new(op->ch, op->deadline);
}

/* Starts op and lets it wait. */
static void start_op(struct op *op, world_fn *f, vai_chan *ch, int64_t deadline)
{
	*op = (struct op){.ch = ch, .deadline = deadline, .result = 1};
	op->g = world_go(f, op);
	world_parked(op->g);
}

/* ---- one at a time ---- */

static void test_buffered_order_len_cap(void **state)
{
	vai_chan *ch = chan(5);
	(void)state;
	assert_int_equal(vai__chan_cap(ch), 5);
	for (int round = 0; round < 7; round++) {
		for (int i = 0; i < 5; i++) {
			assert_int_equal(vai__chan_len(ch), i);
			assert_int_equal(send_new(ch, VAI_FOREVER), VAI_OK);
		}
		assert_int_equal(send_new(ch, 0), VAI_EAGAIN);
		assert_int_equal(vai__chan_len(ch), 5);
		int64_t first = recv_id(ch, VAI_FOREVER);
		assert_int_equal(recv_id(ch, VAI_FOREVER), first + 1);
		assert_int_equal(send_new(ch, 0), VAI_OK);
		for (int i = 2; i < 5; i++)
			assert_int_equal(recv_id(ch, 0), first + i);
		assert_int_equal(recv_id(ch, 0), first + 6);
		assert_int_equal(recv_id(ch, 0), VAI_EAGAIN);
		assert_int_equal(vai__chan_len(ch), 0);
	}
	unref(ch);
	ledger_balanced();
}

static void test_unbuffered_try(void **state)
{
	vai_chan *ch = chan(0);
	(void)state;
	assert_int_equal(vai__chan_cap(ch), 0);
	assert_int_equal(send_new(ch, 0), VAI_EAGAIN);
	assert_int_equal(recv_id(ch, 0), VAI_EAGAIN);
	assert_int_equal(vai__chan_len(ch), 0);
	assert_false(vai__chan_is_closed(ch));
	unref(ch);
	ledger_balanced();
}

/* The ring grows while its head is anywhere, and what is in it keeps its order. */
static void test_ring_grows_in_order(void **state)
{
	(void)state;
	for (int skew = 0; skew < 40; skew++) {
		vai_chan *ch = chan(1000);
		int64_t next = 0;
		for (int i = 0; i < skew; i++) {
			assert_int_equal(send_new(ch, 0), VAI_OK);
			next = recv_id(ch, 0) + 1;
		}
		for (int i = 0; i < 1000; i++)
			assert_int_equal(send_new(ch, 0), VAI_OK);
		assert_int_equal(send_new(ch, 0), VAI_EAGAIN);
		if (skew == 0)
			next = recv_id(ch, 0) + 1;
		while (vai__chan_len(ch) > 0)
			assert_int_equal(recv_id(ch, 0), next++);
		unref(ch);
	}
	ledger_balanced();
}

static void test_huge_capacity_is_free(void **state)
{
	vai_chan *ch = chan(VAI_CHAN_MAX_CAP);
	(void)state;
	assert_int_equal(vai__chan_cap(ch), VAI_CHAN_MAX_CAP);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(send_new(ch, 0), VAI_OK);
	assert_int_equal(vai__chan_len(ch), 10000);
	unref(ch);
	assert_int_equal(ledger_dropped(), 10000);
	ledger_balanced();
}

static void test_close(void **state)
{
	vai_chan *ch = chan(3);
	(void)state;
	assert_int_equal(send_new(ch, 0), VAI_OK);
	assert_int_equal(send_new(ch, 0), VAI_OK);
	assert_int_equal(vai__chan_close(ch), VAI_OK);
	assert_int_equal(vai__chan_close(ch), VAI_ECLOSED);
	assert_true(vai__chan_is_closed(ch));
	assert_int_equal(send_new(ch, 0), VAI_ECLOSED);
	assert_int_equal(send_new(ch, VAI_FOREVER), VAI_ECLOSED);
	assert_int_equal(vai__chan_len(ch), 2);
	assert_true(recv_id(ch, VAI_FOREVER) > 0);
	assert_true(recv_id(ch, 0) > 0);
	assert_int_equal(recv_id(ch, 0), VAI_ECLOSED);
	assert_int_equal(recv_id(ch, VAI_FOREVER), VAI_ECLOSED);
	unref(ch);
	ledger_balanced();
}

static void test_destroy_drops_once(void **state)
{
	(void)state;
	for (int skew = 0; skew < 10; skew++) {
		vai_chan *ch = chan(8);
		ledger_clear();
		for (int i = 0; i < skew; i++) {
			assert_int_equal(send_new(ch, 0), VAI_OK);
			assert_true(recv_id(ch, 0) > 0);
		}
		for (int i = 0; i < 8; i++)
			assert_int_equal(send_new(ch, 0), VAI_OK);
		if (skew & 1)
			vai__chan_close(ch);
		unref(ch);
		assert_int_equal(ledger_dropped(), 8);
		ledger_balanced();
	}
}

static void test_channel_without_drop(void **state)
{
	vai_chan *ch = vai__chan_new(2, NULL);
	vai_msg msg = {{7, 0, 0, 0}};
	(void)state;
	assert_non_null(ch);
	assert_int_equal(vai__chan_send(vai__g_self(), ch, &msg, 0), VAI_OK);
	unref(ch);
}

/* Where the ring cannot grow the message stays the sender's and the rest in its place. */
#if !defined(VAI_ASAN) && !defined(VAI_TSAN) /* they need address space themselves */
static bool limit_memory(struct rlimit *old, unsigned long more)
{
	FILE *f = fopen("/proc/self/statm", "r");
	char line[64];
	CHECK(f != NULL && fgets(line, sizeof line, f) != NULL && getrlimit(RLIMIT_AS, old) == 0);
	fclose(f);
	struct rlimit tight = *old;
	tight.rlim_cur = strtoul(line, NULL, 10) * 4096 + more;
	CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
	CHECK(getrlimit(RLIMIT_AS, &tight) == 0);
	return tight.rlim_cur != old->rlim_cur;
}

static void test_out_of_memory(void **state)
{
	vai_chan *ch = vai__chan_new(VAI_CHAN_MAX_CAP, NULL);
	vai_g *self = vai__g_self();
	vai_msg msg = {{0}};
	struct rlimit old;
	uint64_t n = 0;
	int r;
	(void)state;
	if (!limit_memory(&old, 32 << 20)) {
		unref(ch);
		print_message("this build's memory cannot be limited, or this processor's emulator does not\n");
		skip();
	}
	while ((r = vai__chan_send(self, ch, &msg, VAI_FOREVER)) == VAI_OK)
		msg.w[0] = ++n;
	struct vai__case c = {.ch = ch, .dir = VAI_DIR_SEND, .msg = msg};
	int by_select = vai__select(self, &c, 1, VAI_FOREVER);
	CHECK(setrlimit(RLIMIT_AS, &old) == 0);
	assert_int_equal(r, VAI_ENOMEM);
	assert_int_equal(by_select, VAI_ENOMEM);
	assert_int_equal(msg.w[0], n);
	assert_int_equal(vai__chan_len(ch), n);
	assert_int_equal(vai__chan_send(self, ch, &msg, 0), VAI_OK);
	for (uint64_t i = 0; i <= n; i++) {
		assert_int_equal(vai__chan_recv(self, ch, &msg, 0), VAI_OK);
		assert_int_equal(msg.w[0], i);
	}
	unref(ch);
}
#endif

/* ---- waiting ---- */

static void test_receivers_are_served_in_order(void **state)
{
	vai_chan *ch = chan(0);
	struct op ops[50];
	(void)state;
	for (int i = 0; i < 50; i++)
		start_op(&ops[i], op_recv, ch, VAI_FOREVER);
	for (int i = 0; i < 50; i++)
		assert_int_equal(send_new(ch, 0), VAI_OK);
	assert_int_equal(send_new(ch, 0), VAI_EAGAIN);
	world_join();
	for (int i = 0; i < 50; i++)
		assert_int_equal(ops[i].result, i + 1);
	unref(ch);
	ledger_balanced();
}

static void senders_in_order(int64_t cap)
{
	vai_chan *ch = chan(cap);
	struct op ops[50];
	vai_msg late;
	for (int i = 0; i < cap; i++)
		assert_int_equal(send_new(ch, 0), VAI_OK);
	for (int i = 0; i < 50; i++)
		start_op(&ops[i], op_send, ch, VAI_FOREVER);
	late = ledger_make();
	assert_int_equal(vai__chan_len(ch), cap);
	for (int i = 0; i < 50 + cap; i++) {
		assert_int_equal(recv_id(ch, 0), i + 1);
		/* The place that became free is taken by who waits, not by who comes. */
		assert_int_equal(vai__chan_len(ch), i < 50 ? cap : 50 + cap - 1 - i);
		if (i < 50 && cap)
			assert_int_equal(vai__chan_post(ch, &late), VAI_EAGAIN);
	}
	ledger_spend(&late);
	assert_int_equal(recv_id(ch, 0), VAI_EAGAIN);
	world_join();
	for (int i = 0; i < 50; i++)
		assert_int_equal(ops[i].result, VAI_OK);
	unref(ch);
	ledger_balanced();
}

static void test_senders_are_served_in_order(void **state)
{
	(void)state;
	senders_in_order(0);
	ledger_clear();
	senders_in_order(1);
	ledger_clear();
	senders_in_order(11);
}

static void test_timeouts(void **state)
{
	vai_chan *ch = chan(1);
	int64_t deadline = world_in(SHORT);
	(void)state;
	assert_int_equal(recv_id(ch, deadline), VAI_ETIMEOUT);
	assert_true(vai__clock_now() >= deadline);
	assert_int_equal(send_new(ch, 0), VAI_OK);
	deadline = world_in(SHORT);
	assert_int_equal(send_new(ch, deadline), VAI_ETIMEOUT);
	assert_true(vai__clock_now() >= deadline);
	assert_int_equal(vai__chan_len(ch), 1);
	/* A deadline that has passed still lets through what need not wait. */
	assert_int_equal(recv_id(ch, 1), 1);
	assert_int_equal(send_new(ch, 1), VAI_OK);
	assert_int_equal(send_new(ch, 1), VAI_ETIMEOUT);
	unref(ch);
	ledger_balanced();
}

/* Those who gave up are passed over, wherever in the queue they stood. */
static void test_timed_out_waiters_are_passed_over(void **state)
{
	vai_chan *ch = chan(0);
	struct op ops[9];
	(void)state;
	atomic_store(&received, 0);
	for (int i = 0; i < 9; i++)
		start_op(&ops[i], op_recv, ch, i % 3 == 1 ? VAI_FOREVER : world_in(SHORT));
	world_until(&received, 6);
	for (int i = 0; i < 3; i++)
		assert_int_equal(send_new(ch, world_in(LONG)), VAI_OK);
	assert_int_equal(send_new(ch, 0), VAI_EAGAIN);
	world_join();
	for (int i = 0; i < 9; i++)
		assert_int_equal(ops[i].result, i % 3 == 1 ? 1 + i / 3 : VAI_ETIMEOUT);
	unref(ch);
	ledger_balanced();
}

static void test_cancel(void **state)
{
	vai_chan *ch = chan(0), *full = chan(1);
	struct op ops[6];
	(void)state;
	assert_int_equal(send_new(full, 0), VAI_OK);
	for (int i = 0; i < 3; i++)
		start_op(&ops[i], op_recv, ch, VAI_FOREVER);
	for (int i = 3; i < 6; i++)
		start_op(&ops[i], op_send, full, VAI_FOREVER);
	assert_true(vai__fire_any(ops[1].g, VAI_WAKE_CANCELED));
	assert_true(vai__fire_any(ops[4].g, VAI_WAKE_CANCELED));
	assert_int_equal(send_new(ch, 0), VAI_OK);
	assert_int_equal(send_new(ch, 0), VAI_OK);
	assert_int_equal(send_new(ch, 0), VAI_EAGAIN);
	for (int i = 0; i < 3; i++)
		assert_true(recv_id(full, 0) > 0);
	assert_int_equal(recv_id(full, 0), VAI_EAGAIN);
	world_join();
	for (int i = 0; i < 6; i++)
		assert_true(i % 3 == 1 ? ops[i].result == VAI_ECANCELED : ops[i].result >= 0);
	unref(ch);
	unref(full);
	ledger_balanced();
}

static void test_post(void **state)
{
	vai_chan *ch = chan(1);
	struct op op;
	vai_msg msg = ledger_make(), more = ledger_make(), third = ledger_make();
	(void)state;
	start_op(&op, op_recv, ch, VAI_FOREVER);
	assert_int_equal(vai__chan_post(ch, &msg), VAI_OK);
	assert_int_equal(vai__chan_post(ch, &more), VAI_OK);
	assert_int_equal(vai__chan_post(ch, &third), VAI_EAGAIN);
	world_join();
	assert_int_equal(op.result, ledger_id(&msg));
	vai__chan_close(ch);
	assert_int_equal(vai__chan_post(ch, &third), VAI_ECLOSED);
	ledger_spend(&third);
	unref(ch);
	assert_int_equal(ledger_dropped(), 1);
	ledger_balanced();
}

static void test_close_wakes_all(void **state)
{
	enum { N = 200 };
	vai_chan *ch = chan(0), *full = chan(1);
	static struct op ops[2 * N];
	(void)state;
	assert_int_equal(send_new(full, 0), VAI_OK);
	for (int i = 0; i < N; i++) {
		start_op(&ops[i], op_recv, ch, i % 7 == 3 ? world_in(1 + i % 5) : VAI_FOREVER);
		start_op(&ops[N + i], op_send, full, i % 7 == 3 ? world_in(1 + i % 5) : VAI_FOREVER);
	}
	assert_int_equal(vai__chan_close(ch), VAI_OK);
	assert_int_equal(vai__chan_close(full), VAI_OK);
	world_join();
	for (int i = 0; i < 2 * N; i++)
		assert_true(ops[i].result == VAI_ECLOSED || (i % N % 7 == 3 && ops[i].result == VAI_ETIMEOUT));
	assert_int_equal(vai__chan_len(full), 1);
	assert_true(recv_id(full, 0) > 0);
	assert_int_equal(recv_id(full, 0), VAI_ECLOSED);
	unref(ch);
	unref(full);
	ledger_balanced();
}

/* ---- many at once ---- */

struct crowd {
	vai_chan *ch;
	int each;               /* messages that a producer wants to send */
	int64_t patience;       /* ns; 0: for ever */
	_Atomic(int) producers; /* still at it; the last one closes */
	_Atomic(int) sent, received, failed;
};

static int64_t patience(const struct crowd *c, int i)
{
	if (c->patience == 0)
		return VAI_FOREVER;
	return i % 5 == 0 ? 0 : vai__clock_now() + c->patience * (i % 5);
}

static void produce(vai_g *g, void *arg)
{
	struct crowd *c = arg;
	for (int i = 0; i < c->each; i++) {
		vai_msg msg = ledger_make();
		int r = vai__chan_send(g, c->ch, &msg, patience(c, i));
		if (r == VAI_OK) {
			atomic_fetch_add(&c->sent, 1);
		} else {
			CHECK(r == VAI_ETIMEOUT || r == VAI_EAGAIN || r == VAI_ECANCELED || r == VAI_ECLOSED);
			ledger_spend(&msg);
			atomic_fetch_add(&c->failed, 1);
		}
	}
	if (atomic_fetch_sub(&c->producers, 1) == 1)
		vai__chan_close(c->ch);
}

static void consume(vai_g *g, void *arg)
{
	struct crowd *c = arg;
	(void)g;
	for (int i = 0;; i++) {
		int64_t r = recv_id(c->ch, patience(c, i));
		if (r == VAI_ECLOSED)
			return;
		CHECK(r > 0 || r == VAI_ETIMEOUT || r == VAI_EAGAIN || r == VAI_ECANCELED);
		if (r > 0)
			atomic_fetch_add(&c->received, 1);
		else if (r == VAI_EAGAIN)
			vai__yield(g);
	}
}

static void crowd(int producers, int consumers, int64_t cap, int each, int64_t wait)
{
	struct crowd c = {.ch = chan(cap), .each = each, .patience = wait, .producers = producers};
	ledger_clear();
	for (int i = 0; i < consumers; i++)
		world_go(consume, &c);
	for (int i = 0; i < producers; i++)
		world_go(produce, &c);
	world_join();
	assert_int_equal(c.sent, c.received);
	assert_int_equal(c.sent + c.failed, producers * each);
	if (wait == 0)
		assert_int_equal(c.failed, 0);
	assert_int_equal(vai__chan_len(c.ch), 0);
	unref(c.ch);
	ledger_balanced();
}

static void test_many_to_many(void **state)
{
	static const int64_t caps[] = {0, 1, 3, 64};
	(void)state;
	for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
		crowd(1, 1, caps[i], 5000, 0);
		crowd(8, 1, caps[i], 1000, 0);
		crowd(1, 8, caps[i], 5000, 0);
		crowd(8, 8, caps[i], 1000, 0);
		crowd(100, 3, caps[i], 50, 0);
	}
}

static void test_many_to_many_impatient(void **state)
{
	static const int64_t caps[] = {0, 1, 5};
	static const int64_t waits[] = {1, 3000, 20000};
	(void)state;
	for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++)
		for (size_t k = 0; k < sizeof waits / sizeof waits[0]; k++)
			crowd(6, 6, caps[i], 300, waits[k]);
}

/* Order: what one goroutine sends, one goroutine receives in that order. */
struct lane {
	vai_chan *ch;
	int n;
};

static void lane_send(vai_g *g, void *arg)
{
	struct lane *l = arg;
	for (int i = 1; i <= l->n; i++) {
		vai_msg msg = {{(uint64_t)i, 0, 0, 0}};
		CHECK(vai__chan_send(g, l->ch, &msg, VAI_FOREVER) == VAI_OK);
	}
	vai__chan_close(l->ch);
}

static void test_one_to_one_order(void **state)
{
	(void)state;
	for (int64_t cap = 0; cap < 20; cap += 3) {
		struct lane l = {.ch = vai__chan_new(cap, NULL), .n = 5000};
		vai_msg msg;
		world_go(lane_send, &l);
		for (int i = 1; i <= l.n; i++) {
			assert_int_equal(vai__chan_recv(vai__g_self(), l.ch, &msg, VAI_FOREVER), VAI_OK);
			assert_int_equal(msg.w[0], i);
		}
		assert_int_equal(vai__chan_recv(vai__g_self(), l.ch, &msg, VAI_FOREVER), VAI_ECLOSED);
		world_join();
		unref(l.ch);
	}
}

/* Cancels hit waits while messages arrive. */
struct sniper {
	vai_g *targets[6];
	_Atomic(int) stop;
};

static void snipe(vai_g *g, void *arg)
{
	struct sniper *s = arg;
	for (unsigned i = 0; !atomic_load(&s->stop); i++) {
		if (vai__g_state(s->targets[i % 6]) == VAI_G_WAITING)
			vai__fire_any(s->targets[i % 6], VAI_WAKE_CANCELED);
		vai__yield(g);
	}
}

static void test_cancels_lose_nothing(void **state)
{
	(void)state;
	for (int64_t cap = 0; cap < 3; cap++) {
		struct crowd c = {.ch = chan(cap), .each = 2000, .producers = 3};
		struct sniper s = {.stop = 0};
		ledger_clear();
		for (int i = 0; i < 3; i++)
			s.targets[i] = world_go(consume, &c);
		for (int i = 3; i < 6; i++)
			s.targets[i] = world_go(produce, &c);
		world_go(snipe, &s);
		while (atomic_load(&c.producers) > 0)
			vai__yield(vai__g_self());
		atomic_store(&s.stop, 1);
		world_join();
		assert_int_equal(c.sent, c.received);
		assert_int_equal(c.sent + c.failed, 6000);
		unref(c.ch);
		ledger_balanced();
	}
}

/* Somebody closes while producers and consumers are at full speed. */
static void close_it(vai_g *g, void *arg)
{
	struct crowd *c = arg;
	(void)g;
	while (atomic_load(&c->received) < 100)
		vai__yield(g);
	CHECK(vai__chan_close(c->ch) == VAI_OK);
}

static void test_close_race(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		struct crowd c = {.ch = chan(round % 4), .each = 500, .producers = 1000};
		ledger_clear();
		for (int i = 0; i < 3; i++)
			world_go(consume, &c);
		for (int i = 0; i < 3; i++)
			world_go(produce, &c);
		world_go(close_it, &c);
		world_join();
		assert_int_equal(c.sent + c.failed, 1500);
		assert_int_equal(c.sent, c.received);
		unref(c.ch);
		ledger_balanced();
	}
}

/* ---- programs ---- */

struct filter {
	vai_chan *in, *out;
	uint64_t prime;
};

static void generate(vai_g *g, void *arg)
{
	vai_chan *ch = arg;
	vai_msg msg = {{2, 0, 0, 0}};
	while (vai__chan_send(g, ch, &msg, VAI_FOREVER) == VAI_OK)
		msg.w[0]++;
	unref(ch);
}

static void filter(vai_g *g, void *arg)
{
	struct filter f = *(struct filter *)arg;
	vai_msg msg;
	free(arg);
	while (vai__chan_recv(g, f.in, &msg, VAI_FOREVER) == VAI_OK)
		if (msg.w[0] % f.prime && vai__chan_send(g, f.out, &msg, VAI_FOREVER) != VAI_OK)
			break;
	if (!vai__chan_is_closed(f.in))
		vai__chan_close(f.in);
	unref(f.in);
	unref(f.out);
}

static vai_chan *ref(vai_chan *ch)
{
	vai__obj_ref((struct vai_obj *)ch);
	return ch;
}

static void test_sieve(void **state)
{
	static const int primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
	vai_chan *ch = chan(0);
	uint64_t last = 0;
	(void)state;
	world_go(generate, ref(ch));
	for (int i = 0; i < PRIMES; i++) {
		struct filter *f = malloc(sizeof *f);
		vai_msg msg;
		assert_int_equal(vai__chan_recv(vai__g_self(), ch, &msg, VAI_FOREVER), VAI_OK);
		if (i < 10)
			assert_int_equal(msg.w[0], primes[i]);
		last = msg.w[0];
		*f = (struct filter){.in = ch, .out = chan(0), .prime = last};
		ch = ref(f->out);
		world_go(filter, f);
	}
	assert_int_equal(last, LAST_PRIME);
	/* Closing the end unwinds the whole line. */
	vai__chan_close(ch);
	world_join();
	unref(ch);
}

struct link {
	vai_chan *left, *right;
};

static void pass(vai_g *g, void *arg)
{
	struct link *l = arg;
	vai_msg msg;
	CHECK(vai__chan_recv(g, l->right, &msg, VAI_FOREVER) == VAI_OK);
	msg.w[0]++;
	CHECK(vai__chan_send(g, l->left, &msg, VAI_FOREVER) == VAI_OK);
}

static void test_chain(void **state)
{
	struct link *links = calloc(CHAIN, sizeof *links);
	vai_chan *left = vai__chan_new(0, NULL), *first = left;
	vai_msg msg = {{0}};
	(void)state;
	for (int i = 0; i < CHAIN; i++) {
		links[i] = (struct link){.left = left, .right = vai__chan_new(0, NULL)};
		left = links[i].right;
		world_go(pass, &links[i]);
	}
	assert_int_equal(vai__chan_send(vai__g_self(), left, &msg, VAI_FOREVER), VAI_OK);
	assert_int_equal(vai__chan_recv(vai__g_self(), first, &msg, VAI_FOREVER), VAI_OK);
	assert_int_equal(msg.w[0], CHAIN);
	world_join();
	unref(first);
	for (int i = 0; i < CHAIN; i++)
		unref(links[i].right);
	free(links);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffered_order_len_cap),
		cmocka_unit_test(test_unbuffered_try),
		cmocka_unit_test(test_ring_grows_in_order),
		cmocka_unit_test(test_huge_capacity_is_free),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_destroy_drops_once),
		cmocka_unit_test(test_channel_without_drop),
#if !defined(VAI_ASAN) && !defined(VAI_TSAN)
		cmocka_unit_test(test_out_of_memory),
#endif
		cmocka_unit_test(test_receivers_are_served_in_order),
		cmocka_unit_test(test_senders_are_served_in_order),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_timed_out_waiters_are_passed_over),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_post),
		cmocka_unit_test(test_close_wakes_all),
		cmocka_unit_test(test_many_to_many),
		cmocka_unit_test(test_many_to_many_impatient),
		cmocka_unit_test(test_one_to_one_order),
		cmocka_unit_test(test_cancels_lose_nothing),
		cmocka_unit_test(test_close_race),
		cmocka_unit_test(test_sieve),
		cmocka_unit_test(test_chain),
	};
	return WORLD_RUN("chan", tests);
}
