/* SPDX-License-Identifier: MIT */
/* Run queues alone: each goroutine comes out once, an owner's look at the end finds the rest, and
 * vai__runq_empty does not overlook what stood there all the time. */
#include "sched/rt.h"
#include "tests.h"

enum { MANY = 8 };

static struct p *ps[3];
static struct g *gs;
static int taken[MANY];
static int put, left; /* threads that are not done */

static void take(struct g *g)
{
	SIM_CHECK(g >= gs && g < gs + MANY);
	SIM_CHECK(taken[g - gs]++ == 0);
}

static void drain(struct p *p)
{
	struct g *g;
	while ((g = vai__runq_get(p)) != NULL)
		take(g);
}

static void begin(int n)
{
	sim_quiet(true);
	atomic_store(&vai__sched.nprocs, 1);
	for (int i = 0; i < n; i++) {
		ps[i] = vai__p_new(i);
		sim_ignore(&ps[i]->count, sizeof ps[i]->count);
	}
	gs = sim_take(MANY * sizeof *gs, 16);
	sim_quiet(false);
}

static bool are_done(void *arg)
{
	(void)arg;
	return left == 0;
}

static void finish(void)
{
	struct g *g;
	sim_wait(are_done, NULL, INT64_MAX, "for the others");
	for (int i = 0; i < 3; i++)
		if (ps[i])
			drain(ps[i]);
	while ((g = vai__gqueue_pop(&vai__sched.global)) != NULL)
		take(g);
	for (int i = 0; i < put; i++)
		SIM_CHECK(taken[i] == 1);
}

static void thief(void *arg)
{
	struct p *p = arg;
	for (int k = 0; k < 2; k++) {
		struct g *g = vai__runq_steal(p, ps[0], true);
		if (g)
			take(g);
	}
	drain(p);
	left--;
}

static void steal_from(int thieves, int many, bool next)
{
	begin(thieves + 1);
	left = thieves;
	for (int i = 1; i <= thieves; i++)
		sim_spawn(thief, ps[i]);
	for (; put < many; put++) {
		struct g *g;
		vai__runq_put(ps[0], &gs[put], next);
		if (put % 2 && (g = vai__runq_get(ps[0])) != NULL)
			take(g);
	}
	drain(ps[0]);
	finish();
}

/* Through the ring. */
void test_steal(void)
{
	steal_from(1, 4, false);
}

/* Through runnext. */
void test_steal_next(void)
{
	steal_from(1, 4, true);
}

/* Full rings, that overflow. */
void test_steal_two(void)
{
	begin(3);
	left = 2;
	for (; put < 4; put++)
		vai__runq_put(ps[0], &gs[put], false);
	sim_spawn(thief, ps[1]);
	sim_spawn(thief, ps[2]);
	for (; put < 7; put++)
		vai__runq_put(ps[0], &gs[put], false);
	drain(ps[0]);
	finish();
}

static void look(void *arg)
{
	(void)arg;
	SIM_CHECK(!vai__runq_empty(ps[0]));
	left--;
}

void test_empty(void)
{
	begin(1);
	left = 1;
	vai__runq_put(ps[0], &gs[put++], true);
	sim_spawn(look, NULL);
	vai__runq_put(ps[0], &gs[put++], true);
	take(vai__runq_get(ps[0]));
	vai__runq_put(ps[0], &gs[put++], true);
	take(vai__runq_get(ps[0]));
	finish();
}

static void getter(void *arg)
{
	struct g *g;
	while ((g = vai__global_get(arg)) != NULL)
		take(g);
	drain(arg);
	left--;
}

void test_global(void)
{
	begin(2);
	left = 2;
	sim_spawn(getter, ps[0]);
	sim_spawn(getter, ps[1]);
	for (; put < 4; put++)
		vai__global_put(&gs[put]);
	finish();
}
