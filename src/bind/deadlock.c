/* SPDX-License-Identifier: MIT */
/* The report of a deadlock, raised in main's wait. Every goroutine is parked then, so their
 * states hold still; nothing here may let one run. */
#include "bind/bind.h"
#include <stdlib.h>
#include "base/clock.h"

enum { MAX_LISTED = 1000 };

struct entry {
	vai_g *g;
	struct vai_g_info info;
};

struct list {
	struct entry *entries;
	size_t n, size;
};

static void collect(vai_g *g, const struct vai_g_info *info, void *arg)
{
	struct list *l = arg;
	if (l->n < l->size)
		l->entries[l->n] = (struct entry){g, *info};
	l->n++;
}

/* "goroutine 7 [chan receive, 3 seconds]:\n" */
static void add_head(lua_State *L, luaL_Buffer *b, const struct entry *e, enum vai_wait_reason reason)
{
	lua_pushfstring(L, "\n\ngoroutine %I [%s", (LUAI_UACINT)e->g->id, vai__wait_reason_name(reason));
	luaL_addvalue(b);
	if (e->info.since > 0) {
		char age[32];
		snprintf(age, sizeof age, ", %.3g seconds", (double)(vai__clock_now() - e->info.since) / 1e9);
		luaL_addstring(b, age);
	}
	luaL_addstring(b, "]:");
}

/* luaL_traceback puts functions of L1 on L's stack for a moment, foreign objects: L's
 * collector rests meanwhile (see report). */
static void add_traceback(lua_State *L, luaL_Buffer *b, lua_State *L1, int level)
{
	luaL_addstring(b, "\n");
	luaL_traceback(L, L1, NULL, level);
	luaL_addvalue(b);
}

static void add_entry(lua_State *L, luaL_Buffer *b, const struct entry *e, enum vai_wait_reason main_reason)
{
	struct vai_vm *vm = vai__bind_vm(e->g);
	bool is_main = e->g == vai__g_main();
	add_head(L, b, e, is_main ? main_reason : e->info.reason);
	if (is_main)
		add_traceback(L, b, L, 1); /* 0 is build */
	else if (vm && !vm->is_host)
		add_traceback(L, b, vm->at, 0);
	if (*e->g->site) {
		lua_pushfstring(L, "\ncreated at %s", e->g->site);
		luaL_addvalue(b);
	}
}

/* Arguments: the list, main's reason, main's position. */
static int build(lua_State *L)
{
	const struct list *l = lua_touserdata(L, 1);
	enum vai_wait_reason reason = (enum vai_wait_reason)lua_tointeger(L, 2);
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	luaL_addstring(&b, lua_tostring(L, 3));
	luaL_addstring(&b, "all goroutines are asleep - deadlock!");
	for (size_t i = 0; i < l->n && i < l->size; i++)
		add_entry(L, &b, &l->entries[i], reason);
	if (l->n > l->size) {
		lua_pushfstring(L, "\n\nand %I more goroutines", (LUAI_UACINT)(l->n - l->size));
		luaL_addvalue(&b);
	}
	luaL_pushresult(&b);
	return 1;
}

void vai__report_deadlock(lua_State *L, vai_g *g, enum vai_wait_reason reason)
{
	(void)g;
	luaL_checkstack(L, 10, NULL);
	struct list l = {.size = MAX_LISTED};
	l.entries = malloc(MAX_LISTED * sizeof *l.entries);
	if (!l.entries)
		l.size = 0;
	vai__g_each(collect, &l);
	bool collects = lua_gc(L, LUA_GCISRUNNING);
	lua_gc(L, LUA_GCSTOP);
	lua_pushcfunction(L, build);
	lua_pushlightuserdata(L, &l);
	lua_pushinteger(L, (lua_Integer)reason);
	luaL_where(L, 1);
	lua_pcall(L, 3, 1, 0);
	if (collects)
		lua_gc(L, LUA_GCRESTART);
	free(l.entries);
	lua_error(L);
	__builtin_unreachable();
}
