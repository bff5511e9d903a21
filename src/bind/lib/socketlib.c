/* SPDX-License-Identifier: MIT */
/* vai.socket: LuaSocket's interface in Lua (socket.lua beside this file), loaded when it is first used. vai.compat:
 * puts it where `require "socket"` finds it. And what both need of C: waiting for several connections. */
#include "bind/lib/lua_source.h"
#include "bind/lib/netlib.h"
#include "net/wait_first.h"

VAI_LUA_SOURCE(vai__socket_source, "src/bind/lib/socket.lua");
static const char socket_key;

/* ---- readiness ---- */

static bool describe(lua_State *L, int idx, enum vai__dir dir, struct vai__wait_first *r)
{
	struct vai_obj *o = vai__handle_any(L, idx);
	*r = (struct vai__wait_first){.dir = dir};
	if (o && o->cls == &vai__conn_class) {
		r->conn = (vai_conn *)o;
		r->desc = vai__conn_desc(r->conn);
	} else if (o && o->cls == &vai__listener_class) {
		r->desc = vai__listener_desc((vai_listener *)o);
	} else if (o && o->cls == &vai__packet_class) {
		r->desc = vai__packet_desc((vai_packet *)o);
	}
	return r->desc != NULL;
}

static int add_all(lua_State *L, int idx, enum vai__dir dir, struct vai__wait_first *list)
{
	int n = (int)lua_rawlen(L, idx);
	for (int i = 0; i < n; i++) {
		lua_rawgeti(L, idx, i + 1);
		if (!describe(L, -1, dir, &list[i]))
			vai__arg_error(L, idx, "select", "socket expected, got %s", vai__arg_typename(L, -1));
		lua_pop(L, 1);
	}
	return n;
}

/* ready(readers, writers, limit): two lists of handles. Returns a list of booleans, readers first; or nil and why. */
static int ready(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
	struct vai__limit limit = vai__arg_limit(L, 3, 3, "select");
	vai_g *g = vai__bind_self(L);
	size_t most = lua_rawlen(L, 1) + lua_rawlen(L, 2);
	struct vai__wait_first *list = lua_newuserdatauv(L, (most + 1) * sizeof *list, 0);
	int n = add_all(L, 1, VAI__READ, list);
	n += add_all(L, 2, VAI__WRITE, list + n);
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__wait_first(g, list, n, limit.deadline));
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	lua_createtable(L, n, 0);
	for (int i = 0; i < n; i++) {
		lua_pushboolean(L, list[i].ready);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

/* ---- the table ---- */

/* Pushes the interface of this state. */
static void push_interface(lua_State *L)
{
	vai__lib_push_source(L, &socket_key, vai__socket_source, vai__socket_source_end, "=vai.socket", ready);
}

/* Fills the table at index 1 and takes its metatable away, so that it is an ordinary table from now on. */
static void fill(lua_State *L)
{
	push_interface(L);
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, 1);
	}
	lua_pop(L, 1);
	lua_pushnil(L);
	lua_setmetatable(L, 1);
}

static int on_index(lua_State *L)
{
	lua_settop(L, 2);
	if (lua_istable(L, 1)) {
		fill(L);
		lua_pushvalue(L, 2);
		lua_rawget(L, 1);
		return 1;
	}
	return 0;
}

static int on_pairs(lua_State *L)
{
	lua_settop(L, 1);
	if (lua_istable(L, 1))
		fill(L);
	lua_getglobal(L, "next");
	lua_pushvalue(L, 1);
	return 2;
}

int vai__lib_socket(lua_State *L)
{
	lua_createtable(L, 0, 40);
	lua_createtable(L, 0, 2);
	lua_pushcfunction(L, on_index);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, on_pairs);
	lua_setfield(L, -2, "__pairs");
	lua_setmetatable(L, -2);
	return 1;
}

int vai__lib_compat(lua_State *L)
{
	vai__bind_self(L);
	push_interface(L);
	lua_getfield(L, -1, "_compat");
	lua_call(L, 0, 0);
	return 0;
}
