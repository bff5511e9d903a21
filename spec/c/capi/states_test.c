/* SPDX-License-Identifier: MIT */
/* Several Lua states of one process that have vai open at once, each on a thread of its own. The host gives objects of
 * one to another. STATES_ROUNDS in the environment says how often each is opened and closed. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>
#include <unistd.h>
#include "base/san.h"
#include "resident.h"
#include "hosts.h"

enum { STATES = HOSTS_MAX, WARM_UP = 3 };

static int rounds(void)
{
	const char *wish = getenv("STATES_ROUNDS");
	return wish ? atoi(wish) : 8;
}

/* ---- sixteen that talk ---- */

static vai_chan *inbox[STATES]; /* made by its state's thread, between two barriers */
static int nrounds;

/* A hundred goroutines: half of them pass numbers on to each other, half of them to the next state. */
static const char talk[] = "local vai = require 'vai'\n"
						   "local first, out, done = vai.chan(), nil, vai.chan(50)\n"
						   "local from = first\n"
						   "for i = 1, 50 do\n"
						   "  local to = vai.chan()\n"
						   "  vai.go(function(from, to) for v in from do to:send(v + 1) end to:close() end, from, to)\n"
						   "  from = to\n"
						   "end\n"
						   "for i = 1, 25 do\n"
						   "  vai.go(function(next, i) next:send({ i, name = 'from afar' }) end, next, i)\n"
						   "  vai.go(function(inbox, done) local m = inbox:recv() assert(m.name == 'from afar') "
						   "done:send(m[1]) end, inbox, done)\n"
						   "end\n"
						   "for i = 1, 20 do first:send(i) assert(from:recv() == i + 50) end\n"
						   "first:close()\n"
						   "local sum = 0\n"
						   "for i = 1, 25 do sum = sum + done:recv() end\n"
						   "assert(sum == 25 * 26 / 2, sum)\n";

static void *talk_thread(void *arg)
{
	const intptr_t k = (intptr_t)arg;
	for (int i = 0; i < nrounds; i++) {
		lua_State *L = hosts_open();
		MUST((inbox[k] = vai_chan_new_values(4)) != NULL);
		pthread_barrier_wait(&hosts_all);
		MUST(vai_lua_pushchan(L, inbox[k]) == VAI_OK);
		lua_setglobal(L, "inbox");
		MUST(vai_lua_pushchan(L, inbox[(k + 1) % STATES]) == VAI_OK);
		lua_setglobal(L, "next");
		hosts_run(L, talk);
		pthread_barrier_wait(&hosts_all); /* nobody needs the others any more, which close all at once */
		vai_unref(inbox[k]);
		lua_close(L);
		if (k == 0 && nrounds >= 100 && (i + 1) % (nrounds / 10) == 0)
			fprintf(stderr, "%d rounds: %ld kB\n", i + 1, spec_resident() / 1024);
	}
	return NULL;
}

static void sixteen_talk(void **state)
{
	(void)state;
	nrounds = WARM_UP;
	hosts_on_threads(talk_thread, STATES);
	long before = spec_resident() / 1024;
	nrounds = rounds();
	hosts_on_threads(talk_thread, STATES);
	long after = spec_resident() / 1024;
	print_message("%d rounds of %d states: %ld kB before, %ld kB after\n", nrounds, STATES, before, after);
#if !defined(VAI_ASAN) && !defined(VAI_TSAN)
	assert_true(after < before + before / 2 + 16384);
#endif
}

/* ---- closed in the middle of everything ---- */

static const char busy[] =
	"local vai = require 'vai'\n"
	"local ch, m = vai.chan(), vai.mutex()\n"
	"for i = 1, 20 do\n"
	"  vai.go(function() ch:recv() end)\n"
	"  vai.go(function() vai.sleep(100) end)\n"
	"  vai.go(function() while true do pcall(vai.sleep, 0.001) end end)\n"
	"  vai.go(function() while true do vai.yield() end end)\n"
	"  vai.go(function() local c <close> = setmetatable({}, { __close = function() vai.sleep(0.001) end }) ch:recv() "
	"end)\n"
	"end\n"
	"vai.go(function() local n = 0 while true do n = n + 1 end end)\n"
	"vai.go(function() while true do vai.go(function() vai.sleep(0.001) end) vai.sleep(0.0001) end end)\n"
	"vai.on_panic(function() end)\n"
	"vai.timer(0.001, function() error('a timer of a state that is closed') end)\n"
	"tasks = { vai.async(function() ch:recv() end), vai.async(function() vai.sleep(100) end) }\n"
	"listener = vai.net.listen('tcp', '127.0.0.1:0')\n"
	"vai.net.serve(listener, function(c) for line in c:lines() do c:write(line) end end)\n"
	"client = assert(vai.net.dial('tcp', listener:addr())) client:write('half a line')\n"
	"vai.sleep(0.0005)\n";

static void *busy_thread(void *arg)
{
	(void)arg;
	for (int i = 0; i < nrounds; i++) {
		lua_State *L = hosts_open();
		hosts_run(L, busy);
		lua_close(L);
	}
	return NULL;
}

static void closed_in_the_middle(void **state)
{
	(void)state;
	nrounds = rounds() / 4 + 1;
	hosts_on_threads(busy_thread, STATES);
}

/* ---- one closes, the other goes on ---- */

static vai_chan *shared;

static void *closes_first(lua_State *L)
{
	hosts_run(L, "for i = 1, 10 do vai.go(function() while true do shared:recv() end end) end vai.sleep(0.001)");
	lua_close(L);
	pthread_barrier_wait(&hosts_all);
	return NULL;
}

static void *goes_on(lua_State *L)
{
	hosts_run(L, "task = vai.async(function() while true do vai.yield() end end)");
	pthread_barrier_wait(&hosts_all);
	/* The others have ended, or do so as soon as a busy machine runs them. What was sent to nobody is there for the one
	 * who is left. */
	hosts_run(L, "while vai.count() > 2 do vai.sleep(0.001) end");
	hosts_run(L, "assert(vai.count() == 2) assert(shared:try_send(7)) assert(shared:recv() == 7)");
	hosts_run(L, "assert(task:cancel()) vai.sleep(0.001)");
	lua_close(L);
	return NULL;
}

static void *end_thread(void *arg)
{
	lua_State *L = hosts_open();
	if (!arg)
		MUST((shared = vai_chan_new_values(1)) != NULL);
	pthread_barrier_wait(&hosts_all);
	MUST(vai_lua_pushchan(L, shared) == VAI_OK);
	lua_setglobal(L, "shared");
	pthread_barrier_wait(&hosts_all);
	arg ? closes_first(L) : goes_on(L);
	if (!arg)
		vai_unref(shared);
	return NULL;
}

static void only_its_own_goroutines_end(void **state)
{
	(void)state;
	for (int i = 0; i < rounds(); i++)
		hosts_on_threads(end_thread, 2);
}

/* A C function of which the close of its state does not see the end, and which waits afterwards. */
static int computes_then_waits(lua_State *L)
{
	usleep(200000); /* longer than a close has patience */
	vai_lua_recv(L, shared, VAI_FOREVER);
	return 0;
}

static void *late_thread(void *arg)
{
	lua_State *L = hosts_open();
	if (!arg)
		MUST((shared = vai_chan_new_values(1)) != NULL);
	pthread_barrier_wait(&hosts_all);
	if (arg) {
		lua_register(L, "computes_then_waits", computes_then_waits);
		hosts_run(L, "for i = 1, 3 do vai.go(function() computes_then_waits() end) end vai.sleep(0.001)");
		lua_close(L);
		pthread_barrier_wait(&hosts_all);
		return NULL;
	}
	pthread_barrier_wait(&hosts_all);
	hosts_run(
		L, "for i = 1, 10000 do if vai.count() == 1 then return end vai.sleep(0.002) end error('some wait for ever')");
	lua_close(L);
	vai_unref(shared);
	return NULL;
}

static void who_waits_late_ends(void **state)
{
	(void)state;
	hosts_on_threads(late_thread, 2);
}

/* ---- each has its own ---- */

static void *own_thread(void *arg)
{
	char chunk[512];
	lua_State *L = hosts_open();
	snprintf(chunk, sizeof chunk,
		"package.path = '/of/%d/?.lua'\n"
		"package.preload.mine = function() return { %d } end\n"
		"local _, mine, path = vai.async(function() return require 'mine'[1], package.path end):join()\n"
		"assert(mine == %d and path == '/of/%d/?.lua', path)\n"
		"local told\n"
		"vai.on_panic(function(err) told = err end)\n"
		"vai.go(function() error('of %d', 0) end)\n"
		"while not told do vai.sleep(0.0005) end\n"
		"assert(told == 'of %d', told)\n",
		(int)(intptr_t)arg, (int)(intptr_t)arg, (int)(intptr_t)arg, (int)(intptr_t)arg, (int)(intptr_t)arg,
		(int)(intptr_t)arg);
	pthread_barrier_wait(&hosts_all);
	for (int i = 0; i < rounds(); i++)
		hosts_run(L, chunk);
	lua_close(L);
	return NULL;
}

static void each_has_its_own(void **state)
{
	(void)state;
	hosts_on_threads(own_thread, 4);
}

/* ---- where one must not go ---- */

static void two_on_one_thread(void **state)
{
	(void)state;
	lua_State *A = hosts_open(), *B = luaL_newstate();
	luaL_openlibs(B);
	lua_pushcfunction(B, luaopen_vai);
	assert_int_equal(lua_pcall(B, 0, 1, 0), LUA_ERRRUN);
	assert_non_null(strstr(lua_tostring(B, -1), "this thread has another Lua state that has opened vai"));
	lua_close(A);
	lua_settop(B, 0);
	lua_pushcfunction(B, luaopen_vai);
	assert_int_equal(lua_pcall(B, 0, 1, 0), LUA_OK);
	lua_close(B);
}

static void *other_closes(void *L)
{
	lua_close(L);
	return NULL;
}

/* Another thread closes a state, with goroutines, while a second one lives. */
static void *survives(void *arg)
{
	lua_State *L = hosts_open();
	pthread_barrier_wait(&hosts_all);
	if (arg) {
		pthread_t t;
		hosts_run(L, "for i = 1, 10 do vai.go(function() vai.chan():recv() end) end vai.sleep(0.001)");
		MUST(pthread_create(&t, NULL, other_closes, L) == 0);
		MUST(pthread_join(t, NULL) == 0);
		pthread_barrier_wait(&hosts_all);
		return NULL;
	}
	pthread_barrier_wait(&hosts_all);
	hosts_run(L, "assert(select(2, vai.async(function() return 3 end):join()) == 3)");
	lua_close(L);
	return NULL;
}

static void another_thread_closes_one(void **state)
{
	(void)state;
	for (int i = 0; i < rounds(); i++)
		hosts_on_threads(survives, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sixteen_talk),
		cmocka_unit_test(closed_in_the_middle),
		cmocka_unit_test(only_its_own_goroutines_end),
		cmocka_unit_test(who_waits_late_ends),
		cmocka_unit_test(each_has_its_own),
		cmocka_unit_test(two_on_one_thread),
		cmocka_unit_test(another_thread_closes_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
