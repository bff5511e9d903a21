/* SPDX-License-Identifier: MIT */
/* See world.h. Its own accesses are no steps: they are the test's knowledge, not the runtime's. */
#include "world.h"

#include <stdlib.h>
#include "sched/rt.h"

enum { MESSAGES = 32 };

static struct {
	void (*f)(vai_g *main);
	int started, ended;
	vai_g *main;
	vai_ticket ticket;
	bool joining;
	char messages[MESSAGES]; /* 1: made, 2: spent */
	int made, dropped;
} w;

void world(int n, void (*f)(vai_g *main))
{
	struct vai__sched_opts opts = {.maxprocs = n, .stack_size = 32768};
	sim_quiet(true);
	setenv("VAI_PREEMPT", "off", 1);
	SIM_CHECK(vai__sched_start(&opts) == VAI_OK);
	for (int i = 0; i < n; i++) {
		sim_ignore(&vai__sched.ps[i]->count, sizeof vai__sched.ps[i]->count);
		sim_ignore(&vai__sched.ps[i]->slice, sizeof vai__sched.ps[i]->slice);
	}
	sim_ignore(&vai__sched.coarse_now, sizeof vai__sched.coarse_now);
	w.main = vai__g_main();
	sim_quiet(false);
	sim_let_others(); /* threads that the start has made may be anywhere */
	f(w.main);
	for (int i = 0; i < w.made; i++)
		SIM_CHECK(w.messages[i] == 2);
}

struct start {
	void (*f)(vai_g *g, void *arg);
	void *arg;
};

static void body(vai_g *g, void *arg)
{
	struct start *s = arg;
	s->f(g, s->arg);
	world_end();
}

void world_end(void)
{
	if (++w.ended == w.started && w.joining)
		vai__fire(w.main, w.ticket, VAI_WAKE_USER);
}

vai_g *world_go(vai_g *self, void (*f)(vai_g *g, void *arg), void *arg)
{
	struct start *s = sim_take(sizeof *s, 16);
	s->f = f;
	s->arg = arg;
	vai_g *g = vai__g_new(body, s);
	SIM_CHECK(g != NULL);
	w.started++;
	vai__g_start(self, g);
	return g;
}

vai_ticket world_ticket(vai_g *g)
{
	vai_ticket t = vai__wait_begin(g);
	sim_drain();
	return t;
}

void world_join(vai_g *main)
{
	w.ticket = world_ticket(main);
	w.joining = true;
	if (w.ended == w.started)
		vai__fire(main, w.ticket, VAI_WAKE_USER);
	int code = vai__wait(main, VAI_WAIT_JOIN, NULL, VAI_FOREVER);
	if (code != VAI_WAKE_USER)
		sim_fail("main was told of a deadlock, %d of %d goroutines have ended", w.ended, w.started);
	SIM_CHECK(w.ended == w.started);
	w.joining = false;
}

vai_msg world_msg(void)
{
	SIM_CHECK(w.made < MESSAGES);
	w.messages[w.made] = 1;
	return (vai_msg){{(uint64_t)++w.made, 77}};
}

void world_spend(const vai_msg *msg)
{
	SIM_CHECK(msg->w[1] == 77 && msg->w[0] >= 1 && msg->w[0] <= (uint64_t)w.made);
	SIM_CHECK(w.messages[msg->w[0] - 1] == 1);
	w.messages[msg->w[0] - 1] = 2;
}

void world_drop(vai_msg *msg)
{
	world_spend(msg);
	w.dropped++;
}

int world_dropped(void)
{
	return w.dropped;
}
