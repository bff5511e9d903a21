/* SPDX-License-Identifier: MIT */
/* Rounds, goroutines and the ledger of the tests of sync/; see world.h. */
#include "sync/world.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/atomic.h"
#include "base/clock.h"

enum { LEDGER_MAX = 1 << 20, FREE = 0, ALIVE, SPENT };

static int procs;
static _Atomic(int64_t) running;

_Noreturn void world_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: check failed with %d Ps: %s\n", file, line, procs, what);
	abort();
}

int world_procs(void)
{
	return procs;
}

/* ---- goroutines ---- */

struct start {
	world_fn *f;
	void *arg;
};

void world_end(void)
{
	atomic_fetch_sub(&running, 1);
}

static void entry(vai_g *g, void *arg)
{
	struct start s = *(struct start *)arg;
	free(arg);
	s.f(g, s.arg);
	world_end();
}

vai_g *world_go(world_fn *f, void *arg)
{
	struct start *s = malloc(sizeof *s);
	vai_g *g;
	CHECK(s != NULL);
	*s = (struct start){.f = f, .arg = arg};
	g = vai__g_new(entry, s);
	CHECK(g != NULL);
	atomic_fetch_add(&running, 1);
	vai__g_start(vai__g_self(), g);
	return g;
}

void world_join(void)
{
	vai_g *self = vai__g_self();
	int64_t end = world_in(600000);
	for (int spins = 0; atomic_load(&running) > 0; spins++) {
		CHECK(vai__clock_now() < end);
		if (spins < 100)
			vai__yield(self);
		else
			vai__sleep(self, world_in(1));
	}
}

void world_parked(vai_g *g)
{
	vai_g *self = vai__g_self();
	enum vai_g_state s;
	while ((s = vai__g_state(g)) != VAI_G_WAITING && s != VAI_G_DEAD)
		vai__yield(self);
}

void world_until(_Atomic(int) *n, int least)
{
	vai_g *self = vai__g_self();
	while (atomic_load(n) < least)
		vai__yield(self);
}

int64_t world_in(int64_t ms)
{
	return vai__clock_now() + ms * 1000000;
}

/* ---- the ledger ---- */

static _Atomic(uint8_t) ledger[LEDGER_MAX];
static _Atomic(uint64_t) ledger_next = 1;
static _Atomic(int) dropped;

void ledger_clear(void)
{
	for (uint64_t i = 0; i < atomic_load(&ledger_next); i++)
		atomic_store(&ledger[i], FREE);
	atomic_store(&ledger_next, 1);
	atomic_store(&dropped, 0);
}

vai_msg ledger_make(void)
{
	uint64_t id = atomic_fetch_add(&ledger_next, 1);
	CHECK(id < LEDGER_MAX);
	atomic_store(&ledger[id], ALIVE);
	return (vai_msg){{id, ~id, id * UINT64_C(0x9E3779B97F4A7C15), id ^ 0x5555}};
}

uint64_t ledger_id(const vai_msg *msg)
{
	uint64_t id = msg->w[0];
	CHECK(id > 0 && id < LEDGER_MAX);
	CHECK(msg->w[1] == ~id && msg->w[2] == id * UINT64_C(0x9E3779B97F4A7C15) && msg->w[3] == (id ^ 0x5555));
	return id;
}

void ledger_spend(const vai_msg *msg)
{
	CHECK(atomic_exchange(&ledger[ledger_id(msg)], SPENT) == ALIVE);
}

void ledger_drop(vai_msg *msg)
{
	ledger_spend(msg);
	atomic_fetch_add(&dropped, 1);
}

int ledger_dropped(void)
{
	return atomic_load(&dropped);
}

void ledger_balanced(void)
{
	for (uint64_t i = 1; i < atomic_load(&ledger_next); i++)
		CHECK(atomic_load(&ledger[i]) == SPENT);
}

/* ---- rounds ---- */

static int clear(void **state)
{
	(void)state;
	ledger_clear();
	return 0;
}

int world_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
	static const int rounds[] = {1, 2, 4};
	struct CMUnitTest own[64];
	int failed = 0;
	CHECK(n <= sizeof own / sizeof own[0]);
	for (size_t i = 0; i < n; i++) {
		own[i] = tests[i];
		own[i].setup_func = clear;
	}
	procs = 4;
	CHECK(vai__sched_start(&(struct vai__sched_opts){.maxprocs = 4}) == VAI_OK);
	for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
		char title[64];
		procs = rounds[i];
		vai__maxprocs(vai__g_self(), procs);
		snprintf(title, sizeof title, "%s, %d Ps", name, procs);
		failed += _cmocka_run_group_tests(title, own, n, NULL, NULL);
	}
	while (vai__g_count() > 1) /* the last ones are on their way out */
		vai__yield(vai__g_self());
	CHECK(vai__sched_stop(1000000000));
	return failed;
}
