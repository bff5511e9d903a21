/* SPDX-License-Identifier: MIT */
/* See hosts.h. */
#include "hosts.h"

pthread_barrier_t hosts_all;

void hosts_run(lua_State *L, const char *chunk)
{
	if (luaL_loadstring(L, chunk) == LUA_OK && lua_pcall(L, 0, 0, 0) == LUA_OK)
		return;
	fprintf(stderr, "%s\n", lua_tostring(L, -1));
	abort();
}

lua_State *hosts_open(void)
{
	lua_State *L = luaL_newstate();
	MUST(L != NULL);
	luaL_openlibs(L);
	luaL_requiref(L, "vai", luaopen_vai, 1);
	lua_settop(L, 0);
	return L;
}

void hosts_on_threads(void *(*f)(void *), int n)
{
	pthread_t threads[HOSTS_MAX];
	assert_int_equal(pthread_barrier_init(&hosts_all, NULL, (unsigned)n), 0);
	for (intptr_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, f, (void *)i), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	pthread_barrier_destroy(&hosts_all);
	assert_false(vai_running());
}
