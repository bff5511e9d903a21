/* SPDX-License-Identifier: MIT */
/* A game without a screen: 60 frames a second, 1,000 actors whose scripts run in goroutines, one script that never
 * ends and is bounded, scripts that are loaded anew while all runs. Each frame the host tells every actor, gives vai
 * its thread for a budget, and draws what the actors have sent. game SECONDS [SVG]: writes a plot of the frames. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <vai_lua.h>

enum { ACTORS = 1000, FPS = 60, BUDGET_MS = 5, INBOX = 8, VERSION = 100000 };

static const char world[] = "local vai, actors, out = ...\n"
							"local function live(inbox, id, out)\n"
							"  local step, x = nil, id\n"
							"  for m in inbox do\n"
							"    if type(m) == 'function' then\n"
							"      step = m\n"
							"    else\n"
							"      local version\n"
							"      x, version = step(x)\n"
							"      out:send(id + version * 100000)\n"
							"    end\n"
							"  end\n"
							"end\n"
							"for id = 1, #actors do vai.go(live, actors[id], id, out) end\n"
							"runaway = vai.spawn({cpu = 0.05, name = 'runaway'}, function() while true do end end)\n"
							"function load_scripts(source)\n"
							"  local step = assert(load(source))()\n"
							"  for _, inbox in ipairs(actors) do inbox:send(step) end\n"
							"end\n";
static const char *const scripts[] = {
	"return function(x) for _ = 1, 100 do x = x * 1.0001 end return x, 1 end",
	"return function(x) for _ = 1, 100 do x = x * 0.9999 end return x, 2 end",
};

static vai_chan *inbox[ACTORS], *out;
static int version_of[ACTORS + 1];
static long told, answered;

static void die(lua_State *L)
{
	fprintf(stderr, "game: %s\n", lua_tostring(L, -1));
	exit(1);
}

static void load_scripts(lua_State *L, int version)
{
	lua_getglobal(L, "load_scripts");
	lua_pushstring(L, scripts[version - 1]);
	if (lua_pcall(L, 1, 0, 0) != LUA_OK)
		die(L);
}

static void begin(lua_State *L)
{
	out = vai_chan_new_values(2 * INBOX * ACTORS);
	if (!out || luaL_loadstring(L, world) != LUA_OK)
		die(L);
	lua_getglobal(L, "vai");
	lua_newtable(L);
	for (int i = 0; i < ACTORS; i++) {
		if (!(inbox[i] = vai_chan_new_values(INBOX)))
			exit(1);
		vai_lua_pushchan(L, inbox[i]);
		lua_rawseti(L, -2, i + 1);
	}
	vai_lua_pushchan(L, out);
	if (lua_pcall(L, 3, 0, 0) != LUA_OK)
		die(L);
}

/* An actor that is behind by its whole inbox is not told of this frame. */
static void tell_all(long frame)
{
	for (int i = 0; i < ACTORS; i++) {
		vai_value v = vai_value_integer(frame);
		if (vai_send_value(inbox[i], &v, 0) == VAI_OK)
			told++;
	}
}

static bool draw(int64_t ns)
{
	vai_value v;
	if (vai_recv_value(out, &v, ns) != VAI_OK)
		return false;
	int64_t n = vai_value_to_integer(&v);
	version_of[n % VERSION] = (int)(n / VERSION);
	answered++;
	return true;
}

static void sleep_until(int64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return x < y ? -1 : x > y;
}

/* The time of vai_poll in each frame, in ms, and a line at the budget. */
static void plot(const char *name, const float *ms, long n)
{
	FILE *f = fopen(name, "w");
	if (!f)
		return;
	fprintf(f,
		"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1000 220'><rect width='1000' height='220' "
		"fill='white'/><text x='4' y='14' font-size='12'>vai_poll, ms (line: budget %d)</text>"
		"<line x1='0' x2='1000' y1='%d' y2='%d' stroke='red'/><polyline fill='none' stroke='black' points='",
		BUDGET_MS, 220 - 10 * BUDGET_MS, 220 - 10 * BUDGET_MS);
	for (long i = 0; i < n; i++)
		fprintf(f, "%.1f,%.1f ", 1000.0 * (double)i / (double)n, 220 - 10 * (ms[i] < 20 ? ms[i] : 20));
	fprintf(f, "'/></svg>\n");
	fclose(f);
}

/* One more step for everybody, also for those that are behind, and all answers. */
static void finish(void)
{
	for (int i = 0; i < ACTORS; i++) {
		vai_value v = vai_value_integer(0);
		while (vai_send_value(inbox[i], &v, 0) == VAI_EAGAIN)
			draw(VAI_FOREVER);
		told++;
	}
	while (answered < told && draw(VAI_FOREVER))
		;
}

static void play(lua_State *L, float *ms, long frames)
{
	int64_t start = vai_now();
	for (long i = 0; i < frames; i++) {
		sleep_until(start + i * (1000000000 / FPS));
		if (i == frames / 2)
			load_scripts(L, 2);
		tell_all(i);
		int64_t from = vai_now();
		vai_poll(VAI_MS(BUDGET_MS));
		ms[i] = (float)(vai_now() - from) / 1e6f;
		while (draw(0))
			;
	}
	finish();
}

static void report(lua_State *L, float *ms, long frames)
{
	int with_new = 0;
	for (int id = 1; id <= ACTORS; id++)
		with_new += version_of[id] == 2;
	printf(
		"%d actors, %d with new scripts, %s\n", ACTORS, with_new, answered == told ? "all steps done" : "steps lost");
	lua_getglobal(L, "runaway");
	if (vai_lua_join(L, vai_lua_totask(L, -1), VAI_FOREVER) >= 2)
		printf("runaway: %s\n", lua_tostring(L, lua_gettop(L) - 1));
	qsort(ms, (size_t)frames, sizeof *ms, by_size);
	fprintf(stderr, "vai_poll: median %.2f ms, 99.9th percentile %.2f ms, budget %d ms; %ld steps in %ld frames\n",
		(double)ms[frames / 2], (double)ms[frames * 999 / 1000], BUDGET_MS, answered, frames);
}

int main(int argc, char **argv)
{
	const long frames = argc > 1 ? (long)(atof(argv[1]) * FPS) : 60L * FPS;
	float *ms = frames > 1 ? calloc((size_t)frames, sizeof *ms) : NULL;
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	/* The kernel would share the CPUs among this thread and goroutines that compute; frames come first. */
	vai_options options = {.size = sizeof options, .nice = 10};
	if (!ms || vai_start(&options) != VAI_OK)
		return 1;
	luaL_requiref(L, "vai", luaopen_vai, 1);
	begin(L);
	load_scripts(L, 1);
	play(L, ms, frames);
	if (argc > 2)
		plot(argv[2], ms, frames);
	report(L, ms, frames);
	for (int i = 0; i < ACTORS; i++) {
		vai_close(inbox[i]);
		vai_unref(inbox[i]);
	}
	vai_unref(out);
	vai_stop();
	lua_close(L);
	free(ms);
	return 0;
}
