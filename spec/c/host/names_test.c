/* SPDX-License-Identifier: MIT */
/* A host that links the static archive has names of its own: plain words do not clash with the archive's, and
 * each side calls its own. */
#include "host/host.h"
#include "vai_lua.h"

int ready(int n);
int schedule(int n);
int interrupt(int n);
int want(int n);
int g_free(int n);
int m_new(int n);
int idle_check(int n);
extern int sched;

int sched = 1;

int ready(int n)
{
	return n + 1;
}

int schedule(int n)
{
	return n + 2;
}

int interrupt(int n)
{
	return n + 3;
}

int want(int n)
{
	return n + 4;
}

int g_free(int n)
{
	return n + 5;
}

int m_new(int n)
{
	return n + 6;
}

int idle_check(int n)
{
	return n + 7;
}

static void test_names(void **state)
{
	(void)state;
	lua_State *L = host_open();
	luaL_requiref(L, "vai", luaopen_vai, 0);
	lua_pop(L, 1);
	host_run(L,
		"local vai = require 'vai'\n"
		"local ch = vai.chan()\n"
		"for i = 1, 100 do vai.go(function() vai.yield() ch:send(i) end) end\n"
		"local sum = 0\n"
		"for _ = 1, 100 do sum = sum + ch:recv(60) end\n"
		"assert(sum == 5050)");
	lua_close(L);
	assert_int_equal(sched, 1);
	assert_int_equal(ready(schedule(interrupt(want(g_free(m_new(idle_check(0))))))), 28);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {host_test(test_names)};
	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
