/* SPDX-License-Identifier: MIT */
/* Tasks: the outcome reaches all who join, is dropped once, and an unseen failure is told. */
#include "sync/world.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "sync/task.h"
#include "whole.h"

static _Atomic(int) orphans;
static _Atomic(uint64_t) orphan_id;

static void orphan(vai_task *t)
{
	ledger_id(vai__task_outcome(t));
	atomic_fetch_add(&orphans, 1);
	atomic_store(&orphan_id, vai__task_id(t));
}

struct job {
	vai_task *task;
	_Atomic(int) go; /* may end */
	enum vai_task_state how;
};

static void run(vai_g *g, void *arg)
{
	struct job *j = arg;
	vai_msg outcome = ledger_make();
	while (!atomic_load(&j->go))
		vai__yield(g);
	vai__task_finish(j->task, j->how, &outcome);
	for (int i = 0; i < 4; i++)
		CHECK(outcome.w[i] == 0);
	vai__obj_unref((struct vai_obj *)j->task);
}

static _Atomic(int) alive;

static void entry(vai_g *g, void *arg)
{
	run(g, arg);
	atomic_fetch_sub(&alive, 1);
}

/* As bind does it: the task is there before the goroutine starts; both hold a reference. */
static vai_task *start(struct job *j, enum vai_task_state how, bool at_once)
{
	vai_g *g = vai__g_new(entry, j);
	CHECK(g != NULL);
	*j = (struct job){.how = how, .go = at_once};
	j->task = vai__task_new(g, ledger_drop, orphan);
	CHECK(j->task != NULL);
	vai__obj_ref((struct vai_obj *)j->task);
	CHECK(vai__task_id(j->task) == g->id);
	CHECK(vai__task_g_state(j->task) == VAI_G_NEW);
	atomic_fetch_add(&alive, 1);
	vai__g_start(vai__g_self(), g);
	return j->task;
}

static void all_ended(void)
{
	while (atomic_load(&alive) > 0)
		vai__yield(vai__g_self());
}

static void unref(vai_task *t)
{
	vai__obj_unref((struct vai_obj *)t);
}

static void test_join(void **state)
{
	struct job j;
	vai_task *t = start(&j, VAI_TASK_DONE, false);
	vai_g *self = vai__g_self();
	int64_t deadline = world_in(10);
	(void)state;
	assert_int_equal(vai__task_state(t), VAI_TASK_ALIVE);
	assert_int_not_equal(vai__task_g_state(t), VAI_G_DEAD);
	assert_int_equal(vai__task_join(self, t, 0), VAI_ETIMEOUT);
	assert_int_equal(vai__task_join(self, t, deadline), VAI_ETIMEOUT);
	assert_true(vai__clock_now() >= deadline);
	atomic_store(&j.go, 1);
	assert_int_equal(vai__task_join(self, t, VAI_FOREVER), VAI_OK);
	assert_int_equal(vai__task_join(self, t, 0), VAI_OK);
	assert_int_equal(vai__task_state(t), VAI_TASK_DONE);
	assert_int_equal(vai__task_g_state(t), VAI_G_DEAD);
	assert_int_equal(ledger_id(vai__task_outcome(t)), 1);
	all_ended();
	assert_int_equal(ledger_dropped(), 0);
	unref(t);
	assert_int_equal(ledger_dropped(), 1);
	ledger_balanced();
}

struct joiner {
	vai_task *task;
	int64_t deadline;
	int result;
	vai_g *g;
};

static _Atomic(int) over; /* joins that have come back */

static void join(vai_g *g, void *arg)
{
	struct joiner *j = arg;
	j->result = vai__task_join(g, j->task, j->deadline);
	atomic_fetch_add(&over, 1);
}

static void test_many_joiners(void **state)
{
	enum { N = 50 };
	struct job j;
	struct joiner w[N];
	vai_task *t = start(&j, VAI_TASK_FAILED, false);
	(void)state;
	atomic_store(&over, 0);
	for (int i = 0; i < N; i++) {
		w[i] = (struct joiner){.task = t, .deadline = i % 10 == 3 ? world_in(1) : VAI_FOREVER};
		w[i].g = world_go(join, &w[i]);
		world_parked(w[i].g);
	}
	assert_true(vai__fire_any(w[5].g, VAI_WAKE_CANCELED));
	world_until(&over, N / 10 + 1); /* on a busy machine a timer may be late, and the task is to be later */
	atomic_store(&j.go, 1);
	world_join();
	for (int i = 0; i < N; i++)
		assert_int_equal(w[i].result, i == 5 ? VAI_ECANCELED : i % 10 == 3 ? VAI_ETIMEOUT : VAI_OK);
	assert_int_equal(vai__task_state(t), VAI_TASK_FAILED);
	vai__task_joined(t);
	all_ended();
	unref(t);
	ledger_balanced();
}

static void test_orphans(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct job j;
		bool failed = kind & 1, joined = kind & 2;
		vai_task *t = start(&j, failed ? VAI_TASK_FAILED : VAI_TASK_DONE, false);
		uint64_t id = vai__task_id(t);
		atomic_store(&orphans, 0);
		if (joined)
			vai__task_joined(t);
		/* The goroutine's reference is the last one here. */
		unref(t);
		atomic_store(&j.go, 1);
		all_ended();
		assert_int_equal(atomic_load(&orphans), failed && !joined);
		if (failed && !joined)
			assert_int_equal(atomic_load(&orphan_id), id);
	}
	assert_int_equal(ledger_dropped(), 4);
	ledger_balanced();
}

/* One that never ran: its goroutine could not be started. */
static void test_never_started(void **state)
{
	vai_g *g = vai__g_new(entry, NULL);
	vai_task *t = vai__task_new(g, NULL, orphan);
	(void)state;
	atomic_store(&orphans, 0);
	assert_int_equal(vai__task_g_state(t), VAI_G_NEW);
	unref(t);
	vai__g_discard(g);
	assert_int_equal(atomic_load(&orphans), 0);
}

/* The end comes from another P while this one is about to wait. */
struct racer {
	_Atomic(vai_task *) next;
	_Atomic(int) stop;
};

static void race(vai_g *g, void *arg)
{
	struct racer *r = arg;
	for (unsigned i = 1; !atomic_load(&r->stop); i++) {
		vai_task *t = atomic_exchange(&r->next, NULL);
		vai_msg outcome = {{0}};
		if (t) {
			vai__task_finish(t, VAI_TASK_DONE, &outcome);
			unref(t);
		} else if (i % 4096 == 0 || world_procs() == 1) {
			vai__yield(g);
		}
	}
}

static void test_join_races_with_the_end(void **state)
{
	struct racer r = {.stop = 0};
	vai_g *racer = world_go(race, &r);
	(void)state;
	vai__yield(vai__g_self());
	for (int i = 0, n = spec_count(4000, 20000); i < n; i++) {
		vai_task *t = vai__task_new(racer, NULL, NULL);
		vai__obj_ref((struct vai_obj *)t); /* the racer's */
		atomic_store(&r.next, t);
		for (volatile int k = 0; k < i % 200; k++)
			;
		assert_int_equal(vai__task_join(vai__g_self(), t, world_in(600000)), VAI_OK);
		unref(t);
	}
	atomic_store(&r.stop, 1);
	world_join();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_many_joiners),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_never_started),
		cmocka_unit_test(test_join_races_with_the_end),
	};
	return WORLD_RUN("task", tests);
}
