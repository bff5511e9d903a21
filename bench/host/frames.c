/* SPDX-License-Identifier: MIT */
/* How well frames keep their time beside goroutines that compute: a host with 60 frames a second that tells 100
 * goroutines of each and gives vai its thread for a budget, beside two that never end. Beside it the same loop without
 * vai and two threads that compute; there the host computes for the budget itself. Both in one process, in turns, so that
 * what else the machine does meets both. Prints, in ms, how much later than its time a frame begins, by how much more than
 * the budget it takes, and how many goroutines had not answered a frame before the next one. frames SECONDS BUDGET_MS
 * [STEPS of each goroutine in a frame [NICE of the threads that compute]] */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <vai_lua.h>

enum { FPS = 60, ACTORS = 100, BURNERS = 2, ROUND = 5 * FPS, MOST = 200 * ROUND };
static const int64_t period = 1000000000 / FPS;

struct figures {
	const char *name;
	float late[MOST], over[MOST];
	int n;
	long told, missed;
};
static struct figures plain = {.name = "plain"}, vai = {.name = "vai"};
static int64_t budget, work;
static int niceness;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "frames: %s\n", what);
	exit(1);
}

static void sleep_until(int64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		;
}

/* A round of frames, each of which does `work`. */
static void play(struct figures *f, void (*before)(struct figures *f), void (*work)(void))
{
	int64_t start = vai_now() + period;
	for (int i = 0; i < ROUND && f->n < MOST; i++) {
		int64_t due = start + i * period;
		sleep_until(due);
		int64_t begun = vai_now();
		before(f);
		int64_t from = vai_now();
		work();
		int64_t took = vai_now() - from;
		f->late[f->n] = (float)(begun - due) / 1e6f;
		f->over[f->n++] = (float)(took - budget) / 1e6f;
	}
}

/* ---- without vai ---- */

static atomic_bool stop;

static void *burn(void *arg)
{
	must(niceness == 0 || setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), niceness) == 0,
		"a thread stays as it is");
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		;
	return arg;
}

static void nothing(struct figures *f)
{
	(void)f;
}

static void compute(void)
{
	int64_t end = vai_now() + budget;
	while (vai_now() < end)
		;
}

static void play_plain(void)
{
	pthread_t burners[BURNERS];
	atomic_store(&stop, false);
	for (int i = 0; i < BURNERS; i++)
		must(pthread_create(&burners[i], NULL, burn, NULL) == 0, "a thread does not start");
	play(&plain, nothing, compute);
	atomic_store(&stop, true);
	for (int i = 0; i < BURNERS; i++)
		pthread_join(burners[i], NULL);
}

/* ---- with vai ---- */

static vai_chan *inbox[ACTORS], *out;
static long answered, expected;

static const char world[] = "local vai, inboxes, out, burners, work = ...\n"
							"for _ = 1, burners do vai.go(function() while true do end end) end\n"
							"for _, inbox in ipairs(inboxes) do\n"
							"  vai.go(function()\n"
							"    for m in inbox do\n"
							"      local x = m\n"
							"      for _ = 1, work do x = x * 1.0001 end\n"
							"      out:send(x)\n"
							"    end\n"
							"  end)\n"
							"end\n";

static void tell_all(struct figures *f)
{
	vai_value v;
	while (vai_recv_value(out, &v, 0) == VAI_OK)
		answered++;
	f->missed += expected - answered;
	for (int i = 0; i < ACTORS; i++) {
		v = vai_value_number(1);
		bool ok = vai_send_value(inbox[i], &v, 0) == VAI_OK;
		expected += ok;
		f->missed += !ok;
		f->told++;
	}
}

static void poll_vai(void)
{
	must(vai_poll(budget) == VAI_OK, "vai_poll fails");
}

static void play_vai(void)
{
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	vai_options o = {.size = sizeof o, .nice = niceness};
	must(vai_start(&o) == VAI_OK, "the runtime does not start");
	luaL_requiref(L, "vai", luaopen_vai, 1);
	must(luaL_loadstring(L, world) == LUA_OK, "the world does not load");
	lua_insert(L, 1);
	out = vai_chan_new_values(8 * ACTORS);
	lua_newtable(L);
	for (int i = 0; i < ACTORS; i++) {
		inbox[i] = vai_chan_new_values(4);
		must(inbox[i] != NULL, "there is no channel");
		vai_lua_pushchan(L, inbox[i]);
		lua_rawseti(L, -2, i + 1);
	}
	vai_lua_pushchan(L, out);
	lua_pushinteger(L, BURNERS);
	lua_pushinteger(L, work);
	must(lua_pcall(L, 5, 0, 0) == LUA_OK, "the world does not begin");
	answered = expected = 0;
	play(&vai, tell_all, poll_vai);
	for (int i = 0; i < ACTORS; i++)
		vai_unref(inbox[i]);
	vai_unref(out);
	vai_stop();
	lua_close(L);
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static void print_one(const char *name, const char *what, float *ms, int n)
{
	qsort(ms, (size_t)n, sizeof *ms, by_size);
	printf("%-6s %-6s median %6.2f  p99 %6.2f  p99.9 %6.2f  most %6.2f\n", name, what, (double)ms[n / 2],
		(double)ms[(long)n * 99 / 100], (double)ms[(long)n * 999 / 1000], (double)ms[n - 1]);
}

static void print(struct figures *f)
{
	print_one(f->name, "late", f->late, f->n);
	print_one(f->name, "over", f->over, f->n);
	if (f->told > 0)
		printf("%-6s %ld of %ld answers came late\n", f->name, f->missed, f->told);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 60;
	budget = VAI_MS(argc > 2 ? atof(argv[2]) : 5);
	work = argc > 3 ? atoll(argv[3]) : 1000;
	niceness = argc > 4 ? atoi(argv[4]) : 0;
	while (vai.n < seconds * FPS && vai.n < MOST) {
		play_plain();
		play_vai();
	}
	print(&plain);
	print(&vai);
	return 0;
}
