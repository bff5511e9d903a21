/* SPDX-License-Identifier: MIT */
/* Layouts: when a state knows how records lie in its memory, that it reads no other table by that, and that what it
 * makes by it is a table as any other, whatever the collector and finalizers do meanwhile. */
#include "base/obj.h"
#include "code/table_memory.h"
#include "transfer/codec.h"
#include "transfer/layout.h"
#include "transfer/message.h"
#include "transfer/pair.h"

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

static char fields[8];     /* addresses for light userdata */
enum { LONG_ENOUGH = 40 }; /* records until a state surely knows a layout */

/* Both states know how tables of these three keys lie in them. */
static void learn(void)
{
	for (int i = 0; i < LONG_ENOUGH; i++)
		pair_sent("return { id = 1, name = 'record', value = .5 }");
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
		pair_sent("return { id = 1, name = 'record', value = .5 }");
	assert_int_equal(va.layouts->n, 1);
	assert_int_equal(vb.layouts->n, 1);
}

/* A node from which a key was removed still names it, and nobody keeps that string alive. */
static void test_removed_keys_are_not_learnt(void **state)
{
	(void)state;
	for (int i = 0; i < LONG_ENOUGH; i++)
		pair_sent("local t = { id = 1, name = 'record', value = .5, gone = 1 } t.gone = nil return t");
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
		"t.id = nil t.__gc = 1", "t.name = vai", "t.name = string", "t.value = nil t[1.5] = 7",
		"t.value = nil t[2^53] = 7", "t.value = nil t[-1] = 7", "t.value = nil t[print] = 7",
		"t.name = nil t[('k'):rep(40)] = 1"};
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
		pair_sent(chunk);
	}
	/* These may lie as it or not. */
	pair_sent("local t = { id = 1, name = 'record', value = .5 } t.name = nil collectgarbage() t['na' .. 'me'] = 'x' "
			  "return t");
	pair_sent("local t = { value = 1, name = 'record', id = .5 } return t");
	pair_sent("local t = {} t.value = 1 t.id = 2 t.name = 'x' return t");
	pair_sent("local t = { id = 1, name = 'record', value = .5, 1, 2, 3 } for i = 3, 1, -1 do t[i] = nil end return t");
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
		pair_sent("return { id = values[i], name = 'x', value = 1 }");
		pair_sent("return { id = 2, name = values[i], value = 1 }");
		pair_sent("return { id = true, name = 'x', value = values[i] }");
		pair_sent("return { id = values[i], name = values[i], value = values[#values - i] }");
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
		assert_int_equal(pair_send_top(), M_RECORD);
		pair_compare();
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
			pair_sent("local t = {} for i = 1, n do t['key' .. i] = i % 2 == 0 and i or 'value ' .. i end return t");
		assert_int_equal(vb.layouts ? vb.layouts->n : 0, n <= VAI__SHAPE_KEYS);
		assert_int_equal(va.layouts ? va.layouts->n : 0, n <= VAI__SHAPE_KEYS);
		pair_run(A, "local t = {} for i = 1, n do t['key' .. i] = i % 2 == 0 and i or 'value ' .. i end return t");
		pair_send_top();
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
		pair_sent("return { id = 1, name = 'record', value = .5 }");
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
			pair_send_top();
			pair_compare();
		}
	}
	assert_int_equal(va.layouts->n, VAI__LAYOUTS);
	assert_int_equal(vb.layouts->n, VAI__LAYOUTS);
}

/* A list beside the keys: nothing is learnt of it, and it arrives as it is by what is known of the keys. */
static void test_lists_beside_keys(void **state)
{
	(void)state;
	for (int i = 0; i < LONG_ENOUGH; i++)
		pair_sent("return { 1, 'two', id = 1, name = 'record', value = .5 }");
	assert_null(va.layouts);
	assert_null(vb.layouts);
	learn();
	pair_sent("return { 1, 'two', id = 1, name = 'record', value = .5 }");
	assert_int_equal(va.layouts->n, 1);
}

/* ---- the collector ---- */

/* receive(): the table with which A's stack begins. */
static int receive(lua_State *L)
{
	vai_msg msg;
	lua_settop(A, 1);
	vai__encode(A, &va, 1, &msg, "value");
	return vai__decode_take(L, &vb, &msg);
}

/* A collector that never rests, in each of its modes. */
static void test_collector(void **state)
{
	static const char *const modes[] = {
		"incremental', 1, 1000, 1", "incremental', 1, 40, 1", "incremental', 100, 100, 4", "generational', 1, 1"};
	(void)state;
	lua_register(B, "receive", receive);
	learn();
	pair_run(A, "return { id = 1, name = 'record', value = .5 }");
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		lua_settop(B, 0);
		lua_pushfstring(B,
			"collectgarbage('%s) local kept = {} for i = 1, 3000 do\n"
			"local t = receive() kept[i %% 50] = t kept[i] = i %% 7 == 0 and { t } or nil\n"
			"assert(t.id == 1 and t.name == 'record' and t.value == .5)\n"
			"if i %% 3 == 0 then t.id = {} t.more = i t.name = nil end\n"
			"if i %% 5 == 0 then setmetatable(t, { __mode = 'kv' }) t.value = {} end end\n"
			"for _, t in pairs(kept) do for k, v in pairs(t) do assert(t[k] == v or v == nil) end end",
			modes[i]);
		pair_run(B, lua_tostring(B, -1));
		pair_sent("return { id = 1, name = 'record', value = .5 }");
		pair_run(A, "return { id = 1, name = 'record', value = .5 }");
	}
}

/* A finalizer that finds the table that is being made, by the debug library, and spoils it. */
static void test_spoilt_tables(void **state)
{
	static const char *const spoils[] = {"t[1] = 1 t[2] = 2", "t.more = 1", "t.id = {}",
		"setmetatable(t, { __mode = 'k' })", "t.a, t.b, t.c, t.d = 1, 2, 3, 4 t.a, t.b = nil",
		"t.a = 1 t.a = nil t[1] = 1", "for i = 1, 40 do t[i] = i end"};
	(void)state;
	lua_register(B, "receive", receive);
	for (int n = 1; n <= 3; n++) {
		lua_pushinteger(A, n);
		lua_setglobal(A, "n");
		for (int i = 0; i < LONG_ENOUGH; i++)
			pair_sent("return { id = 1, name = n > 1 and 2 or nil, value = n > 2 and 'x' or nil }");
		pair_run(A, "return { id = 1, name = n > 1 and 2 or nil, value = n > 2 and 'x' or nil }");
		for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
			lua_settop(B, 0);
			lua_pushfstring(B,
				"local debug, type, setmetatable, found, mt = debug, type, setmetatable, 0, {}\n"
				"local function spoil(t) %s end\n"
				"function mt.__gc() setmetatable({}, mt)\n"
				"if not debug.getinfo(2) or debug.getinfo(2, 'f').func ~= receive then return end\n"
				"for i = 1, 9 do local _, t = debug.getlocal(2, i)\n"
				"if type(t) == 'table' then found = found + 1 spoil(t) end end end\n"
				"setmetatable({}, mt) collectgarbage('incremental', 1, 1000, 1)\n"
				"for i = 1, 20000 do local t = receive() if found > 20 then break end\n"
				"for k, v in pairs(t) do t[k] = nil end t.after = 1 end mt.__gc = nil\n"
				"collectgarbage('incremental', 200, 100, 13) return found",
				spoils[i]);
			pair_run(B, lua_tostring(B, -1));
			assert_true(lua_tointeger(B, -1) > 20);
		}
	}
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

/* Argument: the message, which stays. */
static int receive_message(lua_State *L)
{
	return vai__decode(L, &vb, lua_touserdata(L, 1));
}

/* How many allocations it takes to receive the message; before each try the state has missed so many records. */
static long allocations(const vai_msg *msg, uint8_t missed)
{
	for (long n = 1; n < 100; n++) {
		lua_settop(B, 0);
		lua_gc(B, LUA_GCCOLLECT);
		vb.missed = missed;
		lua_pushcfunction(B, receive_message);
		lua_pushlightuserdata(B, (void *)msg);
		countdown = n;
		pair_fails = fails;
		int status = lua_pcall(B, 1, 1, 0);
		countdown = 0;
		if (status == LUA_OK)
			return n;
		assert_int_equal(status, LUA_ERRMEM);
	}
	fail();
	return 0;
}

/* A record arrives though there is no memory to learn from it. */
static void test_no_memory_to_learn(void **state)
{
	vai_msg msg;
	(void)state;
	va.missed = vb.missed = UINT8_MAX; /* they learn nothing */
	for (int i = 0; i < 2; i++)
		pair_sent("return { id = 1, value = .5 }");
	pair_run(A, "return { id = 1, value = .5 }");
	vai__encode(A, &va, -1, &msg, "value");
	assert_int_equal(vai__msg_tag(&msg), M_RECORD);
	const long needed = allocations(&msg, UINT8_MAX);
	assert_null(vb.layouts);
	assert_int_equal(allocations(&msg, LONG_ENOUGH), needed);
	pair_compare();
	for (long n = needed; !vb.layouts || vb.layouts->n == 0; n++) {
		assert_true(n < 100);
		vb.missed = LONG_ENOUGH;
		countdown = n;
		assert_int_equal(vai__decode(B, &vb, &msg), 1);
		countdown = 0;
		pair_run(A, "return { id = 1, value = .5 }");
		pair_compare();
	}
	assert_true(vb.layouts->n == 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_layouts_are_learnt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_keys_are_not_learnt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables_like_a_known_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values_of_a_known_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_received_is_a_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_layouts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists_beside_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collector, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spoilt_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory_to_learn, setup, teardown),
	};
	pair_register();
	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
