/* SPDX-License-Identifier: MIT */
/* A fresh state, whose tables fill themselves, cannot be told from a stock one: the same
 * scripts give the same text in both, however the fresh one was made. */
#include "state/states.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "require/paths.h"
#include "state/arena.h"
#include "temp.h"
#include "whole.h"

#define DUMP \
	"local put = ... local function dump(t, name)\n" \
	" local l = {} for k, v in pairs(t) do l[#l + 1] = tostring(k) .. ':' .. type(v) end\n" \
	" table.sort(l) put(name, table.concat(l, ' ')) end\n"

static const char *const scripts[] = {
	/* everything is there, by name */
	DUMP "dump(_G, '_G')",
	DUMP "for _, n in ipairs{'string','table','math','io','os','coroutine','utf8','debug','package'} do\n"
		 "dump(_G[n], n) put(_G[n] == package.loaded[n], _G[n] == require(n)) end",
	DUMP "dump(package.loaded, 'loaded') dump(package.preload, 'preload')",
	DUMP "local t = {} for k in next, _G do t[k] = true end dump(t, 'next')",
	DUMP "print = nil os = nil dump(_G, '_G') put(print, os, package.loaded.os ~= nil)",
	DUMP "string.rep = nil string.mine = 1 dump(string, 'string') put(('x').rep, ('x').mine)",
	DUMP "dump(getmetatable(''), 'strings')",
	"local put = ... put(_VERSION, math.pi, math.maxinteger, utf8.charpattern, package.config, math.huge)",
	"local put = ... put(package.path) put(package.cpath) put(#package.searchers)",
	/* identity */
	"local put = ... put(_G == _G._G, _ENV == _G, rawequal(_G, package.loaded._G), pairs{} == next)",
	"local put = ... put(string == require 'string', package == require 'package', _G.string == string)",
	"local put = ... put(getmetatable('').__index == string, string.format == ('').format)",
	"local put = ... put(rawget(_G, 'string') == string, rawget(_G, 'nonesuch'), rawget(_G, 'print') == print)",
	"local put = ... put(rawget(string, 'rep') == string.rep, rawlen(_G), rawequal(_G.math, math), #_G)",
	/* assignments before and after the first use */
	"local put = ... string = nil put(string, package.loaded.string ~= nil, ('x'):upper())",
	"local put = ... package.loaded.string = nil put(string ~= nil, package.loaded.string, ('x'):upper())",
	"local put = ... package.loaded.string = {mine = 1} put(require('string').mine, string.rep ~= nil, ('x'):rep(2))",
	"local put = ... string = {mine = 1} put(string.mine, require('string').rep ~= nil, ('x'):rep(2))",
	"local put = ... string = 1 package.loaded.string = 2 put(string, require 'string', ('x'):rep(3))",
	"local put = ... print = 5 put(print) print = nil put(print, rawget(_G, 'print'))",
	"local put = ... rawset(_G, 'type', nil) put(type, rawget(_G, 'type')) rawset(_G, 'a', 1) put(a)",
	"local put = ... rawset(_G, 'math', 3) put(math, package.loaded.math.abs(-2)) put(rawset(_G, 'x', 1) == _G)",
	"local put = ... math.random = nil put(math.random, math.randomseed ~= nil, math.abs(-1))",
	"local put = ... require = nil put(require, package.loaded ~= nil) put(package.searchers ~= nil)",
	"local put = ... local r = require package = nil put(package, r('string') == string)",
	"local put = ... require = function(n) return n end put(package.path ~= nil, require 'x')",
	"local put = ... os.execute, io.popen = nil, nil put(os.execute, io.popen, os.time() > 0)",
	"local put = ... x = 1 _G.y = 2 put(x, y, _G.x, rawget(_G, 'y')) x = nil put(x)",
	"local put = ... for _, n in ipairs{'a', 1, 1.5, true, print} do _G[n] = n put(_G[n] == n) _G[n] = nil end",
	"local put = ... _G[nil] = 1",
	"local put = ... _G[0/0] = 1",
	"local put = ... rawset(_G, nil, 1)",
	"local put = ... put(_G[nil], _G[0/0], _G[1], _G[print], string[nil])",
	"local put = ... string[nil] = 1",
	/* metatables */
	"local put = ... put(getmetatable(_G), getmetatable(string), getmetatable(package.loaded), debug.getmetatable(_G))",
	"local put = ... local mt = {} put(setmetatable(_G, mt) == _G, getmetatable(_G) == mt) mt.__index = function(_, "
	"k)\n"
	"return 'no ' .. k end put(foo, print ~= 'no print', string.rep('x', 2), rawget(_G, 'foo'))",
	"local put = ... setmetatable(_G, {__newindex = function(t, k, v) error('new ' .. k, 2) end})\n"
	"string = nil put(pcall(function() newone = 1 end)) put(string)",
	"local put = ... setmetatable(_G, nil) put(print ~= nil, string ~= nil, getmetatable(_G)) put(pcall(setmetatable, "
	"_G))",
	"local put = ... debug.setmetatable(_G, nil) put(print ~= nil, string ~= nil, next(_G) ~= nil)",
	"local put = ... setmetatable(string, nil) put(string.rep ~= nil, ('x'):rep(2), next(string) ~= nil)",
	"local put = ... setmetatable(_G, {__index = string}) put(format('%d', 3), print ~= nil)",
	"local put = ... local mt = getmetatable(_G) if mt == nil then mt = {} setmetatable(_G, mt) end mt.__declared = "
	"{}\n"
	"mt.__index = function(t, n) error(\"variable '\" .. n .. \"' is not declared\", 2) end\n"
	"put(pcall(function() return undefinedvar end)) put(tostring(1), math.floor(1.5))",
	"local put = ... debug.setmetatable(_G, {__len = function() return 42 end}) put(#_G, print ~= nil)",
	"local put = ... setmetatable(string, {__index = function(_, k) return k end}) put(string.foo, ('x').bar, "
	"('x'):rep(2))",
	"local put = ... setmetatable(_G, {__pairs = function(t) return next, {a = 1}, nil end}) for k in pairs(_G) do "
	"put(k) end",
	"local put = ... put(pcall(setmetatable, _G, 1)) put(pcall(setmetatable, 1, {})) put(pcall(getmetatable))",
	"local put = ... local t = setmetatable({}, {__metatable = 'locked'}) put(getmetatable(t), pcall(setmetatable, t, "
	"{}))",
	"local put = ... local e = setmetatable({}, {__index = _G}) local f = load('return print, nope, math.abs(-3)', "
	"'e', 't', e)\n"
	"local p, n, a = f() put(p == print, n, a)",
	"local put = ... local _ENV = setmetatable({}, {__index = _G, __newindex = _G}) z = 1 put(z, _G.z, rawget(_ENV, "
	"'z'))",
	"local put = ... local f = load('x = 1 return _ENV', 'e', 't', {}) put(f().x, x)",
	"local put = ... put(#getmetatable('').__index.rep('ab', 2), getmetatable('').__name)",
	"local put = ... debug.setmetatable('', nil) put(pcall(function() return ('x'):rep(2) end))",
	"local put = ... getmetatable('').__index = function(s, k) return s .. k end put(('x').y)",
	"local put = ... local s = 'a' s.x = 1",
	"local put = ... return _G + 1",
	"local put = ... return _G()",
	"local put = ... return _G < 1",
	"local put = ... return #nil",
	"local put = ... return undefinedglobal.x",
	"local put = ... return string.nonesuch()",
	/* strings and arithmetic from the first instruction */
	"local put = ... put('10' + 1, '0x10' * 2, '3' ^ 2, -'2', '7' // 2, '7' % 4, '1' / 4, '5' - '2')",
	"local put = ... put(pcall(function() return 'a' + 1 end)) put(pcall(function() return {} + 'x' end))",
	"local put = ... put(('x'):rep(3, ','), ('%5.2f'):format(1.5), #'abc', ('abc'):byte(-1), ('x').nope)",
	"local put = ... put(pcall(function() return ('x'):nope() end))",
	"local put = ... for w in ('a b c'):gmatch('%a') do put(w) end put((('hello'):gsub('l', {l = 'L'})))",
	"local put = ... put((('$print $x'):gsub('%$(%w+)', _G)):gsub('0x%x+', 'P'))",
	/* errors name functions as stock does */
	"local put = ... put(pcall(string.rep)) put(pcall(setmetatable, 1)) put(pcall(next, {}, 1)) put(pcall(next))",
	"local put = ... put(pcall(pairs)) put(pcall(rawget, 1)) put(pcall(rawset, {})) put(pcall(ipairs)) "
	"put(pcall(rawget, _G))",
	"local put = ... put(pcall(function() string.rep() end)) put(pcall(function() math.floor({}) end))",
	"local put = ... put(pcall(function() setmetatable(1, 2) end)) put(pcall(function() local n = next n(1) end))",
	"local put = ... put(pcall(io.open)) put(pcall(io.lines, '/nonesuch/file')) put(io.open('/nonesuch/file'))",
	"local put = ... put((xpcall(function() error('deep') end, function(m) return "
	"put((debug.traceback(m):gsub('\\n.*', ''))) end)))",
	"local put = ... put((debug.traceback('tb', 1):gsub('ADDR', '')))",
	"local put = ... local co = coroutine.create(function() string.rep() end) put(coroutine.resume(co)) "
	"put(debug.traceback(co))",
	"local put = ... put(pcall(error)) put(pcall(error, nil)) put(pcall(error, {})  == false) put(select(2, "
	"pcall(error, 'm', 0)))",
	/* the rest of the language works in there */
	"local put = ... local t = {} for i = 1, 300 do t[i] = (i * 37) % 101 end table.sort(t, function(a, b) return a > "
	"b end)\n"
	"put(table.concat(t, ',', 1, 20)) put(table.unpack(t, 1, 3)) put(#table.pack(1, 2, nil))",
	"local put = ... local co = coroutine.wrap(function(...) local a = ... while true do a = coroutine.yield(a * 2) "
	"end end)\n"
	"put(co(1), co(2), co(3)) put(coroutine.isyieldable(), coroutine.running())",
	"local put = ... for i = 1, 3 do for j = 1, 3 do if j == 2 then goto next end put(i, j) ::next:: end end",
	"local put = ... local function r(n) return n == 0 and 0 or 1 + r(n - 1) end put(r(10000))\n"
	"put((select(2, pcall(function() local function f() return 1 + f() end return f() end)):gsub('\\n.*', '')))",
	"local put = ... local function f(s) return s:gsub('.', function() return f(s) end) end put(pcall(f, 'x'))",
	"local put = ... do local a <close> = setmetatable({}, {__close = function(_, e) put('closed', e) end}) end\n"
	"put(pcall(function() local b <close> = setmetatable({}, {__close = function(_, e) put(e) end}) error('x', 0) "
	"end))",
	"local put = ... local n = 0 setmetatable({}, {__gc = function() n = n + 1 end}) collectgarbage() collectgarbage() "
	"put(n)",
	"local put = ... local w = setmetatable({}, {__mode = 'kv'}) for i = 1, 100 do w[i] = {} w[{}] = i end "
	"collectgarbage()\n"
	"put(next(w)) local e = setmetatable({}, {__mode = 'k'}) local k = {} e[k] = {k} collectgarbage() put(next(e) == "
	"k)",
	"local put = ... put(collectgarbage('isrunning'), collectgarbage('stop'), collectgarbage('isrunning'),\n"
	"collectgarbage('restart'), collectgarbage('isrunning')) put(collectgarbage('incremental'), "
	"collectgarbage('generational'),\n"
	"collectgarbage('incremental'))",
	"local put = ... collectgarbage('setpause', 300) " /* a goroutine's is its own at first: state/template.h */
	"put(collectgarbage('setpause', 100), collectgarbage('setpause', 200), "
	"collectgarbage('setstepmul', 100))",
	"local put = ... put(collectgarbage('count') > 1, collectgarbage('count') < 200, "
	"math.type(collectgarbage('count')))\n"
	"put(collectgarbage(), pcall(collectgarbage, 'nonesuch'))",
	"local put = ... local before = collectgarbage('count') local t = {} for i = 1, 10000 do t[i] = {i} end\n"
	"local full = collectgarbage('count') t = nil collectgarbage() put(full > before + 500, collectgarbage('count') < "
	"before + 50)",
	"local put = ... local a, b = {}, {} for i = 1, 5 do a[i] = math.random(1, 1 << 40) end math.randomseed(42)\n"
	"local x = math.random(100) math.randomseed(42) put(math.random(100) == x, #a, math.random() < 1)",
	"local put = ... put(load('return 1 +')) put(load('return ...', 'c', 't')(5)) put(pcall(load, 'x', 'c', 'q'))\n"
	"put(load(string.dump(function(a) return a + 1 end))(1))",
	"local put = ... put(utf8.char(228, 8364), utf8.len('\\u{e4}x'), #utf8.charpattern, utf8.codepoint('a'))",
	"local put = ... put(os.getenv('NONESUCH'), type(os.time()), os.date('!%Y', 0), tostring(os.tmpname):sub(1, 8))",
	"local put = ... put(io.type(io.stdout), io.type(42), tostring(io.stdout):sub(1, 4), io.write == io.write)",
	"local put = ... local f = assert(io.tmpfile()) f:write('a\\nb\\n') f:seek('set') for l in f:lines() do put(l) "
	"end\n"
	"f:close() put(io.type(f), tostring(f), pcall(f.read, f))",
	"local put = ... put(warn('@on')) put(pcall(warn)) warn('@off') warn('unseen') put(select('#', warn('x', 'y')))",
	"local put = ... put(debug.getinfo(print, 'S').what, debug.getinfo(1, 'l').currentline, debug.getinfo(print, "
	"'u').nups)",
	"local put = ... put(pcall(debug.sethook, function() end, 'l')) debug.sethook() put(debug.gethook())",
	"local put = ... local n = 0 for _ in pairs(debug.getregistry()) do n = n + 1 end put(n > 3, "
	"debug.getregistry()[2] == _G)",
	"local put = ... put(select('#', table.unpack({}, 1, 200)), pcall(table.concat, {{}}), table.move({1, 2}, 1, 2, "
	"2)[3])",
	"local put = ... put(pcall(table.insert, _G, 'x')) put(_G[1]) put(table.remove(_G)) put(pcall(ipairs(_G)))",
	"local put = ... local t = {} for i = 1, 300 do t['k' .. i] = i end local s = 0 for _, v in pairs(t) do s = s + v "
	"end put(s)\n"
	"for k in pairs(t) do t[k] = nil end put(next(t))",
	"local put = ... local p = setmetatable({}, {__pairs = function(t) return function(_, k) k = (k or 0) + 1\n"
	"if k < 4 then return k, k * k end end, t, nil end}) for k, v in pairs(p) do put(k, v) end",
	"local put = ... local co = coroutine.wrap(function() for k in pairs(setmetatable({}, {__pairs = function(t)\n"
	"coroutine.yield('in __pairs') return next, {x = 1}, nil end})) do coroutine.yield(k) end end) put(co(), co())",
	/* require */
	"local put = ... put(pcall(require, 'no.such.module'))",
	"local put = ... put(pcall(require)) package.path = nil put(pcall(require, 'nonesuch'))",
	"local put = ... package.preload.mine = function(...) put(...) return {1} end put(require('mine')[1], select(2, "
	"require 'mine'))",
	"local put = ... package.preload.none = function() end put(require 'none', package.loaded.none)",
	"local put = ... put(package.searchpath('nonesuch', './?.lua;./?.x')) put(pcall(package.loadlib, '/nonesuch', "
	"'*'))",
	"local put = ... table.insert(package.searchers, 1, function(n) if n == 'made' then return function(...) return "
	"{...} end, 'here' end end)\n"
	"local m, where = require 'made' put(m[1], m[2], where)",
	"local put = ... package.searchers = nil put(pcall(require, 'nonesuch'))",
	"local put = ... local env = {} for k, v in pairs(_G) do env[k] = v end env._G = env setmetatable(env, {__index = "
	"function() end})\n"
	"put(load('x = 1 string.mine = 2 return x, _G.x', 'c', 't', env)()) put(x, string.mine)",
};
enum { SCRIPTS = sizeof scripts / sizeof *scripts };

static void compare(const char *script, struct vai_vm *vm)
{
	lua_State *L = states_stock();
	char *expected = states_run(L, script), *got = states_run_once(vm, script);
	lua_close(L);
	/* Up to Lua 5.4.2 no __pairs can yield, and in a fresh state it can. */
	bool early = strstr(script, "in __pairs") && strstr(expected, "attempt to yield across a C-call boundary");
	if (!early && strcmp(expected, got) != 0)
		fail_msg("%s\n---- stock:\n%s\n---- fresh:\n%s", script, expected, got);
	free(expected);
	free(got);
}

static void same_as_stock(void **state)
{
	for (int i = 0; i < SCRIPTS; i++)
		compare(scripts[i], states_fresh());
	(void)state;
}

/* The scripts one after the other in one state, in several orders, never crash, and the state
 * can be closed. */
static void all_in_one(void **state)
{
	(void)state;
	for (int stride = 1; stride < SCRIPTS; stride += spec_count(53, 17)) {
		struct vai_vm *vm = states_fresh();
		for (int i = 0; i < SCRIPTS; i++)
			free(states_run(vm->L, scripts[i * stride % SCRIPTS]));
		vai__vm_free(vm);
	}
}

/* The debug library can take everything away; what is left may fail, but not crash (io does,
 * as stock's). */
static void without_registry(void **state)
{
	(void)state;
	static const char *const before[] = {
		"", "require 'string'", "for k in pairs(_G) do end", "local x = math.pi", "print = nil"};
	static const char *const after[] = {
		"return string.rep('x', 2), ('x'):upper(), math.abs(-1), math.random(), os.time(), utf8.len('x')",
		"for k, v in pairs(_G) do local t = type(v) == 'table' and next(v) end",
		"return require 'string', package.path, pcall(require, 'nonesuch')",
		"string, math = nil local t = setmetatable(_G, {__index = function() end}) return table.concat{1, 2}, nope",
		"local t = {} for i = 1, 1000 do t[i] = {} end return io.type(1), getmetatable('').__index",
	};
	for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
		for (size_t k = 0; k < sizeof after / sizeof *after; k++) {
			struct vai_vm *vm = states_fresh();
			free(states_run(vm->L, before[i]));
			states_check(vm->L,
				"local r = debug.getregistry() for k in pairs(r) do if math.type(k) ~= 'integer' then r[k] = nil end "
				"end\n"
				"collectgarbage() return true");
			free(states_run(vm->L, after[k]));
			free(states_run(vm->L, "collectgarbage() return require 'os'"));
			vai__vm_free(vm);
		}
	}
}

/* What a state that ran out of memory somewhere does afterwards is what a stock one does. */
static void out_of_memory(void **state)
{
	(void)state;
	static const char script[] =
		"local n = 0 for k, v in pairs(_G) do n = n + 1 end\n"
		"assert(n > 30 and ('x'):upper() == 'X' and require 'string' == string and math.random() < 1)\n"
		"for k in pairs(math) do n = n + 1 end\n"
		"assert(package.loaded.os == os and package.loaded.debug == debug and type(print) == 'function')\n"
		"return n + #string.format('%d', 7) + select('#', utf8.codepoint('abc', 1, 3))";
	lua_State *stock = states_stock();
	char *expected = states_run(stock, script);
	unsigned n = 1, failures = 0;
	for (bool done = false; !done; n++) {
		struct vai_vm *vm = states_fresh();
		vm->arena->failing = n;
		free(states_run(vm->L, script));
		done = vm->arena->failing > 1;
		failures += !done;
		vm->arena->failing = 0;
		char *got = states_run(vm->L, script);
		if (strcmp(expected, got) != 0)
			fail_msg("after allocation %u failed:\n%s", n, got);
		free(got);
		vai__vm_free(vm);
	}
	assert_true(failures > 100);
	free(expected);
	lua_close(stock);
}

/* ---- overrides, modules, paths ---- */

static int mine(lua_State *L)
{
	lua_pushliteral(L, "mine");
	return 1;
}

static int open_module(lua_State *L)
{
	static const luaL_Reg funcs[] = {{"one", mine}, {"two", mine}, {NULL, NULL}};
	vai__lazy_module(L, vai__state_of(L), funcs);
	lua_pushliteral(L, "1.0");
	lua_setfield(L, -2, "_VERSION");
	return 1;
}

static void overrides(void **state)
{
	(void)state;
	struct vai_vm *vm = states_fresh();
	states_check(
		vm->L, "return warn() == 'mine' and extra() == 'mine' and os.exit() == 'mine' and io.write() == 'mine'");
	states_check(vm->L, "return io.stdout:write() == 'mine' and io.stdout:flush()");
	states_check(vm->L, "return string.extra() == 'mine' and ('x'):extra() == 'mine'");
	states_check(vm->L, "local n = 0 for k, v in pairs(_G) do if v == warn then n = n + 1 end end return n == 2");
	states_check(vm->L, "return package.preload.testmod and not package.loaded.testmod");
	states_check(
		vm->L, "local m = require 'testmod' return m.one() == 'mine' and m == require 'testmod' and m.nope == nil");
	states_check(vm->L,
		"local l = {} for k in pairs(require 'testmod') do l[#l + 1] = k end table.sort(l)\n"
		"return table.concat(l, ' ') == '_VERSION one two'");
	vai__vm_free(vm);
	vm = states_fresh();
	states_check(vm->L,
		"local m = require 'testmod' m.two = nil m.three = 3 return m.two == nil and m.three == 3\n"
		"and getmetatable(m) == nil and next(m) and rawget(m, 'one') and m.two == nil");
	vai__vm_free(vm);
}

static void requires(void **state)
{
	struct states *s = *state;
	struct vai_vm *vm = states_fresh();
	lua_State *L = vm->L;
	vai__lazy_require(L, vm, "string");
	assert_int_equal(lua_getglobal(L, "string"), LUA_TTABLE);
	assert_true(lua_rawequal(L, -1, -2));
	vai__lazy_require(L, vm, "testmod");
	assert_int_equal(lua_getfield(L, -1, "one"), LUA_TFUNCTION);
	lua_settop(L, 0);
	vai__lazy_require(s->L, s->vm, "math");
	assert_int_equal(lua_getglobal(s->L, "math"), LUA_TTABLE);
	assert_true(lua_rawequal(s->L, -1, -2));
	lua_settop(s->L, 0);
	vai__vm_free(vm);
}

/* C functions cross by address, and each state gets its own kind. */
static void c_functions(void **state)
{
	struct states *s = *state;
	struct vai_vm *vm = states_fresh();
	static const char *const names[] = {"next", "setmetatable", "rawget", "print", "type"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		lua_getglobal(vm->L, names[i]);
		lua_getglobal(s->L, names[i]);
		lua_CFunction fresh = lua_tocfunction(vm->L, -1), stock = lua_tocfunction(s->L, -1);
		assert_ptr_equal(vai__lazy_cfunction_in(vm->L, vm, stock), fresh);
		assert_ptr_equal(vai__catalog_cfunction_out(fresh), stock);
		assert_ptr_equal(vai__lazy_cfunction_in(s->L, s->vm, stock), stock);
	}
	assert_false(vm->needs_close);
	/* A function of the program, which may make userdata with finalizers, although it is linked with the archive. */
	assert_ptr_equal(vai__lazy_cfunction_in(vm->L, vm, mine), mine);
	assert_true(vm->needs_close);
	lua_getglobal(s->L, "math");
	lua_getfield(s->L, -1, "random");
	int number = vai__catalog_closure_out(lua_tocfunction(s->L, -1));
	assert_true(number >= 0);
	assert_int_equal(vai__catalog_closure_out(mine), -1);
	lua_settop(vm->L, 0);
	vai__lazy_closure_in(vm->L, vm, number);
	lua_setglobal(vm->L, "r");
	states_check(vm->L, "return r == math.random and r(5) <= 5");
	lua_settop(s->L, 0);
	vai__vm_free(vm);
}

/* A C function that comes without its library works. */
static void strays(void **state)
{
	struct states *s = *state;
	static const struct {
		const char *lib, *name, *script;
	} cases[] = {
		{"io", "open", "local f = stray '/dev/null' return f and f:read 'a' == '' and f:close()"},
		{"io", "lines",
			"for l in stray '/dev/null' do end local ok, e = pcall(stray, '/nonesuch') return e:find 'nonesuch'"},
		{"io", "tmpfile", "local f = stray() return f:write 'x' and f:close()"},
		{"io", "popen", "local f = stray 'echo x' return f:read 'l' == 'x' and f:close()"},
		{"io", "input", "return io.type(stray '/dev/null') == 'file' and io.read() == nil and stray():close()"},
		{"io", "output", "return tostring(stray()):find '^file'"},
		{"io", "read", "io.input '/dev/null' return stray 'a' == ''"},
		{"io", "read", "return pcall(stray, 0)"},
		{"io", "flush", "return stray()"},
		{"io", "close", "return not pcall(stray, 1) and stray(io.open '/dev/null')"},
		{"io", "type", "return stray(1) == nil and stray(io.stdout) == 'file'"},
		{"package", "loadlib", "return select('#', stray('/nonesuch', '*')) == 3"},
		{"package", "searchpath", "return stray('nonesuch', './?.x') == nil"},
		{"math", "random", "return stray(5) <= 5 and stray == math.random"},
		{"_G", "require", "return stray 'string' == string and stray == require"},
		{"_G", "next", "local n = 0 local k = stray(_G) while k do n = n + 1 k = stray(_G, k) end return n > 30"},
		{"_G", "setmetatable", "return stray(_G, {}) == _G and next(_G)"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct vai_vm *vm = states_fresh();
		vai__lazy_require(s->L, s->vm, cases[i].lib);
		lua_getfield(s->L, -1, cases[i].name);
		lua_CFunction f = lua_tocfunction(s->L, -1);
		lua_settop(s->L, 0);
		int number = vai__catalog_closure_out(f);
		if (number >= 0)
			vai__lazy_closure_in(vm->L, vm, number);
		else
			lua_pushcfunction(vm->L, vai__lazy_cfunction_in(vm->L, vm, f));
		lua_setglobal(vm->L, "stray");
		states_check(vm->L, cases[i].script);
		vai__vm_free(vm);
	}
}

/* Only what makes a finalizer has the state closed in full. */
static void finalizers(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		bool closes;
	} cases[] = {
		{"return setmetatable({}, {})", false},
		{"return setmetatable({}, {__gc = true})", true},
		{"return debug.setmetatable({}, {__gc = function() end})", true},
		{"return debug.setmetatable('', {})", false},
		{"return io.stdout:write('') and string.rep('x', 2) and require 'math'", false},
		{"return io.open('/nonesuch') or true", true},
		{"return coroutine.wrap(function() return setmetatable({}, {__gc = type}) end)()", true},
		{"return load('return setmetatable(_G, {__gc = type})')()", true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct vai_vm *vm = states_fresh();
		states_check(vm->L, cases[i].script);
		assert_int_equal(vm->needs_close, cases[i].closes);
		vai__vm_free(vm);
	}
}

static int ended;

static int end(lua_State *L)
{
	(void)L;
	ended++;
	return 0;
}

static void finalizers_run(void **state)
{
	(void)state;
	struct vai_vm *vm = states_fresh();
	lua_pushcfunction(vm->L, end);
	lua_setglobal(vm->L, "finish");
	states_check(vm->L,
		"x = setmetatable({}, {__gc = function() local t = {} for i = 1, 1000 do t[i] = {} end finish() end})\n"
		"y = setmetatable({}, {__gc = function() error('x') end}) return true");
	ended = 0;
	vai__vm_free(vm);
	assert_int_equal(ended, 1);
}

/* ---- modules of files ---- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Modules come from the script's path, are compiled once and run in every state. */
static void modules(void **state)
{
	struct states *s = *state;
	char dir[200], file[256], script[600];
	assert_non_null(mkdtemp(temp_path(dir, sizeof dir, "lazy_XXXXXX")));
	snprintf(file, sizeof file, "%s/counted.lua", dir);
	write_file(
		file, "runs = (runs or 0) + 1\nlocal name, path = ...\nreturn {name, path, f = function() error('at') end}\n");
	snprintf(script, sizeof script, "package.path = '%s/?.lua' return true", dir);
	states_check(s->L, script);
	vai__paths_note(s->L, s->vm);
	snprintf(script, sizeof script,
		"local m, p = require 'counted' return runs == 1 and m[1] == 'counted' and p == '%s'\n"
		"and m[2] == p and select(2, pcall(m.f)) == p .. ':3: at'",
		file);
	for (int i = 0; i < 4; i++) {
		struct vai_vm *vm = states_fresh();
		states_check(vm->L, script);
		vai__vm_free(vm);
		if (i == 1)
			usleep(2200000); /* from now on the file is old enough to be kept */
	}
	struct vai_vm *vm = states_fresh();
	states_check(vm->L, "package.path = './?.lua' return not pcall(require, 'counted')");
	vai__vm_free(vm);
	write_file(file, "return 'changed'\n");
	vm = states_fresh();
	states_check(vm->L, "return require 'counted' == 'changed'");
	unlink(file);
	states_check(vm->L, "package.loaded.counted = nil return not pcall(require, 'counted')");
	vai__vm_free(vm);
	snprintf(file, sizeof file, "%s/wrong.lua", dir);
	write_file(file, "return +\n");
	vm = states_fresh();
	char *fresh = states_run_once(vm, "local put = ... put(pcall(require, 'wrong'))");
	char *stock = states_run(s->L, "local put = ... put(pcall(require, 'wrong'))");
	assert_string_equal(fresh, stock);
	free(fresh);
	free(stock);
	unlink(file);
	rmdir(dir);
}

/* What the script has in package.preload is there in goroutines. */
static void preloads(void **state)
{
	struct states *s = *state;
	states_check(s->L,
		"local n = 5 package.preload.lent = function(...) return {n = n, ...} end\n"
		"package.preload.stuck = (function(co) return function() return co end end)(coroutine.create(print))\n"
		"return true");
	vai__paths_note(s->L, s->vm);
	struct vai_vm *vm = states_fresh();
	states_check(vm->L,
		"local m, w = require 'lent' return m.n == 5 and m[1] == 'lent' and w == ':preload:'\n"
		"and m == require 'lent' and not pcall(require, 'stuck')");
	vai__vm_free(vm);
	states_check(s->L, "package.preload.lent = nil return true");
	vai__paths_note(s->L, s->vm);
	vm = states_fresh();
	states_check(vm->L, "return not pcall(require, 'lent')");
	vai__vm_free(vm);
	assert_int_equal(lua_gettop(s->L), 0);
}

/* ---- the rounds: cloned and built states, then both with overrides ---- */

static void register_overrides(void)
{
	vai__catalog_preload("testmod", open_module);
	vai__catalog_override("_G", "warn", mine, NULL);
	vai__catalog_override("_G", "extra", mine, NULL);
	vai__catalog_override("os", "exit", mine, NULL);
	vai__catalog_override("io", "write", mine, NULL);
	vai__catalog_override("string", "extra", mine, NULL);
	vai__catalog_override(LUA_FILEHANDLE, "write", mine, NULL);
}

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(same_as_stock),
		cmocka_unit_test(all_in_one),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(finalizers),
		cmocka_unit_test(finalizers_run),
		cmocka_unit_test(modules),
		cmocka_unit_test(preloads),
		cmocka_unit_test(strays),
		cmocka_unit_test(without_registry),
	};
	const struct CMUnitTest extended[] = {
		cmocka_unit_test(overrides),
		cmocka_unit_test(requires),
		cmocka_unit_test(c_functions),
	};
	int failed = cmocka_run_group_tests_name("lazylib, cloned", plain, states_setup_cloned, states_teardown);
	failed += cmocka_run_group_tests_name("lazylib, built", plain, states_setup_built, states_teardown);
	register_overrides();
	failed += cmocka_run_group_tests_name("lazylib, overrides, cloned", extended, states_setup_cloned, states_teardown);
	failed += cmocka_run_group_tests_name("lazylib, overrides, built", extended, states_setup_built, states_teardown);
	return failed;
}
