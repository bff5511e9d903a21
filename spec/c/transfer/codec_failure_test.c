/* SPDX-License-Identifier: MIT */
/* What cannot be sent, and memory: allocations of both states and of vai are made to fail,
 * one after the other, and blocks are counted. */
#include "transfer/charge.h"
#include "transfer/pair.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../fuzz/memory.h"
#include "transfer/message.h"
#include "transfer/known_funcs.h"

/* ---- setting ---- */

static int setup(void **state)
{
	(void)state;
	memory_countdown = 0;
	pair_fails = memory_fails;
	pair_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_close();
	if (memory_blocks != 0)
		print_error("%ld blocks are left\n", memory_blocks);
	return memory_blocks == 0 ? 0 : -1;
}

static int encode_1(lua_State *L)
{
	vai_msg msg;
	vai__encode(L, &va, 1, &msg, "argument 1");
	vai__msg_drop(&msg);
	return 0;
}

#define NO_FILE "userdata FILE* cannot be sent: open the file there, or by vai.fs.open"
#define NO_THREAD "thread cannot be sent: make the coroutine where it is to run"

/* The chunk's value cannot be sent, for that reason. */
static void refused(const char *chunk, const char *why)
{
	lua_pushcfunction(A, encode_1);
	pair_run(A, chunk);
	assert_int_equal(lua_pcall(A, lua_gettop(A) - 1, 0, 0), LUA_ERRRUN);
	assert_string_equal(lua_tostring(A, -1), why);
	lua_settop(A, 0);
}

static void test_scalars_do_not_allocate(void **state)
{
	(void)state;
	vai_msg msg;
	pair_run(A, "return nil, true, 1, 2.5, print, ('x'):rep(30)");
	long before = memory_blocks;
	for (int i = 1; i <= 6; i++) {
		vai__encode(A, &va, i, &msg, "value");
		assert_int_equal(memory_blocks, before);
		vai__msg_drop(&msg);
	}
}

/* ---- what cannot be sent ---- */

static void test_refusals(void **state)
{
	(void)state;
	refused("return coroutine.create(print)", "argument 1: " NO_THREAD);
	refused("return io.stdout", "argument 1: " NO_FILE);
	refused("return { a = { log = io.stdout } }", "argument 1: field 'a': field 'log': " NO_FILE);
	refused("return { 1, 2, { io.stdout } }", "argument 1: [3]: [1]: " NO_FILE);
	refused("return { [coroutine.create(print)] = 1 }", "argument 1: key of table: " NO_THREAD);
	refused("return { [1.5] = { [true] = { [{}] = io.stdout } } }", "argument 1: [1.5]: [true]: [table]: " NO_FILE);
	refused("local f = coroutine.create(print) return function() return f end", "argument 1: upvalue 'f': " NO_THREAD);
	refused("return coroutine.wrap(print)", "argument 1: upvalue 1: " NO_THREAD);
	refused("local f = io.stdout return load(string.dump(function() return f end, true)) and function() return f end",
		"argument 1: upvalue 'f': " NO_FILE);
	refused("return setmetatable({}, { __index = function() return 1 end, x = { io.stdout } })",
		"argument 1: metatable: field 'x': [1]: " NO_FILE);
	refused("db = io.stdout return function() return db end", "argument 1: global 'db': " NO_FILE);
	refused("function helper() return db end return { function() return helper() end }",
		"argument 1: [1]: global 'helper': global 'db': " NO_FILE);
	refused("local t = io.stdout for i = 1, 60 do t = { t } end return t",
		"argument 1: ...: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: " NO_FILE);
	refused("return { [('k'):rep(100)] = io.stdout }",
		"argument 1: field 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk': " NO_FILE);
}

static int encode_3(lua_State *L)
{
	vai_msg msg;
	vai__encode_values(L, &va, 1, lua_gettop(L), &msg, "result");
	vai__msg_drop(&msg);
	return 0;
}

static void test_place_of_the_error(void **state)
{
	(void)state;
	lua_register(A, "encode_3", encode_3);
	pair_run(A,
		"local ok, err = pcall(function()\n encode_3(1, 2, io.stdout) end)\n"
		"assert(err == 'test.lua:2: result 3: userdata FILE* cannot be sent: open the file there, or by vai.fs.open', "
		"err)");
}

static void test_metamethods_refuse(void **state)
{
	(void)state;
	refused("return { x = udata { __vai_send = function(self) return self end, __name = 'odd' } }",
		"argument 1: field 'x': userdata odd cannot be sent: a __vai_send in its metatable may tell how");
	refused("return { x = udata { __vai_send = function(self) error('no way', 0) end } }", "no way");
	lua_pushcfunction(A, encode_1); /* the table changes under the encoder's hands */
	pair_run(A,
		"local t = {} for i = 1, 100 do t[i] = i end t[50] = udata { __vai_send = function()\n"
		"for i = 1, 100 do t[i] = nil t['x' .. i] = i end collectgarbage() end } return t");
	int status = lua_pcall(A, 1, 0, 0);
	assert_true(status == LUA_OK || status == LUA_ERRRUN);
	lua_settop(A, 0);
}

/* ---- memory ---- */

static int encode_and_decode(lua_State *L)
{
	vai_msg *msg = lua_touserdata(L, lua_upvalueindex(1));
	vai__encode_values(L, &va, 1, lua_gettop(L), msg, "value");
	return 0;
}

static int take(lua_State *L)
{
	vai_msg *msg = lua_touserdata(L, lua_upvalueindex(1));
	vai__decode_take(L, &vb, msg);
	return 0;
}

static const char *const workloads[] = {
	"return ('text'):rep(50)",
	"return { id = 1, name = 'somebody', value = 2.5 }, { 1, 2, { 3 } }, ('x'):rep(1000)",
	"local t = {} for i = 1, 60 do t = { t, a } end return t",
	"local n = 0 return function() n = n + 1 return helper(n) end, function() return n end, string",
	"return setmetatable({ b = b, a }, { __index = string, __gc = function() end }), a, { a, b, ('y'):rep(50) }",
	"return udata { __vai_send = function() return { a, b } end }, load('return x', 'chunk')",
	"local t = {} for i = 1, 30 do t[i] = { ['k' .. i % 4] = { i, a } } end return t",
};

/* Fails the n-th allocation and all after it, for every n until none is left to fail. */
static void fail_each(const char *chunk)
{
	vai_msg msg = {{0}};
	bool ok = false;
	for (long n = 1; !ok; n++) {
		assert_true(n < 5000);
		lua_settop(A, 0);
		lua_pushlightuserdata(A, &msg);
		lua_pushcclosure(A, encode_and_decode, 1);
		pair_run(A, chunk);
		lua_settop(B, 0);
		lua_pushlightuserdata(B, &msg);
		lua_pushcclosure(B, take, 1);
		memory_countdown = n;
		int status = lua_pcall(A, lua_gettop(A) - 1, 0, 0);
		if (status == LUA_OK)
			status = lua_pcall(B, 0, 0, 0);
		ok = status == LUA_OK && memory_countdown > 1;
		memory_countdown = 0;
		vai__msg_drop(&msg);
		vai__codec_release(&vb);
		lua_settop(A, 0);
		lua_settop(B, 0);
		vai__known_funcs_free(va.funcs);
		va.funcs = NULL;
		vai__charge_close(&va);
		vai__code_forget();
		pair_collect(B);
		pair_collect(A);
		if (memory_blocks != 0 || things != 2)
			fail_msg("%s: failure %ld leaves %ld blocks, %d things", chunk, n, memory_blocks, things);
	}
}

/* A module is met when the map of what was met is full. */
static void fail_at_a_module(void)
{
	for (int n = 20; n < 32; n++) {
		char chunk[200];
		snprintf(chunk, sizeof chunk,
			"local t, s = {}, string for i = 1, %d do t[i] = {} end return function() return t, s end", n);
		fail_each(chunk);
	}
}

static void test_failing_memory(void **state)
{
	(void)state;
	pair_run(A, "a, b = thing(), thing() function helper(x) return limit end limit = { a, 5 }");
	assert_int_equal(memory_blocks, 0);
	for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
		fail_each(workloads[i]);
	fail_at_a_module();
	pair_run(A, "a, b, limit = nil, nil, nil");
	pair_run(B, "limit = nil");
	pair_collect(A);
	pair_collect(B);
	assert_int_equal(things, 0);
}

/* What an error left behind is freed by the next message, and by the end at the latest. */
static void test_errors_while_taking(void **state)
{
	(void)state;
	vai_msg msg;
	pair_run(A, "package.loaded.nowhere = { print } return { thing(), package.loaded.nowhere }, { thing() }");
	for (int i = 0; i < 3; i++) {
		vai__encode(A, &va, 1, &msg, "value");
		lua_pushlightuserdata(B, &msg);
		lua_pushcclosure(B, take, 1);
		assert_int_equal(lua_pcall(B, 0, 0, 0), LUA_ERRRUN);
		assert_non_null(strstr(lua_tostring(B, -1), "nowhere"));
		lua_settop(B, 0);
	}
	lua_settop(A, 0);
	pair_collect(A);
	pair_collect(B);
	assert_int_equal(things, 0);
}

/* A finalizer that takes a message while another is being taken. */
static int finalizer(lua_State *L)
{
	vai_msg msg;
	vai__encode(L, &vb, lua_upvalueindex(1), &msg, "value");
	vai__decode_take(L, &vb, &msg);
	lua_pushboolean(L, 1);
	lua_setglobal(L, "finalized");
	return 0;
}

static void test_taking_inside_a_finalizer(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		pair_run(B, "local mt = {} finalized = false return mt, { 1, 2, { 'x' } }");
		lua_pushcclosure(B, finalizer, 1);
		lua_setfield(B, 1, "__gc");
		lua_setglobal(B, "mt");
		pair_run(B,
			"for i = 1, 3 do setmetatable({}, mt) end mt = nil collectgarbage('generational') "
			"collectgarbage('incremental')");
		lua_settop(B, 0);
		pair_run(A, "local t = {} for i = 1, 300 do t[i] = { i, ('s'):rep(i), k = { i } } end return t");
		pair_round_trip();
		pair_collect(B);
		pair_run(B, "assert(finalized)");
	}
}

int main(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	pair_register();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scalars_do_not_allocate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_place_of_the_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metamethods_refuse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failing_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_while_taking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taking_inside_a_finalizer, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
