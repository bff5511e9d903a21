/* SPDX-License-Identifier: MIT */
/* Tracebacks of states that stand still, for dumps; that of an error is taken in panic.c. This file does what
 * luaL_traceback does, without a state to build the text in. lua_getstack and lua_getinfo with "Slnt" only
 * read the state: they neither allocate nor push. (luaL_traceback also searches package.loaded for functions, which
 * does both.) */
#include "bind/report/trace.h"
#include <string.h>

enum { HEAD = 10, TAIL = 11 }; /* levels shown of a deep stack, as in lauxlib.c */

int vai__trace_levels(lua_State *L)
{
	lua_Debug ar;
	int low = 0, high = 1;
	if (!lua_getstack(L, 0, &ar))
		return 0;
	while (lua_getstack(L, high, &ar)) {
		low = high;
		high *= 2;
	}
	while (low + 1 < high) { /* level `low` exists, level `high` does not */
		int mid = low + (high - low) / 2;
		if (lua_getstack(L, mid, &ar))
			low = mid;
		else
			high = mid;
	}
	return high;
}

static void add_function(struct vai__buffer *t, const lua_Debug *ar)
{
	if (*ar->namewhat) {
		vai__text_put(t, strcmp(ar->namewhat, "global") == 0 ? "function" : ar->namewhat);
		vai__text_put(t, " '");
		vai__text_put(t, ar->name);
		vai__text_put(t, "'");
	} else if (*ar->what == 'm') {
		vai__text_put(t, "main chunk");
	} else if (*ar->what == 'C') {
		vai__text_put(t, "?");
	} else {
		vai__text_put(t, "function <");
		vai__text_put(t, ar->short_src);
		vai__text_put(t, ":");
		vai__text_int(t, ar->linedefined);
		vai__text_put(t, ">");
	}
}

static void add_level(struct vai__buffer *t, lua_State *L, int level)
{
	lua_Debug ar;
	if (!lua_getstack(L, level, &ar))
		return;
	lua_getinfo(L, "Slnt", &ar);
	vai__text_put(t, "\t");
	vai__text_put(t, ar.short_src);
	if (ar.currentline > 0) {
		vai__text_put(t, ":");
		vai__text_int(t, ar.currentline);
	}
	vai__text_put(t, ": in ");
	add_function(t, &ar);
	vai__text_put(t, ar.istailcall ? "\n\t(...tail calls...)\n" : "\n");
}

void vai__trace_add(struct vai__buffer *t, lua_State *L, int first, int last)
{
	if (last < 0)
		last = vai__trace_levels(L);
	for (int level = first; level < last; level++) {
		if (level == first + HEAD && last - level > TAIL) {
			vai__text_put(t, "\t...\t(skipping ");
			vai__text_int(t, last - TAIL - level);
			vai__text_put(t, " levels)\n");
			level = last - TAIL;
		}
		add_level(t, L, level);
	}
}
