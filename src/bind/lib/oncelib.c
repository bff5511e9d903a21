/* SPDX-License-Identifier: MIT */
/* once, and the functions that once_value returns. These are C functions with three upvalues: the once, the function
 * that computes the results, and the results as values of this state, which are not sent along with the others. So a
 * state that asks for the results again gets the same values, as it would get the upvalues of a Lua function. */
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/guardlib.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "sync/once.h"
#include "transfer/codec.h"

static inline vai_once *self_once(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__once_class, fname);
}

static void push_once(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_once *once = vai__once_new(vai__msg_drop);
	vai__bind_push_new(L, g, (struct vai_obj *)once);
}

int vai__lib_once(lua_State *L)
{
	push_once(L);
	return 1;
}

static void end_once(struct vai_obj *once, uint64_t id)
{
	vai__once_end((vai_once *)once, id);
}

/* ---- once:call ---- */

/* The continuation of the call. The guard is at index 2. */
static int called(lua_State *L, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	lua_settop(L, 2);
	lua_pushboolean(L, 1);
	return 1;
}

/* The guard is made first, whether it will be needed or not, as making it may raise. */
static int once_call(lua_State *L)
{
	vai_once *once = self_once(L, "call");
	vai_g *g = vai__bind_self(L);
	if (!lua_isfunction(L, 2))
		vai__arg_type_error(L, 2, 1, "call", "function");
	if (VAI_LIKELY(vai__once_is_done(once))) {
		lua_pushboolean(L, 0);
		return 1;
	}
	luaL_checkstack(L, 8, NULL);
	vai_guard *guard = vai__guard_push(L, g, (struct vai_obj *)once, end_once);
	vai__note_stack(g, L);
	int rc = vai__once_begin(g, once);
	if (rc == VAI_EINVAL)
		return luaL_error(L, "once called from within its own function");
	if (rc < 0)
		return vai__bind_failed(L, g, rc);
	if (rc == VAI_OK) {
		lua_pushboolean(L, 0);
		return 1;
	}
	vai__guard_arm(guard, g->id);
	lua_insert(L, 2);
	lua_toclose(L, 2);
	lua_callk(L, lua_gettop(L) - 3, 0, 0, called);
	return called(L, LUA_OK, 0);
}

/* ---- once_value ---- */

enum { UP_ONCE = 1, UP_FUNCTION, UP_KNOWN };

/* __vai_send of the table of results: `false` is sent in its place. */
static int send_nothing(lua_State *L)
{
	lua_pushboolean(L, 0);
	return 1;
}

/* Keeps the n values on top in the upvalue, as { n = n, failed = failed, values... }. */
static void know(lua_State *L, int n, bool failed)
{
	int first = lua_gettop(L) - n + 1;
	lua_createtable(L, n, 2);
	for (int i = 0; i < n; i++) {
		lua_pushvalue(L, first + i);
		lua_rawseti(L, -2, i + 1);
	}
	lua_pushinteger(L, n);
	lua_setfield(L, -2, "n");
	lua_pushboolean(L, failed);
	lua_setfield(L, -2, "failed");
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, send_nothing);
	lua_setfield(L, -2, "__vai_send");
	lua_setmetatable(L, -2);
	lua_replace(L, lua_upvalueindex(UP_KNOWN));
}

static int give_known(lua_State *L)
{
	lua_settop(L, 0);
	lua_pushvalue(L, lua_upvalueindex(UP_KNOWN));
	lua_getfield(L, 1, "failed");
	lua_getfield(L, 1, "n");
	bool failed = lua_toboolean(L, 2);
	int n = (int)lua_tointeger(L, 3);
	luaL_checkstack(L, n + 4, "too many results");
	for (int i = 1; i <= n; i++)
		lua_rawgeti(L, 1, i);
	return failed ? lua_error(L) : n;
}

/* Encodes the results. Arguments: a message, values. */
static int encode_results(lua_State *L)
{
	vai_msg *msg = lua_touserdata(L, 1);
	vai__encode_values(L, vai__bind_vm(vai__g_self()), 2, lua_gettop(L) - 1, msg, "result");
	return 0;
}

/* Gives the n values on top of the stack to other states; if they cannot be sent, gives an error instead. */
static void publish(lua_State *L, vai_once *once, int n, bool failed)
{
	vai_msg msg = {{0}};
	int first = lua_gettop(L) - n + 1;
	luaL_checkstack(L, n + 4, "too many results");
	lua_pushcfunction(L, encode_results);
	lua_pushlightuserdata(L, &msg);
	for (int i = 0; i < n; i++)
		lua_pushvalue(L, first + i);
	if (lua_pcall(L, n + 1, 0, 0) != LUA_OK) {
		size_t len;
		const char *why = lua_tolstring(L, -1, &len);
		failed = true;
		if (!why || vai__msg_string(&msg, why, len) != VAI_OK)
			vai__msg_string(&msg, "not enough memory", sizeof "not enough memory" - 1);
		lua_pop(L, 1);
	}
	vai__once_set(once, &msg, failed);
}

/* The continuation of the computation. The guard is at index 1, and above it lie the results or the error. */
static int computed(lua_State *L, int status, lua_KContext context)
{
	(void)context;
	bool failed = status != LUA_OK && status != LUA_YIELD;
	vai_once *once = (vai_once *)vai__handle_test(L, lua_upvalueindex(UP_ONCE), &vai__once_class);
	int n = lua_gettop(L) - 1;
	publish(L, once, n, failed);
	know(L, n, failed);
	return failed ? lua_error(L) : n;
}

static int value_call(lua_State *L)
{
	if (lua_istable(L, lua_upvalueindex(UP_KNOWN)))
		return give_known(L);
	vai_g *g = vai__bind_self(L);
	vai_once *once = (vai_once *)vai__handle_test(L, lua_upvalueindex(UP_ONCE), &vai__once_class);
	if (!once)
		return luaL_error(L, "once_value: its object is gone");
	lua_settop(L, 0);
	vai_guard *guard = vai__guard_push(L, g, (struct vai_obj *)once, end_once);
	vai__note_stack(g, L);
	int rc = vai__once_begin(g, once);
	if (rc == VAI_EINVAL)
		return luaL_error(L, "once_value called from within its own function");
	if (rc < 0)
		return vai__bind_failed(L, g, rc);
	if (rc == 1) {
		vai__guard_arm(guard, g->id);
		lua_toclose(L, 1);
		lua_pushvalue(L, lua_upvalueindex(UP_FUNCTION));
		return computed(L, lua_pcallk(L, 0, LUA_MULTRET, 0, 0, computed), 0);
	}
	bool failed;
	const vai_msg *value = vai__once_value(once, &failed);
	if (!value)
		return luaL_error(L, "once_value: not enough memory for its results");
	know(L, vai__decode(L, vai__bind_vm(g), value), failed);
	return give_known(L);
}

int vai__lib_once_value(lua_State *L)
{
	vai__bind_self(L);
	if (!lua_isfunction(L, 1))
		vai__arg_type_error(L, 1, 1, "once_value", "function");
	push_once(L);
	lua_pushvalue(L, 1);
	lua_pushboolean(L, 0);
	lua_pushcclosure(L, value_call, 3);
	return 1;
}

const struct vai__handle_type vai__lib_once_type = {&vai__once_class, "vai.once",
	.methods = VAI__METHODS({"call", once_call}), .meta = VAI__METHODS({"__tostring", vai__bind_tostring})};
