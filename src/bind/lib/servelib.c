/* SPDX-License-Identifier: MIT */
/* vai.net.serve and its servers. */
#include <string.h>
#include "bind/lib/netlib.h"
#include "bind/lib/lib.h"
#include "bind/lib/lua_source.h"
#include "bind/life/spawn.h"
#include "bind/site.h"
#include "net/serve.h"
#include "transfer/codec.h"

/* Stack index of the function of the option on_error, or nil. */
enum { ON_ERROR = 4 };

static inline vai_server *self_server(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__serve_class, fname);
}

/* Starts a goroutine for a connection, for vai__serve. False: out of memory, and the server drops the connection. */
static bool start(vai_g *self, void *arg, vai_conn *c)
{
	return vai__call_fire_with(self, arg, (struct vai_obj *)c);
}

static void release(void *arg)
{
	vai__call_unref(arg);
}

/* The seconds on top of the stack, as ns. */
static int64_t seconds(lua_State *L, const char *option)
{
	double ns = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) * 1e9 : -1;
	if (!(ns > 0))
		vai__arg_error(L, 3, "serve", "option '%s': %s", option, luaL_tolstring(L, -1, NULL));
	return ns < 9e18 ? (int64_t)ns : VAI_FOREVER;
}

/* For modules that wrap functions of their users: reports assignments that would be lost, as is done for f, in the
 * functions of the list on top, which f calls. */
static void look_at_called(lua_State *L)
{
	struct vai_vm *vm = vai__bind_vm(vai__bind_self(L));
	if (!lua_istable(L, -1))
		vai__arg_error(L, 3, "serve", "option 'called': %s", luaL_tolstring(L, -1, NULL));
	for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TFUNCTION; i++) {
		vai__encode_look(L, vm, lua_gettop(L));
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* Sets the option of this name, whose value is on top. False: there is no such option. */
static bool set_option(lua_State *L, struct vai__serve_how *how, const char *name)
{
	if (strcmp(name, "idle") == 0) {
		how->idle = seconds(L, name);
	} else if (strcmp(name, "head_limit") == 0) {
		how->head_time = seconds(L, name);
	} else if (strcmp(name, "head") == 0) {
		lua_Integer n = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
		if (n <= 0)
			vai__arg_error(L, 3, "serve", "option 'head': %s", luaL_tolstring(L, -1, NULL));
		how->head_most = (size_t)n;
	} else if (strcmp(name, "on_error") == 0) {
		if (!lua_isfunction(L, -1))
			vai__arg_error(L, 3, "serve", "option 'on_error': function expected, got %s", luaL_typename(L, -1));
		lua_pushvalue(L, -1);
		lua_replace(L, ON_ERROR);
	} else if (strcmp(name, "called") == 0) {
		look_at_called(L);
	} else {
		return false;
	}
	return true;
}

/* Reads the options from the table at idx, if there is one. */
static struct vai__serve_how how_at(lua_State *L, int idx)
{
	struct vai__serve_how how = {.idle = VAI_FOREVER, .head_time = VAI_FOREVER};
	if (lua_isnoneornil(L, idx))
		return how;
	if (!lua_istable(L, idx))
		vai__arg_type_error(L, idx, 3, "serve", "table");
	vai__lib_thaw_at(L, idx);
	lua_pushnil(L);
	while (lua_next(L, idx)) {
		if (lua_type(L, -2) != LUA_TSTRING || !set_option(L, &how, lua_tostring(L, -2)))
			vai__arg_error(L, 3, "serve", "unknown option '%.40s'", luaL_tolstring(L, -2, NULL));
		lua_pop(L, 1);
	}
	if (how.head_time != VAI_FOREVER && how.head_most == 0)
		vai__arg_error(L, 3, "serve", "option 'head_limit' without 'head'");
	return how;
}

/* Lua code that calls the function of a server with on_error. */
static const char guard[] = "local pcall = pcall\n"
							"return function(f, on_error, conn)\n"
							"	local ok, err = pcall(f, conn)\n"
							"	if not ok then on_error(err, conn) end\n"
							"end\n";

/* Makes the call of the function at index 2; its errors go to the function at ON_ERROR, if there is one. */
static struct vai__call *call_of(lua_State *L, vai_g *g)
{
	static const struct vai__callname plain = {"serve", 2, "serve: argument 2"};
	static const struct vai__callname guarded = {"serve", 1, "serve: argument 1"};
	static const char key;
	if (!lua_isfunction(L, ON_ERROR)) {
		lua_settop(L, 2);
		return vai__call_new(L, g, 2, &plain, VAI_FATE_TELL);
	}
	if (!lua_isfunction(L, 2))
		vai__arg_type_error(L, 2, 2, "serve", "function");
	vai__encode_look(L, vai__bind_vm(g), 2);
	vai__encode_look(L, vai__bind_vm(g), ON_ERROR);
	lua_remove(L, 3);
	vai__lib_push_source(L, &key, guard, guard + sizeof guard - 1, "=vai.net.serve", NULL);
	lua_insert(L, 2);
	return vai__call_new(L, g, 2, &guarded, VAI_FATE_TELL);
}

/* serve(listener, f [, options]) */
int vai__lib_net_serve(lua_State *L)
{
	vai_listener *l = (vai_listener *)vai__handle_test(L, 1, &vai__listener_class);
	vai_g *g = vai__bind_self(L);
	if (!l)
		vai__arg_type_error(L, 1, 1, "serve", "listener");
	lua_settop(L, ON_ERROR - 1);
	lua_pushnil(L);
	struct vai__serve_how how = how_at(L, 3);
	struct vai__call *call = call_of(L, g);
	vai__note_stack(g, L);
	vai_server *s = vai__serve(g, l, &how, start, release, call, call->site);
	if (!s) {
		vai__call_unref(call);
		vai__arg_no_memory(L);
	}
	vai__io_push(L, g, (struct vai_obj *)s);
	return 1;
}

static int server_shutdown(lua_State *L)
{
	vai_server *s = self_server(L, "shutdown");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "shutdown");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__serve_shutdown(g, s, limit.deadline));
	if (rc != VAI_OK)
		return vai__io_failed(L, g, rc, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int server_close(lua_State *L)
{
	vai_server *s = self_server(L, "close");
	vai__io_check_close(L);
	vai__serve_close(s);
	vai_listener *l = vai__serve_listener(s);
	return vai__io_await_close(L, vai__listener_desc(l), (struct vai_obj *)l);
}

static int server_count(lua_State *L)
{
	vai_server *s = self_server(L, "count");
	vai__bind_self(L);
	lua_pushinteger(L, vai__serve_count(s));
	return 1;
}

const struct vai__handle_type vai__lib_server_type = {&vai__serve_class, "vai.server",
	.methods = VAI__METHODS({"shutdown", server_shutdown}, {"close", server_close}, {"count", server_count}),
	.meta = VAI__METHODS({"__close", server_close}, {"__tostring", vai__bind_tostring})};
