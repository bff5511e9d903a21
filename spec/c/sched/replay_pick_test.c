/* SPDX-License-Identifier: MIT */
/* Whose turn is next in a seeded run: the three ways to pick. */
#include "sync/world.h"
#include "sched/replay_pick.h"
#include <string.h>

enum { MANY = 1000 };

static struct vai__replay_pick pick;
static const uint32_t four[] = {2, 3, 4, 5};

static uint32_t next(uint32_t g, uint32_t n, uint32_t candidates, bool goes_on)
{
	return vai__replay_pick_next(&pick, (struct vai__replay_at){g, n}, four, candidates, goes_on);
}

static void seeds_decide(void **state)
{
	uint32_t first[MANY], seen[4] = {0}, same = 0;
	(void)state;
	for (int round = 0; round < 2; round++) {
		vai__replay_pick_begin(&pick, &(struct vai__replay_plan){.how = VAI_REPLAY_SEED, .seed = 7});
		for (int i = 0; i < MANY; i++) {
			uint32_t took = next(2, 1, 4, i % 2 == 0);
			assert_true(took < 4);
			if (round == 0)
				first[i] = took;
			assert_int_equal(took, first[i]);
			seen[took]++;
		}
	}
	for (int i = 0; i < 4; i++)
		assert_true(seen[i] > 0);
	assert_true(seen[0] > seen[1]); /* who runs mostly goes on */
	vai__replay_pick_begin(&pick, &(struct vai__replay_plan){.how = VAI_REPLAY_SEED, .seed = 8});
	for (int i = 0; i < MANY; i++)
		same += next(2, 1, 4, i % 2 == 0) == first[i];
	assert_true(same < MANY);
}

static void recorded_is_the_default_but_for_its_choices(void **state)
{
	const struct vai__replay_choice choices[] = {{{9, 1}, 5}, {{2, 3}, 4}, {{2, 2}, 77}};
	(void)state;
	vai__replay_pick_begin(
		&pick, &(struct vai__replay_plan){.how = VAI_REPLAY_RECORDED, .choices = choices, .nchoices = 3});
	assert_int_equal(next(2, 1, 4, true), 0);
	assert_int_equal(next(2, 2, 4, true), 0); /* no candidate is 77 */
	assert_int_equal(next(2, 3, 4, true), 2);
	assert_int_equal(next(2, 3, 2, true), 0); /* 4 is not among the first two */
	assert_int_equal(next(9, 1, 4, false), 3);
	assert_int_equal(pick.decisions, 5);
	vai__replay_pick_begin(&pick, &(struct vai__replay_plan){.how = VAI_REPLAY_RECORDED});
	assert_int_equal(next(2, 3, 4, true), 0);
}

static void priorities_hold_until_they_change(void **state)
{
	const struct vai__replay_plan plan = {.how = VAI_REPLAY_PCT, .seed = 3, .depth = 1, .length = 1};
	uint32_t best, after, seen[4] = {0};
	(void)state;
	for (uint64_t seed = 0; seed < MANY; seed++) {
		vai__replay_pick_begin(&pick, &(struct vai__replay_plan){.how = VAI_REPLAY_PCT, .seed = seed});
		seen[best = next(2, 1, 4, false)]++;
		assert_int_equal(next(2, 2, 4, false), best);
		vai__replay_pick_lower(&pick, four[best]);
		assert_int_not_equal(after = next(2, 3, 4, false), best);
		assert_int_equal(next(2, 4, 4, false), after);
	}
	for (int i = 0; i < 4; i++)
		assert_true(seen[i] >= MANY / 8 && seen[i] <= MANY / 2);
	vai__replay_pick_begin(&pick, &plan); /* the change is at the first decision */
	assert_int_not_equal(next(2, 1, 4, true), 0);
}

static void lowered_ones_come_in_the_order_of_their_fall(void **state)
{
	(void)state;
	vai__replay_pick_begin(&pick, &(struct vai__replay_plan){.how = VAI_REPLAY_PCT, .seed = 1});
	for (uint32_t i = 0; i < 4; i++)
		vai__replay_pick_lower(&pick, four[i]);
	assert_int_equal(next(2, 1, 4, false), 0);
	vai__replay_pick_lower(&pick, four[0]);
	assert_int_equal(next(2, 2, 4, false), 1);
	for (uint32_t g = 100; g < 200; g++) /* more than there is room for */
		vai__replay_pick_lower(&pick, g);
	assert_true(next(2, 3, 4, false) < 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeds_decide),
		cmocka_unit_test(recorded_is_the_default_but_for_its_choices),
		cmocka_unit_test(priorities_hold_until_they_change),
		cmocka_unit_test(lowered_ones_come_in_the_order_of_their_fall),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
