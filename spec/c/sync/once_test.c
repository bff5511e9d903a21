/* SPDX-License-Identifier: MIT */
/* Onces below Lua: one does it, the others wait, and its value is there once. */
#include "sync/world.h"

#include <stdatomic.h>
#include "base/obj.h"
#include "sync/once.h"

static void unref(vai_once *once)
{
	vai__obj_unref((struct vai_obj *)once);
}

static void test_alone(void **state)
{
	vai_g *self = vai__g_self();
	vai_once *once = vai__once_new(ledger_drop);
	vai_msg value = ledger_make();
	const vai_msg *got;
	uint64_t id = ledger_id(&value);
	bool failed;
	(void)state;
	assert_false(vai__once_is_done(once));
	assert_int_equal(vai__once_runner(once), 0);
	assert_int_equal(vai__once_begin(self, once), 1);
	assert_int_equal(vai__once_runner(once), self->id);
	assert_int_equal(vai__once_begin(self, once), VAI_EINVAL);
	vai__once_end(once, self->id + 1); /* another's end: nothing */
	assert_false(vai__once_is_done(once));
	vai__once_set(once, &value, true);
	assert_int_equal(value.w[0], 0);
	vai__once_end(once, self->id);
	assert_true(vai__once_is_done(once));
	assert_int_equal(vai__once_runner(once), 0);
	assert_int_equal(vai__once_begin(self, once), VAI_OK);
	got = vai__once_value(once, &failed);
	assert_true(failed);
	assert_int_equal(ledger_id(got), id);
	assert_int_equal(ledger_dropped(), 0);
	unref(once);
	assert_int_equal(ledger_dropped(), 1);
	ledger_balanced();
}

/* It may be left without a value, and without an end. */
static void test_nothing(void **state)
{
	vai_g *self = vai__g_self();
	bool failed = true;
	(void)state;
	for (int ends = 0; ends < 2; ends++) {
		vai_once *once = vai__once_new(ledger_drop);
		assert_int_equal(vai__once_begin(self, once), 1);
		if (ends) {
			vai__once_end(once, self->id);
			assert_null(vai__once_value(once, &failed));
			assert_false(failed);
		}
		unref(once);
	}
	assert_int_equal(ledger_dropped(), 0);
}

/* ---- several ---- */

enum { N = 20 };
struct asker {
	vai_once *once;
	vai_g *g;
	int rc;
};
static _Atomic(int) firsts, after;

static void ask(vai_g *g, void *arg)
{
	struct asker *a = arg;
	bool failed;
	a->rc = vai__once_begin(g, a->once);
	if (a->rc == 1) {
		vai_msg value = ledger_make();
		atomic_fetch_add(&firsts, 1);
		vai__yield(g);
		vai__once_set(a->once, &value, false);
		vai__once_end(a->once, g->id);
	} else if (a->rc == VAI_OK) {
		CHECK(vai__once_is_done(a->once) && vai__once_value(a->once, &failed) && !failed);
		atomic_fetch_add(&after, 1);
	}
}

static void ask_all(struct asker *list, vai_once *once)
{
	atomic_store(&firsts, 0);
	atomic_store(&after, 0);
	for (int i = 0; i < N; i++) {
		list[i] = (struct asker){.once = once};
		list[i].g = world_go(ask, &list[i]);
	}
}

static void test_race(void **state)
{
	struct asker list[N];
	(void)state;
	for (int round = 0; round < 100; round++) {
		vai_once *once = vai__once_new(ledger_drop);
		ask_all(list, once);
		world_join();
		assert_int_equal(atomic_load(&firsts), 1);
		assert_int_equal(atomic_load(&after), N - 1);
		unref(once);
	}
	ledger_balanced();
}

/* Main does it; of those that wait one is canceled, which takes nothing from the others. */
static void test_waiting(void **state)
{
	struct asker list[N];
	vai_g *self = vai__g_self();
	vai_once *once = vai__once_new(ledger_drop);
	vai_msg value = ledger_make();
	(void)state;
	assert_int_equal(vai__once_begin(self, once), 1);
	ask_all(list, once);
	for (int i = 0; i < N; i++)
		world_parked(list[i].g);
	vai__g_end(list[3].g, VAI_END_CANCELED);
	while (vai__g_state(list[3].g) != VAI_G_DEAD)
		vai__yield(self);
	assert_int_equal(list[3].rc, VAI_ECANCELED);
	assert_int_equal(atomic_load(&after), 0);
	vai__once_set(once, &value, false);
	assert_int_equal(atomic_load(&after), 0);
	vai__once_end(once, self->id);
	world_join();
	assert_int_equal(atomic_load(&firsts), 0);
	assert_int_equal(atomic_load(&after), N - 1);
	unref(once);
	ledger_balanced();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_waiting),
	};
	return WORLD_RUN("onces", tests);
}
