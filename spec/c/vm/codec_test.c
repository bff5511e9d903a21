/* SPDX-License-Identifier: MIT */
/* Values from one state to another: what arrives is described in Lua on both sides and the
 * descriptions compared, identities included. Allocations of both states and of vai can be
 * made to fail, and are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/obj.h"
#include "vm/block.h"
#include "vm/codec.h"
#include "vm/funcs.h"
#include "vm/handle.h"
#include "vm/modcache.h"

/* ---- memory that is counted and can fail ---- */

static long blocks;       /* of vai's, outstanding */
static long countdown;    /* 0: never fail; n: the n-th allocation fails and all after it */

static bool fails(void)
{
	if (countdown == 0)
		return false;
	if (countdown > 1) {
		countdown--;
		return false;
	}
	return true;
}

size_t vai__mem_round(size_t size)
{
	return size;
}

void *vai__mem_alloc(size_t size)
{
	void *p = fails() ? NULL : malloc(size ? size : 1);
	blocks += p != NULL;
	return p;
}

void *vai__mem_zalloc(size_t size)
{
	void *p = vai__mem_alloc(size);
	return p ? memset(p, 0, size) : NULL;
}

void vai__mem_free(void *p, size_t size)
{
	(void)size;
	blocks -= p != NULL;
	free(p);
}

void vai__mem_thread_exit(void)
{
}

static void *lua_alloc(void *ud, void *p, size_t osize, size_t nsize)
{
	(void)ud;
	(void)osize;
	if (nsize == 0) {
		free(p);
		return NULL;
	}
	return (!p || nsize > osize) && fails() ? NULL : realloc(p, nsize);
}

/* ---- the two states ---- */

static lua_State *A, *B;
static struct vai_vm va, vb;

static const char helpers[] =
	"local function order(k)\n"
	"  if type(k) == 'table' then return 'T' .. tostring(rawget(k, 'tag')) end\n"
	"  if math.type(k) == 'float' then return ('f%a'):format(k) end\n"
	"  return (math.type(k) or type(k)) .. tostring(k)\n"
	"end\n"
	"local modules = {}\n"
	"function describe(...)\n"
	"  local ids, queue, out, n, ups, nups = {}, {}, {}, 0, {}, 0\n"
	"  for name, m in pairs(package.loaded) do modules[m] = name end\n"
	"  local function id(x)\n"
	"    if not ids[x] then n = n + 1; ids[x] = n; queue[n] = x end\n"
	"    return ids[x]\n"
	"  end\n"
	"  local function put(s) out[#out + 1] = s end\n"
	"  local function value(v)\n"
	"    local t = math.type(v) or type(v)\n"
	"    if v == _G then put 'G'\n"
	"    elseif t == 'table' and modules[v] then put('M' .. modules[v])\n"
	"    elseif t == 'float' then put(v ~= v and 'nan' or ('f%a'):format(v))\n"
	"    elseif t == 'string' then put(('%d'):format(#v)) put(#v < 300 and ('%q'):format(v) or v:sub(1, 99) .. v:sub(-99))\n"
	"    elseif t == 'function' and debug.getinfo(v, 'S').what == 'C' and not debug.getupvalue(v, 1) then put(tostring(v))\n"
	"    elseif t == 'table' or t == 'function' then put(t .. id(v))\n"
	"    elseif t == 'userdata' and debug.getmetatable(v) then put('object')\n"
	"    else put(t .. tostring(v)) end\n"
	"    put ' '\n"
	"  end\n"
	"  for i = 1, select('#', ...) do value((select(i, ...))) end\n"
	"  local i = 0\n"
	"  while i < n do\n"
	"    i = i + 1\n"
	"    local x = queue[i]\n"
	"    put('\\n' .. i .. ': ')\n"
	"    if type(x) == 'table' then\n"
	"      local keys, count = {}, 0\n"
	"      for k in next, x do count = count + 1; keys[count] = k end\n"
	"      if count > 1 then table.sort(keys, function(a, b) return order(a) < order(b) end) end\n"
	"      for _, k in ipairs(keys) do value(k) put '= ' value(x[k]) end\n"
	"      local mt = debug.getmetatable(x)\n"
	"      if mt then put 'meta ' value(mt) end\n"
	"    else\n"
	"      for u = 1, 255 do\n"
	"        local name, v = debug.getupvalue(x, u)\n"
	"        if not name then break end\n"
	"        put(name)\n"
	"        if v ~= _G and debug.getinfo(x, 'S').what ~= 'C' then\n"
	"          local up = debug.upvalueid(x, u)\n"
	"          if not ups[up] then nups = nups + 1; ups[up] = nups end\n"
	"          put('@' .. ups[up])\n"
	"        end\n"
	"        put '= ' value(v)\n"
	"      end\n"
	"      if debug.getinfo(x, 'S').what ~= 'C' then put(string.dump(x)) end\n"
	"    end\n"
	"  end\n"
	"  return table.concat(out)\n"
	"end\n";

static void run(lua_State *L, const char *chunk)
{
	if (luaL_loadbufferx(L, chunk, strlen(chunk), "@test.lua", "t") != LUA_OK || lua_pcall(L, 0, LUA_MULTRET, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
}

static int panic(lua_State *L)
{
	fail_msg("%s", lua_tostring(L, -1));
	return 0;
}

static lua_State *open_state(struct vai_vm *vm)
{
	lua_State *L = lua_newstate(lua_alloc, NULL);
	lua_atpanic(L, panic);
	luaL_openlibs(L);
	*vm = (struct vai_vm){ .L = L, .is_host = true };
	run(L, helpers);
	return L;
}

static void close_state(struct vai_vm *vm)
{
	vai__handles_release(vm);
	vai__codec_release(vm);
	vai__funcs_free(vm->funcs);
	vm->funcs = NULL;
	lua_close(vm->L);
}

static int setup(void **state)
{
	(void)state;
	countdown = 0;
	A = open_state(&va);
	B = open_state(&vb);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_state(&va);
	close_state(&vb);
	vai__code_forget();
	vai__modpath_drop();
	if (blocks != 0)
		print_error("%ld blocks are left\n", blocks);
	return blocks == 0 ? 0 : -1;
}

/* The description of the n values on top of the stack. */
static char *describe(lua_State *L, int n)
{
	lua_getglobal(L, "describe");
	lua_insert(L, -n - 1);
	if (lua_pcall(L, n, 1, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	size_t len;
	const char *s = lua_tolstring(L, -1, &len);
	char *copy = malloc(len + 1);
	for (size_t i = 0; i <= len; i++)
		copy[i] = s[i] ? s[i] : i < len ? '0' : '\0';
	lua_pop(L, 1);
	return copy;
}

/* All values on A's stack go to B three times. */
static void round_trip(void)
{
	int n = lua_gettop(A);
	vai_msg msg;
	vai__encode_values(A, &va, 1, n, &msg, "value");
	assert_int_equal(lua_gettop(A), n);
	char *want = describe(A, n);
	for (int i = 0; i < 3; i++) {
		int got = i < 2 ? vai__decode(B, &vb, &msg) : vai__decode_take(B, &vb, &msg);
		assert_int_equal(got, n);
		assert_int_equal(lua_gettop(B), n);
		char *have = describe(B, n);
		assert_string_equal(have, want);
		free(have);
	}
	assert_true(msg.w[0] == 0 && msg.w[1] == 0);
	free(want);
	lua_settop(A, 0);
	lua_settop(B, 0);
}

static void check(const char *chunk)
{
	run(A, chunk);
	round_trip();
}

static int encode_1(lua_State *L)
{
	vai_msg msg;
	vai__encode(L, &va, 1, &msg, "argument 1");
	vai__msg_drop(&msg);
	return 0;
}

/* The chunk's value cannot be sent, for that reason. */
static void refused(const char *chunk, const char *why)
{
	lua_pushcfunction(A, encode_1);
	run(A, chunk);
	assert_int_equal(lua_pcall(A, lua_gettop(A) - 1, 0, 0), LUA_ERRRUN);
	assert_string_equal(lua_tostring(A, -1), why);
	lua_settop(A, 0);
}

/* ---- values ---- */

static void test_scalars(void **state)
{
	(void)state;
	check("return nil, true, false, 0, -1, math.maxinteger, math.mininteger, 1.5, -0.0, 0/0, 1/0, -1/0, 3.0");
	check("return");
	check("return nil");
	check("return 7");
	check("return 7.0");
	check("return print");
	check("return print, string.format");
	lua_pushlightuserdata(A, &va);
	round_trip();
	lua_pushlightuserdata(A, &va);
	lua_pushlightuserdata(A, NULL);
	round_trip();
}

static void test_scalars_do_not_allocate(void **state)
{
	(void)state;
	vai_msg msg;
	run(A, "return nil, true, 1, 2.5, print, ('x'):rep(30)");
	long before = blocks;
	for (int i = 1; i <= 6; i++) {
		vai__encode(A, &va, i, &msg, "value");
		assert_int_equal(blocks, before);
		vai__msg_drop(&msg);
	}
}

static void test_strings(void **state)
{
	(void)state;
	check("return 'a\\0b', ''");
	for (int len = 0; len < 600; len += len < 50 ? 1 : 37) {
		lua_pushinteger(A, len);
		lua_setglobal(A, "len");
		check("return ('\\0x\\xff'):rep(len):sub(1, len)");
		check("local s = ('k'):rep(len) return { [s] = s, s }");
	}
	check("return ('x'):rep(100000000)");
	check("return { ('x'):rep(10000000), ('y'):rep(70000) }");
}

static void test_tables(void **state)
{
	(void)state;
	check("return {}");
	check("return { 1, 2, 3 }");
	check("return { id = 1, name = 'somebody', value = 2.5 }");
	check("return { 1, nil, 3, nil, 5, x = 1, [2.5] = true, [-1] = 'a', [true] = false, [0] = {} }");
	check("local t = {} for i = 10, 1, -1 do t[i] = i end t.x = 1 return t");
	check("local t = {} for i = 1, 100 do t[i] = { id = i, name = 'n' .. i, value = i / 2 } end return t");
	check("return { [math.maxinteger] = 1, [math.mininteger] = 2, ['1'] = 3, [1] = 4, ['2'] = 5 }");
	check("local t = {} for i = 1, 100 do t['key' .. i] = { ['key' .. i] = i, ['key' .. (i % 7)] = 1 } end return t");
}

static void test_big_tables(void **state)
{
	(void)state;
	vai_msg msg;
	run(A, "local t = {} for i = 1, 1000000 do t[i] = i * 2 end for i = 1, 1000 do t['k' .. i] = i end return t");
	vai__encode(A, &va, 1, &msg, "value");
	assert_int_equal(vai__decode_take(B, &vb, &msg), 1);
	lua_setglobal(B, "t");
	run(B, "for i = 1, 1000000 do assert(t[i] == i * 2) end for i = 1, 1000 do assert(t['k' .. i] == i) end\n"
		   "local n = 0 for _ in pairs(t) do n = n + 1 end assert(n == 1001000) t = nil");
	lua_settop(A, 0);
}

static void test_identity(void **state)
{
	(void)state;
	check("local t = {} t.self = t return t");
	check("local a, b = { tag = 1 }, { tag = 2 } a.b = b b.a = a return a, b, a");
	check("local k = { tag = 'k' } return { [k] = k, x = k }");
	check("local k = { tag = 'k' } local t = { tag = 't', [k] = 1 } k[t] = 2 return t");
	check("local mt = { __index = { x = 1 } } mt.__metatable = 'hidden' return { setmetatable({}, mt), setmetatable({}, mt) }");
	check("local C = {} C.__index = C C.default = setmetatable({ tag = 1 }, C) return setmetatable({}, C), C");
	check("local mt = {} setmetatable(mt, mt) return mt");
	check("return setmetatable({}, setmetatable({}, { __call = print })), 'x'");
}

static void test_depth(void **state)
{
	(void)state;
	check("local t for i = 1, 47 do t = { t, i } end return t");
	for (int depth = 46; depth <= 52; depth++) {
		lua_pushinteger(A, depth);
		lua_setglobal(A, "depth");
		check("local t = {} for i = 1, depth do t = { x = t, i, i } end return t");
		check("local f = print for i = 1, depth do local g = f f = function() return g(i) end end return f");
		check("local t, u = { tag = 0 }, {} for i = 1, depth do t = setmetatable({ x = t, u = u, tag = i }, { u, t }) end return t, u");
	}
	check("local first, t = {} t = first for i = 1, 3000 do t.next = { i } t = t.next end t.first = first return first");
	check("local t = {} for i = 1, 500 do t = { [t] = i, tag = i } end return t");
	check("local f for i = 1, 500 do local g, n = f, i f = function() n = n + 1 return g, n end end return f, f");
}

static void test_list_of_a_million(void **state)
{
	(void)state;
	vai_msg msg;
	run(A, "local list for i = 1, 1000000 do list = { next = list } end return list");
	vai__encode(A, &va, 1, &msg, "value");
	vai__decode_take(B, &vb, &msg);
	lua_setglobal(B, "list");
	run(B, "local n = 0 while list do list = list.next n = n + 1 end assert(n == 1000000, n)");
	lua_settop(A, 0);
}

/* ---- functions ---- */

static void test_functions(void **state)
{
	(void)state;
	check("return function(...) return ... end");
	check("local a, b = 1, { 'x' } return function() return a, b end");
	check("local function f(n) return n > 0 and f(n - 1) end return f");
	check("local f, g function f() return g() end function g() return f() end return { f, g, g, f }");
	check("local n = 0 return { get = function() return n end, set = function(v) n = v end }");
	check("local n = 0 local function mk() return function() n = n + 1 return n end end return mk, mk(), mk()");
	check("return load('local a <const>, b = ... return a, function() return b end', 'chunk')");
	check("local s = string.dump(function() local x = print return x end, true) return load(s)");
	check("local t = {} for i = 1, 20 do local u = i t[i] = function() return u, i, t end end return t");
	check("return string.gmatch, ipairs({}), coroutine.wrap, require");
	check("local _ENV = { print = print } return function() return print end");
	check("return setmetatable({}, { __index = function(t, k) return k end, __call = function(self) return self end })");
}

static void test_functions_work(void **state)
{
	(void)state;
	vai_msg msg;
	run(A, "local n = 0 local function inc(by) n = n + by return n end\n"
		   "local function fact(i) return i <= 1 and 1 or i * fact(i - 1) end\n"
		   "return inc, function() return n end, fact, setmetatable({ 5 }, { __add = function(a, b) return a[1] + b end })");
	vai__encode_values(A, &va, 1, 4, &msg, "value");
	assert_int_equal(vai__decode_take(B, &vb, &msg), 4);
	lua_setglobal(B, "obj");
	lua_setglobal(B, "fact");
	lua_setglobal(B, "get");
	lua_setglobal(B, "inc");
	run(B, "assert(inc(2) == 2 and inc(3) == 5 and get() == 5 and fact(10) == 3628800 and obj + 1 == 6)");
	run(A, "assert(select(2, ...) == nil)");
	lua_settop(A, 0);
}

static void test_globals(void **state)
{
	(void)state;
	vai_msg msg;
	check("return _G, { _G }, _ENV, function() return _ENV end");
	run(A, "limit = 10 unused = 11 names = { 'a' }\n"
		   "function helper(x) return x + limit + #names end\n"
		   "function other() return helper(1) end\n"
		   "own = 'sender'\n"
		   "return function() return other(), own, string.rep('x', 2), _G.limit end");
	run(B, "own = 'receiver'");
	vai__encode(A, &va, 1, &msg, "value");
	vai__decode_take(B, &vb, &msg);
	lua_setglobal(B, "f");
	run(B, "local a, b, c, d = f() assert(a == 12 and b == 'receiver' and c == 'xx' and d == 10)\n"
		   "assert(limit == 10 and unused == nil and #names == 1)");
	lua_settop(A, 0);
	run(A, "local _ENV = setmetatable({ mine = 1 }, { __index = _G }) return function() return mine, limit end");
	vai__encode(A, &va, 1, &msg, "value");
	run(B, "limit = nil");
	vai__decode_take(B, &vb, &msg);
	lua_setglobal(B, "f");
	run(B, "local a, b = f() assert(a == 1 and b == 10)");
	lua_settop(A, 0);
}

static void test_modules(void **state)
{
	(void)state;
	const char *define = "package.loaded['my.mod'] = nil package.preload['my.mod'] = function() return { where = here, f = print } end";
	vai_msg msg;
	run(A, define);
	run(B, define);
	run(A, "here = 'A' require 'my.mod'");
	run(B, "here = 'B'");
	check("return string, { table, x = { string } }, { string = string }");
	check("local s, m = string, math return function() return s, m end");
	run(A, "local m = require 'my.mod' return m, { m }, setmetatable({}, m), function() return m end, { x = 1, y = {} }");
	for (int i = 0; i < 2; i++) {
		vai__encode_values(A, &va, 1, 5, &msg, "value");
		assert_int_equal(vai__decode_take(B, &vb, &msg), 5);
		lua_createtable(B, 5, 0);
		lua_insert(B, 1);
		for (int k = 5; k >= 1; k--)
			lua_rawseti(B, 1, k);
		lua_setglobal(B, "got");
		run(B, "local m = require 'my.mod' assert(m.where == 'B')\n"
			   "assert(got[1] == m and got[2][1] == m and getmetatable(got[3]) == m and got[4]() == m)");
	}
	lua_settop(A, 0);
	run(A, "local t = {} for i = 1, 40 do t[i] = { print, { i } } end t[41] = string return t");
	round_trip();
}

/* ---- vai's own objects, metamethods ---- */

struct thing {
	struct vai_obj obj;
};

static int things;

static void destroy_thing(struct vai_obj *o)
{
	things--;
	free(o);
}

static const struct vai_class thing_class = { "thing", destroy_thing };
static const luaL_Reg no_methods[] = { { NULL, NULL } };
static const struct vai__handle_type thing_type = { &thing_class, "test.thing", no_methods, NULL };

/* thing(): a new handle */
static int new_thing(lua_State *L)
{
	struct thing *t = malloc(sizeof *t);
	vai__obj_init(&t->obj, &thing_class);
	things++;
	vai__handle_push(L, L == B ? &vb : &va, &t->obj, true);
	return 1;
}

static void collect(lua_State *L)
{
	lua_gc(L, LUA_GCCOLLECT);
	lua_gc(L, LUA_GCCOLLECT);
}

static void test_objects(void **state)
{
	(void)state;
	vai_msg msg;
	lua_register(A, "thing", new_thing);
	for (int i = 0; i < 2; i++) {
		run(A, "a = a or thing() b = thing() return a, { a, x = a, [a] = b }, function() return a, b end");
		vai__encode_values(A, &va, 1, 3, &msg, "value");
		vai__decode_take(B, &vb, &msg);
		lua_setglobal(B, "f");
		lua_setglobal(B, "t");
		lua_setglobal(B, "a");
		run(B, "assert(type(a) == 'userdata' and t[1] == a and t.x == a and t[a] ~= a and type(t[a]) == 'userdata')");
		lua_settop(A, 0);
	}
	run(A, "return a");
	vai__encode(A, &va, 1, &msg, "value");
	run(B, "x, a, b, t, f = a, nil, nil, nil, nil");
	vai__decode(B, &vb, &msg);
	lua_setglobal(B, "y");
	run(B, "assert(x == y)");
	vai__msg_drop(&msg);
	lua_settop(A, 0);
	run(A, "return { a, b, thing() }");
	vai__encode(A, &va, 1, &msg, "value");
	vai__msg_drop(&msg);
	lua_settop(A, 0);
	run(A, "a, b = nil, nil");
	collect(A);
	collect(B);
	assert_int_equal(things, 1);
	run(B, "x, y = nil, nil");
	collect(B);
	assert_int_equal(things, 0);
}

/* udata(metatable): a full userdata */
static int new_udata(lua_State *L)
{
	lua_newuserdatauv(L, 8, 0);
	lua_pushvalue(L, 1);
	lua_setmetatable(L, -2);
	return 1;
}

static void test_send_metamethod(void **state)
{
	(void)state;
	vai_msg msg;
	lua_register(A, "udata", new_udata);
	run(A, "calls = 0\n"
		   "local mt = { __vai_send = function(self) calls = calls + 1 collectgarbage() return { 'sent', calls } end }\n"
		   "local u, v = udata(mt), udata { __vai_send = function() return nil end }\n"
		   "local C = { __name = 'C' } C.__vai_send = function(self) return setmetatable({ copy = true }, getmetatable(self)) end\n"
		   "return { u, u, v, [u] = 'key' }, u, setmetatable({ copy = false }, C), v");
	vai__encode_values(A, &va, 1, 4, &msg, "value");
	run(A, "assert(calls == 1)");
	assert_int_equal(vai__decode_take(B, &vb, &msg), 4);
	lua_setglobal(B, "v");
	lua_setglobal(B, "c");
	lua_setglobal(B, "u");
	lua_setglobal(B, "t");
	run(B, "assert(t[1] == u and t[2] == u and u[1] == 'sent' and t[3] == nil and t[u] == 'key' and v == nil)\n"
		   "assert(c.copy == true and getmetatable(c).__name == 'C')");
	lua_settop(A, 0);
	refused("return { x = udata { __vai_send = function(self) return self end, __name = 'odd' } }",
		"argument 1: field 'x': userdata odd cannot be sent");
	refused("return { x = udata { __vai_send = function(self) error('no way', 0) end } }", "no way");
	lua_pushcfunction(A, encode_1); /* the table changes under the encoder's hands */
	run(A, "local t = {} for i = 1, 100 do t[i] = i end t[50] = udata { __vai_send = function()\n"
		   "for i = 1, 100 do t[i] = nil t['x' .. i] = i end collectgarbage() end } return t");
	int status = lua_pcall(A, 1, 0, 0);
	assert_true(status == LUA_OK || status == LUA_ERRRUN);
	lua_settop(A, 0);
}

static void test_finalizers_cross(void **state)
{
	(void)state;
	vai_msg msg;
	run(A, "local C = { closed = 0 } C.__index = C C.__gc = function(self) done = (done or 0) + self.n end\n"
		   "C.default = setmetatable({ n = 1 }, C) return setmetatable({ n = 10, C = C }, C)");
	vai__encode(A, &va, 1, &msg, "value");
	vai__decode_take(B, &vb, &msg);
	assert_true(vb.needs_close);
	lua_settop(B, 0);
	collect(B);
	run(B, "assert(done == 11, done)");
	lua_settop(A, 0);
}

/* ---- what cannot be sent ---- */

static void test_refusals(void **state)
{
	(void)state;
	refused("return coroutine.create(print)", "argument 1: thread cannot be sent");
	refused("return io.stdout", "argument 1: userdata FILE* cannot be sent");
	refused("return { a = { log = io.stdout } }", "argument 1: field 'a': field 'log': userdata FILE* cannot be sent");
	refused("return { 1, 2, { io.stdout } }", "argument 1: [3]: [1]: userdata FILE* cannot be sent");
	refused("return { [coroutine.create(print)] = 1 }", "argument 1: key of table: thread cannot be sent");
	refused("return { [1.5] = { [true] = { [{}] = io.stdout } } }",
		"argument 1: [1.5]: [true]: [table]: userdata FILE* cannot be sent");
	refused("local f = coroutine.create(print) return function() return f end", "argument 1: upvalue 'f': thread cannot be sent");
	refused("return coroutine.wrap(print)", "argument 1: upvalue 1: thread cannot be sent");
	refused("local f = io.stdout return load(string.dump(function() return f end, true)) and function() return f end",
		"argument 1: upvalue 'f': userdata FILE* cannot be sent");
	refused("return setmetatable({}, { __index = function() return 1 end, x = { io.stdout } })",
		"argument 1: metatable: field 'x': [1]: userdata FILE* cannot be sent");
	refused("db = io.stdout return function() return db end", "argument 1: global 'db': userdata FILE* cannot be sent");
	refused("function helper() return db end return { function() return helper() end }",
		"argument 1: [1]: global 'helper': global 'db': userdata FILE* cannot be sent");
	refused("local t = io.stdout for i = 1, 60 do t = { t } end return t",
		"argument 1: ...: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: [1]: userdata FILE* cannot be sent");
	refused("return { [('k'):rep(100)] = io.stdout }",
		"argument 1: field 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk': userdata FILE* cannot be sent");
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
	run(A, "local ok, err = pcall(function()\n encode_3(1, 2, io.stdout) end)\n"
		   "assert(err == 'test.lua:2: result 3: userdata FILE* cannot be sent', err)");
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
	"    function() local a local f = function() return a end a = value() return { f, function(y) a = y end, f, tag = 1e9 + math.random(1 << 40) } end,\n"
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
	run(A, generator);
	for (int seed = 1; seed <= 400; seed++) {
		lua_getglobal(A, "generate");
		lua_pushinteger(A, seed);
		lua_call(A, 1, LUA_MULTRET);
		round_trip();
	}
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
	vai_msg msg = { { 0 } };
	bool ok = false;
	for (long n = 1; !ok; n++) {
		assert_true(n < 5000);
		lua_settop(A, 0);
		lua_pushlightuserdata(A, &msg);
		lua_pushcclosure(A, encode_and_decode, 1);
		run(A, chunk);
		lua_settop(B, 0);
		lua_pushlightuserdata(B, &msg);
		lua_pushcclosure(B, take, 1);
		countdown = n;
		int status = lua_pcall(A, lua_gettop(A) - 1, 0, 0);
		if (status == LUA_OK)
			status = lua_pcall(B, 0, 0, 0);
		ok = status == LUA_OK && countdown > 1;
		countdown = 0;
		vai__msg_drop(&msg);
		vai__codec_release(&vb);
		lua_settop(A, 0);
		lua_settop(B, 0);
		vai__funcs_free(va.funcs);
		va.funcs = NULL;
		vai__code_forget();
		collect(B);
		collect(A);
		if (blocks != 0 || things != 2)
			fail_msg("%s: failure %ld leaves %ld blocks, %d things", chunk, n, blocks, things);
	}
}

static void test_failing_memory(void **state)
{
	(void)state;
	lua_register(A, "thing", new_thing);
	lua_register(A, "udata", new_udata);
	run(A, "a, b = thing(), thing() function helper(x) return limit end limit = { a, 5 }");
	assert_int_equal(blocks, 0);
	for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
		fail_each(workloads[i]);
	run(A, "a, b, limit = nil, nil, nil");
	run(B, "limit = nil");
	collect(A);
	collect(B);
	assert_int_equal(things, 0);
}

/* What an error left behind is freed by the next message, and by the end at the latest. */
static void test_errors_while_taking(void **state)
{
	(void)state;
	vai_msg msg;
	lua_register(A, "thing", new_thing);
	run(A, "package.loaded.nowhere = { print } return { thing(), package.loaded.nowhere }, { thing() }");
	for (int i = 0; i < 3; i++) {
		vai__encode(A, &va, 1, &msg, "value");
		lua_pushlightuserdata(B, &msg);
		lua_pushcclosure(B, take, 1);
		assert_int_equal(lua_pcall(B, 0, 0, 0), LUA_ERRRUN);
		assert_non_null(strstr(lua_tostring(B, -1), "nowhere"));
		lua_settop(B, 0);
	}
	lua_settop(A, 0);
	collect(A);
	collect(B);
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
		run(B, "local mt = {} finalized = false return mt, { 1, 2, { 'x' } }");
		lua_pushcclosure(B, finalizer, 1);
		lua_setfield(B, 1, "__gc");
		lua_setglobal(B, "mt");
		run(B, "for i = 1, 3 do setmetatable({}, mt) end mt = nil collectgarbage('generational') collectgarbage('incremental')");
		lua_settop(B, 0);
		run(A, "local t = {} for i = 1, 300 do t[i] = { i, ('s'):rep(i), k = { i } } end return t");
		round_trip();
		collect(B);
		run(B, "assert(finalized)");
	}
}

int main(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	vai__handle_register(&thing_type);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scalars, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scalars_do_not_allocate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_big_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_of_a_million, setup, teardown),
		cmocka_unit_test_setup_teardown(test_functions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_functions_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_globals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modules, setup, teardown),
		cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_metamethod, setup, teardown),
		cmocka_unit_test_setup_teardown(test_finalizers_cross, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_place_of_the_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failing_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_while_taking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taking_inside_a_finalizer, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
