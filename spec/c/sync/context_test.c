/* SPDX-License-Identifier: MIT */
/* Contexts below Lua: trees, causes, deadlines, values, calls and channels of an end, and waits that contexts bound. */
#include "sync/world.h"

#include <stdatomic.h>
#include "base/clock.h"
#include "base/obj.h"
#include "sync/context.h"

static void unref(vai_context *ctx)
{
	vai__obj_unref((struct vai_obj *)ctx);
}

static vai_context *child(vai_context *parent, int64_t deadline)
{
	vai_context *ctx = vai__context_child(vai__g_self(), parent, deadline);
	CHECK(ctx != NULL);
	return ctx;
}

static void test_never(void **state)
{
	vai_context *ctx = vai__context_new(ledger_drop);
	vai_msg cause = ledger_make();
	vai_chan *done = vai__context_done(ctx);
	(void)state;
	vai__context_cancel(ctx, &cause);
	ledger_spend(&cause); /* the caller's still */
	assert_int_equal(vai__context_err(ctx), VAI_OK);
	assert_null(vai__context_cause(ctx));
	assert_null(vai__context_parent(ctx));
	assert_null(vai__context_valued(ctx));
	assert_true(vai__context_deadline(ctx) == VAI_FOREVER);
	assert_false(vai__chan_is_closed(done));
	vai__obj_unref((struct vai_obj *)done);
	unref(ctx);
	ledger_balanced();
}

/* An end goes down, not up, not aside; the first cause stays. */
static void test_tree(void **state)
{
	vai_context *top = vai__context_new(ledger_drop), *a = child(top, VAI_FOREVER), *b = child(a, VAI_FOREVER),
				*c = child(b, VAI_FOREVER), *aside = child(a, VAI_FOREVER), *late;
	vai_msg cause = ledger_make(), second = ledger_make();
	uint64_t id = ledger_id(&cause);
	(void)state;
	vai__context_cancel(b, &cause);
	assert_int_equal(cause.w[0], 0);
	vai__context_cancel(b, &second);
	vai__context_cancel(c, &second);
	ledger_spend(&second);
	assert_int_equal(vai__context_err(a), VAI_OK);
	assert_int_equal(vai__context_err(aside), VAI_OK);
	assert_int_equal(vai__context_err(b), VAI_ECONTEXT);
	assert_int_equal(vai__context_err(c), VAI_ECONTEXT);
	late = child(c, VAI_FOREVER);
	assert_int_equal(vai__context_err(late), VAI_ECONTEXT);
	unref(b); /* those below have references */
	unref(c);
	assert_int_equal(ledger_id(vai__context_cause(late)), id);
	vai__context_cancel(a, NULL);
	assert_int_equal(vai__context_err(aside), VAI_ECONTEXT);
	assert_null(vai__context_cause(aside));
	assert_int_equal(ledger_id(vai__context_cause(late)), id);
	unref(top);
	unref(a);
	unref(aside);
	assert_int_equal(ledger_dropped(), 0);
	unref(late);
	assert_int_equal(ledger_dropped(), 1);
	ledger_balanced();
}

static void test_deadline(void **state)
{
	int64_t soon = world_in(3), later = world_in(600000);
	vai_context *top = vai__context_new(ledger_drop), *outer = child(top, later), *inner = child(outer, soon),
				*wider = child(inner, later), *past = child(outer, vai__clock_now() - 1);
	(void)state;
	assert_true(vai__context_deadline(outer) == later);
	assert_true(vai__context_deadline(wider) == soon); /* a child does not outlive its parent */
	assert_int_equal(vai__context_err(past), VAI_ECONTEXT_DEADLINE);
	while (vai__clock_now() < soon) /* with one P no timer can fire in here */
		;
	assert_int_equal(vai__context_err(wider), VAI_ECONTEXT_DEADLINE);
	assert_int_equal(vai__context_err(inner), VAI_ECONTEXT_DEADLINE);
	assert_int_equal(vai__context_err(outer), VAI_OK);
	vai__context_cancel(outer, NULL);
	assert_int_equal(vai__context_err(outer), VAI_ECONTEXT);
	assert_int_equal(vai__context_err(inner), VAI_ECONTEXT_DEADLINE); /* the first reason */
	unref(top);
	unref(outer);
	unref(inner);
	unref(wider);
	unref(past);
}

static void test_values(void **state)
{
	vai_msg keys[2] = {ledger_make(), ledger_make()}, values[2] = {ledger_make(), ledger_make()};
	uint64_t ids[2] = {ledger_id(&values[0]), ledger_id(&values[1])};
	vai_context *top = vai__context_new(ledger_drop), *a = vai__context_with_value(top, &keys[0], &values[0]),
				*b = child(a, VAI_FOREVER), *c = vai__context_with_value(b, &keys[1], &values[1]), *v;
	(void)state;
	assert_int_equal(keys[0].w[0] | values[0].w[0], 0);
	v = vai__context_valued(c);
	assert_ptr_equal(v, c);
	assert_int_equal(ledger_id(vai__context_value(v)), ids[1]);
	v = vai__context_valued(vai__context_parent(v));
	assert_ptr_equal(v, a);
	assert_int_equal(ledger_id(vai__context_value(v)), ids[0]);
	assert_null(vai__context_valued(vai__context_parent(v)));
	vai__context_cancel(a, NULL); /* below a context that is never over: neither is it */
	assert_int_equal(vai__context_err(a), VAI_OK);
	vai__context_cancel(b, NULL);
	assert_int_equal(vai__context_err(c), VAI_ECONTEXT);
	unref(top);
	unref(a);
	unref(b);
	assert_int_equal(ledger_dropped(), 0);
	unref(c);
	assert_int_equal(ledger_dropped(), 4);
	ledger_balanced();
}

/* The channel is the same one as long as somebody has it, and keeps its context. */
static void test_done(void **state)
{
	vai_context *top = vai__context_new(ledger_drop), *ctx = child(top, VAI_FOREVER);
	vai_chan *done = vai__context_done(ctx), *same = vai__context_done(ctx);
	(void)state;
	assert_ptr_equal(done, same);
	assert_true(vai__chan_is_kept(done));
	assert_false(vai__chan_is_closed(done));
	vai__context_cancel(ctx, NULL);
	unref(ctx);
	assert_true(vai__chan_is_closed(done));
	vai__obj_unref((struct vai_obj *)same);
	vai__obj_unref((struct vai_obj *)done);
	ctx = child(top, VAI_FOREVER);
	vai__context_cancel(ctx, NULL);
	done = vai__context_done(ctx); /* it is over already */
	assert_true(vai__chan_is_closed(done));
	vai__obj_unref((struct vai_obj *)done);
	unref(ctx);
	unref(top);
}

/* ---- calls at the end ---- */

static _Atomic(int) fired, released, refuse;

static bool fire(void *arg)
{
	if (atomic_load(&refuse) > 0) {
		atomic_fetch_sub(&refuse, 1);
		return false;
	}
	atomic_fetch_add(&fired, *(int *)arg);
	return true;
}

static void release(void *arg)
{
	atomic_fetch_add(&released, *(int *)arg);
}

static void test_after(void **state)
{
	static int one = 1, ten = 10, hundred = 100;
	atomic_store(&released, 0);
	vai_context *top = vai__context_new(ledger_drop), *ctx = child(top, VAI_FOREVER);
	vai_after *never = vai__context_after(top, fire, release, &hundred),
			  *stopped = vai__context_after(ctx, fire, release, &ten),
			  *made = vai__context_after(ctx, fire, release, &one), *late;
	(void)state;
	assert_int_equal(atomic_load(&released), 100); /* it is never called: what it had is let go at once */
	atomic_store(&fired, 0);
	atomic_store(&released, 0);
	assert_true(vai__context_after_stop(stopped));
	assert_false(vai__context_after_stop(stopped));
	assert_int_equal(atomic_load(&released), 0);
	vai__obj_unref((struct vai_obj *)stopped);
	assert_int_equal(atomic_load(&released), 10);
	vai__context_cancel(ctx, NULL);
	assert_int_equal(atomic_load(&fired), 1);
	assert_false(vai__context_after_stop(made));
	vai__obj_unref((struct vai_obj *)made);
	assert_int_equal(atomic_load(&released), 11);
	late = vai__context_after(ctx, fire, release, &one); /* over: at once */
	assert_int_equal(atomic_load(&fired), 2);
	vai__obj_unref((struct vai_obj *)late);
	assert_int_equal(atomic_load(&released), 12);
	assert_true(vai__context_after_stop(never));
	assert_false(vai__context_after_stop(never));
	vai__obj_unref((struct vai_obj *)never);
	assert_int_equal(atomic_load(&fired), 2);
	assert_int_equal(atomic_load(&released), 12);
	unref(ctx);
	unref(top);
}

/* A call for which there was no memory is made later; one that could not be made at once is the caller's still. */
static void test_after_without_memory(void **state)
{
	static int one = 1;
	vai_context *top = vai__context_new(ledger_drop), *ctx = child(top, VAI_FOREVER);
	vai_after *after = vai__context_after(ctx, fire, release, &one);
	(void)state;
	atomic_store(&fired, 0);
	atomic_store(&released, 0);
	atomic_store(&refuse, 2);
	vai__context_cancel(ctx, NULL); /* once at the end, once where the dead are looked at */
	assert_int_equal(atomic_load(&fired), 0);
	assert_int_equal(atomic_load(&refuse), 0);
	vai__obj_unref((struct vai_obj *)after);
	assert_int_equal(atomic_load(&released), 0);
	vai__context_reap();
	assert_int_equal(atomic_load(&fired), 1);
	assert_int_equal(atomic_load(&released), 1);
	atomic_store(&refuse, 1);
	assert_null(vai__context_after(ctx, fire, release, &one));
	assert_int_equal(atomic_load(&released), 1);
	unref(ctx);
	unref(top);
}

/* ---- waits ---- */

struct bounded {
	vai_context *ctx;
	int64_t deadline;
	_Atomic(int) rc;
	vai_g *g;
};

static void sleep_within(vai_g *g, void *arg)
{
	struct bounded *b = arg;
	int rc = vai__context_bound(g, b->ctx);
	if (rc == VAI_OK)
		rc = vai__sleep(g, b->deadline);
	CHECK(vai__context_bound(g, NULL) == VAI_OK);
	atomic_store(&b->rc, rc);
}

static int end_of_wait(vai_context *ctx, int64_t deadline, bool cancel)
{
	struct bounded b = {.ctx = ctx, .deadline = deadline, .rc = 1};
	b.g = world_go(sleep_within, &b);
	if (cancel) {
		world_parked(b.g);
		vai__context_cancel(ctx, NULL);
	}
	world_join();
	return atomic_load(&b.rc);
}

static void test_bound(void **state)
{
	vai_context *top = vai__context_new(ledger_drop), *ctx = child(top, VAI_FOREVER), *timed = child(top, world_in(2));
	int64_t never = world_in(600000);
	(void)state;
	assert_int_equal(end_of_wait(top, world_in(1), false), VAI_OK);
	assert_int_equal(end_of_wait(ctx, world_in(1), false), VAI_OK); /* its own limit comes first */
	assert_int_equal(end_of_wait(ctx, never, true), VAI_ECONTEXT);
	assert_int_equal(end_of_wait(ctx, never, false), VAI_ECONTEXT); /* over already: it does not wait */
	assert_int_equal(end_of_wait(timed, never, false), VAI_ECONTEXT_DEADLINE);
	unref(top);
	unref(ctx);
	unref(timed);
}

/* ---- many ---- */

enum { MANY = 100000 };

static void test_many(void **state)
{
	static vai_context *list[MANY];
	vai_context *top = vai__context_new(ledger_drop), *root = child(top, VAI_FOREVER), *deep = child(top, VAI_FOREVER),
				*last = deep;
	(void)state;
	for (int i = 0; i < MANY; i++)
		list[i] = child(root, VAI_FOREVER);
	vai__context_cancel(root, NULL);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(vai__context_err(list[i]), VAI_ECONTEXT);
		unref(list[i]);
	}
	for (int i = 0; i < MANY; i++) { /* a chain, of which only the end is held */
		vai_context *next = child(last, VAI_FOREVER);
		if (last != deep)
			unref(last);
		last = next;
	}
	vai__context_cancel(deep, NULL);
	assert_int_equal(vai__context_err(last), VAI_ECONTEXT);
	unref(deep);
	unref(last);
	unref(root);
	unref(top);
}

/* Children come and go on all Ps while others end what is above them. */
static void come_and_go(vai_g *g, void *arg)
{
	vai_context *parent = arg;
	for (int i = 0; i < 300; i++) {
		vai_msg cause = ledger_make();
		vai_context *ctx = vai__context_child(g, parent, i % 3 ? VAI_FOREVER : world_in(1)),
					*below = child(ctx, VAI_FOREVER);
		vai_chan *done = i % 4 ? NULL : vai__context_done(below);
		if (i % 2)
			vai__context_cancel(ctx, &cause);
		if (cause.w[0])
			ledger_spend(&cause);
		vai__yield(g);
		CHECK(vai__context_err(below) != VAI_OK || i % 2 == 0);
		unref(ctx);
		if (done)
			vai__obj_unref((struct vai_obj *)done);
		unref(below);
	}
}

static void test_come_and_go(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		vai_context *top = vai__context_new(ledger_drop), *root = child(top, VAI_FOREVER);
		for (int i = 0; i < 8; i++)
			world_go(come_and_go, root);
		vai__yield(vai__g_self());
		vai__context_cancel(root, NULL);
		world_join();
		unref(root);
		unref(top);
	}
	ledger_balanced();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_after_without_memory),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_come_and_go),
	};
	return WORLD_RUN("contexts", tests);
}
