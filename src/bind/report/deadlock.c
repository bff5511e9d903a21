/* SPDX-License-Identifier: MIT */
/* The report of a deadlock. It is written when the scheduler finds one, on whatever thread that is,
 * while everything waits; main's wait, which ends for it, raises it. */
#include "bind/report/deadlock.h"
#include <lauxlib.h>
#include "bind/report/dump.h"

enum { MAX_LISTED = 1000 }; /* kinds of goroutines */

/* Written by the only thread that is awake, and read by main, which that thread then wakes. */
static struct vai__buffer report;

void vai__deadlock_note(void)
{
	vai__buffer_free(&report);
	vai__dump_alike(&report, MAX_LISTED);
}

void vai__report_deadlock(lua_State *L)
{
	luaL_checkstack(L, 4, NULL);
	luaL_where(L, 1);
	lua_pushliteral(L, "all goroutines are asleep - deadlock!\n\n");
	/* the last line ends with the message */
	lua_pushlstring(L, report.p ? report.p : "", report.n > 0 ? report.n - 1 : 0);
	vai__buffer_free(&report);
	lua_concat(L, 3);
	lua_error(L);
	__builtin_unreachable();
}
