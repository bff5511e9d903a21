/* SPDX-License-Identifier: MIT */
/* Starting goroutines and letting them end. */
#include "bench.h"

#include <stdlib.h>

enum { ROUNDS = 5 };

static void end(vai_g *g, void *wg)
{
	(void)g;
	finish(wg);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* All at once; the median of several rounds. */
void bench_spawn(vai_g *g, int64_t n)
{
	double ns[ROUNDS];
	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = vai__clock_now();
		vai_waitgroup *wg = new_group(n);
		for (int64_t i = 0; i < n; i++)
			spawn_in(g, end, wg);
		wait_for(g, wg);
		ns[round] = (double)(vai__clock_now() - start) / (double)n;
		vai__yield(g); /* the last one may still hold the group */
		unref(wg);
	}
	qsort(ns, ROUNDS, sizeof ns[0], by_value);
	report("spawn", ns[ROUNDS / 2], "ns");
}

/* Each after the one before it has ended. */
void bench_spawn_seq(vai_g *g, int64_t n)
{
	vai_waitgroup *wg = new_group(0);
	int64_t start = vai__clock_now();
	for (int64_t i = 0; i < n; i++) {
		vai__waitgroup_add(wg, 1);
		spawn_in(g, end, wg);
		wait_for(g, wg);
	}
	report_ns("spawn_seq", start, n);
}

struct yielder {
	vai_waitgroup *wg;
	int64_t n;
};

static void yield_often(vai_g *g, void *arg)
{
	struct yielder *y = arg;
	for (int64_t i = 0; i < y->n; i++)
		vai__yield(g);
	finish(y->wg);
}

/* Two goroutines that yield to each other. */
void bench_yield(vai_g *g, int64_t n)
{
	struct yielder y = {.wg = new_group(2), .n = n / 2};
	int64_t start = vai__clock_now();
	spawn_in(g, yield_often, &y);
	spawn_in(g, yield_often, &y);
	wait_for(g, y.wg);
	report_ns("yield", start, n);
}
