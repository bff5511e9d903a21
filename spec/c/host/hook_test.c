/* SPDX-License-Identifier: MIT */
/* A host that has hooks and coroutines of its own, or puts a handler before the one of preemption. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "host/host.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"

static atomic_int plain;

/* Others wait while main and goroutines compute: they are interrupted. */
static const char busy[] =
	"local vai = require 'vai'\n"
	"vai.maxprocs(1)\n"
	"local out = vai.chan(100)\n"
	"for i = 1, 3 do vai.go(function() for k = 1, 5 do vai.sleep(0.001) out:send(k) end end) end\n"
	"while preempts and #out < 15 do end\n"
	"return ...\n";

/* A handler that the host installs later goes before vai's, which is then not called: the host is to
 * call on, as is usual. */
static struct sigaction next;

static void count_and_pass_on(int sig, siginfo_t *info, void *context)
{
	atomic_fetch_add(&plain, 1);
	next.sa_sigaction(sig, info, context);
}

static void test_handler_on_top(void **state)
{
	(void)state;
	const char *mode = getenv("VAI_PREEMPT");
	if (host_variant("tsan") || (mode && strcmp(mode, "signal") != 0))
		skip(); /* no signals are sent */
	struct sigaction sa = {.sa_sigaction = count_and_pass_on, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	lua_State *L = host_open();
	host_run(L, "require 'vai'");
	assert_int_equal(sigaction(SIGURG, &sa, &next), 0);
	/* Beside others main may lose its CPU, and with it its P, before a signal is due. */
	for (int i = 0; i < 100 && atomic_load(&plain) == 0; i++)
		host_run(L, busy);
	assert_true(atomic_load(&plain) > 0);
	assert_int_equal(sigaction(SIGURG, &next, NULL), 0);
	host_run(L, busy);
	lua_close(L);
}

/* ---- hooks from C ---- */

static atomic_int events[5];

static void count_event(lua_State *L, lua_Debug *ar)
{
	atomic_fetch_add(&events[ar->event], 1);
	(void)L;
}

static void test_hook(void **state)
{
	(void)state;
	lua_State *L = host_open();
	host_run(L, "require 'vai'");
	lua_sethook(L, count_event, LUA_MASKLINE | LUA_MASKCOUNT, 1000);
	host_run(L, busy);
	assert_true(atomic_load(&events[LUA_HOOKLINE]) > 0);
	int lines = atomic_load(&events[LUA_HOOKLINE]);
	host_run(L, "local x = 1\nx = 2\nfor i = 1, 10000 do x = i end\n");
	assert_true(atomic_load(&events[LUA_HOOKLINE]) > lines);
	assert_true(atomic_load(&events[LUA_HOOKCOUNT]) > 0);
	host_run(L,
		"assert(debug.gethook() == 'external hook' and select(2, debug.gethook()) == 'l')\n"
		"assert(select(3, debug.gethook()) == 1000)");
	assert_ptr_equal(lua_gethook(L), count_event);
	assert_int_equal(lua_gethookcount(L), 1000);
	assert_int_equal(lua_gethookmask(L), LUA_MASKLINE | LUA_MASKCOUNT);
	lua_sethook(L, NULL, 0, 0);
	host_run(L, busy);
	lua_close(L);
}

/* A host's coroutine, resumed from C, whose own coroutines are vai's business again. */
static void test_resume(void **state)
{
	(void)state;
	lua_State *L = host_open();
	host_run(L, "require 'vai'");
	lua_State *co = lua_newthread(L);
	assert_int_equal(luaL_loadstring(co,
						 "local vai = require 'vai'\n"
						 "local out = vai.chan(100)\n"
						 "vai.go(function() for k = 1, 5 do vai.sleep(0.001) out:send(k) end end)\n"
						 "coroutine.yield(1)\n"
						 "coroutine.wrap(function() while preempts and #out < 5 do end end)()\n"
						 "return 2\n"),
		LUA_OK);
	int n;
	assert_int_equal(lua_resume(co, L, 0, &n), LUA_YIELD);
	lua_pop(co, n);
	assert_int_equal(lua_resume(co, L, 0, &n), LUA_OK);
	lua_settop(L, 0);
	lua_gc(L, LUA_GCCOLLECT);
	host_run(L, busy);
	lua_close(L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		host_test(test_handler_on_top),
		host_test(test_hook),
		host_test(test_resume),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
