/* SPDX-License-Identifier: MIT */
/* The sandbox of vai_lua.h: policies that make no sense, what scripts get, attempts to get more (escapes.lua), bounds,
 * and states that have different ones. */
#include "host/host.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "temp.h"
#include "vai_lua.h"

static lua_State *start_in(lua_State *L, const vai_lua_policy *policy)
{
	if (vai_lua_sandbox(L, policy) != VAI_OK)
		fail_msg("%s", lua_tostring(L, -1));
	luaL_requiref(L, "vai", luaopen_vai, 1);
	lua_pop(L, 1);
	return L;
}

/* A host whose scripts are in that sandbox. */
static lua_State *open_in(const vai_lua_policy *policy)
{
	return start_in(host_open(), policy);
}

/* ---- policies ---- */

static void refuses(vai_lua_policy p, const char *expected)
{
	lua_State *L = host_open();
	p.size = p.size ? p.size : sizeof p;
	assert_int_equal(vai_lua_sandbox(L, &p), VAI_EINVAL);
	assert_string_equal(lua_tostring(L, -1), expected);
	lua_close(L);
}

static const char *const wrong[][2] = {
	{"io.opne", NULL}, {"vai.fss", NULL}, {"package", NULL}, {"package.loadlib", NULL}, {"", NULL}, {"os.", NULL}};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char text[128];
		snprintf(text, sizeof text, "no such library or function that can be allowed: '%s'", wrong[i][0]);
		refuses((vai_lua_policy){.allow = wrong[i]}, text);
		refuses((vai_lua_policy){.forbid = wrong[i]}, text);
	}
	refuses((vai_lua_policy){.memory = 100}, "memory: too little for a goroutine to start");
	refuses((vai_lua_policy){.cpu = -1}, "cpu: below zero");
	refuses((vai_lua_policy){.goroutines = -1}, "goroutines: below zero");
	refuses((vai_lua_policy){.flags = 1u << 20}, "flags: an unknown one");
	refuses((vai_lua_policy){.size = 10000}, "size: of another vai");
}

static void test_too_late(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p};
	lua_State *L = open_in(NULL);
	assert_int_equal(vai_lua_sandbox(L, &p), VAI_EINVAL);
	assert_non_null(strstr(lua_tostring(L, -1), "vai has started in this state: a sandbox comes before luaopen_vai"));
	lua_close(L);
}

/* It ends with the runtime: the next one has none. */
static void test_ends(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p};
	lua_State *L = open_in(&p);
	host_run(L, "assert(not io and not os.execute and not vai.fs)");
	lua_close(L);
	L = open_in(NULL);
	host_run(L,
		"assert(io and os.execute and vai.fs)\n"
		"assert(select(2, vai.async(function() return io.open ~= nil and load(string.dump(print)) end):join()))");
	lua_close(L);
}

/* ---- what scripts get ---- */

static void test_allowed(void **state)
{
	(void)state;
	static const char *const allow[] = {"safe", "io.write", "vai.net", "os.getenv", "collectgarbage", NULL};
	static const char *const forbid[] = {"string.dump", "math", "vai.timer", NULL};
	vai_lua_policy p = {.size = sizeof p, .allow = allow, .forbid = forbid};
	lua_State *L = open_in(&p);
	static const char what[] =
		"local function look()\n"
		"  local vai = require 'vai'\n"
		"  assert(io.write and not io.open and os.getenv and not os.remove and collectgarbage('count') > 0)\n"
		"  assert(not string.dump and ('x').rep and not ('x').dump and not math and not pcall(require, 'math'))\n"
		"  assert(vai.net.dial and vai.go and not vai.timer and not vai.fs and vai._VERSION)\n"
		"  local n = 0 for _ in pairs(io) do n = n + 1 end assert(n == 1)\n"
		"end\n"
		"look() assert(vai.async(look):join()) for _ = 1, 40 do vai.async(look):join() end\n";
	host_run(L, what);
	lua_close(L);
}

/* Bytecode comes in by no function that loads: not by those for files, whatever they are called by. */
static void test_files(void **state)
{
	(void)state;
	static const char *const allow[] = {"safe", "dofile", "loadfile", NULL};
	static const char look[] =
		"local function try(file)\n"
		"  local n = loadfile(file, 'bt') and 1 or 0\n"
		"  for _, f in ipairs{ dofile, coroutine.wrap(dofile) } do n = n + (pcall(f, file) and 1 or 0) end\n"
		"  return n + (vai.async(dofile, file):join() and 1 or 0)\n"
		"end\n"
		"for _, file in ipairs{ file, file .. '.line', file .. '.mark' } do\n"
		"  local n = try(file) assert(n == expected, n)\n"
		"  n = select(2, vai.async(try, file):join()) assert(n == expected, n)\n"
		"end\n"
		"local a, b = dofile(file .. '.text') assert(a == 1 and b == io)\n"
		"local ok, err = pcall(dofile, file .. '.none') assert(not ok and err:find('cannot open', 1, true))\n"
		"a, b = coroutine.wrap(function() return dofile(file .. '.yields') end)() assert(a == 7)\n";
	char file[256];
	temp_path(file, sizeof file, "bytecode");
	for (int all = 0; all < 2; all++) {
		vai_lua_policy p = {.size = sizeof p, .allow = allow, .flags = all ? VAI_LUA_BYTECODE : 0};
		lua_State *L = host_open();
		lua_pushstring(L, file);
		lua_setglobal(L, "file");
		lua_pushinteger(L, all ? 4 : 0);
		lua_setglobal(L, "expected");
		host_run(L,
			"local function write(name, text) local f = assert(io.open(name, 'wb')) f:write(text) f:close() end\n"
			"local code = string.dump(load('return 1'))\n"
			"write(file, code) write(file .. '.line', '#!lua\\n' .. code) write(file .. '.mark', '\\xEF\\xBB\\xBF' .. "
			"code)\n"
			"write(file .. '.text', 'return 1, io') write(file .. '.yields', 'coroutine.yield(7)')");
		start_in(L, &p);
		host_run(L, look);
		lua_close(L);
	}
	lua_State *L = host_open();
	lua_pushstring(L, file);
	lua_setglobal(L, "file");
	host_run(L, "for _, e in ipairs{ '', '.line', '.mark', '.text', '.yields' } do assert(os.remove(file .. e)) end");
	lua_close(L);
}

static int of_host(lua_State *L)
{
	lua_pushinteger(L, 42);
	return 1;
}

static int other(lua_State *L)
{
	return of_host(L);
}

/* The host's own C functions cross where it says so; a trusted main keeps what it has and can give none of it away. */
static void test_functions(void **state)
{
	(void)state;
	static const luaL_Reg functions[] = {{"of_host", of_host}, {NULL, NULL}};
	vai_lua_policy p = {.size = sizeof p, .functions = functions, .flags = VAI_LUA_TRUST_MAIN};
	lua_State *L = open_in(&p);
	lua_register(L, "of_host", of_host);
	lua_register(L, "other", other);
	host_run(L, "assert(select(2, vai.async(function() return of_host() end):join()) == 42)");
	host_fails(L, "vai.go(function() return other() end)", "global 'other': the sandbox does not allow a C function");
	host_fails(
		L, "local e = os.execute vai.go(function() return e end)", "upvalue 'e': the sandbox does not allow 'os.ex");
	host_fails(L, "vai.go(io.open)", "the sandbox does not allow 'io.open'");
	host_fails(L, "vai.go(print, vai.fs.open)", "the sandbox does not allow 'vai.fs.open'");
	host_fails(L, "vai.chan(1):send(vai.process.spawn)", "the sandbox does not allow");
	host_fails(L, "vai.chan(1):send({{f = dofile}})", "field 'f': the sandbox does not allow 'dofile'");
	host_fails(L, "vai.async(function() return function() end end):join()", "a function cannot leave the sandbox");
	host_fails(L, "vai.async(function() return setmetatable({}, {__index = function() return 1 end}) end):join()",
		"a function cannot leave the sandbox");
	host_fails(L,
		"local ch = vai.chan(1)\n"
		"vai.async(function() ch:send(setmetatable({}, {__vai_send = function() return nil, load, 'x' end})) "
		"end):join()\n"
		"ch:recv()",
		"a call of __vai_send's cannot leave the sandbox");
	static const char *const of_c[] = {
		"print", "{print}", "math.random", "setmetatable({}, {__index = load})", "{[type] = 1}"};
	for (size_t i = 0; i < sizeof of_c / sizeof *of_c; i++) {
		char chunk[160];
		snprintf(chunk, sizeof chunk, "vai.async(function() return %s end):join()", of_c[i]);
		host_fails(L, chunk, "a function cannot leave the sandbox");
	}
	lua_close(L);
}

/* ---- attempts to get more ---- */

static const char harness[] =
	"local attempts, canary, on_main = ...\n"
	"local head = [[local vai, canary = ...\n"
	"local function use(x)\n"
	"  if type(x) == 'function' then pcall(x, canary, 'w') pcall(x, 'touch ' .. canary) pcall(x, canary, 'w', 'x') "
	"end\n"
	"  if type(x) == 'table' then for _, f in pairs(x) do if type(f) == 'function' then\n"
	"    pcall(f, canary, 'w') pcall(f, 'touch ' .. canary) end end end\n"
	"  return x ~= nil\n"
	"end ]]\n"
	"local function run(code, canary)\n"
	"  local f = assert(load(code))\n"
	"  return not not f(require 'vai', canary)\n"
	"end\n"
	"local globals = {}\n"
	"for k, v in pairs(_G) do globals[k] = v end\n"
	"for _, a in ipairs(attempts) do\n"
	"  local ok, got\n"
	"  while vai.count() > 9 do vai.sleep(0.001) end\n"
	"  if on_main then\n"
	"    ok, got = pcall(run, head .. a.code, canary)\n"
	"    setmetatable(_G, nil) setmetatable(os, nil)\n"
	"    for k in pairs(_G) do _G[k] = globals[k] end\n"
	"  else\n"
	"    ok, got = vai.async(run, head .. a.code, canary):join(600)\n"
	"    if ok == nil then error(a.name .. ': never ends') end\n"
	"  end\n"
	"  if ok and got then error(a.name .. ': escaped') end\n"
	"  for _, mistake in ipairs{ 'syntax error', '(method', '<eof>' } do\n"
	"    if not ok and tostring(got):find(mistake, 1, true) then error(a.name .. ': ' .. got) end\n"
	"  end\n"
	"end\n"
	"return #attempts";

static void try_all(unsigned flags, bool on_main)
{
	vai_lua_policy p = {.size = sizeof p,
		.flags = flags,
		.memory = 16 << 20,
		.cpu = VAI_MS(100),
		.goroutines = 64,
		.memory_in_all = 128 << 20};
	lua_State *L = host_open();
	assert_int_equal(luaL_dofile(L, "spec/c/capi/escapes.lua"), LUA_OK);
	lua_setglobal(L, "attempts");
	lua_close(L);
	L = host_open();
	char canary[256];
	unlink(temp_path(canary, sizeof canary, "canary"));
	assert_int_equal(vai_lua_sandbox(L, &p), VAI_OK);
	assert_int_equal(luaL_dofile(L, "spec/c/capi/escapes.lua"), LUA_OK);
	luaL_requiref(L, "vai", luaopen_vai, 1);
	lua_pop(L, 1);
	assert_int_equal(luaL_loadstring(L, harness), LUA_OK);
	lua_insert(L, -2);
	lua_pushstring(L, canary);
	lua_pushboolean(L, on_main);
	if (lua_pcall(L, 3, 1, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	assert_true(lua_tointeger(L, -1) >= 180);
	assert_int_not_equal(access(canary, F_OK), 0);
	lua_close(L);
}

static void test_escapes(void **state)
{
	(void)state;
	try_all(VAI_LUA_TRUST_MAIN, false);
	try_all(0, false);
}

static void test_escapes_on_main(void **state)
{
	(void)state;
	try_all(0, true);
}

/* ---- bounds ---- */

static void test_goroutines(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p, .goroutines = 10};
	lua_State *L = open_in(&p);
	host_run(L,
		"for round = 1, 3 do\n"
		"  local gate, n, err = vai.chan(), 0\n"
		"  repeat\n"
		"    local ok\n"
		"    ok, err = pcall(vai.go, function() gate:recv() end)\n"
		"    n = n + (ok and 1 or 0)\n"
		"  until not ok\n"
		"  assert(n == 10 and err == 'too many goroutines: the sandbox allows 10 at once', err)\n"
		"  gate:close()\n"
		"  while vai.count() > 1 do vai.sleep(0.001) end\n"
		"end\n"
		"for _ = 1, 100 do vai.async(function() end):join() end\n" /* who waits for one may start the next */
		"local s, n, ok, err = vai.supervisor(), 0\n"
		"repeat\n"
		"  ok, err = pcall(s.child, s, { start = vai.sleep, args = { 60 } })\n"
		"  n = n + (ok and 1 or 0)\n"
		"until not ok\n"
		"assert(n == 4 and #s:children() == 4 and err:find('too many goroutines', 1, true), err)\n"
		"s:stop()");
	lua_close(L);
}

static void test_each(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p, .memory = 1 << 20, .cpu = VAI_MS(200)};
	lua_State *L = open_in(&p);
	host_run(L,
		"local ok, err = vai.async(function() local t = {} for i = 1, 1e9 do t[i] = {} end end):join()\n"
		"assert(not ok and err:find('not enough memory: the sandbox allows 1048576 bytes to a goroutine'))\n"
		"ok, err = vai.async(function() local ch = vai.chan(1e4) for i = 1, 1e4 do ch:send(('x'):rep(1000)) end "
		"end):join()\n"
		"assert(not ok and err:find('not enough memory: the sandbox allows 1048576 bytes'))\n"
		"if preempts then\n"
		"  ok, err = vai.async(function() while true do end end):join()\n"
		"  assert(not ok and err:find('cpu time exceeded'))\n"
		"  vai.timer(0, function() while true do pcall(function() while true do end end) end end)\n"
		"  repeat vai.sleep(0.001) until vai.count() == 1\n"
		"end");
	lua_close(L);
}

/* All goroutines together: in states, in messages that wait, in buffers and in shared tables; what is given up can be
 * taken again. */
static void test_memory_in_all(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p, .memory_in_all = 8 << 20};
	lua_State *L = open_in(&p);
	host_run(L,
		"local text = 'not enough memory: the sandbox allows 8388608 bytes in all'\n"
		"local function try(f, ...)\n"
		"  local ok, err = vai.async(f, ...):join()\n"
		"  assert(not ok and tostring(err):find(text, 1, true), tostring(err))\n"
		"end\n"
		"local ch = vai.chan(1000)\n"
		"for _ = 1, 3 do\n"
		"  try(function() local t = {} for i = 1, 1e9 do t[i] = {} end end)\n"
		"  try(function() local s = 'x' while true do s = s .. s end end)\n"
		"  try(function() for i = 1, 1000 do ch:send(('x'):rep(100000)) end end)\n"
		"  while ch:recv(0) do end\n"
		"  try(function() local vai, t = require 'vai', {} for i = 1, 1000 do t[i] = vai.buffer(1e5) end end)\n"
		"  try(function() local m = require 'vai'.map() for i = 1, 1e9 do m:set(i, ('x'):rep(1000)) end end)\n"
		"  try(function() local vai, t = require 'vai', {} for i = 1, 1e9 do t[i] = vai.chan() end end)\n"
		"end\n"
		"assert(vai.async(function() return #('x'):rep(1 << 20) end):join())");
	lua_close(L);
}

static void test_cpu_in_all(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p, .cpu_in_all = VAI_MS(50)};
	lua_State *L = open_in(&p);
	host_run(L,
		"if not preempts then return end\n"
		"local tasks = {}\n"
		"for i = 1, 4 do tasks[i] = vai.async(function()\n"
		"  while true do pcall(function() while true do end end) end\n"
		"end) end\n"
		"for i = 1, 4 do\n"
		"  local ok, err = tasks[i]:join()\n"
		"  assert(not ok and err:find('cpu time of the sandbox exceeded'), tostring(err))\n"
		"end\n"
		"local ok, err = vai.async(function() return 1 end):join()\n"
		"assert(not ok and err:find('cpu time of the sandbox exceeded'), tostring(err))");
	lua_close(L);
}

/* An error that nobody catches ends its goroutine, not the host. */
static void test_panic(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p};
	lua_State *L = open_in(&p);
	host_run(L, "vai.go(error, 'told on stderr') while vai.count() > 1 do vai.sleep(0.001) end");
	lua_close(L);
}

static size_t longest; /* line that was told; written by the goroutine that fails while main waits for its end */

static void note_length(const char *text, void *data)
{
	size_t n = strlen(text);
	(void)data;
	if (n > longest)
		longest = n;
}

/* What a script has an error say costs the host memory that no bound counts, so it is cut. */
static void test_long_report(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p};
	vai_options o = {.size = sizeof o, .log = note_length};
	lua_State *L = host_open();
	assert_int_equal(vai_start(&o), VAI_OK);
	start_in(L, &p);
	host_run(L, "vai.go(error, ('x'):rep(1e6)) while vai.count() > 1 do vai.sleep(0.001) end");
	assert_true(65536 <= longest && longest <= 200000); /* assert_in_range is deprecated in cmocka 2, an error here */
	lua_close(L);
}

static size_t told, lines, dropped; /* bytes, and lines; the goroutines that add to them run on one processor */

static void note_flood(const char *text, void *data)
{
	const char *count = strstr(text, " lines of sandboxed scripts were dropped");
	(void)data;
	told += strlen(text);
	lines += !count;
	dropped += count ? strtoul(text, NULL, 10) : 0;
}

/* The ways in which scripts make the host's log grow. */
static const char *const floods[] = {
	"for _ = 1, 3000 do vai.go(error, ('x'):rep(length)) vai.yield() end",
	"for _ = 1, 3000 do vai.supervisor(false, ('x'):rep(length)) end",
	"for _ = 1, 3000 do local m = vai.mutex() vai.async(function() m:lock() end):join() end",
	"for _ = 1, 3000 do vai.async(error, ('x'):rep(length)) end",
};

/* A script that has the log grow as fast as it can writes a megabyte at once, and a tenth of one a second at most. The
 * host is told how many lines it did not see: all of 3,000 are accounted for. */
static void floods_log(const char *how, size_t length)
{
	char code[400];
	static const char *const allow[] = {"safe", "collectgarbage", NULL};
	vai_lua_policy p = {.size = sizeof p, .allow = allow};
	vai_options o = {.size = sizeof o, .procs = 1, .log = note_flood};
	lua_State *L = host_open();
	told = lines = dropped = 0;
	assert_int_equal(vai_start(&o), VAI_OK);
	start_in(L, &p);
	snprintf(code, sizeof code, "local length = %zu %s collectgarbage() while vai.count() > 1 do vai.sleep(0.001) end",
		length, how);
	int64_t began = vai_now();
	host_run(L, code);
	lua_close(L);
	const int64_t took = vai_now() - began;
	assert_true(told >= 1 && told <= (size_t)(2 << 20) + (size_t)(took / 10000));
	assert_int_equal(lines + dropped, 3000);
	assert_true(dropped > 0 || took > INT64_C(10000000000)); /* a machine so slow may take all short lines */
}

static void test_flood(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
		floods_log(floods[i], 10);
		floods_log(floods[i], 200000);
	}
}

/* Nor does it where the host has a function for such errors and no memory is left to tell it of one; where there is,
 * that function is called. */
static void test_on_panic(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p, .memory_in_all = 4 << 20, .flags = VAI_LUA_TRUST_MAIN};
	lua_State *L = open_in(&p);
	host_run(L,
		"local n, ch = 0, vai.chan(1e6)\n"
		"vai.on_panic(function(err) assert(type(err) == 'string') n = n + 1 end)\n"
		"vai.go(error, 'room')\n"
		"while n < 1 do vai.sleep(0.001) end\n"
		"local function plugin(ch, length)\n"
		"  local text, size = ('e'):rep(length), 1 << 20\n"
		"  while size > 8 do\n"
		"    if not pcall(function() ch:try_send(('x'):rep(size)) end) then size = size // 2 end\n"
		"  end\n"
		"  error(text)\n"
		"end\n"
		"for _, length in ipairs{ 10, 1000, 1e5, 2e5 } do\n"
		"  for _ = 1, 4 do pcall(vai.go, plugin, ch, length // 1 | 0) end\n"
		"  while vai.count() > 1 do vai.sleep(0.001) end\n"
		"  while ch:recv(0) do end\n"
		"end");
	lua_close(L);
}

/* ---- several states ---- */

static pthread_barrier_t both;
static vai_chan *between; /* from the strict state to the wide one */
static bool preempts;

struct state_of {
	vai_lua_policy policy; /* size 0: none */
	const char *chunk;
	lua_CFunction init; /* or NULL */
};

/* Goroutines of both states run at once. */
static void *in_a_state(void *arg)
{
	struct state_of *s = arg;
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	lua_pushboolean(L, preempts);
	lua_setglobal(L, "preempts");
	lua_register(L, "of_host", of_host);
	if (s->init && vai_lua_init_state(L, s->init, VAI_LUA_NO_FINALIZERS) != VAI_OK)
		abort();
	start_in(L, s->policy.size ? &s->policy : NULL);
	pthread_barrier_wait(&both);
	vai_lua_pushchan(L, between);
	lua_setglobal(L, "between");
	char *error = host_try(L, s->chunk);
	if (error) {
		fprintf(stderr, "%s\n", error);
		abort(); /* the other thread waits */
	}
	pthread_barrier_wait(&both);
	lua_close(L);
	return NULL;
}

static void on_threads(struct state_of *a, struct state_of *b)
{
	pthread_t t;
	assert_int_equal(pthread_barrier_init(&both, NULL, 2), 0);
	assert_non_null(between = vai_chan_new_values(0));
	assert_int_equal(pthread_create(&t, NULL, in_a_state, a), 0);
	in_a_state(b);
	pthread_join(t, NULL);
	vai_unref(between);
	pthread_barrier_destroy(&both);
}

/* Each has bounds of its own, whoever opens first, and what one has used up the other has left. */
static void test_each_state(void **state)
{
	(void)state;
	struct state_of strict = {
		{.size = sizeof(vai_lua_policy), .memory = 1 << 20, .cpu_in_all = VAI_S(1), .goroutines = 3},
		"local vai, gate, n = require 'vai', vai.chan(), 0\n"
		"local big = vai.async(function() local t = {} for i = 1, 1e9 do t[i] = {} end end)\n"
		"local ok, err = big:join()\n"
		"assert(not ok and err:find('the sandbox allows 1048576 bytes to a goroutine', 1, true), err)\n"
		"repeat\n"
		"  ok, err = pcall(vai.go, function() gate:recv() end)\n"
		"  n = n + (ok and 1 or 0)\n"
		"until not ok\n"
		"assert(n == 3 and err == 'too many goroutines: the sandbox allows 3 at once', err)\n"
		"between:send({ gate = gate, text = 'of the strict one' })\n"
		"if preempts then\n"
		"  local function compute() while true do pcall(function() while true do end end) end end\n"
		"  local ok, task\n"
		"  repeat vai.sleep(0.001) ok, task = pcall(vai.async, compute) until ok\n" /* the others end, one by one */
		"  ok, err = task:join()\n"
		"  assert(not ok and err:find('cpu time of the sandbox exceeded', 1, true), err)\n"
		"end\n"
		"between:send('spent')\n",
		NULL};
	struct state_of wide = {{.size = sizeof(vai_lua_policy), .memory = 64 << 20},
		"local tasks = {}\n"
		"for i = 1, 100 do tasks[i] = vai.async(function(between) return i end, between) end\n"
		"local message = between:recv()\n"
		"assert(message.text == 'of the strict one')\n"
		"message.gate:close()\n" /* the strict one's goroutines end by it */
		"assert(between:recv() == 'spent')\n"
		"for i = 1, 100 do assert(select(2, tasks[i]:join()) == i) end\n"
		"local n = 0\n"
		"for i = 1, 100 do n = n + select(2, vai.async(function() return #('x'):rep(4 << 20) >> 22 end):join()) end\n"
		"assert(n == 100)\n",
		NULL};
	lua_State *L = host_open();
	lua_getglobal(L, "preempts");
	preempts = lua_toboolean(L, -1);
	lua_close(L);
	for (int i = 0; i < 2; i++)
		on_threads(i % 2 ? &strict : &wide, i % 2 ? &wide : &strict);
}

/* What is to be found in goroutines of both states, which run the same code: `expected` tells the two apart. */
#define LOOK \
	"local function look()\n" \
	"  local vai = require 'vai'\n" \
	"  local has = { io and 'io', vai.fs and 'fs', vai.timer and 'timer', load(string.dump(function() end)) and " \
	"'bytecode',\n" \
	"    pcall(setmetatable, {}, { __gc = type }) and 'gc', os.execute and 'execute', whose and whose() }\n" \
	"  local list = {}\n" \
	"  for i = 1, 7 do list[#list + 1] = has[i] or nil end\n" \
	"  return table.concat(list, ' ')\n" \
	"end\n" \
	"for i = 1, 60 do\n" \
	"  local ok, got = vai.async(look):join()\n" \
	"  assert(ok and got == expected, tostring(got))\n" \
	"  ok, got = vai.async(function(look) return select(2, require 'vai'.async(look):join()) end, look):join()\n" \
	"  assert(ok and got == expected, tostring(got))\n" \
	"end\n"

static const char *const wide_names[] = {"safe", "io", "vai.fs", NULL}, *const no_timer[] = {"vai.timer", NULL};
static const luaL_Reg of_wide[] = {{"of_host", of_host}, {NULL, NULL}};

static int whose_strict(lua_State *L)
{
	lua_pushliteral(L, "strict's");
	return 1;
}

static int init_strict(lua_State *L)
{
	lua_register(L, "whose", whose_strict);
	return 0;
}

static int whose_free(lua_State *L)
{
	lua_pushliteral(L, "free's");
	return 1;
}

static int init_free(lua_State *L)
{
	lua_register(L, "whose", whose_free);
	return 0;
}

/* Policies, functions and inits are each state's own, while both are open and whoever is the first. */
static void test_each_policy(void **state)
{
	(void)state;
	static const luaL_Reg of_strict[] = {{"whose", whose_strict}, {NULL, NULL}};
	struct state_of strict = {
		{.size = sizeof(vai_lua_policy), .forbid = no_timer, .functions = of_strict, .flags = VAI_LUA_TRUST_MAIN},
		"expected = \"strict's\"\n" LOOK "local ok, err = pcall(vai.async, function() return of_host() end)\n"
		"assert(not ok and err:find('the sandbox does not allow a C function', 1, true), err)\n",
		init_strict};
	struct state_of wide = {{.size = sizeof(vai_lua_policy),
								.allow = wide_names,
								.functions = of_wide,
								.flags = VAI_LUA_BYTECODE | VAI_LUA_FINALIZERS | VAI_LUA_TRUST_MAIN},
		"expected = 'io fs timer bytecode gc'\n" LOOK
		"assert(select(2, vai.async(function() return of_host() end):join()) == 42)\n",
		NULL};
	struct state_of none = {{0}, "expected = \"io fs timer bytecode gc execute free's\"\n" LOOK, init_free};
	on_threads(&strict, &wide);
	on_threads(&wide, &strict);
	on_threads(&none, &strict);
	on_threads(&strict, &none);
	on_threads(&wide, &none);
}

/* Data and objects cross between states with different sandboxes, code does not, whichever way and whatever it hides
 * in. */
#define GIVES \
	"local inner = vai.chan(1)\n" \
	"inner:send(7)\n" \
	"between:send({ 1, 'two', inner = inner, setmetatable({}, { __metatable = 'data' }) })\n" \
	"local function f() return 1 end\n" \
	"local class = { __index = {} }\n" \
	"class.__index.method = f\n" \
	"for _, code in ipairs{ f, { f }, print, { { print } }, { string.format }, math.random, { math.random },\n" \
	"    setmetatable({}, { __index = f }), setmetatable({}, class), { [f] = 1 }, string,\n" \
	"    setmetatable({}, { __vai_send = function() return nil, tostring, 1 end }) } do\n" \
	"  between:send(code)\n" \
	"end\n" \
	"local function fails() return f end\n" \
	"between:send(vai.async(fails))\n" \
	"local map = vai.map() map:set('f', f) between:send(map)\n" \
	"between:send((vai.context():with_value('f', f)))\n" \
	"between:send('all')\n"
#define TAKES \
	"local function refused(f, ...)\n" \
	"  local ok, err = pcall(f, ...)\n" \
	"  assert(not ok and err:find('cannot cross between states with different sandboxes', 1, true),\n" \
	"    type(err) == 'string' and err or type(err))\n" \
	"end\n" \
	"local t = between:recv()\n" \
	"assert(t[1] == 1 and t[2] == 'two' and t.inner:recv() == 7 and getmetatable(t[3]) == 'data')\n" \
	"for i = 1, 12 do refused(between.recv, between) end\n" \
	"local task, map, ctx = between:recv(), between:recv(), between:recv()\n" \
	"refused(task.join, task)\n" \
	"refused(map.get, map, 'f')\n" \
	"refused(ctx.value, ctx, 'f')\n" \
	"assert(between:recv() == 'all')\n"

static void test_code_stays(void **state)
{
	(void)state;
	struct state_of strict = {{.size = sizeof(vai_lua_policy), .forbid = no_timer}, GIVES, NULL};
	struct state_of wide = {{.size = sizeof(vai_lua_policy), .allow = wide_names}, TAKES, NULL};
	struct state_of none = {{0}, TAKES, NULL};
	on_threads(&strict, &wide);
	on_threads(&strict, &none);
	strict.chunk = TAKES;
	wide.chunk = none.chunk = GIVES;
	on_threads(&strict, &wide);
	on_threads(&strict, &none);
}

/* States with the same policy are as one, and no sandbox is the same as no sandbox. */
static void test_same_policies(void **state)
{
	(void)state;
	static const char gives[] = "between:send(function(x) return x + 1 end) between:send({ print })";
	static const char takes[] = "assert(between:recv()(1) == 2 and type(between:recv()[1]) == 'function')";
	struct state_of a = {{.size = sizeof(vai_lua_policy), .memory = 1 << 20, .forbid = no_timer}, gives, NULL};
	struct state_of b = {{.size = sizeof(vai_lua_policy), .goroutines = 7, .forbid = no_timer}, takes, NULL};
	on_threads(&a, &b);
	a.policy.size = b.policy.size = 0;
	on_threads(&a, &b);
}

/* What a state has made is charged to it until it is freed, by whomever. */
static void test_memory_of_each(void **state)
{
	(void)state;
	static const char *const allow[] = {"safe", "collectgarbage", NULL};
	struct state_of small = {{.size = sizeof(vai_lua_policy), .allow = allow, .memory_in_all = 4 << 20},
		"local text = 'not enough memory: the sandbox allows 4194304 bytes in all'\n"
		"for round = 1, 3 do\n"
		"  local ok, err = vai.async(function() local s = 'x' while true do s = s .. s end end):join()\n"
		"  assert(not ok and tostring(err):find(text, 1, true), tostring(err))\n"
		"end\n"
		/* the other one frees it */
		"for i = 1, 200 do assert(vai.async(function() between:send(('x'):rep(100000)) end):join()) end\n"
		"for i = 1, 20 do\n"
		"  local ok, b = vai.async(function() return vai.buffer(1000000) end):join()\n"
		"  assert(ok, tostring(b)) between:send(b) b = nil collectgarbage()\n"
		"end\n"
		"between:send(false)\n"
		"assert(vai.async(function() return #('x'):rep(1 << 20) end):join())\n",
		NULL};
	struct state_of large = {{.size = sizeof(vai_lua_policy), .allow = allow, .memory_in_all = 64 << 20},
		"local ok, err = vai.async(function() return #('x'):rep(20 << 20) end):join() assert(ok, err)\n"
		"local ok, n = vai.async(function()\n"
		"  local n = 0\n"
		"  for x in function() return between:recv() or nil end do n = n + #x x = nil collectgarbage() end\n"
		"  return n\n"
		"end):join()\n"
		"assert(ok and n == 40000000, n)\n"
		"ok, err = vai.async(function() return #('x'):rep(20 << 20) end):join() assert(ok, err)\n"
		"ok, err = vai.async(function() return #('x'):rep(40 << 20) end):join()\n"
		"assert(not ok and tostring(err):find('allows 67108864 bytes in all', 1, true), tostring(err))\n",
		NULL};
	on_threads(&small, &large);
	on_threads(&large, &small);
	large.policy.size = 0;
	large.chunk =
		"local n = 0 for x in function() return between:recv() or nil end do n = n + #x x = nil collectgarbage() end "
		"assert(n == 40000000, n)";
	on_threads(&large, &small);
}

/* A wish stays with its state: it is not the next one's, and that of who opens later is as good as the first one's. */
static void test_wishes(void **state)
{
	(void)state;
	vai_lua_policy p = {.size = sizeof p, .goroutines = 5};
	lua_State *first = host_open(), *second = host_open(), *third = host_open();
	assert_int_equal(vai_lua_sandbox(first, &p), VAI_OK);
	assert_int_equal(vai_lua_init_state(first, init_strict, VAI_LUA_NO_FINALIZERS), VAI_OK);
	assert_int_equal(vai_lua_init_state(first, init_strict, 8), VAI_EINVAL);
	p.goroutines = 7;
	assert_int_equal(vai_lua_sandbox(second, &p), VAI_OK);
	assert_int_equal(vai_lua_sandbox(third, &p), VAI_OK);
	assert_int_equal(vai_lua_sandbox(third, NULL), VAI_OK);
	luaL_requiref(third, "vai", luaopen_vai, 1);
	host_run(third, "assert(io and vai.fs and select(2, vai.async(function() return io ~= nil end):join()))");
	lua_close(third);
	for (int i = 0; i < 2; i++) {
		lua_State *L = i ? second : first;
		luaL_requiref(L, "vai", luaopen_vai, 1);
		assert_int_equal(vai_lua_init_state(L, init_strict, 0), VAI_EINVAL);
		lua_pushinteger(L, i ? 7 : 5);
		lua_setglobal(L, "most");
		lua_pushstring(L, i ? "none" : "strict's");
		lua_setglobal(L, "expected");
		host_run(L,
			"local gate = vai.chan()\n"
			"assert(select(2, vai.async(function() return whose and whose() or 'none' end):join()) == expected)\n"
			"for i = 1, most do vai.go(function() gate:recv() end) end\n"
			"assert(not pcall(vai.go, print) and not io and not vai.fs)");
		lua_close(L);
	}
}

/* ---- the end of a state ---- */

static int refusals, surprises; /* as the scripts tell */

static int tell(lua_State *L)
{
	if (lua_toboolean(L, 1))
		refusals++;
	else
		surprises += fprintf(stderr, "%s\n", lua_tostring(L, 2)) > 0;
	return 0;
}

static int open_module(lua_State *L)
{
	lua_pushliteral(L, "a module");
	return 1;
}

/* Sets the globals `bytecode` and `tell`, and modules to be found. */
static void put_bait(lua_State *L)
{
	host_run(L, "bytecode = string.dump(load('return 1'))");
	lua_register(L, "tell", tell);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	lua_pushcfunction(L, open_module);
	lua_setfield(L, -2, "secret");
	lua_pushcfunction(L, open_module);
	lua_setfield(L, -2, "permitted");
	lua_pop(L, 1);
}

static int call_kept(lua_State *L)
{
	if (lua_getiuservalue(L, 1, 1) == LUA_TFUNCTION)
		lua_call(L, 0, 0);
	return 0;
}

/* Pushes an object whose finalizer calls its user value. */
static void push_finalized(lua_State *L)
{
	lua_newuserdatauv(L, 1, 1);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, call_kept);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
}

#define TRY \
	"local bytecode, load, require, pcall = bytecode, load, require, pcall\n" \
	"local function refused()\n" \
	"  local f, err = load(bytecode, 'x', 'b')\n" \
	"  local ok, got = pcall(require, 'secret')\n" \
	"  tell(not f and err == 'the sandbox does not allow bytecode' and not load(bytecode) and load('return 1')() == " \
	"1\n" \
	"    and not (sent and sent(bytecode)) and not ok and got:find(\"does not allow the module 'secret'\", 1, true)\n" \
	"    and require 'string' == string and pcall(require, 'vai'), tostring(f) .. ' ' .. tostring(got))\n" \
	"end\n"

/* Tries it now, in a finalizer that runs while the state has vai, and in one that runs later. */
static const char tries[] = "local vai = require 'vai'\n"
							"sent = select(2, vai.async(function() return load end):join())\n"
							"assert(type(sent) == 'function' and require 'permitted' == 'a module')\n" TRY "refused()\n"
							"try, late = refused, setmetatable({}, { __gc = refused })\n";

static lua_State *open_bait(void)
{
	static const char *const modules[] = {"permitted", NULL};
	vai_lua_policy p = {.size = sizeof p, .modules = modules};
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	put_bait(L);
	push_finalized(L);
	lua_setglobal(L, "early");
	start_in(L, &p);
	host_run(L, tries);
	lua_getglobal(L, "early");
	lua_getglobal(L, "try");
	lua_setiuservalue(L, -2, 1);
	lua_pop(L, 1);
	return L;
}

/* A run of the state, and its end. */
static void *run_and_close(void *L)
{
	lua_getglobal(L, "try");
	if (lua_pcall(L, 0, 0, 0) != LUA_OK)
		surprises++;
	lua_close(L);
	return NULL;
}

static void *close_as_main(void *L)
{
	lua_State *own = luaL_newstate();
	luaL_openlibs(own);
	start_in(own, NULL);
	run_and_close(L);
	lua_close(own);
	return NULL;
}

/* What the sandbox refuses it refuses on every thread that may use the state, and to every finalizer. */
static void test_closed_elsewhere(void **state)
{
	(void)state;
	void *(*const closers[])(void *) = {run_and_close, close_as_main};
	for (size_t i = 0; i < 4; i++) {
		pthread_t t;
		refusals = surprises = 0;
		lua_State *L = open_bait();
		if (i >= 2)
			vai_stop();
		assert_int_equal(pthread_create(&t, NULL, closers[i % 2], L), 0);
		pthread_join(t, NULL);
		assert_int_equal(surprises, 0);
		assert_int_equal(refusals, 4);
	}
}

static void *close_state(void *L)
{
	lua_close(L);
	return NULL;
}

/* The same for what is left of a goroutine when the runtime ends. */
static void test_abandoned(void **state)
{
	(void)state;
	static const luaL_Reg functions[] = {{"tell", tell}, {NULL, NULL}};
	static const char *const allow[] = {"safe", "io.write", NULL};
	vai_lua_policy p = {.size = sizeof p, .allow = allow, .functions = functions, .flags = VAI_LUA_FINALIZERS};
	pthread_t t;
	refusals = surprises = 0;
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	put_bait(L);
	start_in(L, &p);
	host_run(L,
		"local vai, bytecode = require 'vai', bytecode\n"
		"local ready = vai.chan()\n"
		"vai.go(function()\n"
		"  local function refused()\n"
		"    tell(not load(bytecode) and load('return 1')() == 1 and not pcall(require, 'secret') and not io.open\n"
		"      and not os.execute and not require 'vai'.fs and not require 'vai'.process, 'a goroutine that was "
		"left')\n"
		"  end\n"
		"  gone = setmetatable({}, { __gc = refused })\n"
		"  local left <close> = setmetatable({}, { __close = refused })\n"
		"  ready:send(true)\n"
		"  vai.sleep(1000)\n"
		"end)\n"
		"ready:recv()");
	assert_int_equal(pthread_create(&t, NULL, close_state, L), 0);
	pthread_join(t, NULL);
	assert_int_equal(surprises, 0);
	assert_int_equal(refusals, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_refused),
		host_test(test_too_late),
		host_test(test_ends),
		host_test(test_allowed),
		host_test(test_files),
		host_test(test_functions),
		host_test(test_escapes),
		host_test(test_escapes_on_main),
		host_test(test_goroutines),
		host_test(test_each),
		host_test(test_memory_in_all),
		host_test(test_cpu_in_all),
		host_test(test_panic),
		host_test(test_long_report),
		host_test(test_flood),
		host_test(test_on_panic),
		host_test(test_each_state),
		host_test(test_each_policy),
		host_test(test_code_stays),
		host_test(test_same_policies),
		host_test(test_memory_of_each),
		host_test(test_wishes),
		host_test(test_closed_elsewhere),
		host_test(test_abandoned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
