/* SPDX-License-Identifier: MIT */
/* Shapes: which keys get a number. The tests run in this order, in one process: the shapes of all of them stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "transfer/shape.h"

enum { OFTEN = 8, LONGEST = 40, PAIRS = 100, TURNS = 1000, SHAPES = 1023 };

static char texts[VAI__SHAPE_KEYS][LONGEST + 1];

static struct vai__key key_of(unsigned i, const char *format, int a, int b)
{
	int len = snprintf(texts[i], sizeof texts[i], format, a, b);
	return (struct vai__key){texts[i], (size_t)len};
}

static const struct vai__shape *met_often(const struct vai__key *keys, unsigned n)
{
	const struct vai__shape *shape = NULL;
	for (int i = 0; i < OFTEN; i++)
		shape = vai__shape_find(keys, n);
	return shape;
}

static struct vai__key differing_key(int len, int at)
{
	memset(texts[0], 'k', (size_t)len);
	texts[0][at] = 'x';
	texts[0][len] = 0;
	return (struct vai__key){texts[0], (size_t)len};
}

static void test_keys_that_come_once_get_none(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct vai__key keys[] = {key_of(0, "once %d", i, 0)};
		assert_null(vai__shape_find(keys, 1));
	}
}

/* Keys of all lengths, which differ in one place only. */
static void test_each_finds_a_place(void **state)
{
	(void)state;
	for (int len = 1; len <= LONGEST; len += 3) {
		for (int at = 0; at < len; at++) {
			struct vai__key key = differing_key(len, at);
			const struct vai__shape *shape = met_often(&key, 1);
			assert_non_null(shape);
			assert_int_equal(shape->nkeys, 1);
			assert_string_equal(shape->keys[0].key.s, texts[0]);
			assert_ptr_equal(vai__shape_get(shape->id), shape);
		}
	}
	for (int len = 1; len <= LONGEST; len += 3) {
		for (int at = 0; at < len; at++) {
			struct vai__key key = differing_key(len, at);
			assert_string_equal(vai__shape_find(&key, 1)->keys[0].key.s, texts[0]);
		}
	}
}

static void test_orders_differ(void **state)
{
	(void)state;
	struct vai__key a = key_of(0, "a", 0, 0), b = key_of(1, "b", 0, 0);
	const struct vai__key ab[] = {a, b}, ba[] = {b, a};
	const struct vai__shape *first = met_often(ab, 2), *second = met_often(ba, 2);
	assert_non_null(first);
	assert_non_null(second);
	assert_ptr_not_equal(first, second);
	assert_ptr_equal(vai__shape_find(ab, 2), first);
	assert_int_equal(vai__shape_find(ab, 0)->id, 0);
}

/* Many records that come by turns. */
static void test_by_turns(void **state)
{
	(void)state;
	int found = 0;
	for (int turn = 0; turn < TURNS && found < PAIRS; turn++) {
		found = 0;
		for (int i = 0; i < PAIRS; i++) {
			struct vai__key keys[] = {key_of(0, "name %d", i, 0), key_of(1, "value %d", i, 0)};
			found += vai__shape_find(keys, 2) != NULL;
		}
	}
	assert_int_equal(found, PAIRS);
}

static void test_names_with_zeros_get_none(void **state)
{
	(void)state;
	struct vai__key key = {"a\0b", 3};
	assert_null(met_often(&key, 1));
}

/* All of them are given away, and those that were found first stay. */
static void test_more_than_there_are(void **state)
{
	(void)state;
	unsigned last = 0;
	for (int i = 0; i < 3000; i++) {
		struct vai__key keys[] = {key_of(0, "made up %d", i, 0)};
		const struct vai__shape *shape = met_often(keys, 1);
		assert_true(shape ? shape->id == last + 1 || last == 0 : last == SHAPES);
		last = shape ? shape->id : last;
	}
	assert_int_equal(last, SHAPES);
	test_each_finds_a_place(NULL);
	test_by_turns(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_that_come_once_get_none),
		cmocka_unit_test(test_each_finds_a_place),
		cmocka_unit_test(test_orders_differ),
		cmocka_unit_test(test_by_turns),
		cmocka_unit_test(test_names_with_zeros_get_none),
		cmocka_unit_test(test_more_than_there_are),
	};
	return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
