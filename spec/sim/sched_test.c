/* SPDX-License-Identifier: MIT */
/* Who sleeps and who runs: work is not left lying while a P is idle, waits end as they are ended, a
 * deadlock is told if and only if there is one, a P taken from a C call has one owner. sysmon does not
 * look, but where a test calls it, so nothing can depend on it. */
#include "sched/rt.h"
#include "tests.h"
#include "world.h"

static bool flag[4];
static vai_g *waiter;
static vai_ticket ticket;
static int code;

static void set(vai_g *g, void *arg)
{
	(void)g;
	*(bool *)arg = true;
}

/* ---- submit against sleep ---- */

/* Starts one and keeps its P until that one has run: another M must. */
static void start_one(vai_g *g, void *arg)
{
	(void)arg;
	world_go(g, set, &flag[0]);
	sim_compute_until(&flag[0]);
}

static void submit(vai_g *main)
{
	world_go(main, start_one, NULL);
	world_join(main);
}

void test_submit(void)
{
	world(2, submit);
}

static void start_last(vai_g *g, void *arg)
{
	(void)arg;
	(void)g;
	sim_compute_until(&flag[1]);
	flag[0] = true;
}

static void start_two(vai_g *g, void *arg)
{
	(void)arg;
	world_go(g, start_last, NULL);
	world_go(g, set, &flag[1]);
	sim_compute_until(&flag[0]);
}

static void spread(vai_g *main)
{
	world_go(main, start_two, NULL);
	world_join(main);
}

void test_spread(void)
{
	world(3, spread);
}

/* ---- waits ---- */

static void wait_once(vai_g *g, void *arg)
{
	waiter = g;
	ticket = world_ticket(g);
	flag[0] = true;
	code = vai__wait(g, VAI_WAIT_SLEEP, NULL, *(int64_t *)arg);
}

static int64_t forever = VAI_FOREVER;

/* On a thread of nobody's, with a ticket. */
static void fire(void *arg)
{
	sim_wait((bool (*)(void *))(uintptr_t)arg, NULL, INT64_MAX, "for a ticket");
	SIM_CHECK(vai__fire(waiter, ticket, VAI_WAKE_USER + 1));
}

static bool has_ticket(void *arg)
{
	(void)arg;
	return flag[0];
}

static void outside(vai_g *main)
{
	world_io_begin(main, 0); /* something is to come: no deadlock */
	world_go(main, wait_once, &forever);
	sim_spawn(fire, (void *)has_ticket);
	world_join(main);
	SIM_CHECK(code == VAI_WAKE_USER + 1);
}

void test_outside(void)
{
	world(2, outside);
}

static void arrive(void *arg)
{
	(void)arg;
	world_io_done();
	flag[3] = true;
}

static void read_input(vai_g *g, void *arg)
{
	(void)arg;
	world_io_begin(g, world_ticket(g));
	sim_spawn(arrive, NULL);
	flag[2] = true;
	code = vai__wait(g, VAI_WAIT_IO, NULL, VAI_FOREVER);
	world_io_end();
}

/* No M ever runs out of work. */
static void yield_until_input(vai_g *g, void *arg)
{
	(void)arg;
	for (int i = 0; code != VAI_WAKE_USER; i++) {
		SIM_CHECK(i < 100);
		if (flag[2])
			sim_compute_until(&flag[3]);
		sim_pass(30000000);
		vai__sysmon_tick();
		vai__yield(g);
	}
}

static void late_input(vai_g *main)
{
	world_go(main, read_input, NULL);
	world_go(main, yield_until_input, NULL);
	world_go(main, yield_until_input, NULL);
	world_join(main);
}

void test_late_input(void)
{
	world(1, late_input);
}

static bool has_begun(void *arg)
{
	(void)arg;
	return flag[2];
}

static void look(void *arg)
{
	(void)arg;
	sim_wait(has_begun, NULL, INT64_MAX, "for somebody who reads");
	sim_pass(30000000);
	vai__sysmon_tick();
}

/* sysmon is in the poller while the last M goes to sleep. */
static void watched_input(vai_g *main)
{
	world_go(main, read_input, NULL);
	sim_spawn(look, NULL);
	world_join(main);
	SIM_CHECK(code == VAI_WAKE_USER);
}

void test_watched_input(void)
{
	world(1, watched_input);
}

static void input(vai_g *main)
{
	world_go(main, read_input, NULL);
	world_go(main, set, &flag[1]);
	world_join(main);
	SIM_CHECK(code == VAI_WAKE_USER);
}

void test_input(void)
{
	world(2, input);
}

static void deadlock(vai_g *main)
{
	world_go(main, wait_once, &forever);
	vai__wait_begin(main);
	SIM_CHECK(vai__wait(main, VAI_WAIT_JOIN, NULL, VAI_FOREVER) == VAI_WAKE_DEADLOCK);
	SIM_CHECK(vai__g_state(waiter) == VAI_G_WAITING);
	vai__fire(waiter, ticket, VAI_WAKE_USER);
	world_join(main);
}

void test_deadlock(void)
{
	world(2, deadlock);
}

/* A timer is pending that would wake nobody: sysmon, which looks once when all Ps are idle and sleeps then,
 * sees the deadlock, or is poked. */
static int64_t nobody_saw(struct vai__timer *t, int64_t now)
{
	(void)t;
	(void)now;
	sim_fail("all slept, and nobody looked whether a timer would wake one");
}

static bool wakes_nobody(struct vai__timer *t)
{
	(void)t;
	return true;
}

static bool all_idle(void *arg)
{
	(void)arg;
	return flag[3] || vai__sched.nidle_ps == vai__sched.nprocs;
}

static bool is_poked(void *arg)
{
	(void)arg;
	return flag[3] || world_poked;
}

static void doze(void *arg)
{
	(void)arg;
	while (!flag[3]) {
		sim_wait(all_idle, NULL, INT64_MAX, "for all Ps to be idle");
		world_poked = false;
		vai__deadlock_check_sleepers();
		sim_wait(is_poked, NULL, INT64_MAX, "for a poke");
	}
}

static void idle_timer(vai_g *main)
{
	static struct vai__timer t = {.fn = nobody_saw, .idle = wakes_nobody};
	SIM_CHECK(vai__timer_start(main, &t, vai__clock_now() + 3600000000000) == VAI_OK);
	sim_spawn(doze, NULL);
	vai__wait_begin(main);
	SIM_CHECK(vai__wait(main, VAI_WAIT_JOIN, NULL, VAI_FOREVER) == VAI_WAKE_DEADLOCK);
	flag[3] = true;
	SIM_CHECK(vai__timer_stop(&t));
}

void test_idle_timer(void)
{
	world(2, idle_timer);
}

/* A goroutine waits for a signal, and is no deadlock: neither before it comes, nor when it has come and the M in the
 * poller still counts as asleep. */
static void come(void *arg)
{
	(void)arg;
	world_source_post();
}

static void await_signal(vai_g *g, void *arg)
{
	(void)arg;
	world_source_begin(g, world_ticket(g));
	sim_spawn(come, NULL);
	code = vai__wait(g, VAI_WAIT_CHAN_RECV, NULL, VAI_FOREVER);
}

static void sourced(vai_g *main)
{
	sim_spawn(doze, NULL);
	world_go(main, await_signal, NULL);
	world_join(main);
	SIM_CHECK(code == VAI_WAKE_USER);
	world_source_end();
	flag[3] = true;
}

void test_sourced(void)
{
	world(2, sourced);
}

/* Two fire the same ticket, one of them from its own goroutine: one wins. */
static int winners;

static void fire_too(vai_g *g, void *arg)
{
	(void)g;
	if (flag[0] && vai__fire(waiter, ticket, VAI_WAKE_USER + *(int *)arg))
		winners |= *(int *)arg;
}

static void wait_twice(vai_g *g, void *arg)
{
	static int one = 1, two = 2;
	(void)arg;
	waiter = g;
	ticket = world_ticket(g);
	flag[0] = true;
	world_go(g, fire_too, &one);
	world_go(g, fire_too, &two);
	code = vai__wait(g, VAI_WAIT_SLEEP, NULL, VAI_FOREVER);
	SIM_CHECK(winners == 1 || winners == 2 || winners == 0);
	vai__wait_begin(g); /* the loser must not end this one */
	SIM_CHECK(vai__wait(g, VAI_WAIT_SLEEP, NULL, vai__clock_now() + 1000000) == VAI_WAKE_TIMEOUT);
	SIM_CHECK(code == VAI_WAKE_USER + winners);
}

static void fire_twice(vai_g *main)
{
	world_go(main, wait_twice, NULL);
	world_join(main);
	SIM_CHECK(winners == 1 || winners == 2);
}

void test_fire(void)
{
	world(2, fire_twice);
}

/* A deadline against a waker. The timer lies on the goroutine's stack: nothing may write there later. */
static bool won;

static void fire_late(vai_g *g, void *arg)
{
	(void)arg;
	vai__yield(g);
	if (flag[0])
		won = vai__fire(waiter, ticket, VAI_WAKE_USER);
}

static void wait_and_wait(vai_g *g, void *arg)
{
	int64_t soon = vai__clock_now() + 50000;
	(void)arg;
	wait_once(g, &soon);
	SIM_CHECK(code == VAI_WAKE_TIMEOUT || code == VAI_WAKE_USER);
	SIM_CHECK(vai__sleep(g, vai__clock_now() + 50000) == VAI_OK);
}

static void time_out(vai_g *main)
{
	world_go(main, wait_and_wait, NULL);
	world_go(main, fire_late, NULL);
	world_join(main);
	SIM_CHECK(won == (code == VAI_WAKE_USER));
}

void test_timeout(void)
{
	world(2, time_out);
}

/* Canceled before, between or in its waits: the second ends by nothing else. */
static void wait_for_cancel(vai_g *g, void *arg)
{
	waiter = g;
	flag[0] = true;
	wait_once(g, arg);
	SIM_CHECK(code == VAI_WAKE_USER || code == VAI_WAKE_CANCELED);
	if (code == VAI_WAKE_USER) {
		vai__wait_begin(g);
		SIM_CHECK(vai__wait(g, VAI_WAIT_SLEEP, NULL, VAI_FOREVER) == VAI_WAKE_CANCELED);
	}
}

static void cancel(void *arg)
{
	(void)arg;
	sim_wait(has_ticket, NULL, INT64_MAX, "for somebody to cancel");
	vai__g_end(waiter, VAI_END_CANCELED);
}

static void fire_first(vai_g *g, void *arg)
{
	(void)g;
	(void)arg;
	if (ticket)
		vai__fire(waiter, ticket, VAI_WAKE_USER);
}

static void cancel_it(vai_g *main)
{
	world_io_begin(main, 0);
	world_go(main, wait_for_cancel, &forever);
	world_go(main, fire_first, NULL);
	sim_spawn(cancel, NULL);
	world_join(main);
}

void test_cancel(void)
{
	world(2, cancel_it);
}

/* ---- a P taken from a C call ---- */

static bool returns;

/* Uses its P, and no other may use that meanwhile: or a goroutine gets lost. */
static void go_on(vai_g *g, void *arg)
{
	(void)arg;
	world_go(g, set, &flag[2]);
	world_go(g, set, &flag[3]);
}

/* Comes back while another has the P, or before it is taken, or in the very moment. */
static void call_c(vai_g *g, void *arg)
{
	(void)arg;
	world_go(g, go_on, NULL);
	flag[1] = true;
	sim_c_call(&returns);
	world_go(g, set, &flag[2]);
	world_go(g, set, &flag[3]);
}

static bool calls(void *arg)
{
	(void)arg;
	return flag[1];
}

static void kernel(void *arg)
{
	(void)arg;
	sim_wait(calls, NULL, INT64_MAX, "for a C call");
	sim_step("the C call returns");
	returns = true;
}

static void watch(void *arg)
{
	(void)arg;
	sim_wait(calls, NULL, INT64_MAX, "for a C call");
	for (int i = 0; i < 3; i++) {
		sim_pass(30000000);
		vai__sysmon_tick();
	}
}

static void retake_it(vai_g *main)
{
	world_go(main, call_c, NULL);
	sim_spawn(watch, NULL);
	sim_spawn(kernel, NULL);
	world_join(main);
}

void test_retake(void)
{
	world(1, retake_it);
}

/* Main takes the P of a goroutine that computes, and gives it back before, while or after that notices. */
static void compute(vai_g *g, void *arg)
{
	(void)arg;
	world_go(g, set, &flag[2]);
	flag[1] = true;
	sim_let_others();
	world_go(g, set, &flag[3]);
	sim_let_others();
}

static void play_frames(vai_g *main)
{
	world_go(main, compute, NULL);
	vai__g_block_begin(main);
	sim_wait(calls, NULL, INT64_MAX, "as a host between frames");
	for (int i = 0; i < 2; i++)
		SIM_CHECK(vai__frame_poll(main, 1000) == VAI_OK);
	SIM_CHECK(!m_p(vai__sched.m0));
	vai__g_block_end(main);
	world_join(main);
	SIM_CHECK(flag[2] && flag[3]);
}

void test_frames(void)
{
	world(1, play_frames);
}

void test_frames_two(void)
{
	world(2, play_frames);
}
