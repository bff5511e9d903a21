/* SPDX-License-Identifier: MIT */
/* Channel workloads. Each _main figure is the same with the main goroutine as a partner. */
#include "bench.h"
#include "sync/select.h"

#include <stdlib.h>

/* ---- pingpong: a number there and back over two unbuffered channels ---- */

struct table {
	vai_chan *ping, *pong;
	vai_waitgroup *wg;
	int64_t n;
};

static void serve(vai_g *g, void *arg)
{
	struct table *t = arg;
	int64_t ball;
	for (int64_t i = 0; i < t->n; i++) {
		recv_int(g, t->ping, &ball);
		send_int(g, t->pong, ball);
	}
	finish(t->wg);
}

static void play(vai_g *g, void *arg)
{
	struct table *t = arg;
	int64_t ball;
	for (int64_t i = 0; i < t->n; i++) {
		send_int(g, t->ping, i);
		recv_int(g, t->pong, &ball);
		check("pingpong", ball, i);
	}
	finish(t->wg);
}

void bench_pingpong(vai_g *g, int64_t n)
{
	struct table t = {.ping = new_chan(0), .pong = new_chan(0), .wg = new_group(2), .n = n};
	int64_t start = vai__clock_now();
	spawn_in(g, serve, &t);
	spawn_in(g, play, &t);
	wait_for(g, t.wg);
	report_ns("pingpong", start, n);

	vai__waitgroup_add(t.wg, 2);
	start = vai__clock_now();
	spawn_in(g, serve, &t);
	play(g, &t);
	report_ns("pingpong_main", start, n);
}

/* ---- ring: a token around 503 goroutines ---- */

enum { RING = 503 };

struct seat {
	vai_chan *in, *out, *done;
};

static void member(vai_g *g, void *arg)
{
	struct seat *s = arg;
	int64_t left;
	for (;;) {
		recv_int(g, s->in, &left);
		if (left == 0) {
			send_int(g, s->done, 0);
			return;
		}
		send_int(g, s->out, left - 1);
	}
}

void bench_ring(vai_g *g, int64_t n)
{
	static struct seat seats[RING];
	vai_chan *done = new_chan(0);
	int64_t start, left;
	for (int i = 0; i < RING; i++)
		seats[i] = (struct seat){.in = new_chan(0), .done = done};
	for (int i = 0; i < RING; i++) {
		seats[i].out = seats[(i + 1) % RING].in;
		spawn_in(g, member, &seats[i]);
	}
	start = vai__clock_now();
	send_int(g, seats[0].in, n);
	recv_int(g, done, &left);
	report_ns("ring", start, n);
}

/* ---- sieve: the first n primes, a goroutine for each ---- */

struct filter {
	vai_chan *in, *out;
	int64_t prime;
};

static void generate(vai_g *g, void *out)
{
	for (int64_t i = 2;; i++)
		send_int(g, out, i);
}

static void filter(vai_g *g, void *arg)
{
	struct filter *f = arg;
	int64_t i;
	while (recv_int(g, f->in, &i))
		if (i % f->prime != 0)
			send_int(g, f->out, i);
}

void bench_sieve(vai_g *g, int64_t n)
{
	struct filter *filters = calloc((size_t)n, sizeof *filters);
	vai_chan *ch = new_chan(0);
	int64_t start = vai__clock_now(), prime = 0;
	spawn_in(g, generate, ch);
	for (int64_t i = 0; i < n; i++) {
		recv_int(g, ch, &prime);
		filters[i] = (struct filter){.in = ch, .out = new_chan(0), .prime = prime};
		ch = filters[i].out;
		spawn_in(g, filter, &filters[i]);
	}
	if (n == 1000)
		check("sieve", prime, 7919);
	report("sieve", (double)(vai__clock_now() - start) / 1e6, "ms");
}

/* ---- select4: 4 producers, one goroutine that selects ---- */

enum { PRODUCERS = 4 };

struct fan {
	vai_chan *ch[PRODUCERS];
	vai_waitgroup *wg;
	int64_t each;
};

struct producer {
	vai_chan *out;
	int64_t n;
};

static void produce(vai_g *g, void *arg)
{
	struct producer *p = arg;
	for (int64_t i = 1; i <= p->n; i++)
		send_int(g, p->out, i);
}

static void receive(vai_g *g, void *arg)
{
	struct fan *f = arg;
	int64_t sum = 0;
	for (int64_t i = 0; i < PRODUCERS * f->each; i++) {
		struct vai__case c[PRODUCERS];
		int r;
		for (int k = 0; k < PRODUCERS; k++) {
			c[k].ch = f->ch[k];
			c[k].dir = VAI_DIR_RECV;
		}
		r = vai__select(g, c, PRODUCERS, VAI_FOREVER);
		check("select4", r >= 0 && c[r].result == VAI_OK, 1);
		sum += (int64_t)c[r].msg.w[0];
	}
	check("select4", sum, PRODUCERS * f->each * (f->each + 1) / 2);
	finish(f->wg);
}

static void start_producers(vai_g *g, struct fan *f, struct producer *p)
{
	for (int k = 0; k < PRODUCERS; k++) {
		p[k] = (struct producer){.out = f->ch[k], .n = f->each};
		spawn_in(g, produce, &p[k]);
	}
}

void bench_select4(vai_g *g, int64_t n)
{
	static struct producer p[2][PRODUCERS];
	struct fan f = {.wg = new_group(2), .each = (n + PRODUCERS - 1) / PRODUCERS};
	int64_t start;
	for (int k = 0; k < PRODUCERS; k++)
		f.ch[k] = new_chan(0);
	start = vai__clock_now();
	start_producers(g, &f, p[0]);
	spawn_in(g, receive, &f);
	finish(f.wg);
	wait_for(g, f.wg);
	report_ns("select4", start, PRODUCERS * f.each);

	vai__waitgroup_add(f.wg, 1);
	start = vai__clock_now();
	start_producers(g, &f, p[1]);
	receive(g, &f);
	report_ns("select4_main", start, PRODUCERS * f.each);
}
