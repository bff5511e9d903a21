/* SPDX-License-Identifier: MIT */
/* Opening and closing: a host that does it some hundred times, with goroutines of every kind at work when its
 * state closes, holds afterwards what it held before. */
#include "host/host.h"
#include <stdio.h>
#include <stdlib.h>
#include "whole.h"

enum {
	WARM = 40,
	ROUNDS = 200,
	WHOLE = 1000,
	ENOUGH = 60 /* seconds, on a machine with other things to do */,
	SLACK_KB = 2500
};

/* Left behind in the middle of what they do. */
static const char kinds[] =
	"local vai = require 'vai'\n"
	"vai.maxprocs(3)\n"
	"local started, never, full = vai.chan(100), vai.chan(), vai.chan(1)\n"
	"local wg = vai.waitgroup()\n"
	"wg:add(1)\n"
	"full:send({ 'message', { 1, 2, 3 } })\n"
	"vai.go(function() started:send(1) while preempts do end end)\n"
	"vai.go(function() started:send(1) while preempts do pcall(error, {}) end end)\n"
	"vai.go(function() started:send(1) never:recv() end)\n"
	"vai.go(function() started:send(1) full:send({ 1, ('x'):rep(1000) }) end)\n"
	"vai.go(function() started:send(1) wg:wait() end)\n"
	"vai.go(function() started:send(1) vai.sleep(1000) end)\n"
	"vai.go(function() started:send(1) vai.select({ never, { never, 1 }, timeout = 1000 }) end)\n"
	"local task = vai.async(function() started:send(1) never:recv() end)\n"
	"vai.go(function() started:send(1) task:join() end)\n"
	"vai.go(function() for _ in vai.ticker(0.0001):chan() do end end)\n"
	"vai.go(function() local f = io.open('/dev/null') started:send(1) never:recv() f:close() end)\n"
	"vai.go(function()\n"
	"  local t <close> = setmetatable({}, { __close = function() end })\n"
	"  coroutine.wrap(function() table.sort({ 3, 2, 1 }, function(a, b)\n"
	"    started:send(1) never:recv() return a < b end) end)()\n"
	"end)\n"
	"vai.timer(1000, print)\n"
	"local keep = { vai.after(1000), vai.ticker(0.001) }\n"
	"for i = 1, 11 do started:recv() end\n";

static void one_round(void)
{
	lua_State *L = host_open();
	host_run(L, kinds);
	lua_close(L);
}

static void test_rounds(void **state)
{
	(void)state;
	int n = host_scaled(spec_count(ROUNDS, WHOLE)), done = 0;
	for (int i = 0; i < WARM; i++)
		one_round();
	host_wait_threads(1);
	struct host_usage before = host_usage();
	double end = host_seconds() + ENOUGH;
	for (; done < n && (done < WARM || host_seconds() < end); done++)
		one_round();
	host_wait_threads(1); /* those that have left may take a moment to end */
	lua_State *L = host_open();
	host_run(L, "require 'vai'"); /* and what the last round's end did not come to is done here */
	lua_close(L);
	host_wait_threads(1);
	struct host_usage after = host_usage();
	print_message("%d rounds: threads %ld %ld, files %ld %ld, mappings %ld %ld, resident %ld %ld kB\n", done,
		before.threads, after.threads, before.files, after.files, before.mappings, after.mappings, before.resident,
		after.resident);
	assert_int_equal(after.files, before.files);
	/* They keep freed memory and threads for a while; qemu its translations. */
	if (host_variant("asan") || host_variant("tsan") || host_variant("arm64"))
		return;
	assert_true(after.mappings <= before.mappings + 16);
	assert_true(after.resident <= before.resident + SLACK_KB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_rounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
