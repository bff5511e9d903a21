/* SPDX-License-Identifier: MIT */
/* Small tables: what becomes a record, with and without a shape, and that it arrives as it was. */
#include "base/obj.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "state/handle.h"
#include "sync/chan.h"
#include "transfer/codec.h"
#include "transfer/message.h"
#include "transfer/pair.h"

enum { OFTEN = 6 };

static int setup(void **state)
{
	(void)state;
	pair_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_fails = NULL;
	pair_close();
	return things;
}

static void test_what_is_a_record(void **state)
{
	(void)state;
	assert_int_equal(pair_sent("return {}"), M_RECORD);
	assert_int_equal(pair_sent("return { id = 1, name = 'record', value = .5 }"), M_RECORD);
	assert_int_equal(pair_sent("return { a = 1, b = 2, c = 3 }"), M_RECORD);
	assert_int_equal(pair_sent("return { 1, 2, 3, true, false, 'x' }"), M_RECORD);
	assert_int_equal(pair_sent("return { 1, 2, n = 2 }"), M_RECORD);
	assert_int_equal(pair_sent("return { text = ('x'):rep(27) }"), M_RECORD);
	assert_int_equal(pair_sent("return { text = ('x'):rep(28) }"), M_BLOCK);
	assert_int_equal(pair_sent("return { ['a\\0b'] = 1 }"), M_BLOCK);
	assert_int_equal(pair_sent("return { __index = 1 }"), M_BLOCK);
	assert_int_equal(pair_sent("return { {} }"), M_BLOCK);
	assert_int_equal(pair_sent("return { [2] = 1 }"), M_BLOCK);
	assert_int_equal(pair_sent("return { x = print }"), M_BLOCK);
	assert_int_equal(pair_sent("return setmetatable({ x = 1 }, {})"), M_BLOCK);
	assert_int_equal(
		pair_sent("return setmetatable({ x = 1 }, { __vai_send = function() return 7 end }) and 7"), M_INT);
}

static void test_keys(void **state)
{
	(void)state;
	for (int len = 0; len <= 45; len++) {
		lua_pushinteger(A, len);
		lua_setglobal(A, "len");
		pair_sent("local s = ('k'):rep(len) return { [s] = 1 }");
		pair_sent("local s = ('k'):rep(len) return { [s] = 1, [s .. 'x'] = 2, ['x' .. s] = 3 }");
		/* These differ in one place only. */
		for (int i = 0; i < len; i++) {
			lua_pushinteger(A, i);
			lua_setglobal(A, "i");
			pair_sent("return { [('k'):rep(i) .. 'x' .. ('k'):rep(len - i - 1)] = 1 }");
		}
	}
	pair_sent("return { [('k'):rep(255)] = 1, [('k'):rep(256)] = 2, [('k'):rep(300)] = 3 }");
	for (int n = 1; n <= 40; n++) {
		lua_pushinteger(A, n);
		lua_setglobal(A, "n");
		pair_sent("local t = {} for i = 1, n do t['key' .. i] = i end return t");
		pair_sent("local t = {} for i = n, 1, -1 do t['key' .. i] = true end return t");
	}
}

static void test_values(void **state)
{
	(void)state;
	pair_run(A,
		"values = { true, false, '', 0/0, 1/0, -1/0, -0.0, 0.0, 0.1, 1e30, 1e31, -1e31, 1e300, 5e-324, 1e-40, "
		"16777217.0,\n"
		"2^53, -2^53 + 1, math.maxinteger, math.mininteger }\n"
		"for _, n in ipairs { 1, 2, 4, 7 } do for d = -2, 2 do for s = -1, 1, 2 do\n"
		"values[#values + 1] = s * (1 << n * 8 - 1) + d values[#values + 1] = s * (1 << n * 8) + d end end end\n"
		"for len = 0, 230 do values[#values + 1] = ('\\0x\\xff'):rep(len):sub(1, len) end return #values");
	int n = (int)lua_tointeger(A, -1);
	for (int i = 1; i <= n; i++) {
		lua_pushinteger(A, i);
		lua_setglobal(A, "i");
		pair_sent("return { v = values[i] }");
		pair_sent("return { values[i], v = values[i], w = i }");
	}
}

static void test_lists(void **state)
{
	(void)state;
	for (int n = 0; n < 90; n++) {
		lua_pushinteger(A, n);
		lua_setglobal(A, "n");
		pair_sent("local t = {} for i = 1, n do t[i] = i * 1000 end return t");
		pair_sent("local t = { x = 1 } for i = n, 1, -1 do t[i] = -i end return t");
		pair_sent("local t = {} for i = 1, n do t[i] = ('x'):rep(i) end return t");
	}
	pair_sent("local t = { 1, 2, 3, 4 } t[2] = nil return t");
	pair_sent("return { 1, nil, 3, x = 1 }");
}

/* Keys that a script makes up get no shape once there are too many. */
static void test_more_shapes_than_there_are(void **state)
{
	(void)state;
	unsigned last = M_RECORD;
	assert_int_equal(pair_sent("return { a = 1, b = 2, c = 3 }"), M_RECORD); /* in the order of these states */
	for (int i = 0; i < 3000; i++) {
		lua_pushinteger(A, i);
		lua_setglobal(A, "i");
		last = pair_sent("return { ['made up ' .. i] = i }");
	}
	assert_int_equal(last, M_BLOCK);
	assert_int_equal(pair_sent("return { a = 1, b = 2, c = 3 }"), M_RECORD);
}

/* ---- memory ---- */

static long countdown; /* 0: never fail; n: the n-th allocation fails and all after it */

static bool fails(void)
{
	if (countdown > 1)
		countdown--;
	else
		return countdown == 1;
	return false;
}

static int deliver(lua_State *L)
{
	vai_chan *ch = lua_touserdata(L, 1);
	vai_msg msg;
	luaL_argcheck(L, vai__chan_recv(NULL, ch, &msg, 0) == VAI_OK, 1, "empty");
	return vai__bind_deliver(L, &vb, &msg);
}

/* What cannot be received for want of memory is an error and leaves nothing behind; the next message comes whole. */
static void short_of_memory(vai_chan *ch, const char *chunk)
{
	vai_msg msg;
	bool ok = false;
	for (long n = 1; !ok; n++) {
		assert_true(n < 100);
		pair_run(A, chunk);
		vai__encode(A, &va, -1, &msg, "value");
		assert_int_equal(vai__chan_send(NULL, ch, &msg, 0), VAI_OK);
		lua_pushcfunction(B, deliver);
		lua_pushlightuserdata(B, ch);
		lua_gc(B, LUA_GCCOLLECT);
		countdown = n;
		pair_fails = fails;
		int status = lua_pcall(B, 1, 1, 0);
		countdown = 0;
		ok = status == LUA_OK;
		if (!ok) {
			lua_pop(B, 1);
			assert_int_equal(status, LUA_ERRMEM);
			assert_int_equal(vai__chan_len(ch), 0);
			continue;
		}
		assert_int_equal(vai__chan_len(ch), 0);
		pair_compare();
	}
}

static void test_memory(void **state)
{
	(void)state;
	vai_chan *ch = vai__chan_new(1, vai__msg_drop);
	vai__handle_push(B, &vb, (struct vai_obj *)ch, true);
	for (int i = 0; i < OFTEN; i++) {
		short_of_memory(ch, "return { id = 1, name = 'record', value = .5 }");
		short_of_memory(ch, "return { 1, 2, 3 }");
		short_of_memory(ch, "return { ('x'):rep(100), ('y'):rep(41) }");
		short_of_memory(ch, "return { { 1 }, { 2 } }");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_a_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_shapes_than_there_are, setup, teardown),
	};
	vai__handle_register(&vai__lib_chan_type);
	pair_register();
	return cmocka_run_group_tests_name("flat", tests, NULL, NULL);
}
