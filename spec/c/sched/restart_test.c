/* SPDX-License-Identifier: MIT */
/* A runtime begins as the first one did, whatever the one before left behind. */
#include "sync/world.h"
#include "sched/rt.h"

/* Until the end of the runtime. */
static void yielding(vai_g *g, void *arg)
{
	(void)arg;
	for (;;)
		vai__yield(g);
}

/* What main had goes to somebody else meanwhile. */
static void take_the_second_p(vai_g *self)
{
	world_go(yielding, NULL);
	while (m_p(g_m(g_of(self)))->index == 0) {
		vai__g_block_begin(self);
		vai__g_block_end(self);
	}
}

/* It stops in the possession of a P that is no more in use, which nobody waits for in the next. */
static void a_surplus_p_at_the_end(void **state)
{
	(void)state;
	assert_int_equal(vai__sched_start(&(struct vai__sched_opts){.maxprocs = 2}), VAI_OK);
	take_the_second_p(vai__g_self());
	vai__maxprocs(vai__g_self(), 1);
	assert_true(vai__sched_stop(1000000000));
	assert_int_equal(vai__sched_start(&(struct vai__sched_opts){.maxprocs = 1}), VAI_OK);
	vai__lock(&vai__sched.lock);
	vai__loop_attention_update();
	vai__unlock(&vai__sched.lock);
	assert_false(atomic_load(&vai__sched.attention));
	assert_true(vai__sched_stop(1000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_surplus_p_at_the_end),
	};
	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
