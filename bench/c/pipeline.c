/* SPDX-License-Identifier: MIT */
/* One producer, one consumer, capacity 128: integers, and records of 3 fields that the
 * consumer frees. */
#include "bench.h"

#include <string.h>
#include "base/mem.h"

enum { CAPACITY = 128 };

struct pipe {
	vai_chan *ch;
	vai_waitgroup *wg;
	int64_t n;
};

static void produce_ints(vai_g *g, void *arg)
{
	struct pipe *p = arg;
	for (int64_t i = 1; i <= p->n; i++)
		send_int(g, p->ch, i);
	vai__chan_close(p->ch);
}

static void consume_ints(vai_g *g, void *arg)
{
	struct pipe *p = arg;
	int64_t sum = 0, i;
	while (recv_int(g, p->ch, &i))
		sum += i;
	check("pipeline_int", sum, p->n * (p->n + 1) / 2);
	finish(p->wg);
}

struct record {
	int64_t id;
	char name[8];
	double value;
};

static void produce_records(vai_g *g, void *arg)
{
	struct pipe *p = arg;
	for (int64_t i = 1; i <= p->n; i++) {
		struct record *r = vai__mem_alloc(sizeof *r);
		check("memory", r != NULL, 1);
		*r = (struct record){.id = i, .name = "record", .value = (double)i / 2};
		send_int(g, p->ch, (int64_t)(intptr_t)r);
	}
	vai__chan_close(p->ch);
}

static void consume_records(vai_g *g, void *arg)
{
	struct pipe *p = arg;
	int64_t sum = 0, i;
	while (recv_int(g, p->ch, &i)) {
		struct record *r = (struct record *)(intptr_t)i;
		check("pipeline_table", strcmp(r->name, "record") == 0 && r->value * 2 == (double)r->id, 1);
		sum += r->id;
		vai__mem_free(r, sizeof *r);
	}
	check("pipeline_table", sum, p->n * (p->n + 1) / 2);
	finish(p->wg);
}

static void measure(vai_g *g, int64_t n, const char *names[2], bench_fn *produce, bench_fn *consume)
{
	for (int on_main = 0; on_main < 2; on_main++) {
		struct pipe p = {.ch = new_chan(CAPACITY), .wg = new_group(1), .n = n};
		int64_t start = vai__clock_now();
		spawn_in(g, produce, &p);
		if (on_main)
			consume(g, &p);
		else
			spawn_in(g, consume, &p);
		wait_for(g, p.wg);
		report_ns(names[on_main], start, n);
		/* The producer may still be in close, the consumer in finish. */
		vai__sleep(g, vai__clock_now() + 1000000);
	}
}

void bench_pipeline_int(vai_g *g, int64_t n)
{
	measure(g, n, (const char *[]){"pipeline_int", "pipeline_int_main"}, produce_ints, consume_ints);
}

void bench_pipeline_table(vai_g *g, int64_t n)
{
	measure(g, n, (const char *[]){"pipeline_table", "pipeline_table_main"}, produce_records, consume_records);
}
