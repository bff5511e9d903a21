/* SPDX-License-Identifier: MIT */
/* Select: which case goes, how fairly, what the others keep, and that it never meets itself. */
#include "sync/world.h"

#include <math.h>
#include <stdlib.h>
#include "base/atomic.h"
#include "base/clock.h"
#include "sync/chan.h"
#include "sync/select.h"

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

static struct vai__case to(vai_chan *ch)
{
	return (struct vai__case){.ch = ch, .dir = VAI_DIR_SEND, .result = 99, .msg = ledger_make()};
}

static struct vai__case from(vai_chan *ch)
{
	return (struct vai__case){.ch = ch, .dir = VAI_DIR_RECV, .result = 99};
}

static int sel(struct vai__case *cases, int n, int64_t deadline)
{
	return vai__select(vai__g_self(), cases, n, deadline);
}

/* Spends what the caller owns after a select that chose `chosen`. */
static void settle(struct vai__case *cases, int n, int chosen)
{
	for (int i = 0; i < n; i++) {
		bool moved = i == chosen && cases[i].result == VAI_OK;
		if (cases[i].dir == VAI_DIR_SEND ? !moved : moved)
			ledger_spend(&cases[i].msg);
	}
}

static int put(vai_chan *ch)
{
	vai_msg msg = ledger_make();
	int r = vai__chan_send(vai__g_self(), ch, &msg, 0);
	if (r)
		ledger_spend(&msg);
	return r;
}

static int take(vai_chan *ch)
{
	vai_msg msg;
	int r = vai__chan_recv(vai__g_self(), ch, &msg, 0);
	if (r == VAI_OK)
		ledger_spend(&msg);
	return r;
}

/* A goroutine in a select. */
struct waiter {
	struct vai__case cases[8];
	int n, result;
	int64_t deadline;
	vai_g *g;
};

static void wait_select(vai_g *g, void *arg)
{
	struct waiter *w = arg;
	w->result = vai__select(g, w->cases, w->n, w->deadline);
}

static void start(struct waiter *w, int n, int64_t deadline)
{
	w->n = n;
	w->deadline = deadline;
	w->result = -99;
	w->g = world_go(wait_select, w);
	world_parked(w->g);
}

/* ---- one at a time ---- */

static void test_ready_and_default(void **state)
{
	vai_chan *a = chan(1), *b = chan(1);
	(void)state;
	struct vai__case c[3] = {from(a), from(b), {.ch = NULL, .dir = VAI_DIR_RECV}};
	assert_int_equal(sel(c, 3, 0), VAI_EAGAIN);
	assert_int_equal(put(b), VAI_OK);
	assert_int_equal(sel(c, 3, VAI_FOREVER), 1);
	assert_int_equal(c[1].result, VAI_OK);
	assert_int_equal(ledger_id(&c[1].msg), 1);
	settle(c, 3, 1);
	c[0] = to(a);
	assert_int_equal(sel(c, 3, 0), 0);
	assert_int_equal(c[0].result, VAI_OK);
	c[0] = to(a);
	assert_int_equal(sel(c, 3, 0), VAI_EAGAIN);
	settle(c, 1, -1);
	assert_int_equal(vai__chan_len(a), 1);
	unref(a);
	unref(b);
	assert_int_equal(ledger_dropped(), 1);
	ledger_balanced();
}

static void test_nothing_to_wait_for(void **state)
{
	struct vai__case c[2] = {{.ch = NULL, .dir = VAI_DIR_SEND}, {.ch = NULL}};
	vai_chan *ch = chan(1);
	int64_t deadline = world_in(5);
	(void)state;
	assert_int_equal(sel(NULL, 0, 0), VAI_EAGAIN);
	assert_int_equal(sel(NULL, 0, deadline), VAI_ETIMEOUT);
	assert_true(vai__clock_now() >= deadline);
	assert_int_equal(sel(c, 2, 0), VAI_EAGAIN);
	assert_int_equal(sel(c, 2, world_in(5)), VAI_ETIMEOUT);
	c[0].ch = ch;
	c[0].dir = VAI_DIR_NONE;
	assert_int_equal(sel(c, 2, world_in(5)), VAI_ETIMEOUT);
	unref(ch);
}

static void test_closed(void **state)
{
	vai_chan *ch = chan(1);
	(void)state;
	struct vai__case in = from(ch), out = to(ch);
	assert_int_equal(put(ch), VAI_OK);
	vai__chan_close(ch);
	assert_int_equal(sel(&in, 1, VAI_FOREVER), 0);
	assert_int_equal(in.result, VAI_OK);
	ledger_spend(&in.msg);
	assert_int_equal(sel(&in, 1, VAI_FOREVER), 0);
	assert_int_equal(in.result, VAI_ECLOSED);
	for (int i = 0; i < 4; i++)
		assert_int_equal(in.msg.w[i], 0);
	assert_int_equal(sel(&out, 1, 0), 0);
	assert_int_equal(out.result, VAI_ECLOSED);
	ledger_spend(&out.msg);
	unref(ch);
	ledger_balanced();
}

static void test_timeout_leaves_nothing_behind(void **state)
{
	vai_chan *a = chan(0), *b = chan(0);
	(void)state;
	struct vai__case c[3] = {from(a), to(b), from(a)};
	int64_t deadline = world_in(10);
	assert_int_equal(sel(c, 3, deadline), VAI_ETIMEOUT);
	assert_true(vai__clock_now() >= deadline);
	assert_int_equal(put(a), VAI_EAGAIN);
	assert_int_equal(take(b), VAI_EAGAIN);
	settle(c, 3, -1);
	unref(a);
	unref(b);
	ledger_balanced();
}

/* One channel in both directions, alone in the world. */
static void test_never_meets_itself(void **state)
{
	(void)state;
	vai_chan *ch = chan(0);
	struct vai__case c[4] = {from(ch), to(ch), to(ch), from(ch)};
	for (int i = 0; i < 20; i++)
		assert_int_equal(sel(c, 4, 0), VAI_EAGAIN);
	assert_int_equal(sel(c, 4, world_in(10)), VAI_ETIMEOUT);
	settle(c, 4, -1);
	unref(ch);
	ledger_balanced();
}

/* ---- woken ---- */

static void test_woken_by_each_kind(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		vai_chan *a = chan(0), *b = chan(0);
		struct waiter w = {.cases = {from(a), to(b), {.ch = NULL}, from(a), to(b)}};
		start(&w, 5, VAI_FOREVER);
		if (kind == 0)
			assert_int_equal(put(a), VAI_OK);
		else if (kind == 1)
			assert_int_equal(take(b), VAI_OK);
		else
			vai__chan_close(kind == 2 ? a : b);
		world_join();
		assert_int_equal(w.result % 3, kind & 1); /* of two equal cases, either */
		assert_int_equal(w.cases[w.result].result, kind < 2 ? VAI_OK : VAI_ECLOSED);
		settle(w.cases, 5, w.result);
		/* The waiters of the other cases are gone. */
		assert_int_equal(put(a), kind == 2 ? VAI_ECLOSED : VAI_EAGAIN);
		assert_int_equal(take(b), kind == 3 ? VAI_ECLOSED : VAI_EAGAIN);
		unref(a);
		unref(b);
		ledger_balanced();
	}
}

static void test_two_selects_meet(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		vai_chan *ch = chan(0);
		struct waiter a = {.cases = {from(ch), to(ch)}}, b = {.cases = {to(ch), from(ch)}};
		start(&a, 2, VAI_FOREVER);
		start(&b, 2, VAI_FOREVER);
		world_join();
		assert_int_equal(a.cases[a.result].result, VAI_OK);
		assert_int_equal(b.cases[b.result].result, VAI_OK);
		/* One sent, the other received. */
		assert_int_equal(a.result, b.result);
		settle(a.cases, 2, a.result);
		settle(b.cases, 2, b.result);
		unref(ch);
		ledger_balanced();
	}
}

static void test_cancel(void **state)
{
	vai_chan *a = chan(0), *b = chan(0);
	(void)state;
	struct waiter w = {.cases = {from(a), to(b)}};
	start(&w, 2, VAI_FOREVER);
	assert_true(vai__fire_any(w.g, VAI_WAKE_CANCELED));
	world_join();
	assert_int_equal(w.result, VAI_ECANCELED);
	settle(w.cases, 2, -1);
	unref(a);
	unref(b);
	ledger_balanced();
}

/* Waiting selects are served in the order in which they came. */
static void test_order_among_waiters(void **state)
{
	vai_chan *ch = chan(0), *other = chan(0);
	struct waiter w[10];
	(void)state;
	for (int i = 0; i < 10; i++) {
		w[i] = (struct waiter){.cases = {from(other), from(ch)}};
		start(&w[i], 2, VAI_FOREVER);
	}
	for (int i = 0; i < 10; i++)
		assert_int_equal(put(ch), VAI_OK);
	world_join();
	for (int i = 0; i < 10; i++) {
		assert_int_equal(w[i].result, 1);
		assert_int_equal(ledger_id(&w[i].cases[1].msg), i + 1);
		settle(w[i].cases, 2, 1);
	}
	unref(ch);
	unref(other);
	ledger_balanced();
}

/* ---- chance ---- */

enum { TRIALS = 10000 };
#define MARGIN(p) (4.891676 * sqrt((p) * (1 - (p)) / TRIALS)) /* six nines */

/* hits of each of n cases that are all equally ready, others never. */
static void check_fair(const int *hits, int n)
{
	double p = 1.0 / n;
	for (int i = 0; i < n; i++)
		assert_true(fabs((double)hits[i] / TRIALS - p) < MARGIN(p));
}

static void test_fair_among_ready(void **state)
{
	vai_chan *full[3] = {chan(TRIALS), chan(TRIALS), chan(TRIALS)}, *empty = chan(0);
	int hits[3] = {0};
	vai_msg msg = {{1, 0, 0, 0}};
	(void)state;
	for (int i = 0; i < 3 * TRIALS; i++)
		assert_int_equal(vai__chan_send(vai__g_self(), full[i / TRIALS], &msg, 0), VAI_OK);
	for (int i = 0; i < TRIALS; i++) {
		struct vai__case c[7] = {
			from(empty), from(empty), from(full[0]), from(empty), from(full[1]), {.ch = NULL}, from(full[2])};
		int r = sel(c, 7, VAI_FOREVER);
		assert_true(r == 2 || r == 4 || r == 6);
		hits[r / 2 - 1]++;
	}
	check_fair(hits, 3);
	for (int i = 0; i < 3; i++) {
		while (vai__chan_len(full[i]) > 0)
			vai__chan_recv(vai__g_self(), full[i], &msg, 0);
		unref(full[i]);
	}
	unref(empty);
}

static void test_fair_among_sends_and_duplicates(void **state)
{
	vai_chan *ch = vai__chan_new(TRIALS, NULL);
	int hits[4] = {0};
	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		struct vai__case c[4] = {{.ch = ch, .dir = VAI_DIR_SEND}, {.ch = ch, .dir = VAI_DIR_SEND},
			{.ch = ch, .dir = VAI_DIR_SEND}, {.ch = ch, .dir = VAI_DIR_SEND}};
		hits[sel(c, 4, 0)]++;
	}
	check_fair(hits, 4);
	unref(ch);
}

static void send_trials(vai_g *g, void *ch)
{
	vai_msg msg = {{1, 0, 0, 0}};
	for (int i = 0; i < TRIALS; i++)
		CHECK(vai__chan_send(g, ch, &msg, VAI_FOREVER) == VAI_OK);
}

/* Where the select waits first and the sender comes later. */
static void test_fair_among_waiting_duplicates(void **state)
{
	vai_chan *ch = vai__chan_new(0, NULL);
	int hits[3] = {0};
	(void)state;
	world_go(send_trials, ch);
	for (int i = 0; i < TRIALS; i++) {
		struct vai__case c[3] = {from(ch), from(ch), from(ch)};
		hits[sel(c, 3, VAI_FOREVER)]++;
	}
	check_fair(hits, 3);
	world_join();
	unref(ch);
}

/* Go's TestSelectFairness. */
struct fairness {
	vai_chan *c1, *c2, *c3, *c4, *out, *done;
};

static void fairness_loop(vai_g *g, void *arg)
{
	struct fairness *f = arg;
	for (;;) {
		struct vai__case in[4] = {{.ch = f->c3, .dir = VAI_DIR_RECV}, {.ch = f->c4, .dir = VAI_DIR_RECV},
			{.ch = f->c1, .dir = VAI_DIR_RECV}, {.ch = f->c2, .dir = VAI_DIR_RECV}};
		int r = vai__select(g, in, 4, VAI_FOREVER);
		CHECK(r == 2 || r == 3);
		struct vai__case out[2] = {
			{.ch = f->out, .dir = VAI_DIR_SEND, .msg = in[r].msg}, {.ch = f->done, .dir = VAI_DIR_RECV}};
		if (vai__select(g, out, 2, VAI_FOREVER) == 1)
			return;
	}
}

static void test_fairness_of_go(void **state)
{
	vai_chan *ch[6];
	int hits[2] = {0};
	vai_msg msg;
	(void)state;
	for (int i = 0; i < 6; i++)
		ch[i] = vai__chan_new(i < 2 ? TRIALS + 1 : 0, NULL);
	struct fairness f = {ch[0], ch[1], ch[2], ch[3], ch[4], ch[5]};
	for (int i = 0; i < 2 * (TRIALS + 1); i++) {
		msg = (vai_msg){{(uint64_t)(i & 1), 0, 0, 0}};
		assert_int_equal(vai__chan_send(vai__g_self(), ch[i & 1], &msg, 0), VAI_OK);
	}
	world_go(fairness_loop, &f);
	for (int i = 0; i < TRIALS; i++) {
		assert_int_equal(vai__chan_recv(vai__g_self(), f.out, &msg, VAI_FOREVER), VAI_OK);
		hits[msg.w[0]]++;
	}
	check_fair(hits, 2);
	vai__chan_close(f.done);
	world_join();
	for (int i = 0; i < 6; i++)
		unref(ch[i]);
}

/* ---- many cases ---- */

static void test_many_cases(void **state)
{
	(void)state;
	for (int n = 2; n <= 300; n += n < 20 ? 1 : 140) {
		vai_chan **ch = calloc((size_t)n, sizeof(vai_chan *));
		struct vai__case *c = calloc((size_t)n, sizeof *c);
		for (int i = 0; i < n; i++)
			ch[i] = chan(1);
		for (int i = 0; i < n; i++) /* not in the order of their making */
			c[i] = from(ch[(i * 7919) % n]);
		assert_int_equal(sel(c, n, 0), VAI_EAGAIN);
		assert_int_equal(sel(c, n, world_in(2)), VAI_ETIMEOUT);
		for (int i = 0; i < n; i++) {
			assert_int_equal(put(c[i].ch), VAI_OK);
			assert_int_equal(sel(c, n, VAI_FOREVER), i);
			ledger_spend(&c[i].msg);
		}
		for (int i = 0; i < n; i++)
			unref(ch[i]);
		free(ch);
		free(c);
	}
	ledger_balanced();
}

struct many {
	struct vai__case *cases;
	int n, result;
};

static void many_wait(vai_g *g, void *arg)
{
	struct many *m = arg;
	m->result = vai__select(g, m->cases, m->n, VAI_FOREVER);
}

static void test_many_cases_woken(void **state)
{
	enum { N = 50, DISTINCT = 17 };
	vai_chan *ch[DISTINCT];
	struct vai__case cases[N];
	(void)state;
	for (int i = 0; i < DISTINCT; i++)
		ch[i] = chan(0);
	for (int hit = 0; hit < DISTINCT; hit++) {
		struct many m = {.cases = cases, .n = N};
		for (int i = 0; i < N; i++)
			cases[i] = from(ch[(i * 5) % DISTINCT]);
		world_parked(world_go(many_wait, &m));
		assert_int_equal(put(ch[hit]), VAI_OK);
		world_join();
		assert_ptr_equal(cases[m.result].ch, ch[hit]);
		settle(cases, N, m.result);
		for (int i = 0; i < DISTINCT; i++)
			assert_int_equal(put(ch[i]), VAI_EAGAIN);
	}
	for (int i = 0; i < DISTINCT; i++)
		unref(ch[i]);
	ledger_balanced();
}

/* ---- all against all ---- */

enum { CHANS = 4 };
struct arena {
	vai_chan *ch[CHANS];
	int rounds;
	int64_t patience;
	_Atomic(int) sent, received, left;
};

static uint32_t rnd(uint32_t *s)
{
	*s = *s * 1664525 + 1013904223;
	return *s >> 8;
}

/* Random cases in random directions, some channels twice. */
static void fight(vai_g *g, void *arg)
{
	struct arena *a = arg;
	uint32_t seed = (uint32_t)g->id * 2654435761u;
	for (int i = 0; i < a->rounds; i++) {
		struct vai__case c[5];
		int n = 1 + (int)(rnd(&seed) % 5), r;
		for (int k = 0; k < n; k++) {
			vai_chan *ch = a->ch[rnd(&seed) % CHANS];
			c[k] = rnd(&seed) % 2 ? from(ch) : to(ch);
		}
		r = vai__select(g, c, n, a->patience ? vai__clock_now() + a->patience * (i % 4) : 0);
		CHECK(r >= 0 || r == VAI_EAGAIN || r == VAI_ETIMEOUT || r == VAI_ECANCELED);
		if (r >= 0 && c[r].result == VAI_OK)
			atomic_fetch_add(c[r].dir == VAI_DIR_SEND ? &a->sent : &a->received, 1);
		settle(c, n, r);
		if (r < 0)
			vai__yield(g);
	}
	atomic_fetch_sub(&a->left, 1);
}

/* Receives plainly while others select. */
static void sweep(vai_g *g, void *arg)
{
	struct arena *a = arg;
	for (int i = 0; atomic_load(&a->left) > 0; i++) {
		vai_msg msg;
		if (vai__chan_recv(g, a->ch[i % CHANS], &msg, vai__clock_now() + 20000) == VAI_OK) {
			ledger_spend(&msg);
			atomic_fetch_add(&a->received, 1);
		}
	}
}

static void melee(const int64_t *caps, int fighters, int rounds, int64_t patience, int close_at)
{
	struct arena a = {.rounds = rounds, .patience = patience, .left = fighters};
	vai_msg msg;
	ledger_clear();
	for (int i = 0; i < CHANS; i++)
		a.ch[i] = chan(caps[i]);
	for (int i = 0; i < fighters; i++)
		world_go(fight, &a);
	world_go(sweep, &a);
	if (close_at) {
		while (atomic_load(&a.received) < close_at && atomic_load(&a.left) > 0)
			vai__yield(vai__g_self());
		vai__chan_close(a.ch[0]);
	}
	world_join();
	for (int i = 0; i < CHANS; i++) {
		while (vai__chan_recv(vai__g_self(), a.ch[i], &msg, 0) == VAI_OK) {
			ledger_spend(&msg);
			a.received++;
		}
		unref(a.ch[i]);
	}
	assert_int_equal(a.sent, a.received);
	if (patience > 10000) /* else they may all miss each other */
		assert_true(a.sent > 0);
	ledger_balanced();
}

static void test_melee(void **state)
{
	static const int64_t unbuffered[CHANS] = {0}, mixed[CHANS] = {0, 1, 0, 3};
	(void)state;
	melee(unbuffered, 8, 500, 0, 0);
	melee(unbuffered, 8, 500, 30000, 0);
	melee(unbuffered, 20, 200, 1000000, 0);
	melee(mixed, 8, 500, 0, 0);
	melee(mixed, 8, 500, 30000, 0);
	melee(mixed, 8, 500, 1, 0);
	melee(mixed, 8, 500, 30000, 100);
	melee(unbuffered, 8, 500, 30000, 100);
}

/* Go's test/chan/doubleselect.go: a value sent by a select with four channels arrives once. */
struct dbl {
	vai_chan *c[4], *cmux;
	_Atomic(int) left;
};

static void dbl_send(vai_g *g, void *arg)
{
	struct dbl *d = arg;
	for (uint64_t i = 0; i < 5000; i++) {
		struct vai__case c[4];
		for (int k = 0; k < 4; k++)
			c[k] = (struct vai__case){.ch = d->c[k], .dir = VAI_DIR_SEND, .msg = {{i, 0, 0, 0}}};
		CHECK(vai__select(g, c, 4, VAI_FOREVER) >= 0);
	}
	for (int k = 0; k < 4; k++)
		vai__chan_close(d->c[k]);
}

struct dblmux {
	struct dbl *d;
	int k;
};

static void dbl_mux(vai_g *g, void *arg)
{
	struct dblmux *m = arg;
	vai_msg msg;
	while (vai__chan_recv(g, m->d->c[m->k], &msg, VAI_FOREVER) == VAI_OK)
		CHECK(vai__chan_send(g, m->d->cmux, &msg, VAI_FOREVER) == VAI_OK);
	if (atomic_fetch_sub(&m->d->left, 1) == 1)
		vai__chan_close(m->d->cmux);
}

static void test_double_select(void **state)
{
	struct dbl d = {.left = 4, .cmux = vai__chan_new(0, NULL)};
	struct dblmux mux[4];
	unsigned char seen[5000] = {0};
	int n = 0;
	vai_msg msg;
	(void)state;
	for (int k = 0; k < 4; k++)
		d.c[k] = vai__chan_new(0, NULL);
	world_go(dbl_send, &d);
	for (int k = 0; k < 4; k++) {
		mux[k] = (struct dblmux){&d, k};
		world_go(dbl_mux, &mux[k]);
	}
	for (; vai__chan_recv(vai__g_self(), d.cmux, &msg, VAI_FOREVER) == VAI_OK; n++)
		assert_int_equal(seen[msg.w[0]]++, 0);
	assert_int_equal(n, 5000);
	world_join();
	for (int k = 0; k < 4; k++)
		unref(d.c[k]);
	unref(d.cmux);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready_and_default),
		cmocka_unit_test(test_nothing_to_wait_for),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_timeout_leaves_nothing_behind),
		cmocka_unit_test(test_never_meets_itself),
		cmocka_unit_test(test_woken_by_each_kind),
		cmocka_unit_test(test_two_selects_meet),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_order_among_waiters),
		cmocka_unit_test(test_fair_among_ready),
		cmocka_unit_test(test_fair_among_sends_and_duplicates),
		cmocka_unit_test(test_fair_among_waiting_duplicates),
		cmocka_unit_test(test_fairness_of_go),
		cmocka_unit_test(test_many_cases),
		cmocka_unit_test(test_many_cases_woken),
		cmocka_unit_test(test_melee),
		cmocka_unit_test(test_double_select),
	};
	return WORLD_RUN("select", tests);
}
