/* SPDX-License-Identifier: MIT */
/* The report of a deadlock. The thread on which the scheduler finds the deadlock writes the report, while every
 * goroutine waits. Then main's wait ends and raises the report. */
#include "bind/report/deadlock.h"
#include <lauxlib.h>
#include <string.h>
#include "bind/main_state.h"
#include "bind/report/dump.h"
#include "sched/replay.h"

enum { MAX_LISTED = 1000 }; /* kinds of goroutines that are listed */

/* Why the seeded run has failed, unless that is a deadlock. Written by the goroutine that has the turn. */
static struct vai__buffer failure;

static void note(struct vai__home *home)
{
	if (!home->bind)
		return;
	vai__buffer_free(&home->bind->deadlock);
	vai__dump_alike(&home->bind->deadlock, MAX_LISTED, NULL, NULL);
}

void vai__deadlock_note(void)
{
	vai__home_each(note);
}

void vai__deadlock_replace(const char *text)
{
	if (failure.n > 0)
		return;
	if (text && *text)
		vai__buffer_add(&failure, text, strlen(text) - 1); /* without the newline */
	if (failure.n == 0)
		vai__buffer_add(&failure, "not enough memory", strlen("not enough memory"));
}

bool vai__deadlock_push_failure(lua_State *L)
{
	luaL_checkstack(L, 4, NULL);
	if (failure.n == 0)
		return false;
	lua_pushlstring(L, failure.p, failure.n);
	vai__buffer_free(&failure);
	return true;
}

void vai__report_deadlock(lua_State *L)
{
	struct vai__buffer *report = &vai__main_of(vai__g_self())->deadlock;
	if (vai__deadlock_push_failure(L))
		lua_error(L);
	if (vai__replay_gives_up(vai__g_self()))
		luaL_error(L, "no end after %I turns", (LUAI_UACINT)vai__replay_record()->most);
	luaL_where(L, 1);
	lua_pushliteral(L, "all goroutines are asleep - deadlock!\n\n");
	/* the last line ends with the message */
	lua_pushlstring(L, report->p ? report->p : "", report->n > 0 ? report->n - 1 : 0);
	vai__buffer_free(report);
	lua_concat(L, 3);
	lua_error(L);
	__builtin_unreachable();
}
