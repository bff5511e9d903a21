/* SPDX-License-Identifier: MIT */
/* vai.test is Lua code (test.lua beside this file). Here is what it needs of C: the begin and the end of a seeded run,
 * and its record. */
#include "bind/lib/lua_source.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/life/hook.h"
#include "bind/life/life.h"
#include "bind/report/deadlock.h"
#include "bind/site.h"
#include "sched/replay.h"

VAI_LUA_SOURCE(vai__test_source, "src/bind/lib/test.lua");
static const char test_key;

/* The hook that the state had before it began the run. There is one run at a time. */
static struct {
	lua_Hook hook;
	int mask, count;
} begun;

/* The number of the place where g is, as text "file.lua:12 recv" if it calls recv there. g has noted its Lua thread
 * (vai__note_stack). */
static uint32_t place(vai_g *g)
{
	lua_State *L = g->vm ? vai__bind_vm(g)->at : NULL;
	char text[VAI__SITE_SIZE + 40], callee[40] = "";
	lua_Debug ar;
	for (int level = 0; L && lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sln", &ar);
		if (ar.currentline > 0 && strcmp(ar.short_src, "vai.test") != 0) {
			vai__site_format(text, VAI__SITE_SIZE, ar.short_src, ar.currentline);
			size_t n = strlen(text);
			memcpy(text + n, callee, strlen(callee) + 1);
			return vai__site_number(text);
		}
		if (level == 0 && ar.name)
			snprintf(callee, sizeof callee, " %s", ar.name);
	}
	return 0;
}

/* Counts the instructions of L from now on. A hook of the script's goes on within ours. */
static void watch(lua_State *L)
{
	vai__hook_lent(L, &begun.hook, &begun.mask, &begun.count);
	bool ours = begun.hook == vai__hook_tick;
	vai__hook_set(L, vai__hook_tick, (ours ? begun.mask : 0) | LUA_MASKCOUNT | LUA_MASKCALL,
		ours && begun.count ? begun.count : VAI__HOOK_TICK);
}

static void unwatch(lua_State *L)
{
	if (lua_gethook(L) == vai__hook_tick)
		vai__hook_set(L, begun.hook, begun.mask, begun.count);
	vai__hook_prepare(L);
}

static uint32_t integer_field(lua_State *L, int idx, const char *name)
{
	lua_getfield(L, idx, name);
	uint32_t n = (uint32_t)lua_tointeger(L, -1);
	lua_pop(L, 1);
	return n;
}

static uint32_t integer_at(lua_State *L, int idx, lua_Integer i)
{
	lua_rawgeti(L, idx, i);
	uint32_t n = (uint32_t)lua_tointeger(L, -1);
	lua_pop(L, 1);
	return n;
}

/* Reads plan.choices: goroutine, point, next, goroutine, ... */
static void read_choices(lua_State *L, int idx, struct vai__replay_plan *plan)
{
	if (lua_getfield(L, idx, "choices") == LUA_TTABLE) {
		plan->nchoices = lua_rawlen(L, -1) / 3;
		struct vai__replay_choice *list = lua_newuserdatauv(L, (plan->nchoices + 1) * sizeof *list, 0);
		for (size_t i = 0; i < plan->nchoices; i++) {
			list[i].at.g = integer_at(L, -2, 3 * (lua_Integer)i + 1);
			list[i].at.n = integer_at(L, -2, 3 * (lua_Integer)i + 2);
			list[i].next = integer_at(L, -2, 3 * (lua_Integer)i + 3);
		}
		plan->choices = list;
		lua_setfield(L, idx, "_kept");
	}
	lua_pop(L, 1);
}

static const char *const hows[] = {
	[VAI_REPLAY_SEED] = "seed", [VAI_REPLAY_PCT] = "pct", [VAI_REPLAY_RECORDED] = "recorded", NULL};

/* begin{how=, seed=, most=, depth=, length=, choices=}: nil, why. The caller keeps the table until finish(). */
static int begin(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	struct vai__replay_plan plan = {.place = place};
	lua_getfield(L, 1, "how");
	plan.how = (enum vai__replay_how)luaL_checkoption(L, 2, NULL, hows);
	lua_getfield(L, 1, "seed");
	plan.seed = (uint64_t)lua_tointeger(L, 3);
	plan.most = integer_field(L, 1, "most");
	plan.depth = integer_field(L, 1, "depth");
	plan.length = integer_field(L, 1, "length");
	read_choices(L, 1, &plan);
	if (vai__replay_number(g))
		return luaL_error(L, "vai.test: a run within a run");
	if (vai__replay_begin(g, &plan) != VAI_OK)
		return luaL_error(L, "vai.test: another goroutine has a run under way");
	vai__deadlock_push_failure(L); /* drops the failure of an earlier run that was not asked for */
	watch(L);
	return 0;
}

/* finish() -> whether all other goroutines have ended, and why the run failed or nil */
static int finish(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	unwatch(L);
	vai__note_stack(g, L);
	lua_pushboolean(L, vai__replay_end(g));
	if (!vai__deadlock_push_failure(L))
		lua_pushnil(L);
	return 2;
}

/* ---- the record ---- */

static void set_integer(lua_State *L, const char *name, lua_Integer n)
{
	lua_pushinteger(L, n);
	lua_setfield(L, -2, name);
}

static void push_turn(lua_State *L, const struct vai__replay_turn *t)
{
	static const char *const whys[] = {[VAI_REPLAY_WAITS] = "waits",
		[VAI_REPLAY_YIELDS] = "yields",
		[VAI_REPLAY_PREEMPTED] = "preempted",
		[VAI_REPLAY_ENDS] = "ends"};
	lua_createtable(L, 0, 7);
	set_integer(L, "goroutine", t->g);
	set_integer(L, "next", t->next);
	set_integer(L, "point", t->point);
	lua_pushboolean(L, t->chosen);
	lua_setfield(L, -2, "chosen");
	lua_pushnumber(L, (lua_Number)t->at / 1e9);
	lua_setfield(L, -2, "at");
	lua_pushstring(L, vai__site_text(t->place));
	lua_setfield(L, -2, "place");
	const char *why = whys[t->why];
	if (t->why == VAI_REPLAY_WAITS)
		why = vai__wait_reason_name((enum vai_wait_reason)t->reason);
	lua_pushstring(L, why);
	lua_setfield(L, -2, "why");
}

/* record() -> {turns={{goroutine=, at=, place=, why=, next=, point=, chosen=}, ...}, made={place, ...}, goroutines=,
 * seconds=, outside=, incomplete=, exhausted=} */
static int record(lua_State *L)
{
	const struct vai__replay_record *r = vai__replay_record();
	lua_createtable(L, 0, 6);
	lua_createtable(L, (int)r->nturns, 0);
	for (size_t i = 0; i < r->nturns; i++) {
		push_turn(L, &r->turns[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "turns");
	lua_createtable(L, (int)r->nmade, 0);
	for (size_t i = 0; i < r->nmade; i++) {
		lua_pushlstring(L, r->made[i], strnlen(r->made[i], sizeof r->made[i]));
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_setfield(L, -2, "made");
	set_integer(L, "goroutines", r->goroutines);
	lua_pushnumber(L, (lua_Number)r->at / 1e9);
	lua_setfield(L, -2, "seconds");
	lua_pushboolean(L, r->outside);
	lua_setfield(L, -2, "outside");
	lua_pushboolean(L, r->incomplete);
	lua_setfield(L, -2, "incomplete");
	lua_pushboolean(L, r->exhausted);
	lua_setfield(L, -2, "exhausted");
	return 1;
}

/* count() -> the number of decisions */
static int count(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)vai__replay_record()->ndecisions);
	return 1;
}

static void push_candidates(lua_State *L, const struct vai__replay_decision *d)
{
	uint32_t n = d->of < VAI__REPLAY_NAMED ? d->of : VAI__REPLAY_NAMED;
	lua_createtable(L, (int)n, 3);
	for (uint32_t i = 0; i < n; i++) {
		lua_pushinteger(L, d->candidates[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	set_integer(L, "goroutine", d->at.g);
	set_integer(L, "point", d->at.n);
	set_integer(L, "next", d->next);
}

/* decisions(chosen) -> {{candidate, ..., goroutine=, point=, next=}, ...}: the default is the first candidate. chosen:
 * only those that were not the default */
static int decisions(lua_State *L)
{
	const struct vai__replay_record *r = vai__replay_record();
	bool chosen = lua_toboolean(L, 1);
	lua_Integer n = 0;
	lua_createtable(L, chosen ? 0 : (int)r->ndecisions, 0);
	for (size_t i = 0; i < r->ndecisions; i++) {
		if (chosen && r->decisions[i].took == 0)
			continue;
		push_candidates(L, &r->decisions[i]);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* env() -> VAI_TEST_SEED, or nil. A function of its own, as a state may have no `os`. */
static int env(lua_State *L)
{
	lua_pushstring(L, getenv("VAI_TEST_SEED"));
	return 1;
}

/* real() -> seconds of the real clock, which goes on during a run */
static int real(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)vai__clock_real() / 1e9);
	return 1;
}

static const luaL_Reg needs[] = {
	{"begin", begin},
	{"finish", finish},
	{"record", record},
	{"decisions", decisions},
	{"count", count},
	{"real", real},
	{"env", env},
	{NULL, NULL},
};

static int push_needs(lua_State *L)
{
	luaL_newlib(L, needs);
	return 1;
}

/* Calls test.lua's function of that name, which is loaded now: most states never need it. */
static int forward(lua_State *L, const char *name)
{
	vai__lib_push_source(L, &test_key, vai__test_source, vai__test_source_end, "=vai.test", push_needs);
	lua_getfield(L, -1, name);
	lua_replace(L, -2);
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static int test_run(lua_State *L)
{
	return forward(L, "run");
}

static int test_explore(lua_State *L)
{
	return forward(L, "explore");
}

static int test_trace(lua_State *L)
{
	return forward(L, "trace");
}

static const luaL_Reg functions[] = {
	{"run", test_run},
	{"explore", test_explore},
	{"trace", test_trace},
	{NULL, NULL},
};

int vai__lib_test(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
