/* SPDX-License-Identifier: MIT */
/* Writes that a goroutine makes to what it captured, which reach only its own copy: an
 * error for an assigned local, a line on stderr, once per place, for the others. Which
 * places were reported is known process-wide; any thread may call. */
#include "transfer/lost_writes.h"
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fatal.h"
#include "base/hash.h"
#include "base/lock.h"
#include "state/state.h"
#include "transfer/codec.h"

enum { PLACES = 1024, LINE_MAX_BYTES = 512, NAME_MAX_BYTES = 80 };

static void warn(const char *line)
{
	vai__log("%s", line);
}

void (*vai__codec_warn)(const char *line) = warn;

static struct {
	struct vai_lock lock;
	uint64_t places[PLACES]; /* hashes of lines that were reported; under lock */
	unsigned n;              /* under lock */
} reported;

static __attribute__((constructor)) void init_reported(void)
{
	vai__lock_init(&reported.lock, VAI_RANK_CODE);
}

/* Whether the line is to be reported. False: it was already, or there were PLACES lines. */
static bool is_new(const char *line)
{
	uint64_t h = vai__hash_bytes(line, strlen(line)) | 1; /* 0 is a free place */
	bool fresh = false;
	vai__lock(&reported.lock);
	size_t i = (h >> 20) % PLACES;
	while (reported.places[i] && reported.places[i] != h)
		i = (i + 1) % PLACES;
	if (!reported.places[i] && reported.n < PLACES / 2) {
		reported.places[i] = h;
		reported.n++;
		fresh = true;
	}
	vai__unlock(&reported.lock);
	return fresh;
}

static bool is_silenced(void)
{
	const char *env = getenv("VAI_WARN");
	return env && strcmp(env, "0") == 0;
}

/* Writes "worker.lua:14: " for the function at idx; neither raises nor collects. */
static void put_place(lua_State *L, int idx, int line, char *buf, size_t size)
{
	lua_Debug ar;
	lua_pushvalue(L, idx);
	lua_getinfo(L, ">S", &ar);
	if (line > 0)
		snprintf(buf, size, "%s:%d: ", ar.short_src, line);
	else
		snprintf(buf, size, "%s:?: ", ar.short_src);
}

static void put_name(const char *name, int number, char *buf, size_t size)
{
	if (name)
		snprintf(buf, size, "'%.*s'", (int)size - 4, name);
	else
		snprintf(buf, size, "upvalue %d (no debug information)", number);
}

void vai__lost_report(
	lua_State *L, int idx, _Atomic(bool) *warned, int line, const char *does, const char *name, int number)
{
	char place[LUA_IDSIZE + 32], quoted[NAME_MAX_BYTES], text[LINE_MAX_BYTES];
	atomic_store_relaxed(warned, true);
	if (is_silenced())
		return;
	put_place(L, idx, line, place, sizeof place);
	put_name(name, number, quoted, sizeof quoted);
	snprintf(text, sizeof text,
		"warning: %sgoroutine %s %s: that changes only its own copy; send the value through a channel", place, does,
		quoted);
	if (is_new(vai__lost_watching ? place : text))
		vai__codec_warn(text);
}

/* ---- VAI_DEBUG=lostwrites ---- */

bool vai__lost_watching;
static const char watched_key;

void vai__lost_watch(lua_State *L)
{
	luaL_checkstack(L, 5, NULL);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &watched_key) != LUA_TTABLE) {
		lua_pop(L, 1);
		vai__state_push_weak(L, 0, "k");
		lua_pushvalue(L, -1);
		lua_rawsetp(L, LUA_REGISTRYINDEX, &watched_key);
	}
	lua_pushvalue(L, -2);
	lua_pushboolean(L, 1);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

bool vai__lost_is_watched(lua_State *L)
{
	bool watched = false;
	int top = lua_gettop(L);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &watched_key) == LUA_TTABLE) {
		lua_pushvalue(L, top);
		watched = lua_rawget(L, -2) != LUA_TNIL;
	}
	lua_settop(L, top);
	return watched;
}

void vai__lost_tell(const char *source, int line, const char *name)
{
	char place[LUA_IDSIZE + 32], quoted[NAME_MAX_BYTES] = "a table that", text[LINE_MAX_BYTES];
	snprintf(place, sizeof place, line > 0 ? "%s:%d: " : "%s:?: ", source, line);
	if (name)
		snprintf(quoted, sizeof quoted, "'%.*s', which", NAME_MAX_BYTES - 12, name);
	snprintf(text, sizeof text,
		"warning: %sgoroutine writes into %s it captured or was passed: that changes only its own copy; send "
		"the value through a channel",
		place, quoted);
	if (!is_silenced() && is_new(place))
		vai__codec_warn(text);
}

static bool is_globals(lua_State *L, int idx)
{
	const void *p = lua_topointer(L, idx);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	bool same = lua_topointer(L, -1) == p;
	lua_pop(L, 1);
	return same;
}

/* Whether upvalue i is the function's _ENV. Assigning that only changes where names are looked up, which no other
 * function would miss. */
static bool is_environment(lua_State *L, int idx, int i, const char *name)
{
	if (name)
		return strcmp(name, "_ENV") == 0;
	if (!lua_getupvalue(L, idx, i + 1))
		return false;
	bool env = is_globals(L, -1);
	lua_pop(L, 1);
	return env;
}

void vai__lost_raise(lua_State *L, int idx, const struct vai__upval *up, int number)
{
	char place[LUA_IDSIZE + 32], quoted[NAME_MAX_BYTES];
	put_place(L, idx, up->assigned_line, place, sizeof place);
	put_name(up->name, number, quoted, sizeof quoted);
	lua_pushfstring(L,
		"%sgoroutine assigns captured local %s (declared outside): it would change only its own copy; "
		"send the value through a channel",
		place, quoted);
	lua_error(L);
	abort();
}

void vai__lost_check(lua_State *L, int idx, const struct vai_code *code)
{
	for (int i = 0; i < code->nups; i++) {
		const struct vai__upval *up = &code->upvals[i];
		if (VAI_LIKELY(!up->assigned_line) || is_environment(L, idx, i, up->name))
			continue;
		vai__lost_raise(L, idx, up, i + 1);
	}
}
