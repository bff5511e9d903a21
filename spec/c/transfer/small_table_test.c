/* SPDX-License-Identifier: MIT */
/* Small tables: what becomes a record, with and without a shape, and that it arrives as it was. */
#include <stdlib.h>
#include "base/obj.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "state/handle.h"
#include "transfer/layout.h"
#include "sync/chan.h"
#include "transfer/codec.h"
#include "transfer/message.h"
#include "transfer/pair.h"

enum { OFTEN = 6 }; /* times until the keys surely have a shape */

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

/* Sends the value on top of A's stack; it arrives on B's. */
static unsigned send_top(void)
{
	vai_msg msg;
	vai__encode(A, &va, -1, &msg, "value");
	unsigned tag = vai__msg_tag(&msg);
	assert_int_equal(vai__decode(B, &vb, &msg), 1);
	lua_pop(B, 1);
	assert_int_equal(vai__decode_take(B, &vb, &msg), 1);
	return tag;
}

/* The chunk's table arrives as it is, each time; the tag of its messages in the end. */
static unsigned sent(const char *chunk)
{
	unsigned tag = M_NONE;
	for (int i = 0; i < OFTEN; i++) {
		pair_run(A, chunk);
		tag = send_top();
		char *before = pair_describe(A, 1), *after = pair_describe(B, 1);
		assert_string_equal(before, after);
		free(before);
		free(after);
	}
	return tag;
}

static void test_what_is_a_record(void **state)
{
	(void)state;
	assert_int_equal(sent("return {}"), M_RECORD);
	assert_int_equal(sent("return { id = 1, name = 'record', value = .5 }"), M_RECORD);
	assert_int_equal(sent("return { a = 1, b = 2, c = 3 }"), M_RECORD);
	assert_int_equal(sent("return { 1, 2, 3, true, false, 'x' }"), M_RECORD);
	assert_int_equal(sent("return { 1, 2, n = 2 }"), M_RECORD);
	assert_int_equal(sent("return { text = ('x'):rep(27) }"), M_RECORD);
	assert_int_equal(sent("return { text = ('x'):rep(28) }"), M_BLOCK);
	assert_int_equal(sent("return { ['a\\0b'] = 1 }"), M_BLOCK);
	assert_int_equal(sent("return { __index = 1 }"), M_BLOCK);
	assert_int_equal(sent("return { {} }"), M_BLOCK);
	assert_int_equal(sent("return { [2] = 1 }"), M_BLOCK);
	assert_int_equal(sent("return { x = print }"), M_BLOCK);
	assert_int_equal(sent("return setmetatable({ x = 1 }, {})"), M_BLOCK);
	assert_int_equal(sent("return setmetatable({ x = 1 }, { __vai_send = function() return 7 end }) and 7"), M_INT);
}

static void test_keys(void **state)
{
	(void)state;
	for (int len = 0; len <= 45; len++) {
		lua_pushinteger(A, len);
		lua_setglobal(A, "len");
		sent("local s = ('k'):rep(len) return { [s] = 1 }");
		sent("local s = ('k'):rep(len) return { [s] = 1, [s .. 'x'] = 2, ['x' .. s] = 3 }");
		/* These differ in one place only. */
		for (int i = 0; i < len; i++) {
			lua_pushinteger(A, i);
			lua_setglobal(A, "i");
			sent("return { [('k'):rep(i) .. 'x' .. ('k'):rep(len - i - 1)] = 1 }");
		}
	}
	sent("return { [('k'):rep(255)] = 1, [('k'):rep(256)] = 2, [('k'):rep(300)] = 3 }");
	for (int n = 1; n <= 40; n++) {
		lua_pushinteger(A, n);
		lua_setglobal(A, "n");
		sent("local t = {} for i = 1, n do t['key' .. i] = i end return t");
		sent("local t = {} for i = n, 1, -1 do t['key' .. i] = true end return t");
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
		sent("return { v = values[i] }");
		sent("return { values[i], v = values[i], w = i }");
	}
}

static void test_lists(void **state)
{
	(void)state;
	for (int n = 0; n < 90; n++) {
		lua_pushinteger(A, n);
		lua_setglobal(A, "n");
		sent("local t = {} for i = 1, n do t[i] = i * 1000 end return t");
		sent("local t = { x = 1 } for i = n, 1, -1 do t[i] = -i end return t");
		sent("local t = {} for i = 1, n do t[i] = ('x'):rep(i) end return t");
	}
	sent("local t = { 1, 2, 3, 4 } t[2] = nil return t");
	sent("return { 1, nil, 3, x = 1 }");
}

/* Keys that a script makes up get no shape once there are too many. */
static void test_more_shapes_than_there_are(void **state)
{
	(void)state;
	unsigned last = M_RECORD;
	for (int i = 0; i < 3000; i++) {
		lua_pushinteger(A, i);
		lua_setglobal(A, "i");
		last = sent("return { ['made up ' .. i] = i }");
	}
	assert_int_equal(last, M_BLOCK);
	assert_int_equal(sent("return { a = 1, b = 2, c = 3 }"), M_RECORD);
}

/* ---- layouts ---- */

static char fields[8];     /* addresses for light userdata */
enum { LONG_ENOUGH = 40 }; /* records until a state surely knows a layout */

/* Both states know how tables of these three keys lie in them. */
static void learn(void)
{
	for (int i = 0; i < LONG_ENOUGH; i++)
		sent("return { id = 1, name = 'record', value = .5 }");
	assert_non_null(va.layouts);
	assert_non_null(vb.layouts);
	assert_int_equal(va.layouts->n, 1);
	assert_int_equal(vb.layouts->n, 1);
}

/* The table on top of A's stack can be read from memory. */
static bool is_read(void)
{
	return vai__layout_of_table(&va, lua_topointer(A, -1)) != NULL;
}

static void test_layouts_are_learnt(void **state)
{
	(void)state;
	assert_true(vai__table_memory_known());
	pair_run(A, "return { id = 1, name = 'record', value = .5 }");
	assert_false(is_read());
	learn();
	pair_run(A, "return { id = 1, name = 'record', value = .5 }");
	assert_true(is_read());
	pair_run(A, "return { id = 2, name = ('y'):rep(50), value = true }");
	assert_true(is_read());
	/* Once is enough. */
	for (int i = 0; i < LONG_ENOUGH; i++)
		sent("return { id = 1, name = 'record', value = .5 }");
	assert_int_equal(va.layouts->n, 1);
	assert_int_equal(vb.layouts->n, 1);
}

/* A node from which a key was removed still names it, and nobody keeps that string alive. */
static void test_removed_keys_are_not_learnt(void **state)
{
	(void)state;
	for (int i = 0; i < LONG_ENOUGH; i++)
		sent("local t = { id = 1, name = 'record', value = .5, gone = 1 } t.gone = nil return t");
	assert_true(!va.layouts || va.layouts->n == 0);
	assert_non_null(vb.layouts);
}

/* Tables that lie as a known one does but for one thing. */
static void test_tables_like_a_known_one(void **state)
{
	static const char *const changes[] = {"t.id = nil", "t.value = nil", "t.id, t.name, t.value = nil", "t.more = 1",
		"t.value, t.more = nil, 1", "t.name = nil t.nome = 1", "t[1] = 7", "t[1], t[2] = 7, 8", "t.id = nil t[1] = 7",
		"t.value = nil t[true] = 7", "setmetatable(t, {})", "t.id = {}", "t.name = print", "t.name = t",
		"t.id, t.value = 'id', 'value'", "t.name = nil t[('k'):rep(41)] = 1", "for i = 1, 40 do t[i] = i end",
		"for i = 1, 9 do t['k' .. i] = i end for i = 1, 9 do t['k' .. i] = nil end", "t.__index = 1",
		"t.id = nil t.__gc = 1", "t.name = vai", "t.name = string"};
	(void)state;
	learn();
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		lua_pushstring(A, changes[i]);
		lua_setglobal(A, "change");
		const char *chunk = "local t = { id = 1, name = 'record', value = .5 }\n"
							"load('local t = ... ' .. change)(t) return t";
		pair_run(A, chunk);
		assert_true(strncmp(changes[i], "t.id, t.value = 'id'", 20) == 0 || strncmp(changes[i], "t.id = {}", 9) == 0 ||
			strncmp(changes[i], "t.name = ", 9) == 0 || !is_read());
		sent(chunk);
	}
}

/* Each kind of value in each field. */
static void test_values_of_a_known_table(void **state)
{
	(void)state;
	learn();
	pair_run(A,
		"values = { true, false, '', 0/0, 1/0, -1/0, -0.0, 0.0, 0.1, 1e31, 5e-324, 2^53, math.maxinteger,\n"
		"math.mininteger, 127, -128, 128, 32767, -32769, 1 << 31, -(1 << 31), 1 << 40 }\n"
		"for len = 0, 230 do values[#values + 1] = ('\\0x\\xff'):rep(len):sub(1, len) end return #values");
	int n = (int)lua_tointeger(A, -1);
	for (int i = 1; i <= n; i++) {
		lua_pushinteger(A, i);
		lua_setglobal(A, "i");
		sent("return { id = values[i], name = 'x', value = 1 }");
		sent("return { id = 2, name = values[i], value = 1 }");
		sent("return { id = true, name = 'x', value = values[i] }");
		sent("return { id = values[i], name = values[i], value = values[#values - i] }");
	}
	for (int i = 0; i < 4; i++) {
		lua_settop(A, 0);
		lua_createtable(A, 0, 3);
		lua_pushlightuserdata(A, fields + i);
		lua_setfield(A, -2, "id");
		lua_pushinteger(A, i);
		lua_setfield(A, -2, "name");
		lua_pushlightuserdata(A, fields + 4 + i);
		lua_setfield(A, -2, "value");
		assert_true(is_read());
		assert_int_equal(send_top(), M_RECORD);
		char *before = pair_describe(A, 1), *after = pair_describe(B, 1);
		assert_string_equal(before, after);
		free(before);
		free(after);
	}
}

/* Tables of all sizes are sent and received by a copy of their keys; what is received is a table as any other. */
static void test_what_is_received_is_a_table(void **state)
{
	(void)state;
	for (int n = 1; n <= 17; n++) {
		pair_close();
		pair_open();
		lua_pushinteger(A, n);
		lua_setglobal(A, "n");
		for (int i = 0; i < LONG_ENOUGH; i++)
			sent("local t = {} for i = 1, n do t['key' .. i] = i % 2 == 0 and i or 'value ' .. i end return t");
		assert_int_equal(vb.layouts ? vb.layouts->n : 0, n <= VAI__SHAPE_KEYS);
		assert_int_equal(va.layouts ? va.layouts->n : 0, n <= VAI__SHAPE_KEYS);
		pair_run(A, "local t = {} for i = 1, n do t['key' .. i] = i % 2 == 0 and i or 'value ' .. i end return t");
		send_top();
		lua_setglobal(B, "t");
		lua_pushinteger(B, n);
		lua_setglobal(B, "n");
		lua_settop(B, 0);
		pair_run(B,
			"local function check(t, n, m) local count = 0\n"
			"for k, v in pairs(t) do count = count + 1 local i = tonumber(k:match '^key(%d+)$')\n"
			"assert(v == (i % 2 == 0 and i or 'value ' .. i)) end assert(count == m - n + 1)\n"
			"for i = n, m do assert(t['key' .. i] == (i % 2 == 0 and i or 'value ' .. i)) end end\n"
			"check(t, 1, n) collectgarbage() check(t, 1, n)\n"
			"for i = n + 1, 70 do t['key' .. i] = i % 2 == 0 and i or 'value ' .. i check(t, 1, i) end\n"
			"collectgarbage 'generational' collectgarbage() collectgarbage 'step' check(t, 1, 70)\n"
			"for i = 1, 60 do t['key' .. i] = nil end check(t, 61, 70) collectgarbage 'incremental'\n"
			"for i = 1, 60 do t['key' .. i] = i % 2 == 0 and i or 'value ' .. i end check(t, 1, 70) return t");
	}
}

/* The keys of a layout are kept, though no table has them any more and their memory is asked for again. */
static void test_keys_are_kept(void **state)
{
	(void)state;
	learn();
	for (int round = 0; round < 3; round++) {
		for (int which = 0; which < 2; which++) {
			lua_State *L = which ? B : A;
			lua_settop(L, 0);
			lua_gc(L, LUA_GCCOLLECT);
			pair_run(L, "local all = {} for i = 1, 5000 do all[i] = 'other ' .. i end return #all");
		}
		sent("return { id = 1, name = 'record', value = .5 }");
	}
}

/* A finalizer that runs while a state learns may send, too, and there may be more shapes than a state has layouts. */
static void test_many_layouts(void **state)
{
	(void)state;
	for (int i = 0; i < LONG_ENOUGH; i++) {
		for (int shape = 0; shape < VAI__LAYOUTS + 3; shape++) {
			lua_pushinteger(A, shape);
			lua_setglobal(A, "shape");
			pair_run(A, "return { ['a' .. shape] = 1, ['b' .. shape] = 'x', c = true }");
			send_top();
			char *before = pair_describe(A, 1), *after = pair_describe(B, 1);
			assert_string_equal(before, after);
			free(before);
			free(after);
		}
	}
	assert_int_equal(va.layouts->n, VAI__LAYOUTS);
	assert_int_equal(vb.layouts->n, VAI__LAYOUTS);
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
		char *before = pair_describe(A, 1), *after = pair_describe(B, 1);
		assert_string_equal(before, after);
		free(before);
		free(after);
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
	for (int i = 0; i < LONG_ENOUGH; i++)
		short_of_memory(ch, "return { id = 1, name = 'record' .. 1, value = .5 }");
	assert_int_equal(vb.layouts->n, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_a_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_layouts_are_learnt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_keys_are_not_learnt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables_like_a_known_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values_of_a_known_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_received_is_a_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_layouts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_shapes_than_there_are, setup, teardown),
	};
	vai__handle_register(&vai__lib_chan_type);
	pair_register();
	return cmocka_run_group_tests_name("flat", tests, NULL, NULL);
}
