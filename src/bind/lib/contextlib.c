/* SPDX-License-Identifier: MIT */
/* context and its methods. `cancel` and the stop function of after() are C functions with the handle as upvalue, so
 * they can be sent to other goroutines as any function can. */
#include <string.h>
#include "base/clock.h"
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "bind/life/spawn.h"
#include "sync/context.h"
#include "transfer/codec.h"
#include "transfer/message.h"

static inline vai_context *self_context(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__context_class, fname);
}

/* Pushes the context's handle and takes over the reference. */
static int push(lua_State *L, vai_g *g, vai_context *ctx)
{
	return vai__bind_push_new(L, g, (struct vai_obj *)ctx);
}

int vai__lib_context(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	return push(L, g, vai__context_new(vai__msg_drop));
}

/* ---- cancel ---- */

static int cancel(lua_State *L)
{
	vai_context *ctx = (vai_context *)vai__handle_test(L, lua_upvalueindex(1), &vai__context_class);
	vai_msg cause = {{0}};
	vai_g *g = vai__bind_self(L);
	if (!ctx)
		return luaL_error(L, "cancel: the context is gone");
	bool has_cause = !lua_isnoneornil(L, 1);
	if (has_cause)
		vai__encode(L, vai__bind_vm(g), 1, &cause, "cancel: argument 1");
	vai__context_cancel(ctx, has_cause ? &cause : NULL);
	vai__msg_drop(&cause);
	return 0;
}

static int push_child(lua_State *L, vai_context *parent, int64_t deadline)
{
	vai_g *g = vai__bind_self(L);
	push(L, g, vai__context_child(g, parent, deadline));
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, cancel, 1);
	return 2;
}

static int context_with_cancel(lua_State *L)
{
	return push_child(L, self_context(L, "with_cancel"), VAI_FOREVER);
}

static int context_with_timeout(lua_State *L)
{
	vai_context *ctx = self_context(L, "with_timeout");
	return push_child(L, ctx, vai__clock_after(vai__arg_seconds(L, 2, 1, "with_timeout")));
}

/* with_deadline(time): a time of vai.now's clock. */
static int context_with_deadline(lua_State *L)
{
	vai_context *ctx = self_context(L, "with_deadline");
	double ns = vai__arg_seconds(L, 2, 1, "with_deadline") * 1e9;
	return push_child(L, ctx, ns >= 9.2e18 ? VAI_FOREVER : ns <= 0 ? 0 : (int64_t)ns);
}

/* ---- values ---- */

/* Encodes a key. Raises for values that cannot be keys; floats with an integer value become integers, as in tables. */
static void encode_key(lua_State *L, vai_g *g, vai_msg *key, const char *fname)
{
	int isint = 0;
	lua_Integer n = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &isint) : 0;
	if (isint) {
		lua_pushinteger(L, n);
		lua_replace(L, 2);
	}
	switch (lua_type(L, 2)) {
	case LUA_TNUMBER:
		if (lua_tonumber(L, 2) != lua_tonumber(L, 2))
			vai__arg_error(L, 1, fname, "key is nan");
		break;
	case LUA_TBOOLEAN:
	case LUA_TSTRING:
	case LUA_TLIGHTUSERDATA: break;
	default:
		if (!vai__handle_any(L, 2))
			vai__arg_type_error(L, 2, 1, fname, "boolean, number, string or object of vai");
	}
	vai__encode(L, vai__bind_vm(g), 2, key, "key");
}

struct valued {
	vai_msg key, value;
};

static int encode_value(lua_State *L)
{
	struct valued *v = lua_touserdata(L, 2);
	vai__encode(L, vai__bind_vm(vai__g_self()), 1, &v->value, "with_value: argument 2");
	return 0;
}

static int context_with_value(lua_State *L)
{
	vai_context *parent = self_context(L, "with_value"), *ctx;
	vai_g *g = vai__bind_self(L);
	struct valued v = {{{0}}, {{0}}};
	luaL_checkany(L, 2);
	lua_settop(L, 3);
	encode_key(L, g, &v.key, "with_value");
	lua_pushcfunction(L, encode_value);
	lua_pushvalue(L, 3);
	lua_pushlightuserdata(L, &v);
	if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
		vai__msg_drop(&v.key);
		return lua_error(L);
	}
	ctx = vai__context_with_value(parent, &v.key, &v.value);
	vai__msg_drop(&v.key);
	vai__msg_drop(&v.value);
	return push(L, g, ctx);
}

/* Whether two keys are equal. Equal strings may have different forms as messages. */
static bool same_key(const vai_msg *key, const vai_msg *other)
{
	size_t n, m;
	const char *a = vai__msg_string_of(key, &n), *b = vai__msg_string_of(other, &m);
	if (!a || !b)
		return memcmp(key, other, sizeof *key) == 0;
	return n == m && memcmp(a, b, n) == 0;
}

static int context_value(lua_State *L)
{
	vai_context *ctx = self_context(L, "value");
	vai_g *g = vai__bind_self(L);
	vai_msg key = {{0}};
	luaL_checkany(L, 2);
	lua_settop(L, 2);
	encode_key(L, g, &key, "value");
	while ((ctx = vai__context_valued(ctx)) && !same_key(&key, vai__context_key(ctx)))
		ctx = vai__context_parent(ctx);
	vai__msg_drop(&key);
	if (!ctx)
		lua_pushnil(L);
	else
		vai__decode(L, vai__bind_vm(g), vai__context_value(ctx));
	return 1;
}

/* ---- questions ---- */

static int context_done(lua_State *L)
{
	vai_context *ctx = self_context(L, "done");
	vai_g *g = vai__bind_self(L);
	vai_chan *ch = vai__context_done(ctx);
	if (!ch)
		vai__arg_no_memory(L);
	vai__context_err(ctx); /* marks ctx as over, and closes the channel, if its deadline has passed */
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)ch, false);
	return 1;
}

static int context_err(lua_State *L)
{
	vai_context *ctx = self_context(L, "err");
	vai__bind_self(L);
	lua_pushstring(L, vai__bind_context_text(vai__context_err(ctx)));
	return 1;
}

static int context_cause(lua_State *L)
{
	vai_context *ctx = self_context(L, "cause");
	vai__lib_push_cause(L, vai__bind_self(L), ctx);
	return 1;
}

static int context_deadline(lua_State *L)
{
	int64_t deadline = vai__context_deadline(self_context(L, "deadline"));
	if (deadline == VAI_FOREVER)
		lua_pushnil(L);
	else
		lua_pushnumber(L, (lua_Number)deadline / 1e9);
	return 1;
}

/* ---- after ---- */

static bool fire(void *call)
{
	return vai__call_fire(call);
}

static void release(void *call)
{
	vai__call_unref(call);
}

static int stop(lua_State *L)
{
	vai_after *after = (vai_after *)vai__handle_test(L, lua_upvalueindex(1), &vai__context_after_class);
	vai__bind_self(L);
	if (!after)
		return luaL_error(L, "stop: the call is gone");
	lua_pushboolean(L, vai__context_after_stop(after));
	return 1;
}

static int context_after(lua_State *L)
{
	static const struct vai__callname name = {"after", 1, "after: argument"};
	vai_context *ctx = self_context(L, "after");
	vai_g *g = vai__bind_self(L);
	vai__context_err(ctx);
	struct vai__call *call = vai__call_new(L, g, 2, &name, VAI_FATE_PANIC);
	vai_after *after = vai__context_after(ctx, fire, release, call);
	if (!after) {
		vai__call_unref(call);
		vai__arg_no_memory(L);
	}
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)after, true);
	lua_pushcclosure(L, stop, 1);
	return 1;
}

const struct vai__handle_type vai__lib_context_type = {&vai__context_class, "vai.context",
	.methods = VAI__METHODS({"with_cancel", context_with_cancel}, {"with_timeout", context_with_timeout},
		{"with_deadline", context_with_deadline}, {"with_value", context_with_value}, {"done", context_done},
		{"err", context_err}, {"cause", context_cause}, {"deadline", context_deadline}, {"value", context_value},
		{"after", context_after}),
	.meta = VAI__METHODS({"__tostring", vai__bind_tostring})};

const struct vai__handle_type vai__lib_after_type = {.cls = &vai__context_after_class, .name = "vai.after"};
