/* SPDX-License-Identifier: MIT */
/* See hosts.h. */
#include "hosts.h"
#include <string.h>

pthread_barrier_t hosts_all;

void hosts_run(lua_State *L, const char *chunk)
{
	if (luaL_loadstring(L, chunk) == LUA_OK && lua_pcall(L, 0, 0, 0) == LUA_OK)
		return;
	fprintf(stderr, "%s\n", lua_tostring(L, -1));
	abort();
}

static int open_vai(lua_State *L)
{
	luaL_requiref(L, "vai", luaopen_vai, 1);
	return 0;
}

/* What was told to end may take longer than vai waits for it, on a machine with other things to do. */
static bool opens(lua_State *L)
{
	lua_pushcfunction(L, open_vai);
	if (lua_pcall(L, 0, 0, 0) == LUA_OK)
		return true;
	const char *why = lua_tostring(L, -1);
	if (!why || !strstr(why, "a goroutine of the runtime before still runs")) {
		fprintf(stderr, "%s\n", why ? why : "?");
		abort();
	}
	lua_settop(L, 0);
	return false;
}

lua_State *hosts_open(void)
{
	enum { TRIES = 30 }; /* of two seconds */
	lua_State *L = luaL_newstate();
	MUST(L != NULL);
	luaL_openlibs(L);
	for (int i = 1; !opens(L); i++)
		MUST(i < TRIES);
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
