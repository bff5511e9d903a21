/* SPDX-License-Identifier: MIT */
/* The place in the poller, kept for an M that is mostly back at once (sched/seat.c): here each M is taken for such a
 * one. What comes while it is not back is seen all the same: main's thread leaves the poller with the place kept for
 * it, and another goroutine gets its input while main is in a C call, computes, or waits itself. */
#include "sched/rt.h"
#include "tests.h"
#include "world.h"

static bool came, read_it;
static vai_g *starter;
static vai_ticket begun;
static int code;

static void read_input(vai_g *g, void *arg)
{
	(void)arg;
	world_io_begin(g, world_ticket(g));
	vai__fire(starter, begun, VAI_WAKE_USER);
	code = vai__wait(g, VAI_WAIT_IO, NULL, VAI_FOREVER);
	world_io_end();
	read_it = true;
}

static bool is_set(void *flag)
{
	return *(const volatile bool *)flag;
}

static void arrive(void *arg)
{
	(void)arg;
	sim_wait(is_set, &came, INT64_MAX, "for main to be back from the poller");
	world_io_done();
}

/* The reader waits, and main has slept. */
static void begin(vai_g *main)
{
	vai__seat_times = 0;
	starter = main;
	begun = world_ticket(main);
	world_go(main, read_input, NULL);
	SIM_CHECK(vai__wait(main, VAI_WAIT_JOIN, NULL, VAI_FOREVER) == VAI_WAKE_USER);
	sim_spawn(arrive, NULL);
	SIM_CHECK(vai__sleep(main, vai__clock_now() + 1000) == VAI_OK);
}

static void end(vai_g *main)
{
	world_join(main);
	SIM_CHECK(code == VAI_WAKE_USER);
}

/* ---- main is in a C call ---- */

static void call(vai_g *main)
{
	begin(main);
	came = true;
	vai__g_block_begin(main);
	sim_wait(is_set, &read_it, INT64_MAX, "in a C call, for input");
	vai__g_block_end(main);
	end(main);
}

void test_seat_call(void)
{
	world(2, call);
}

/* ---- main computes ---- */

static void watch(void *arg)
{
	(void)arg;
	sim_wait(is_set, &came, INT64_MAX, "for main to be back from the poller");
	sim_pass(1000000); /* too early for sysmon to look into the poller itself */
	vai__sysmon_tick();
}

static void compute(vai_g *main)
{
	begin(main);
	sim_spawn(watch, NULL);
	came = true;
	sim_compute_until(&read_it);
	end(main);
}

void test_seat_compute(void)
{
	world(2, compute);
}

/* ---- main waits ---- */

static void wait(vai_g *main)
{
	begin(main);
	came = true;
	end(main);
}

void test_seat_wait(void)
{
	world(2, wait);
}
