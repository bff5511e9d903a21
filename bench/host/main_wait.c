/* SPDX-License-Identifier: MIT */
/* How long main waits when it comes back from a C call, beside goroutines that compute: a host whose main goroutine
 * sleeps for 10 ms in C and then sends, again and again, as one that draws frames does. Beside it plain Lua with as many
 * threads that compute. Both in one process, in turns, so that what else the machine does meets both. Prints how much
 * later than its time the send is done, in milliseconds, for 2 and 8 that compute. `make bench-wait`; ROUNDS=n. */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FRAMES = 100, PERIOD = 10000000 /* ns */, MOST = 8, MOST_ROUNDS = 100 };

static atomic_bool stop;

static int64_t now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Sleeps for a period; returns when that should have been over, in ns. */
static int nap(lua_State *L)
{
	int64_t due = now() + PERIOD;
	nanosleep(&(struct timespec){.tv_nsec = PERIOD}, NULL);
	lua_pushinteger(L, due);
	return 1;
}

static int late(lua_State *L)
{
	lua_pushinteger(L, now() - luaL_checkinteger(L, 1));
	return 1;
}

static const char in_vai[] = "local frames, burners, out = ...\n"
							 "local vai = require 'vai'\n"
							 "local ch = vai.chan(1)\n"
							 "for _ = 1, burners do vai.go(function() while true do end end) end\n"
							 "for i = 1, frames do\n"
							 "  local due = nap()\n"
							 "  ch:send(i) ch:recv()\n"
							 "  out[i] = late(due)\n"
							 "end\n";
static const char in_plain_lua[] = "local frames, burners, out = ...\n"
								   "local list = {}\n"
								   "for i = 1, frames do\n"
								   "  local due = nap()\n"
								   "  list[1] = i list[1] = nil\n"
								   "  out[i] = late(due)\n"
								   "end\n";

static void *burn(void *arg)
{
	volatile long n = 0;
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		n++;
	return arg;
}

/* Runs the chunk in a state of its own; its samples go to `out`. */
static void run(const char *chunk, int burners, int64_t out[FRAMES])
{
	lua_State *L = luaL_newstate();
	if (!L)
		exit(1);
	luaL_openlibs(L);
	lua_register(L, "nap", nap);
	lua_register(L, "late", late);
	lua_newtable(L);
	if (luaL_loadstring(L, chunk) == LUA_OK) {
		lua_pushinteger(L, FRAMES);
		lua_pushinteger(L, burners);
		lua_pushvalue(L, 1);
	}
	if (!lua_isfunction(L, 2) || lua_pcall(L, 3, 0, 0) != LUA_OK) {
		fprintf(stderr, "main_wait: %s\n", lua_tostring(L, -1));
		exit(1);
	}
	for (int i = 0; i < FRAMES; i++) {
		lua_rawgeti(L, 1, i + 1);
		out[i] = lua_tointeger(L, -1);
		lua_pop(L, 1);
	}
	lua_close(L);
}

static void run_plain(int burners, int64_t out[FRAMES])
{
	pthread_t threads[MOST];
	atomic_store(&stop, false);
	for (int i = 0; i < burners; i++)
		if (pthread_create(&threads[i], NULL, burn, NULL) != 0)
			exit(1);
	run(in_plain_lua, burners, out);
	atomic_store(&stop, true);
	for (int i = 0; i < burners; i++)
		pthread_join(threads[i], NULL);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void print_row(const char *who, int burners, int64_t *all, int n)
{
	qsort(all, (size_t)n, sizeof *all, compare);
	printf("%-10s %7d %8.2f %8.2f %8.2f %8.2f\n", who, burners, (double)all[n / 2] / 1e6, (double)all[n * 9 / 10] / 1e6,
		(double)all[n * 99 / 100] / 1e6, (double)all[n - 1] / 1e6);
	fflush(stdout);
}

int main(void)
{
	static int64_t of_vai[FRAMES * MOST_ROUNDS], of_lua[FRAMES * MOST_ROUNDS];
	const char *wish = getenv("ROUNDS");
	int rounds = wish ? atoi(wish) : 5;
	rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
	printf("%-10s %7s %8s %8s %8s %8s\n", "ms late", "beside", "p50", "p90", "p99", "max");
	for (int burners = 2; burners <= MOST; burners *= 4) {
		for (int i = 0; i < rounds; i++) {
			run(in_vai, burners, of_vai + i * FRAMES);
			run_plain(burners, of_lua + i * FRAMES);
		}
		print_row("vai", burners, of_vai, rounds * FRAMES);
		print_row("plain Lua", burners, of_lua, rounds * FRAMES);
	}
	return 0;
}
