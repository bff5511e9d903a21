/* SPDX-License-Identifier: MIT */
/* Workloads of bench/README.md in C as a host writes them, against vai.h alone. Usage: bench-api WORKLOAD [N]. Prints
 * "<workload> <value> <unit>". Each runs on the main goroutine. */
#define _GNU_SOURCE
#include "vai.h"
#include "../status.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 5, RING = 503 };

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench-api: %s\n", what);
	exit(1);
}

static void report(const char *name, double value, const char *unit)
{
	printf("%s %.6g %s\n", name, value, unit);
	fflush(stdout);
}

static double ns_each(int64_t start, int64_t n)
{
	return (double)(vai_now() - start) / (double)n;
}

static void go(void (*f)(void *arg), void *arg)
{
	must(vai_go(f, arg) == VAI_OK, "a goroutine does not start");
}

static vai_waitgroup *new_group(int64_t n)
{
	vai_waitgroup *wg = vai_waitgroup_new();
	must(wg && vai_waitgroup_add(wg, n) == VAI_OK, "there is no wait group");
	return wg;
}

static void wait_for(vai_waitgroup *wg)
{
	must(vai_waitgroup_wait(wg, VAI_FOREVER) == VAI_OK, "the goroutines do not end");
}

static vai_chan *new_chan(void)
{
	vai_chan *ch = vai_chan_new(sizeof(int64_t), 0);
	must(ch != NULL, "there is no channel");
	return ch;
}

static void send_int(vai_chan *ch, int64_t i)
{
	must(vai_send(ch, &i, VAI_FOREVER) == VAI_OK, "a send failed");
}

static int64_t recv_int(vai_chan *ch)
{
	int64_t i = 0;
	must(vai_recv(ch, &i, VAI_FOREVER) == VAI_OK, "a receive failed");
	return i;
}

/* ---- starting goroutines ---- */

static void end(void *wg)
{
	vai_waitgroup_done(wg);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void spawn(int64_t n)
{
	double ns[ROUNDS];
	for (int round = 0; round < ROUNDS; round++) {
		vai_waitgroup *wg = new_group(n);
		int64_t start = vai_now();
		for (int64_t i = 0; i < n; i++)
			go(end, wg);
		wait_for(wg);
		ns[round] = ns_each(start, n);
		vai_unref(wg);
	}
	qsort(ns, ROUNDS, sizeof ns[0], by_value);
	report("spawn", ns[ROUNDS / 2], "ns");
}

static void spawn_seq(int64_t n)
{
	vai_waitgroup *wg = new_group(0);
	int64_t start = vai_now();
	for (int64_t i = 0; i < n; i++) {
		vai_waitgroup_add(wg, 1);
		go(end, wg);
		wait_for(wg);
	}
	report("spawn_seq", ns_each(start, n), "ns");
}

/* ---- goroutines that wait ---- */

struct lot {
	vai_chan *ch;
	vai_waitgroup *ready, *ended;
};

static double status(const char *field)
{
	double bytes = read_status(field);
	must(bytes >= 0, "/proc/self/status lacks a field");
	return bytes;
}

static void wait_in_lot(void *arg)
{
	struct lot *l = arg;
	int64_t i;
	vai_waitgroup_done(l->ready);
	must(vai_recv(l->ch, &i, VAI_FOREVER) == VAI_ECLOSED, "the channel was not closed");
	vai_waitgroup_done(l->ended);
}

static void parked(int64_t n)
{
	struct lot l = {.ch = new_chan(), .ready = new_group(n), .ended = new_group(n)};
	status("VmRSS");
	double rss = status("VmRSS"), pte = status("VmPTE");
	for (int64_t i = 0; i < n; i++)
		go(wait_in_lot, &l);
	wait_for(l.ready);
	vai_sleep(VAI_MS(100));
	report("parked_bytes", (status("VmRSS") - rss) / (double)n, "bytes");
	report("parked_pagetable", (status("VmPTE") - pte) / (double)n, "bytes");
	vai_close(l.ch);
	wait_for(l.ended);
}

/* ---- channels ---- */

struct table {
	vai_chan *ping, *pong;
	vai_waitgroup *wg;
	int64_t n;
};

static void serve(void *arg)
{
	struct table *t = arg;
	for (int64_t i = 0; i < t->n; i++)
		send_int(t->pong, recv_int(t->ping));
	vai_waitgroup_done(t->wg);
}

static void play(void *arg)
{
	struct table *t = arg;
	for (int64_t i = 0; i < t->n; i++) {
		send_int(t->ping, i);
		must(recv_int(t->pong) == i, "the ball is not the same");
	}
	vai_waitgroup_done(t->wg);
}

static void pingpong(int64_t n)
{
	struct table t = {.ping = new_chan(), .pong = new_chan(), .wg = new_group(2), .n = n};
	int64_t start = vai_now();
	go(serve, &t);
	go(play, &t);
	wait_for(t.wg);
	report("pingpong", ns_each(start, n), "ns");

	vai_waitgroup_add(t.wg, 2);
	start = vai_now();
	go(serve, &t);
	play(&t);
	wait_for(t.wg);
	report("pingpong_main", ns_each(start, n), "ns");
}

struct seat {
	vai_chan *in, *out, *done;
};

static void member(void *arg)
{
	struct seat *s = arg;
	int64_t left;
	while ((left = recv_int(s->in)) > 0)
		send_int(s->out, left - 1);
	send_int(s->done, 0);
}

/* The token's first lap, which starts the goroutines, is not counted. */
static void ring(int64_t n)
{
	static struct seat seats[RING];
	vai_chan *done = new_chan();
	for (int i = 0; i < RING; i++)
		seats[i] = (struct seat){.in = new_chan(), .done = done};
	for (int i = 0; i < RING; i++) {
		seats[i].out = i + 1 < RING ? seats[i + 1].in : done;
		go(member, &seats[i]);
	}
	send_int(seats[0].in, RING);
	must(recv_int(done) == 0, "the token got lost on its first lap");
	seats[RING - 1].out = seats[0].in;
	int64_t start = vai_now();
	send_int(seats[0].in, n);
	must(recv_int(done) == 0, "the token got lost");
	report("ring", ns_each(start, n), "ns");
}

/* ---- yield ---- */

static void yield_often(void *arg)
{
	struct table *t = arg;
	for (int64_t i = 0; i < t->n; i++)
		vai_yield();
	vai_waitgroup_done(t->wg);
}

static void yield(int64_t n)
{
	struct table t = {.wg = new_group(2), .n = n / 2};
	int64_t start = vai_now();
	go(yield_often, &t);
	go(yield_often, &t);
	wait_for(t.wg);
	report("yield", ns_each(start, n), "ns");
}

/* ---- posts from outside ---- */

/* Two ends that wake each other by turns, each asleep until then. */
struct bell {
	atomic_uint rung;
};

static void ring_bell(struct bell *b)
{
	atomic_fetch_add(&b->rung, 1);
	syscall(SYS_futex, &b->rung, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void await(struct bell *b, unsigned n)
{
	for (unsigned seen; (seen = atomic_load(&b->rung)) < n;)
		syscall(SYS_futex, &b->rung, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

struct line {
	vai_chan *ch;
	vai_waitgroup *wg;
	struct bell there, back;
	unsigned n;
	int cpu; /* of the end that begins */
	double ns;
};

/* The CPU of vai's threads and of the end that answers, and another one, or -1. */
static int near_cpu = -1, far_cpu = -1;

static void find_cpus(void)
{
	cpu_set_t all;
	must(sched_getaffinity(0, sizeof all, &all) == 0, "the process has no CPUs");
	for (int i = 0; i < CPU_SETSIZE && far_cpu < 0; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		*(near_cpu < 0 ? &near_cpu : &far_cpu) = i;
	}
}

static void stay_on(int cpu)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	must(pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0, "a thread does not get its CPU");
}

static void answer_posts(void *arg)
{
	struct line *l = arg;
	for (unsigned i = 0; i < l->n; i++) {
		recv_int(l->ch);
		ring_bell(&l->back);
	}
	vai_waitgroup_done(l->wg);
}

static void *post_all(void *arg)
{
	struct line *l = arg;
	stay_on(l->cpu);
	int64_t start = vai_now(), value = 1;
	for (unsigned i = 1; i <= l->n; i++) {
		while (vai_try_send(l->ch, &value) != VAI_OK)
			sched_yield(); /* the other end has rung and not come to wait yet; it may need this CPU for that */
		await(&l->back, i);
	}
	l->ns = ns_each(start, l->n);
	return NULL;
}

static void *answer_bells(void *arg)
{
	struct line *l = arg;
	stay_on(near_cpu);
	for (unsigned i = 1; i <= l->n; i++) {
		await(&l->there, i);
		ring_bell(&l->back);
	}
	vai_waitgroup_done(l->wg);
	return NULL;
}

static void *ring_all(void *arg)
{
	struct line *l = arg;
	stay_on(l->cpu);
	int64_t start = vai_now();
	for (unsigned i = 1; i <= l->n; i++) {
		ring_bell(&l->there);
		await(&l->back, i);
	}
	l->ns = ns_each(start, l->n);
	return NULL;
}

/* A goroutine and a thread, or two threads. The main goroutine waits meanwhile: parked, so that its thread runs others,
 * or in C. */
static double one_round(bool posts, int cpu, unsigned n, bool main_parks)
{
	struct line l = {.ch = new_chan(), .wg = new_group(1), .n = n, .cpu = cpu};
	pthread_t a, b;
	if (posts)
		go(answer_posts, &l);
	else
		must(pthread_create(&b, NULL, answer_bells, &l) == 0, "a thread does not start");
	vai_sleep(VAI_MS(1)); /* the goroutine waits by now */
	must(pthread_create(&a, NULL, posts ? post_all : ring_all, &l) == 0, "a thread does not start");
	if (main_parks)
		wait_for(l.wg);
	else
		vai_block_begin();
	pthread_join(a, NULL);
	if (!posts)
		pthread_join(b, NULL);
	if (!main_parks)
		vai_block_end();
	wait_for(l.wg);
	vai_unref(l.ch);
	vai_unref(l.wg);
	return l.ns;
}

/* A round is a wake there and a futex wake back. */
static void post_from(int cpu, const char *where, unsigned n)
{
	double posts[ROUNDS], parked_main[ROUNDS], bells[ROUNDS];
	char name[32];
	for (int i = 0; i < ROUNDS; i++) {
		bells[i] = one_round(false, cpu, n, false) / 2;
		posts[i] = one_round(true, cpu, n, false) - bells[i];
		parked_main[i] = one_round(true, cpu, n, true) - bells[i];
	}
	double *const kinds[] = {posts, parked_main, bells};
	static const char *const names[] = {"post", "post_main", "futex_wake"};
	for (int k = 0; k < 3; k++) {
		qsort(kinds[k], ROUNDS, sizeof kinds[k][0], by_value);
		snprintf(name, sizeof name, "%s%s", names[k], where);
		report(name, kinds[k][ROUNDS / 2], "ns");
	}
}

/* What a wake costs hangs on where both threads run, so that is settled: on one CPU, on two. */
static void post(int64_t n)
{
	post_from(near_cpu, "", (unsigned)(n / ROUNDS));
	if (far_cpu >= 0)
		post_from(far_cpu, "_far", (unsigned)(n / ROUNDS / 10 + 1));
}

static const struct workload {
	const char *name;
	void (*run)(int64_t n);
	int64_t n; /* operations unless the argument says otherwise */
} workloads[] = {{"spawn", spawn, 100000}, {"spawn_seq", spawn_seq, 500000}, {"parked", parked, 100000},
	{"pingpong", pingpong, 500000}, {"ring", ring, 1000000}, {"yield", yield, 4000000}, {"post", post, 100000}};

int main(int argc, char **argv)
{
	const struct workload *w = NULL;
	for (size_t i = 0; argc > 1 && i < sizeof workloads / sizeof workloads[0]; i++)
		if (strcmp(argv[1], workloads[i].name) == 0)
			w = &workloads[i];
	int64_t n = argc > 2 ? strtoll(argv[2], NULL, 10) : w ? w->n : 0;
	if (!w || n < 1) {
		fprintf(stderr, "usage: bench-api spawn|spawn_seq|parked|pingpong|ring|yield|post [N]\n");
		return 2;
	}
	vai_options options = {.size = sizeof options};
	if (w->run == post) {
		find_cpus();
		stay_on(near_cpu);
		options.cpus = &near_cpu;
		options.ncpus = 1;
		options.procs = getenv("VAI_MAXPROCS") ? 0 : 2;
	}
	must(vai_start(&options) == VAI_OK, "the runtime does not start");
	w->run(n);
	return vai_stop() == VAI_OK ? 0 : 1;
}
