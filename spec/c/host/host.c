/* SPDX-License-Identifier: MIT */
/* host.h. */
#include "host/host.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool host_variant(const char *name)
{
	const char *variant = getenv("VAI_VARIANT");
	return strcmp(variant ? variant : "release", name) == 0;
}

/* ---- states ---- */

enum { MOST = 8, PATIENCE = 60 /* seconds */ };
static lua_State *states[MOST]; /* the open ones */

/* The state goes, whoever closes it. */
static int forget(lua_State *L)
{
	**(lua_State ***)lua_touserdata(L, 1) = NULL;
	return 0;
}

static void remember(lua_State *L)
{
	for (int i = 0; i < MOST; i++)
		if (!states[i]) {
			states[i] = L;
			*(lua_State ***)lua_newuserdatauv(L, sizeof(lua_State **), 0) = &states[i];
			lua_createtable(L, 0, 1);
			lua_pushcfunction(L, forget);
			lua_setfield(L, -2, "__gc");
			lua_setmetatable(L, -2);
			luaL_ref(L, LUA_REGISTRYINDEX);
			return;
		}
}

int host_teardown(void **state)
{
	(void)state;
	for (int i = 0; i < MOST; i++)
		if (states[i])
			lua_close(states[i]);
	return 0;
}

lua_State *host_open(void)
{
	lua_State *L = luaL_newstate();
	assert_non_null(L);
	luaL_openlibs(L);
	remember(L);
	lua_pushboolean(L, !host_variant("tsan")); /* signals reach no loop under it */
	lua_setglobal(L, "preempts");
	return L;
}

/* ---- chunks ---- */

char *host_try(lua_State *L, const char *chunk)
{
	int top = lua_gettop(L);
	char *text = NULL;
	if (luaL_loadstring(L, chunk) != LUA_OK || lua_pcall(L, 0, 0, 0) != LUA_OK)
		text = strdup(luaL_tolstring(L, -1, NULL));
	lua_settop(L, top);
	return text;
}

/* Ms that still compute have been told to stop. With other things to do the machine may take longer to run them than
 * `require` waits. */
static char *host_try_patiently(lua_State *L, const char *chunk)
{
	double end = host_seconds() + PATIENCE;
	char *text = host_try(L, chunk);
	while (text && strstr(text, "a goroutine of the runtime before still runs") && host_seconds() < end) {
		free(text);
		text = host_try(L, chunk);
	}
	return text;
}

void host_run(lua_State *L, const char *chunk)
{
	char *text = host_try_patiently(L, chunk);
	if (text)
		fail_msg("%s", text);
}

void host_fails(lua_State *L, const char *chunk, const char *expected)
{
	char *text = host_try(L, chunk);
	if (!text)
		fail_msg("did not raise: %s", chunk);
	if (!strstr(text, expected))
		fail_msg("raised \"%s\", not \"%s\"", text, expected);
	free(text);
}

/* ---- the process ---- */

static long entries(const char *dir)
{
	long n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

struct host_usage host_usage(void)
{
	char line[512];
	struct host_usage u = {.threads = entries("/proc/self/task") - 2, .files = entries("/proc/self/fd")};
	FILE *f = fopen("/proc/self/maps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		u.mappings++;
	fclose(f);
	f = fopen("/proc/self/statm", "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &u.resident), 1);
	fclose(f);
	u.resident *= sysconf(_SC_PAGESIZE) / 1024;
	return u;
}

double host_seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void host_wait_threads(long n)
{
	double end = host_seconds() + 30;
	n += host_variant("tsan") || host_variant("arm64"); /* they have one of their own */
	while (host_usage().threads > n) {
		assert_true(host_seconds() < end);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

int host_scaled(int n)
{
	return host_variant("release") ? n : n / 10 + 1;
}
