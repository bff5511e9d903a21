/* SPDX-License-Identifier: MIT */
/* Usage: bench-c WORKLOAD [N]. Prints lines of the form "<workload> <value> <unit>". */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct workload {
	const char *name;
	void (*run)(vai_g *g, int64_t n);
	int64_t n; /* operations unless the argument says otherwise */
} workloads[] = {
	{"spawn", bench_spawn, 100000},
	{"spawn_seq", bench_spawn_seq, 500000},
	{"parked", bench_parked, 100000},
	{"alive", bench_alive, 1000000},
	{"pingpong", bench_pingpong, 500000},
	{"ring", bench_ring, 1000000},
	{"sieve", bench_sieve, 1000},
	{"pipeline_int", bench_pipeline_int, 2000000},
	{"pipeline_table", bench_pipeline_table, 500000},
	{"select4", bench_select4, 500000},
	{"yield", bench_yield, 4000000},
};

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "bench-c: %s\n", what);
	exit(1);
}

_Noreturn static void usage(void)
{
	fprintf(stderr, "usage: bench-c WORKLOAD [N], with WORKLOAD one of");
	for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
		fprintf(stderr, " %s", workloads[i].name);
	fprintf(stderr, "\n");
	exit(2);
}

void report(const char *name, double value, const char *unit)
{
	printf("%s %.6g %s\n", name, value, unit);
	fflush(stdout);
}

void report_ns(const char *name, int64_t start, int64_t n)
{
	report(name, (double)(vai__clock_now() - start) / (double)n, "ns");
}

void check(const char *name, int64_t got, int64_t want)
{
	if (got == want)
		return;
	fprintf(stderr, "%s: got %" PRId64 ", expected %" PRId64 "\n", name, got, want);
	exit(1);
}

void spawn_in(vai_g *self, bench_fn *f, void *arg)
{
	vai_g *g = vai__g_new(f, arg);
	if (!g)
		die("out of memory");
	vai__g_start(self, g);
}

vai_waitgroup *new_group(int64_t n)
{
	vai_waitgroup *wg = vai__waitgroup_new();
	if (!wg || vai__waitgroup_add(wg, n) != VAI_OK)
		die("out of memory");
	return wg;
}

vai_chan *new_chan(int64_t cap)
{
	vai_chan *ch = vai__chan_new(cap, NULL);
	if (!ch)
		die("out of memory");
	return ch;
}

void unref(void *object)
{
	vai__obj_unref((struct vai_obj *)object);
}

void finish(vai_waitgroup *wg)
{
	vai__waitgroup_add(wg, -1);
}

void wait_for(vai_g *self, vai_waitgroup *wg)
{
	if (vai__waitgroup_wait(self, wg, VAI_FOREVER) != VAI_OK)
		die("the goroutines do not end");
}

void send_int(vai_g *g, vai_chan *ch, int64_t i)
{
	vai_msg msg = {{(uint64_t)i, 0, 0, 0}};
	if (vai__chan_send(g, ch, &msg, VAI_FOREVER) != VAI_OK)
		die("a send failed");
}

bool recv_int(vai_g *g, vai_chan *ch, int64_t *i)
{
	vai_msg msg;
	int r = vai__chan_recv(g, ch, &msg, VAI_FOREVER);
	if (r == VAI_ECLOSED)
		return false;
	if (r != VAI_OK)
		die("a receive failed");
	*i = (int64_t)msg.w[0];
	return true;
}

int main(int argc, char **argv)
{
	const struct workload *w = NULL;
	int64_t n;
	for (size_t i = 0; argc > 1 && i < sizeof workloads / sizeof workloads[0]; i++)
		if (strcmp(argv[1], workloads[i].name) == 0)
			w = &workloads[i];
	if (!w)
		usage();
	n = argc > 2 ? strtoll(argv[2], NULL, 10) : w->n;
	if (n < 1)
		usage();
	if (vai__sched_start(&(struct vai__sched_opts){.maxprocs = 0}) != VAI_OK)
		die("the runtime does not start");
	w->run(vai__g_self(), n);
	vai__sched_stop(0);
	return 0;
}
