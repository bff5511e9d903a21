/* SPDX-License-Identifier: MIT */
/* The list of tests. */
#include "tests.h"

const struct sim_test sim_tests[] = {
	{"steal", test_steal, 3},
	{"steal_next", test_steal_next, 3},
	{"steal_two", test_steal_two, 2},
	{"empty", test_empty, 3},
	{"global", test_global, 2},
	{"submit", test_submit, 2},
	{"spread", test_spread, 2},
	{"outside", test_outside, 2},
	{"input", test_input, 2},
	{"deadlock", test_deadlock, 2},
	{"fire", test_fire, 2},
	{"timeout", test_timeout, 2},
	{"cancel", test_cancel, 2},
	{"retake", test_retake, 2},
	{"rendezvous", test_rendezvous, 2},
	{"buffered", test_buffered, 2},
	{"pipe", test_pipe, 2},
	{"sides", test_sides, 3},
	{"sides_two", test_sides_two, 2},
	{"sides_close", test_sides_close, 3},
	{"send_timeout", test_send_timeout, 2},
	{"close", test_close, 2},
	{"select_pair", test_select_pair, 2},
	{"select_same", test_select_same, 2},
	{"select_close", test_select_close, 2},
	{"waitgroup", test_waitgroup, 2},
	{NULL, NULL, 0},
};
