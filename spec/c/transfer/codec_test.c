/* SPDX-License-Identifier: MIT */
/* Values from one state to another. */
#include "transfer/pair.h"
#include "whole.h"

static int setup(void **state)
{
	(void)state;
	pair_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pair_close();
	return things;
}

/* ---- values ---- */

static void test_scalars(void **state)
{
	(void)state;
	pair_check("return nil, true, false, 0, -1, math.maxinteger, math.mininteger, 1.5, -0.0, 0/0, 1/0, -1/0, 3.0");
	pair_check("return");
	pair_check("return nil");
	pair_check("return 7");
	pair_check("return 7.0");
	pair_check("return print");
	pair_check("return print, string.format");
	lua_pushlightuserdata(A, &va);
	pair_round_trip();
	lua_pushlightuserdata(A, &va);
	lua_pushlightuserdata(A, NULL);
	pair_round_trip();
}

static void test_strings(void **state)
{
	(void)state;
	pair_check("return 'a\\0b', ''");
	for (int len = 0; len < 600; len += len < 50 ? 1 : 37) {
		lua_pushinteger(A, len);
		lua_setglobal(A, "len");
		pair_check("return ('\\0x\\xff'):rep(len):sub(1, len)");
		pair_check("local s = ('k'):rep(len) return { [s] = s, s }");
	}
	lua_pushinteger(A, spec_count(15, 100));
	lua_setglobal(A, "many");
	pair_check("return ('x'):rep(many * 1000000)");
	pair_check("return { ('x'):rep(many * 100000), ('y'):rep(70000) }");
}

static void test_tables(void **state)
{
	(void)state;
	pair_check("return {}");
	pair_check("return { 1, 2, 3 }");
	pair_check("return { id = 1, name = 'somebody', value = 2.5 }");
	pair_check("return { 1, nil, 3, nil, 5, x = 1, [2.5] = true, [-1] = 'a', [true] = false, [0] = {} }");
	pair_check("local t = {} for i = 10, 1, -1 do t[i] = i end t.x = 1 return t");
	pair_check("local t = {} for i = 1, 100 do t[i] = { id = i, name = 'n' .. i, value = i / 2 } end return t");
	pair_check("return { [math.maxinteger] = 1, [math.mininteger] = 2, ['1'] = 3, [1] = 4, ['2'] = 5 }");
	pair_check(
		"local t = {} for i = 1, 100 do t['key' .. i] = { ['key' .. i] = i, ['key' .. (i % 7)] = 1 } end return t");
}

static void test_big_tables(void **state)
{
	(void)state;
	vai_msg msg;
	pair_run(A, "local t = {} for i = 1, 1000000 do t[i] = i * 2 end for i = 1, 1000 do t['k' .. i] = i end return t");
	vai__encode(A, &va, 1, &msg, "value");
	assert_int_equal(vai__decode_take(B, &vb, &msg), 1);
	lua_setglobal(B, "t");
	pair_run(B,
		"for i = 1, 1000000 do assert(t[i] == i * 2) end for i = 1, 1000 do assert(t['k' .. i] == i) end\n"
		"local n = 0 for _ in pairs(t) do n = n + 1 end assert(n == 1001000) t = nil");
	lua_settop(A, 0);
}

static void test_identity(void **state)
{
	(void)state;
	pair_check("local t = {} t.self = t return t");
	pair_check("local a, b = { tag = 1 }, { tag = 2 } a.b = b b.a = a return a, b, a");
	pair_check("local k = { tag = 'k' } return { [k] = k, x = k }");
	pair_check("local k = { tag = 'k' } local t = { tag = 't', [k] = 1 } k[t] = 2 return t");
	pair_check("local mt = { __index = { x = 1 } } mt.__metatable = 'hidden' return { setmetatable({}, mt), "
			   "setmetatable({}, mt) }");
	pair_check("local C = {} C.__index = C C.default = setmetatable({ tag = 1 }, C) return setmetatable({}, C), C");
	pair_check("local mt = {} setmetatable(mt, mt) return mt");
	pair_check("return setmetatable({}, setmetatable({}, { __call = print })), 'x'");
}

static void test_depth(void **state)
{
	(void)state;
	pair_check("local t for i = 1, 47 do t = { t, i } end return t");
	for (int depth = 46; depth <= 52; depth++) {
		lua_pushinteger(A, depth);
		lua_setglobal(A, "depth");
		pair_check("local t = {} for i = 1, depth do t = { x = t, i, i } end return t");
		pair_check("local f = print for i = 1, depth do local g = f f = function() return g(i) end end return f");
		pair_check(
			"local t, u = { tag = 0 }, {} for i = 1, depth do t = setmetatable({ x = t, u = u, tag = i }, { u, t }) "
			"end return t, u");
	}
	pair_check(
		"local first, t = {} t = first for i = 1, 3000 do t.next = { i } t = t.next end t.first = first return first");
	pair_check("local t = {} for i = 1, 500 do t = { [t] = i, tag = i } end return t");
	pair_check("local f for i = 1, 500 do local g, n = f, i f = function() n = n + 1 return g, n end end return f, f");
}

static void test_long_list(void **state)
{
	(void)state;
	vai_msg msg;
	pair_run(A, "local list for i = 1, 300000 do list = { next = list } end return list");
	vai__encode(A, &va, 1, &msg, "value");
	vai__decode_take(B, &vb, &msg);
	lua_setglobal(B, "list");
	pair_run(B, "local n = 0 while list do list = list.next n = n + 1 end assert(n == 300000, n)");
	lua_settop(A, 0);
}

/* ---- functions ---- */

static void test_functions(void **state)
{
	(void)state;
	pair_check("return function(...) return ... end");
	pair_check("local a, b = 1, { 'x' } return function() return a, b end");
	pair_check("local function f(n) return n > 0 and f(n - 1) end return f");
	pair_check("local f, g function f() return g() end function g() return f() end return { f, g, g, f }");
	pair_check("local n = 0 return { get = function() return n end, set = function(v) n = v end }");
	pair_check("local n = 0 local function mk() return function() n = n + 1 return n end end return mk, mk(), mk()");
	pair_check("return load('local a <const>, b = ... return a, function() return b end', 'chunk')");
	pair_check("local s = string.dump(function() local x = print return x end, true) return load(s)");
	pair_check("local t = {} for i = 1, 20 do local u = i t[i] = function() return u, i, t end end return t");
	pair_check("return string.gmatch, ipairs({}), coroutine.wrap, require");
	pair_check("local _ENV = { print = print } return function() return print end");
	pair_check(
		"return setmetatable({}, { __index = function(t, k) return k end, __call = function(self) return self end })");
}

static void test_functions_work(void **state)
{
	(void)state;
	vai_msg msg;
	pair_run(A,
		"local n = 0 local function inc(by) n = n + by return n end\n"
		"local function fact(i) return i <= 1 and 1 or i * fact(i - 1) end\n"
		"return inc, function() return n end, fact, setmetatable({ 5 }, { __add = function(a, b) return a[1] + b end "
		"})");
	vai__encode_values(A, &va, 1, 4, &msg, "value");
	assert_int_equal(vai__decode_take(B, &vb, &msg), 4);
	lua_setglobal(B, "obj");
	lua_setglobal(B, "fact");
	lua_setglobal(B, "get");
	lua_setglobal(B, "inc");
	pair_run(B, "assert(inc(2) == 2 and inc(3) == 5 and get() == 5 and fact(10) == 3628800 and obj + 1 == 6)");
	pair_run(A, "assert(select(2, ...) == nil)");
	lua_settop(A, 0);
}

static void test_globals(void **state)
{
	(void)state;
	vai_msg msg;
	pair_check("return _G, { _G }, _ENV, function() return _ENV end");
	pair_run(A,
		"limit = 10 unused = 11 names = { 'a' }\n"
		"function helper(x) return x + limit + #names end\n"
		"function other() return helper(1) end\n"
		"own = 'sender'\n"
		"return function() return other(), own, string.rep('x', 2), _G.limit end");
	pair_run(B, "own = 'receiver'");
	vai__encode(A, &va, 1, &msg, "value");
	vai__decode_take(B, &vb, &msg);
	lua_setglobal(B, "f");
	pair_run(B,
		"local a, b, c, d = f() assert(a == 12 and b == 'receiver' and c == 'xx' and d == 10)\n"
		"assert(limit == 10 and unused == nil and #names == 1)");
	lua_settop(A, 0);
	pair_run(A, "local _ENV = setmetatable({ mine = 1 }, { __index = _G }) return function() return mine, limit end");
	vai__encode(A, &va, 1, &msg, "value");
	pair_run(B, "limit = nil");
	vai__decode_take(B, &vb, &msg);
	lua_setglobal(B, "f");
	pair_run(B, "local a, b = f() assert(a == 1 and b == 10)");
	lua_settop(A, 0);
}

static void test_modules(void **state)
{
	(void)state;
	const char *define =
		"package.loaded['my.mod'] = nil package.preload['my.mod'] = function() return { where = here, f = print } end";
	vai_msg msg;
	pair_run(A, define);
	pair_run(B, define);
	pair_run(A, "here = 'A' require 'my.mod'");
	pair_run(B, "here = 'B'");
	pair_check("return string, { table, x = { string } }, { string = string }");
	pair_check("local s, m = string, math return function() return s, m end");
	pair_run(A,
		"local m = require 'my.mod' return m, { m }, setmetatable({}, m), function() return m end, { x = 1, y = {} }");
	for (int i = 0; i < 2; i++) {
		vai__encode_values(A, &va, 1, 5, &msg, "value");
		assert_int_equal(vai__decode_take(B, &vb, &msg), 5);
		lua_createtable(B, 5, 0);
		lua_insert(B, 1);
		for (int k = 5; k >= 1; k--)
			lua_rawseti(B, 1, k);
		lua_setglobal(B, "got");
		pair_run(B,
			"local m = require 'my.mod' assert(m.where == 'B')\n"
			"assert(got[1] == m and got[2][1] == m and getmetatable(got[3]) == m and got[4]() == m)");
	}
	lua_settop(A, 0);
	pair_run(A, "local t = {} for i = 1, 40 do t[i] = { print, { i } } end t[41] = string return t");
	pair_round_trip();
}

static int upvalue(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	return 1;
}

/* A function of a C library may hang on what only the library can make. */
static void test_members_of_modules(void **state)
{
	(void)state;
	vai_msg msg;
	for (int i = 0; i < 2; i++) {
		lua_State *L = i ? B : A;
		pair_run(L, "package.loaded['c.mod'] = {}");
		lua_getglobal(L, "package");
		lua_getfield(L, -1, "loaded");
		lua_getfield(L, -1, "c.mod");
		lua_newuserdatauv(L, 8, 0);
		lua_pushcclosure(L, upvalue, 1);
		lua_setfield(L, -2, "encode");
		lua_settop(L, 0);
	}
	pair_run(A, "local encode = require 'c.mod'.encode return { x = encode, encode }, function() return encode end");
	vai__encode_values(A, &va, 1, 2, &msg, "value");
	assert_int_equal(vai__decode_take(B, &vb, &msg), 2);
	lua_setglobal(B, "f");
	lua_setglobal(B, "t");
	pair_run(B, "local here = require 'c.mod'.encode assert(t.x == here and t[1] == here and f() == here)");
	lua_settop(A, 0);
}

/* ---- vai's own objects, metamethods ---- */

static void test_objects(void **state)
{
	(void)state;
	vai_msg msg;
	for (int i = 0; i < 2; i++) {
		pair_run(A, "a = a or thing() b = thing() return a, { a, x = a, [a] = b }, function() return a, b end");
		vai__encode_values(A, &va, 1, 3, &msg, "value");
		vai__decode_take(B, &vb, &msg);
		lua_setglobal(B, "f");
		lua_setglobal(B, "t");
		lua_setglobal(B, "a");
		pair_run(
			B, "assert(type(a) == 'userdata' and t[1] == a and t.x == a and t[a] ~= a and type(t[a]) == 'userdata')");
		lua_settop(A, 0);
	}
	pair_run(A, "return a");
	vai__encode(A, &va, 1, &msg, "value");
	pair_run(B, "x, a, b, t, f = a, nil, nil, nil, nil");
	vai__decode(B, &vb, &msg);
	lua_setglobal(B, "y");
	pair_run(B, "assert(x == y)");
	vai__msg_drop(&msg);
	lua_settop(A, 0);
	pair_run(A, "return { a, b, thing() }");
	vai__encode(A, &va, 1, &msg, "value");
	vai__msg_drop(&msg);
	lua_settop(A, 0);
	pair_run(A, "a, b = nil, nil");
	pair_collect(A);
	pair_collect(B);
	assert_int_equal(things, 1);
	pair_run(B, "x, y = nil, nil");
	pair_collect(B);
	assert_int_equal(things, 0);
}

static void test_send_metamethod(void **state)
{
	(void)state;
	vai_msg msg;
	pair_run(A,
		"calls = 0\n"
		"local mt = { __vai_send = function(self) calls = calls + 1 collectgarbage() return { 'sent', calls } end }\n"
		"local u, v = udata(mt), udata { __vai_send = function() return nil end }\n"
		"local C = { __name = 'C' } C.__vai_send = function(self) return setmetatable({ copy = true }, "
		"getmetatable(self)) end\n"
		"return { u, u, v, [u] = 'key' }, u, setmetatable({ copy = false }, C), v");
	vai__encode_values(A, &va, 1, 4, &msg, "value");
	pair_run(A, "assert(calls == 1)");
	assert_int_equal(vai__decode_take(B, &vb, &msg), 4);
	lua_setglobal(B, "v");
	lua_setglobal(B, "c");
	lua_setglobal(B, "u");
	lua_setglobal(B, "t");
	pair_run(B,
		"assert(t[1] == u and t[2] == u and u[1] == 'sent' and t[3] == nil and t[u] == 'key' and v == nil)\n"
		"assert(c.copy == true and getmetatable(c).__name == 'C')");
	lua_settop(A, 0);
}

static void test_finalizers_cross(void **state)
{
	(void)state;
	vai_msg msg;
	pair_run(A,
		"local C = { closed = 0 } C.__index = C C.__gc = function(self) done = (done or 0) + self.n end\n"
		"C.default = setmetatable({ n = 1 }, C) return setmetatable({ n = 10, C = C }, C)");
	vai__encode(A, &va, 1, &msg, "value");
	vai__decode_take(B, &vb, &msg);
	assert_true(vb.needs_close);
	lua_settop(B, 0);
	pair_collect(B);
	pair_run(B, "assert(done == 11, done)");
	lua_settop(A, 0);
}

/* ---- random values ---- */

static const char generator[] =
	"local lengths = { 0, 1, 5, 30, 31, 40, 41, 255, 256, 700 }\n"
	"local function pick(t) return t[math.random(#t)] end\n"
	"function generate(seed)\n"
	"  math.randomseed(seed)\n"
	"  local pool = {}\n"
	"  for i = 1, math.random(12) do pool[i] = { tag = i } end\n"
	"  local value, depth = nil, 0\n"
	"  local makers = {\n"
	"    function() return math.random(0) end,\n"
	"    function() return math.random(-5, 5) end,\n"
	"    function() return math.random() end,\n"
	"    function() return pick { 0/0, 1/0, -1/0, -0.0, 1e300, 3.0 } end,\n"
	"    function() return math.random(2) == 1 end,\n"
	"    function() return string.rep(string.char(math.random(0, 255), 97), pick(lengths)):sub(1, pick(lengths)) end,\n"
	"    function() return 'key' .. math.random(20) end,\n"
	"    function() return pick { print, string, _G, math.sin, table, string.gmatch } end,\n"
	"    function() return pick(pool) end,\n"
	"    function() return pick(pool) end,\n"
	"    function() local a, b = value(), value() return function(x) a = x return a, b, string.format end end,\n"
	"    function() local a local f = function() return a end a = value() return { f, function(y) a = y end, f, tag = "
	"1e9 + math.random(1 << 40) } end,\n"
	"    function() return setmetatable({ value(), x = value() }, pick(pool)) end,\n"
	"    function() local t = {} for i = 1, math.random(30) do t[i] = value() end return t end,\n"
	"  }\n"
	"  function value()\n"
	"    depth = depth + 1\n"
	"    local v = makers[math.random(depth > 4 and 10 or #makers)]()\n"
	"    depth = depth - 1\n"
	"    return v\n"
	"  end\n"
	"  for _, t in ipairs(pool) do\n"
	"    for i = 1, math.random(0, 8) do\n"
	"      local k = pick { 'key' .. i, i, i + 0.5, -i, true, pick(pool), 'longer' .. ('k'):rep(50) }\n"
	"      t[k] = value()\n"
	"    end\n"
	"    if math.random(4) == 1 then setmetatable(t, pick(pool)) end\n"
	"  end\n"
	"  return table.unpack(pool, 1, math.random(3))\n"
	"end\n";

static void test_random(void **state)
{
	(void)state;
	int seeds = spec_count(120, 400);
	pair_run(A, generator);
	for (int seed = 1; seed <= seeds; seed++) {
		lua_getglobal(A, "generate");
		lua_pushinteger(A, seed);
		lua_call(A, 1, LUA_MULTRET);
		pair_round_trip();
	}
}

int main(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	pair_register();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scalars, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_big_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_functions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_functions_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_globals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_members_of_modules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_metamethod, setup, teardown),
		cmocka_unit_test_setup_teardown(test_finalizers_cross, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
