/* SPDX-License-Identifier: MIT */
/* Groups below Lua: places, the first failure, and the end. */
#include "sync/world.h"

#include <stdatomic.h>
#include "base/obj.h"
#include "sync/group.h"

/* ---- a group, and goroutines as bind/life/spawn.c starts them ---- */

static void canceled(vai_msg *reason)
{
	*reason = ledger_make();
}

static void failed(vai_task *task, vai_msg *cause)
{
	(void)task;
	*cause = ledger_make();
}

static void drop(vai_msg *msg)
{
	if (msg->w[0])
		ledger_drop(msg);
	*msg = (vai_msg){{0}};
}

static const struct vai__group_hooks hooks = {canceled, failed, drop};
static vai_context *top;
static vai_group *group;
static _Atomic(int) orphans, ended, begun;

static void make(void)
{
	top = vai__context_new(drop);
	group = vai__group_new(vai__g_self(), top, &hooks);
	assert_non_null(group);
	atomic_store(&orphans, 0);
	atomic_store(&ended, 0);
	atomic_store(&begun, 0);
}

static void unmake(void)
{
	world_join();
	assert_int_equal(vai__group_running(group), 0);
	vai__obj_unref((struct vai_obj *)group);
	vai__obj_unref((struct vai_obj *)top);
	ledger_balanced();
}

static void count_orphan(vai_task *t)
{
	(void)t;
	atomic_fetch_add(&orphans, 1);
}

/* One of the group, which waits until it is told how to end. */
struct one {
	vai_g *g;
	vai_task *task;
	vai_member *member;
	_Atomic(int) how; /* 0: not yet; 1: good; -1: it fails */
	_Atomic(int) rc;  /* of its last wait */
};

static void run_one(vai_g *g, void *arg)
{
	struct one *o = arg;
	vai_msg outcome = ledger_make();
	atomic_fetch_add(&begun, 1);
	while (atomic_load(&o->how) == 0 && atomic_load(&o->rc) == VAI_OK)
		atomic_store(&o->rc, vai__sleep(g, world_in(1)));
	bool fails = atomic_load(&o->how) < 0;
	vai__task_finish(o->task, fails ? VAI_TASK_FAILED : VAI_TASK_DONE, &outcome);
	vai__member_end(o->member, fails);
	vai__obj_unref((struct vai_obj *)o->task);
	atomic_fetch_add(&ended, 1);
}

/* It begins to run once it has its task, so `gate` holds it back till then. */
static _Atomic(int) gate;

static void run_behind_gate(vai_g *g, void *arg)
{
	struct one *o = arg;
	while (atomic_load(&gate) == 0)
		vai__yield(g);
	run_one(g, o);
}

static int start(struct one *o, bool waits)
{
	vai_g *self = vai__g_self();
	*o = (struct one){.rc = VAI_OK};
	int rc = vai__group_enter(self, group, waits, &o->member);
	if (rc != VAI_OK)
		return rc;
	atomic_store(&gate, 0);
	o->g = world_go(run_behind_gate, o);
	o->task = vai__task_new(o->g, drop, count_orphan);
	CHECK(o->task != NULL);
	vai__member_begin(o->member, o->task);
	atomic_store(&gate, 1);
	return VAI_OK;
}

static void end(struct one *o, int how)
{
	atomic_store(&o->how, how);
}

/* ---- tests ---- */

static void test_wait(void **state)
{
	struct one list[3], late;
	vai_g *self = vai__g_self();
	(void)state;
	make();
	for (int i = 0; i < 3; i++)
		assert_int_equal(start(&list[i], true), VAI_OK);
	assert_int_equal(vai__group_running(group), 3);
	assert_int_equal(vai__group_wait(self, group, 0), VAI_ETIMEOUT);
	assert_int_equal(vai__group_wait(self, group, world_in(2)), VAI_ETIMEOUT);
	assert_int_equal(vai__context_err(vai__group_context(group)), VAI_OK);
	for (int i = 0; i < 3; i++)
		end(&list[i], 1);
	assert_int_equal(vai__group_wait(self, group, VAI_FOREVER), VAI_OK);
	assert_int_equal(vai__context_err(vai__group_context(group)), VAI_ECONTEXT);
	assert_null(vai__group_failed(group));
	assert_false(vai__group_tell(group));
	assert_int_equal(start(&late, true), VAI_ECLOSED);
	assert_int_equal(vai__group_wait(self, group, 0), VAI_OK);
	unmake();
}

static void test_empty(void **state)
{
	struct one late;
	(void)state;
	make();
	assert_int_equal(vai__group_wait(vai__g_self(), group, 0), VAI_OK);
	assert_int_equal(start(&late, false), VAI_ECLOSED);
	unmake();
}

/* The first failure cancels the others at once and is the group's; a later one is nobody's orphan. */
static void test_failure(void **state)
{
	struct one list[4];
	(void)state;
	make();
	for (int i = 0; i < 4; i++)
		assert_int_equal(start(&list[i], true), VAI_OK);
	vai_task *first = list[1].task;
	vai__obj_ref((struct vai_obj *)first);
	world_until(&begun, 4);
	end(&list[1], -1);
	world_until(&ended, 4); /* the others' sleep has ended */
	for (int i = 0; i < 4; i++)
		if (i != 1)
			assert_int_equal(atomic_load(&list[i].rc), VAI_ECANCELED);
	assert_int_equal(vai__context_err(vai__group_context(group)), VAI_ECONTEXT);
	assert_non_null(vai__context_cause(vai__group_context(group)));
	assert_ptr_equal(vai__group_failed(group), first);
	assert_true(vai__group_tell(group));
	assert_false(vai__group_tell(group));
	assert_int_equal(vai__group_wait(vai__g_self(), group, VAI_FOREVER), VAI_OK);
	vai__obj_unref((struct vai_obj *)first);
	unmake();
	assert_int_equal(atomic_load(&orphans), 0);
}

/* Of two that fail the second is not told of; a failure that nobody has asked for is. */
static void test_orphans(void **state)
{
	struct one list[2];
	(void)state;
	for (int told = 0; told < 2; told++) {
		make();
		for (int i = 0; i < 2; i++)
			assert_int_equal(start(&list[i], true), VAI_OK);
		end(&list[0], -1);
		end(&list[1], -1);
		assert_int_equal(vai__group_wait(vai__g_self(), group, VAI_FOREVER), VAI_OK);
		if (told)
			assert_true(vai__group_tell(group));
		unmake();
		assert_int_equal(atomic_load(&orphans), told ? 0 : 1);
	}
}

/* What begins when the group is over already is canceled, too: none slips through. */
static void test_late(void **state)
{
	struct one o;
	(void)state;
	make();
	vai__group_cancel(group);
	assert_int_equal(start(&o, true), VAI_OK);
	world_until(&ended, 1);
	assert_int_equal(atomic_load(&o.rc), VAI_ECANCELED);
	unmake();
}

/* A reason that no task takes is dropped: that for a task that has ended and still has its place, and a second one. */
static void test_reasons(void **state)
{
	struct one o;
	vai_member *member;
	(void)state;
	make();
	assert_int_equal(vai__group_enter(vai__g_self(), group, true, &member), VAI_OK);
	vai_task *task = vai__task_new(vai__g_self(), drop, NULL);
	vai_msg outcome = ledger_make();
	vai__member_begin(member, task);
	vai__task_finish(task, VAI_TASK_DONE, &outcome);
	vai__group_insist(group);
	assert_int_equal(ledger_dropped(), 1);
	vai__member_end(member, false);
	vai__obj_unref((struct vai_obj *)task);
	assert_int_equal(start(&o, true), VAI_OK);
	vai__group_insist(group);
	vai__group_insist(group);
	unmake();
}

/* ---- places ---- */

struct seeker {
	struct one one;
	vai_g *g;
	_Atomic(int) rc; /* 1: it seeks */
	int place;
};
static _Atomic(int) places, leave = 1;

static void seek(vai_g *g, void *arg)
{
	struct seeker *s = arg;
	int rc = vai__group_enter(g, group, true, &s->one.member);
	s->place = atomic_fetch_add(&places, 1);
	atomic_store(&s->rc, rc);
	while (atomic_load(&leave) == 0)
		vai__yield(g);
	if (rc == VAI_OK)
		vai__member_end(s->one.member, false); /* it has begun nothing */
}

static void start_seekers(struct seeker *list, int n)
{
	atomic_store(&places, 0);
	for (int i = 0; i < n; i++) {
		list[i].rc = 1;
		list[i].g = world_go(seek, &list[i]);
		world_parked(list[i].g);
	}
}

static void test_limit(void **state)
{
	enum { N = 5 };
	struct one holder, no;
	struct seeker list[N];
	(void)state;
	make();
	vai__group_limit(group, 1);
	assert_int_equal(start(&holder, false), VAI_OK);
	assert_int_equal(start(&no, false), VAI_EAGAIN);
	start_seekers(list, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(atomic_load(&list[i].rc), 1);
	end(&holder, 1); /* the place goes from one to the next */
	world_until(&places, N);
	world_join();
	for (int i = 0; i < N; i++) {
		assert_int_equal(atomic_load(&list[i].rc), VAI_OK);
		assert_int_equal(list[i].place, i);
	}
	assert_int_equal(vai__group_wait(vai__g_self(), group, 0), VAI_OK);
	unmake();
}

/* A wider limit lets those in that wait already. */
static void test_wider(void **state)
{
	enum { N = 3 };
	struct one holder;
	struct seeker list[N];
	(void)state;
	make();
	vai__group_limit(group, 1);
	assert_int_equal(start(&holder, false), VAI_OK);
	start_seekers(list, N);
	vai__group_limit(group, 1 + N);
	world_until(&places, N);
	assert_int_equal(atomic_load(&ended), 0);
	end(&holder, 1);
	unmake();
}

/* One is canceled as it gets a place: it has that, or gives it to the next. Neither ends before both have come back. */
static void test_place_is_passed_on(void **state)
{
	vai_member *own;
	struct seeker list[2];
	(void)state;
	for (int round = 0; round < 50; round++) {
		make();
		vai__group_limit(group, 1);
		assert_int_equal(vai__group_enter(vai__g_self(), group, true, &own), VAI_OK);
		start_seekers(list, 2);
		atomic_store(&leave, 0);
		vai__member_end(own, false);
		vai__g_end(list[0].g, VAI_END_CANCELED);
		world_until(&places, 1);
		atomic_store(&leave, 1);
		world_join();
		assert_true(atomic_load(&list[0].rc) == VAI_OK || atomic_load(&list[0].rc) == VAI_ECANCELED);
		assert_int_equal(atomic_load(&list[1].rc), VAI_OK);
		unmake();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_wider),
		cmocka_unit_test(test_place_is_passed_on),
	};
	return WORLD_RUN("groups", tests);
}
