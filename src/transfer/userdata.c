/* SPDX-License-Identifier: MIT */
/* The list of codecs: entries are added at its head and never change. */
#include "transfer/userdata.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"

struct codec {
	struct codec *next;
	lua_CFunction out, in;
	char type[];
};

static _Atomic(struct codec *) codecs;

static const struct codec *find(const char *type)
{
	const struct codec *c = atomic_load_acquire(&codecs);
	while (c && strcmp(c->type, type) != 0)
		c = c->next;
	return c;
}

int vai__userdata_add(const char *type, lua_CFunction out, lua_CFunction in)
{
	if (find(type))
		return VAI_EINVAL;
	size_t size = strlen(type) + 1;
	struct codec *c = malloc(sizeof *c + size);
	if (!c)
		return VAI_ENOMEM;
	c->out = out;
	c->in = in;
	memcpy(c->type, type, size);
	c->next = atomic_load_acquire(&codecs);
	while (!atomic_compare_exchange_weak(&codecs, &c->next, c))
		;
	return VAI_OK;
}

bool vai__userdata_any(void)
{
	return atomic_load_relaxed(&codecs) != NULL;
}

bool vai__userdata_is_in(lua_CFunction f)
{
	const struct codec *c = atomic_load_acquire(&codecs);
	while (c && c->in != f)
		c = c->next;
	return c != NULL;
}

/* The codec for the type whose metatable is on top; NULL: there is none. */
static const struct codec *of_metatable(lua_State *L)
{
	lua_pushliteral(L, "__name");
	const struct codec *c = lua_rawget(L, -2) == LUA_TSTRING ? find(lua_tostring(L, -1)) : NULL;
	lua_pop(L, 1);
	return c;
}

/* Does what __vai_send would for the userdata at 1: returns nil, `in`, and what `out` has returned. */
static int send(lua_State *L)
{
	const struct codec *c = lua_getmetatable(L, 1) ? of_metatable(L) : NULL;
	if (!c)
		return luaL_error(L, "the type of a userdata was changed while it was sent");
	lua_settop(L, 1);
	lua_pushnil(L);
	lua_pushcfunction(L, c->in);
	lua_pushcfunction(L, c->out);
	lua_pushvalue(L, 1);
	lua_call(L, 1, LUA_MULTRET);
	return lua_gettop(L) - 1;
}

bool vai__userdata_push_send(lua_State *L)
{
	if (!of_metatable(L))
		return false;
	lua_pushcfunction(L, send);
	return true;
}
