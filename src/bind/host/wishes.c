/* SPDX-License-Identifier: MIT */
/* See wishes.h. */
#include "bind/host/wishes.h"
#include <lauxlib.h>
#include "base/atomic.h"
#include "bind/life/sandbox_bounds.h"
#include "bind/main_state.h"
#include "runtime/setup.h"

struct sandbox_wish {
	struct vai__sandbox *sandbox; /* one reference */
	struct vai__sandbox_bounds bounds;
	vai__wishes_notes *notes;
};

struct init_wish {
	lua_CFunction init; /* or NULL */
	bool finalizers;
};

static const char sandbox_key, init_key;
static struct init_wish of_all; /* for states that have none of their own; under the gate of sched/home.h */

/* ---- wishing ---- */

static int drop_wish(lua_State *L)
{
	struct sandbox_wish *w = lua_touserdata(L, 1);
	vai__sandbox_unref(w->sandbox);
	w->sandbox = NULL;
	return 0;
}

/* Puts a struct sandbox_wish, the argument, into the registry, which takes over its reference. */
static int leave_sandbox(lua_State *L)
{
	struct sandbox_wish *from = lua_touserdata(L, 1), *w = lua_newuserdatauv(L, sizeof *w, 0);
	*w = (struct sandbox_wish){NULL, from->bounds, from->notes};
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, drop_wish);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &sandbox_key);
	w->sandbox = from->sandbox;
	from->sandbox = NULL;
	return 0;
}

bool vai__wishes_sandbox(
	lua_State *L, struct vai__sandbox *s, const struct vai__sandbox_bounds *bounds, vai__wishes_notes *notes)
{
	struct sandbox_wish w = {s, *bounds, notes};
	lua_pushcfunction(L, leave_sandbox);
	lua_pushlightuserdata(L, &w);
	if (lua_pcall(L, 1, 0, 0) == LUA_OK)
		return true;
	lua_pop(L, 1);
	vai__sandbox_unref(w.sandbox);
	return false;
}

void vai__wishes_no_sandbox(lua_State *L)
{
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &sandbox_key);
}

void vai__wishes_init_of_all(lua_CFunction init, bool finalizers)
{
	of_all = (struct init_wish){init, finalizers};
}

/* Puts a struct init_wish, the argument, into the registry. */
static int leave_init(lua_State *L)
{
	struct init_wish *w = lua_newuserdatauv(L, sizeof *w, 0);
	*w = *(const struct init_wish *)lua_touserdata(L, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &init_key);
	return 0;
}

bool vai__wishes_init(lua_State *L, lua_CFunction init, bool finalizers)
{
	struct init_wish w = {init, finalizers};
	lua_pushcfunction(L, leave_init);
	lua_pushlightuserdata(L, &w);
	if (lua_pcall(L, 1, 0, 0) == LUA_OK)
		return true;
	lua_pop(L, 1);
	return false;
}

/* ---- granting ---- */

/* The wish under this key, or NULL. Needs room for one value on the stack. */
static void *wish_at(lua_State *L, const char *key)
{
	void *w = lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TUSERDATA ? lua_touserdata(L, -1) : NULL;
	lua_pop(L, 1);
	return w;
}

int vai__wishes_grant(lua_State *L, struct vai__home *home)
{
	if (!lua_checkstack(L, 8))
		return VAI_ENOMEM;
	const struct sandbox_wish *w = wish_at(L, &sandbox_key);
	const struct init_wish *init = wish_at(L, &init_key);
	init = init ? init : &of_all;
	struct vai__wishes wishes = {w ? w->sandbox : NULL, init->init, init->finalizers, w ? w->notes : NULL, L};
	if (wishes.sandbox)
		atomic_fetch_add_relaxed(&wishes.sandbox->refs, 1);
	int rc = vai__setup_open(home, &wishes);
	if (rc != VAI_OK || vai__sandbox_bounds_set(home->bind, wishes.sandbox ? &w->bounds : NULL))
		return rc;
	vai__setup_close(home);
	return VAI_ENOMEM;
}
