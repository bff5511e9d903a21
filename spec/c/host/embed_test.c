/* SPDX-License-Identifier: MIT */
/* vai_lua.h as a host uses it: only that header is included. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vai_lua.h"

#define OK(call) assert_int_equal(call, VAI_OK)

static lua_State *open_plain(void)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	return L;
}

static int call_open(lua_State *L)
{
	luaL_requiref(L, "vai", luaopen_vai, 1);
	return 1;
}

static lua_State *open(void)
{
	lua_State *L = open_plain();
	OK(vai_start(NULL));
	lua_pushcfunction(L, call_open);
	if (lua_pcall(L, 0, 0, 0) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	lua_register(L, "on_host", vai_lua_on_host);
	return L;
}

static void end(lua_State *L)
{
	OK(vai_stop());
	lua_close(L);
}

static void run(lua_State *L, const char *chunk)
{
	if (luaL_dostring(L, chunk) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
	lua_settop(L, 0);
}

static void push_function(lua_State *L, const char *body)
{
	if (luaL_loadstring(L, body) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
}

/* ---- goroutines, values ---- */

static void functions_start_with_arguments(void **state)
{
	(void)state;
	lua_State *L = open();
	lua_pushliteral(L, "below");
	push_function(L, "local a, b = ... return a + b, 'end'");
	lua_pushinteger(L, 40);
	lua_pushinteger(L, 2);
	vai_lua_async(L, 2);
	assert_int_equal(lua_gettop(L), 2);
	vai_task *task = vai_lua_totask(L, -1);
	assert_non_null(task);
	assert_int_equal(vai_lua_join(L, task, VAI_FOREVER), 3);
	assert_true(lua_toboolean(L, -3));
	assert_int_equal(lua_tointeger(L, -2), 42);
	assert_string_equal(lua_tostring(L, -1), "end");
	lua_settop(L, 1);
	push_function(L, "error {code = 7}");
	vai_lua_async(L, 0);
	assert_int_equal(vai_lua_join(L, vai_lua_totask(L, -1), VAI_FOREVER), 3);
	assert_false(lua_toboolean(L, -3));
	lua_getfield(L, -2, "code");
	assert_int_equal(lua_tointeger(L, -1), 7);
	lua_settop(L, 1);
	assert_null(vai_lua_totask(L, 1));
	push_function(L, "require 'vai'.chan():recv()");
	vai_lua_async(L, 0);
	task = vai_lua_totask(L, -1);
	assert_int_equal(vai_lua_join(L, task, 0), VAI_EAGAIN);
	assert_int_equal(vai_lua_join(L, task, VAI_MS(1)), VAI_ETIMEOUT);
	assert_true(vai_cancel(task));
	assert_true(vai_lua_join(L, task, VAI_FOREVER) >= 2);
	lua_settop(L, 1);
	assert_string_equal(lua_tostring(L, 1), "below");
	end(L);
}

static int go_with_coroutine(lua_State *L)
{
	push_function(L, "return ...");
	lua_newthread(L);
	vai_lua_go(L, 1);
	return 0;
}

static void what_cannot_be_sent_raises(void **state)
{
	(void)state;
	lua_State *L = open();
	lua_pushcfunction(L, go_with_coroutine);
	assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
	assert_non_null(strstr(lua_tostring(L, -1), "vai_lua_go: argument 2: thread cannot be sent"));
	end(L);
}

static void values_go_both_ways(void **state)
{
	(void)state;
	lua_State *L = open();
	vai_chan *to = vai_chan_new_values(0), *back = vai_chan_new_values(1), *bytes = vai_chan_new(1, 1);
	push_function(L, "local to, back = ... for t in to do t.n = t.n * 2 back:send(t) end back:close()");
	OK(vai_lua_pushchan(L, to));
	OK(vai_lua_pushchan(L, back));
	vai_lua_go(L, 2);
	lua_settop(L, 0);
	for (int i = 1; i <= 100; i++) {
		lua_newtable(L);
		lua_pushinteger(L, i);
		lua_setfield(L, -2, "n");
		if (i % 2) {
			OK(vai_lua_send(L, to, -1, VAI_FOREVER));
		} else {
			vai_value v;
			vai_lua_tovalue(L, -1, &v);
			assert_int_equal(vai_value_type(&v), VAI_T_OTHER);
			OK(vai_send_value(to, &v, VAI_FOREVER));
		}
		lua_settop(L, 0);
		if (i % 3) {
			OK(vai_lua_recv(L, back, VAI_FOREVER));
		} else {
			vai_value v;
			OK(vai_recv_value(back, &v, VAI_FOREVER));
			vai_lua_pushvalue(L, &v);
			assert_int_equal(vai_value_type(&v), VAI_T_NIL);
		}
		lua_getfield(L, -1, "n");
		assert_int_equal(lua_tointeger(L, -1), 2 * i);
		lua_settop(L, 0);
	}
	lua_pushnil(L);
	assert_int_equal(vai_lua_send(L, to, -1, 0), VAI_EINVAL);
	assert_int_equal(vai_lua_send(L, bytes, -1, 0), VAI_EINVAL);
	assert_int_equal(vai_lua_pushchan(L, bytes), VAI_EINVAL);
	assert_int_equal(vai_lua_recv(L, back, 0), VAI_EAGAIN);
	OK(vai_close(to));
	assert_int_equal(vai_lua_recv(L, back, VAI_FOREVER), VAI_ECLOSED);
	vai_unref(to);
	vai_unref(back);
	vai_unref(bytes);
	end(L);
}

static void *wrong_thread(void *arg)
{
	lua_State *L = arg;
	vai_chan *ch = vai_chan_new_values(1);
	bool refused = vai_lua_send(L, ch, 1, 0) == VAI_ETHREAD && vai_lua_recv(L, ch, 0) == VAI_ETHREAD &&
		vai_lua_pushchan(L, ch) == VAI_EINVAL && vai_lua_join(L, NULL, 0) == VAI_ETHREAD;
	vai_unref(ch);
	return refused ? arg : NULL;
}

static void other_threads_are_refused(void **state)
{
	(void)state;
	lua_State *L = open();
	pthread_t thread;
	void *result;
	lua_pushinteger(L, 1);
	assert_int_equal(pthread_create(&thread, NULL, wrong_thread, L), 0);
	pthread_join(thread, &result);
	assert_ptr_equal(result, L);
	end(L);
}

/* A C function that a goroutine calls: it sends what it gets, from within. */
static int relay(lua_State *L)
{
	vai_chan *ch = vai_lua_tochan(L, 1);
	int rc = vai_lua_send(L, ch, 2, VAI_FOREVER);
	lua_pushinteger(L, rc);
	return 1;
}

static void c_functions_of_goroutines_wait_and_are_canceled(void **state)
{
	(void)state;
	lua_State *L = open();
	lua_register(L, "relay", relay);
	run(L,
		"local vai = require 'vai'\n"
		"local ch = vai.chan()\n"
		"local t = vai.async(function() return relay(ch, {5}) end)\n"
		"assert(ch:recv()[1] == 5)\n"
		"assert(select(2, t:join()) == 0)\n"
		"local after = vai.atomic(0)\n"
		"t = vai.async(function() local rc = relay(ch, 1) after:set(rc) end)\n"
		"while t:status() ~= 'waiting' do vai.yield() end\n"
		"t:cancel('enough')\n"
		"local ok, err = t:join()\n"
		"assert(not ok and err == 'enough' and after:get() == 0, err)\n");
	end(L);
}

/* ---- what all states get ---- */

static int answer(lua_State *L)
{
	lua_pushinteger(L, 42);
	return 1;
}

static int open_virtual(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, answer);
	lua_setfield(L, -2, "answer");
	return 1;
}

static int searcher(lua_State *L)
{
	if (strcmp(lua_tostring(L, 1), "found") != 0)
		return 0;
	lua_pushcfunction(L, open_virtual);
	return 1;
}

static atomic_int finalized;

static int finalize(lua_State *L)
{
	(void)L;
	atomic_fetch_add(&finalized, 1);
	return 0;
}

static int make_finalized(lua_State *L)
{
	lua_newuserdatauv(L, 1, 0);
	if (luaL_newmetatable(L, "finalized")) {
		lua_pushcfunction(L, finalize);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	return 1;
}

static int init(lua_State *L)
{
	lua_pushcfunction(L, answer);
	lua_setglobal(L, "print");
	lua_pushnil(L);
	lua_setglobal(L, "dofile");
	lua_register(L, "make", make_finalized);
	lua_getglobal(L, "os");
	lua_pushnil(L);
	lua_setfield(L, -2, "execute");
	lua_pop(L, 1);
	lua_pushnil(L);
	lua_setglobal(L, "debug");
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	lua_pushcfunction(L, open_virtual);
	lua_setfield(L, -2, "virtual");
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "searchers");
	lua_pushcfunction(L, searcher);
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	return 0;
}

static void init_is_in_every_goroutine(void **state)
{
	(void)state;
	OK(vai_lua_init(init, 0));
	lua_State *L = open();
	assert_int_equal(vai_lua_init(init, 0), VAI_EINVAL);
	run(L,
		"local vai = require 'vai'\n"
		"assert(print ~= nil and dofile and os.execute)\n"
		"local function look()\n"
		"  make()\n"
		"  local seen = {}\n"
		"  for k in pairs(_G) do seen[k] = true end\n"
		"  assert(not seen.dofile and not seen.debug and seen.string)\n"
		"  assert(print() == 42 and dofile == nil and os.execute == nil and debug == nil and os.time())\n"
		"  assert(require 'virtual'.answer() == 42 and require 'found'.answer() == 42)\n"
		"  assert(not pcall(require, 'lost') and string.format('%d', 1) == '1')\n"
		"  return true\n"
		"end\n"
		"for i = 1, 8 do assert(vai.async(look):join()) end\n"
		"assert(vai.async(print):join())\n"
		"if not os.getenv('VAI_CLONE') then assert(vai.stats().states == 'clone', vai.stats().states) end\n");
	end(L);
	assert_int_equal(atomic_load(&finalized), 8);
	OK(vai_lua_init(NULL, 0));
	L = open();
	run(L, "assert(select(2, require 'vai'.async(function() return dofile end):join()))");
	end(L);
}

static int bad_init(lua_State *L)
{
	return luaL_error(L, "no such file");
}

static void a_failing_init_ends_the_start(void **state)
{
	(void)state;
	OK(vai_lua_init(bad_init, VAI_LUA_NO_FINALIZERS));
	assert_int_equal(vai_lua_init(bad_init, 8), VAI_EINVAL);
	lua_State *L = open_plain();
	lua_pushcfunction(L, call_open);
	assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
	assert_non_null(strstr(lua_tostring(L, -1), "vai cannot start: no such file"));
	lua_close(L);
	OK(vai_lua_init(NULL, 0));
}

/* ---- userdata ---- */

struct body {
	atomic_int refs;
	int mass;
};

static atomic_int bodies;

static void drop_body(void *p)
{
	struct body *b = p;
	if (atomic_fetch_sub(&b->refs, 1) == 1) {
		free(b);
		atomic_fetch_sub(&bodies, 1);
	}
}

static int body_gc(lua_State *L)
{
	drop_body(*(struct body **)lua_touserdata(L, 1));
	return 0;
}

static int body_mass(lua_State *L)
{
	lua_pushinteger(L, (*(struct body **)luaL_checkudata(L, 1, "game.body"))->mass);
	return 1;
}

/* Takes the reference over. */
static void push_body(lua_State *L, struct body *b)
{
	*(struct body **)lua_newuserdatauv(L, sizeof b, 0) = b;
	if (luaL_newmetatable(L, "game.body")) {
		lua_pushcfunction(L, body_gc);
		lua_setfield(L, -2, "__gc");
		lua_pushcfunction(L, body_mass);
		lua_setfield(L, -2, "__len");
	}
	lua_setmetatable(L, -2);
}

static int new_body(lua_State *L)
{
	struct body *b = malloc(sizeof *b);
	atomic_init(&b->refs, 1);
	b->mass = (int)luaL_checkinteger(L, 1);
	atomic_fetch_add(&bodies, 1);
	push_body(L, b);
	return 1;
}

static int body_out(lua_State *L)
{
	struct body *b = *(struct body **)lua_touserdata(L, 1);
	vai_lua_pushref(L, b, drop_body);
	atomic_fetch_add(&b->refs, 1);
	lua_pushliteral(L, "extra");
	return 2;
}

static int body_in(lua_State *L)
{
	struct body *b = vai_lua_toref(L, 1);
	assert_null(vai_lua_toref(L, 2));
	atomic_fetch_add(&b->refs, 1);
	push_body(L, b);
	return 1;
}

static void userdata_cross_by_their_codec(void **state)
{
	(void)state;
	lua_State *L = open();
	static bool added;
	if (!added)
		OK(vai_lua_codec("game.body", body_out, body_in));
	added = true;
	assert_int_equal(vai_lua_codec("game.body", body_out, body_in), VAI_EINVAL);
	assert_int_equal(vai_lua_codec("other", NULL, body_in), VAI_EINVAL);
	lua_register(L, "body", new_body);
	run(L,
		"local vai = require 'vai'\n"
		"local ch, b = vai.chan(2), body(7)\n"
		"local t = vai.async(function(x) assert(#x == 7 and #b == 7) return {b, body(9)} end, b)\n"
		"local ok, back = t:join()\n"
		"assert(ok, back)\n"
		"assert(#back[1] == 7 and #back[2] == 9)\n"
		"ch:send({b, b}) ch:send(b)\n"
		"local two = ch:recv() assert(two[1] == two[2] and #two[1] == 7)\n"
		"local file = io.tmpfile()\n"
		"ok, err = pcall(ch.send, ch, file)\n"
		"assert(not ok and err:find('userdata FILE* cannot be sent', 1, true), err)\n");
	end(L);
	assert_int_equal(atomic_load(&bodies), 0);
}

/* ---- calls on the host ---- */

static pthread_t host_thread;

static int on_which(lua_State *L)
{
	lua_pushboolean(L, pthread_equal(pthread_self(), host_thread));
	return 1;
}

static void goroutines_call_the_host(void **state)
{
	(void)state;
	lua_State *L = open();
	host_thread = pthread_self();
	lua_register(L, "on_which", on_which);
	run(L,
		"local vai = require 'vai'\n"
		"world = {n = 0, add = function(k) assert(on_which()) world.n = world.n + k return world.n, 'ok' end}\n"
		"local pause = vai.chan()\n"
		"function wait() return pause:recv() end\n"
		"local function call(...) return on_host(...) end\n"
		"local tasks = {}\n"
		"for i = 1, 20 do tasks[i] = vai.async(function() for _ = 1, 10 do call('world.add', 1) end end) end\n"
		"for i = 1, 20 do assert(tasks[i]:join()) end\n"
		"assert(world.n == 200 and select(2, on_host('world.add', 0)) == 'ok')\n"
		"local function fails(f, text)\n"
		"  local ok, err = vai.async(f):join()\n"
		"  assert(not ok and tostring(err):find(text, 1, true), err)\n"
		"end\n"
		"fails(function() on_host('world.none.at') end, \"the host has no function 'world.none.at'\")\n"
		"fails(function() on_host(5) end, \"bad argument #1 to 'on_host'\")\n"
		"fails(function() on_host(function() error('up there') end) end, 'up there')\n"
		"fails(function() on_host(function() error(coroutine.create(print)) end) end, 'thread')\n"
		"fails(function() on_host(function() return coroutine.create(print) end) end, 'cannot be sent')\n"
		"local co = function() return coroutine.wrap(function() coroutine.yield(on_which()) end)() end\n"
		"assert(select(2, vai.async(function() return on_host(co) end):join()) == true)\n"
		"local t = vai.async(function() return on_host('wait') end)\n"
		"while t:status() ~= 'waiting' do vai.yield() end\n"
		"pause:send('woken')\n"
		"assert(select(2, t:join()) == 'woken')\n"
		"t = vai.async(function() return on_host('wait') end)\n"
		"while t:status() ~= 'waiting' do vai.sleep(0.001) end\n"
		"local f = io.tmpfile() vai.dump(f) f:close()\n");
	end(L); /* with a visit that waits */
}

static void the_host_runs_them_in_its_frames(void **state)
{
	(void)state;
	lua_State *L = open();
	host_thread = pthread_self();
	lua_register(L, "on_which", on_which);
	run(L, "task = require 'vai'.async(function() for i = 1, 50 do assert(on_host('on_which')) end end)");
	lua_getglobal(L, "task");
	vai_task *task = vai_lua_totask(L, -1);
	int n;
	while ((n = vai_lua_join(L, task, 0)) == VAI_EAGAIN)
		OK(vai_poll(VAI_MS(20)));
	assert_int_equal(n, 1);
	assert_true(lua_toboolean(L, -1));
	end(L);
}

/* ---- vai_interrupt ---- */

static void *interrupts(void *arg)
{
	struct timespec pause = {.tv_nsec = 5000000};
	while (!atomic_load((atomic_int *)arg))
		nanosleep(&pause, NULL);
	assert_int_equal(vai_interrupt(), VAI_OK);
	return NULL;
}

static int tell(lua_State *L)
{
	atomic_store((atomic_int *)lua_touserdata(L, lua_upvalueindex(1)), 1);
	return 0;
}

static void mains_waits_are_interrupted(void **state)
{
	(void)state;
	lua_State *L = open();
	vai_chan *never = vai_chan_new(0, 0);
	static const char *const chunks[] = {"tell() require 'vai'.chan():recv()", "tell() while true do end",
		"coroutine.wrap(function() tell() while true do end end)()"};
	OK(vai_interrupt()); /* the next wait */
	assert_int_equal(vai_recv(never, NULL, VAI_FOREVER), VAI_EINTERRUPTED);
	assert_int_equal(vai_recv(never, NULL, VAI_MS(3)), VAI_ETIMEOUT);
	/* Many rounds: an interrupt may come as soon as main has come out of the wait that the one before has ended. */
	for (size_t i = 0; i < 40 * sizeof chunks / sizeof *chunks; i++) {
		atomic_int go = 0;
		pthread_t thread;
		lua_pushlightuserdata(L, &go);
		lua_pushcclosure(L, tell, 1);
		lua_setglobal(L, "tell");
		assert_int_equal(pthread_create(&thread, NULL, interrupts, &go), 0);
		assert_true(luaL_dostring(L, chunks[i % (sizeof chunks / sizeof *chunks)]));
		assert_non_null(strstr(lua_tostring(L, -1), "interrupted!"));
		pthread_join(thread, NULL);
		lua_settop(L, 0);
	}
	vai_unref(never);
	end(L);
	assert_int_equal(vai_interrupt(), VAI_ESTOPPED);
}

/* Once more where goroutines look themselves whether they are to be interrupted, as with VAI_NO_SIGNALS. */
static int again_with_counts(char **argv)
{
	if (getenv("VAI_PREEMPT"))
		return 0;
	setenv("VAI_PREEMPT", "count", 1);
	execv("/proc/self/exe", argv);
	return 1;
}

int main(int argc, char **argv)
{
	(void)argc;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_start_with_arguments),
		cmocka_unit_test(what_cannot_be_sent_raises),
		cmocka_unit_test(values_go_both_ways),
		cmocka_unit_test(other_threads_are_refused),
		cmocka_unit_test(c_functions_of_goroutines_wait_and_are_canceled),
		cmocka_unit_test(init_is_in_every_goroutine),
		cmocka_unit_test(a_failing_init_ends_the_start),
		cmocka_unit_test(userdata_cross_by_their_codec),
		cmocka_unit_test(goroutines_call_the_host),
		cmocka_unit_test(the_host_runs_them_in_its_frames),
		cmocka_unit_test(mains_waits_are_interrupted),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed ? failed : again_with_counts(argv);
}
