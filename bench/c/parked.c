/* SPDX-License-Identifier: MIT */
/* What a goroutine costs that waits. */
#include "../status.h"
#include "bench.h"

struct lot {
	vai_chan *ch;
	vai_waitgroup *ready, *ended;
};

static double status(const char *field)
{
	double bytes = read_status(field);
	check("/proc/self/status", bytes >= 0, 1);
	return bytes;
}

static void wait_in_lot(vai_g *g, void *arg)
{
	struct lot *l = arg;
	int64_t i;
	finish(l->ready);
	recv_int(g, l->ch, &i);
	finish(l->ended);
}

static void park(vai_g *g, struct lot *l, int64_t n)
{
	*l = (struct lot){.ch = new_chan(0), .ready = new_group(n), .ended = new_group(n)};
	for (int64_t i = 0; i < n; i++)
		spawn_in(g, wait_in_lot, l);
	wait_for(g, l->ready);
	vai__sleep(g, vai__clock_now() + 100000000);
}

static void leave(vai_g *g, struct lot *l)
{
	vai__chan_close(l->ch);
	wait_for(g, l->ended);
}

void bench_parked(vai_g *g, int64_t n)
{
	struct lot l;
	double rss, pte;
	status("VmRSS");
	rss = status("VmRSS");
	pte = status("VmPTE");
	park(g, &l, n);
	report("parked_bytes", (status("VmRSS") - rss) / (double)n, "bytes");
	report("parked_pagetable", (status("VmPTE") - pte) / (double)n, "bytes");
	leave(g, &l);
}

void bench_alive(vai_g *g, int64_t n)
{
	struct lot l;
	int64_t start = vai__clock_now();
	park(g, &l, n);
	leave(g, &l);
	report("alive", status("VmHWM") / 1e6, "MB");
	report("alive_time", (double)(vai__clock_now() - start) / 1e6, "ms");
}
