/* SPDX-License-Identifier: MIT */
/* select(cases). Three passes: check every case, leaving its channel and the value to send
 * on the Lua stack, which keeps both alive whatever happens to the table; encode the
 * values; wait. Encoding is guarded where raising would lose an earlier message. */
#include <stdio.h>
#include <string.h>
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/limit.h"
#include "bind/lib/result.h"
#include "sync/chan.h"
#include "sync/select.h"
#include "transfer/codec.h"
#include "transfer/message.h"

enum { SMALL = 8 };

struct options {
	int n;
	bool has_default, has_timeout;
	struct vai__limit limit;
};

/* ---- checking ---- */

static _Noreturn void case_error(lua_State *L, int i, const char *expected)
{
	vai__arg_error(L, 1, "select", "case %d: %s expected, got %s", i, expected, vai__arg_typename(L, -1));
}

/* The channel on top of the stack, NULL for false. */
static vai_chan *check_chan(lua_State *L, int i, const char *expected)
{
	vai_chan *ch = (vai_chan *)vai__handle_test(L, -1, &vai__chan_class);
	if (VAI_UNLIKELY(!ch) && (lua_type(L, -1) != LUA_TBOOLEAN || lua_toboolean(L, -1)))
		case_error(L, i, expected);
	return ch;
}

/* {ch, v} at the top becomes ch, v. Until it is encoded, the message is v's stack index. */
static void check_send(lua_State *L, int i, struct vai__case *c)
{
	int t = lua_gettop(L);
	lua_rawgeti(L, t, 1);
	c->ch = check_chan(L, i, "channel to send to");
	c->dir = c->ch ? VAI_DIR_SEND : VAI_DIR_NONE;
	if (c->ch && vai__chan_is_kept(c->ch))
		vai__arg_error(L, 1, "select", "case %d: send on the channel of a context", i);
	if (lua_rawgeti(L, t, 2) == LUA_TNIL && c->ch)
		vai__arg_error(L, 1, "select", "case %d: nil cannot be sent", i);
	lua_remove(L, t);
	c->msg.w[0] = (uint64_t)t + 1;
}

static void check_case(lua_State *L, int i, struct vai__case *c)
{
	c->result = VAI_OK;
	if (lua_rawgeti(L, 1, i) == LUA_TTABLE) {
		check_send(L, i, c);
		return;
	}
	c->ch = check_chan(L, i, "channel");
	c->dir = c->ch ? VAI_DIR_RECV : VAI_DIR_NONE;
}

/* What follows a list's last element in a table are its options, as they are stored; a list that was built
 * in another way than upwards from 1 may keep one from being looked at. "n" is table.pack's. */
static void check_names(lua_State *L, int n)
{
	if (n > 0)
		lua_pushinteger(L, n);
	else
		lua_pushnil(L);
	while (lua_next(L, 1)) {
		lua_pop(L, 1);
		const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "n";
		if (strcmp(name, "default") != 0 && strcmp(name, "timeout") != 0 && strcmp(name, "n") != 0)
			vai__arg_error(L, 1, "select", "unknown option '%s'", name);
	}
}

static void check_timeout(lua_State *L, struct vai__limit *limit)
{
	limit->ctx = (vai_context *)vai__handle_test(L, -1, &vai__context_class);
	if (limit->ctx)
		return;
	if (lua_type(L, -1) != LUA_TNUMBER)
		vai__arg_error(L, 1, "select", "timeout: number or context expected, got %s", vai__arg_typename(L, -1));
	if (lua_tonumber(L, -1) != lua_tonumber(L, -1))
		vai__arg_error(L, 1, "select", "timeout: seconds expected, got nan");
	limit->deadline = vai__arg_seconds_deadline(lua_tonumber(L, -1));
}

static void check_options(lua_State *L, struct options *o)
{
	if (VAI_UNLIKELY(lua_type(L, 1) != LUA_TTABLE))
		vai__arg_type_error(L, 1, 1, "select", "table");
	lua_pushliteral(L, "default");
	lua_rawget(L, 1);
	o->has_default = lua_toboolean(L, -1);
	lua_pushliteral(L, "timeout");
	o->has_timeout = lua_rawget(L, 1) != LUA_TNIL;
	o->limit = (struct vai__limit){.deadline = VAI_FOREVER};
	if (o->has_timeout)
		check_timeout(L, &o->limit);
	if (o->has_default)
		o->limit.deadline = 0;
	if (!o->limit.ctx) /* which stays there */
		lua_settop(L, 1);
	lua_Unsigned n = lua_rawlen(L, 1);
	if (n > (LUAI_MAXSTACK - 100) / 2)
		vai__arg_error(L, 1, "select", "too many cases");
	o->n = (int)n;
	check_names(L, o->n);
	luaL_checkstack(L, 2 * o->n + 8, "too many cases");
}

/* ---- encoding ---- */

struct encoding {
	struct vai_vm *vm;
	vai_msg *out;
	int i;
};

static VAI_NOINLINE void encode_named(lua_State *L, struct vai_vm *vm, int idx, int i, vai_msg *out)
{
	char what[40];
	snprintf(what, sizeof what, "select: case %d", i + 1);
	vai__encode(L, vm, idx, out, what);
	if (vai__msg_tag(out) == M_NIL)
		vai__arg_error(L, 1, "select", "case %d: nil cannot be sent", i + 1);
}

static int encode_protected(lua_State *L)
{
	struct encoding *e = lua_touserdata(L, 1);
	encode_named(L, e->vm, 2, e->i, e->out);
	return 0;
}

static VAI_NOINLINE int encode_guarded(lua_State *L, struct vai_vm *vm, int idx, int i, vai_msg *out)
{
	struct encoding e = {vm, out, i};
	lua_pushcfunction(L, encode_protected);
	lua_pushlightuserdata(L, &e);
	lua_pushvalue(L, idx);
	return lua_pcall(L, 2, 0, 0);
}

/* guard: raising would lose something. Scalars never raise. */
static int encode_value(lua_State *L, struct vai_vm *vm, int i, vai_msg *out, bool guard)
{
	int idx = (int)out->w[0], type = lua_type(L, idx);
	if (type == LUA_TNUMBER || type == LUA_TBOOLEAN || (type == LUA_TSTRING && !guard))
		vai__encode(L, vm, idx, out, "select");
	else if (guard)
		return encode_guarded(L, vm, idx, i, out);
	else
		encode_named(L, vm, idx, i, out);
	return LUA_OK;
}

static void drop_unsent(struct vai__case *cases, int n, int chosen)
{
	for (int i = 0; i < n; i++)
		if (i != chosen && cases[i].dir == VAI_DIR_SEND)
			vai__msg_drop(&cases[i].msg);
}

/* LUA_OK, or an error code with the error on top of the stack and nothing left to drop. */
static int encode_values(lua_State *L, struct vai_vm *vm, struct vai__case *cases, int n)
{
	bool guard = false;
	for (int i = 0; i < n; i++) {
		if (cases[i].dir != VAI_DIR_SEND)
			continue;
		int status = encode_value(L, vm, i, &cases[i].msg, guard);
		if (VAI_UNLIKELY(status != LUA_OK)) {
			drop_unsent(cases, i, -1);
			return status;
		}
		guard |= vai__msg_tag(&cases[i].msg) >= M_OBJECT;
	}
	return LUA_OK;
}

/* ---- waiting ---- */

/* What the caller needs of the chosen case once the array is gone. */
struct outcome {
	int rc;
	struct vai__case chosen;
};

static int run_cases(lua_State *L, vai_g *g, struct vai__case *cases, const struct options *o, struct outcome *out)
{
	for (int i = 0; i < o->n; i++)
		check_case(L, i + 1, &cases[i]);
	int status = encode_values(L, vai__bind_vm(g), cases, o->n);
	if (VAI_UNLIKELY(status != LUA_OK))
		return status;
	vai__note_stack(g, L);
	out->rc = VAI_LIMITED(g, o->limit, vai__select(g, cases, o->n, o->limit.deadline));
	bool sent = out->rc >= 0 && cases[out->rc].result == VAI_OK;
	drop_unsent(cases, o->n, sent ? out->rc : -1);
	if (out->rc >= 0)
		out->chosen = cases[out->rc];
	return LUA_OK;
}

static VAI_NOINLINE int run_small(lua_State *L, vai_g *g, const struct options *o, struct outcome *out)
{
	struct vai__case cases[o->n > 0 ? o->n : 1]; /* no longer: see run_small of sync/select.c */
	return run_cases(L, g, cases, o, out);
}

static VAI_NOINLINE int run_large(lua_State *L, vai_g *g, const struct options *o, struct outcome *out)
{
	return run_cases(L, g, lua_newuserdatauv(L, (size_t)o->n * sizeof(struct vai__case), 0), o, out);
}

static int select_failed(lua_State *L, vai_g *g, const struct options *o, int rc)
{
	if (rc == VAI_EAGAIN || rc == VAI_ETIMEOUT)
		return vai__bind_nil(L, o->has_default ? "default" : "timeout");
	return vai__bind_failed(L, g, rc);
}

static int push_chosen(lua_State *L, vai_g *g, struct outcome *out)
{
	struct vai__case *c = &out->chosen;
	if (c->dir == VAI_DIR_SEND && c->result == VAI_ECLOSED)
		return luaL_error(L, "send on closed channel");
	lua_pushinteger(L, out->rc + 1);
	if (c->dir == VAI_DIR_SEND) {
		lua_pushboolean(L, 1);
		return 2;
	}
	if (c->result == VAI_ECLOSED)
		return 1 + vai__bind_nil(L, "closed");
	return 1 + vai__bind_deliver(L, vai__bind_vm(g), &c->msg);
}

int vai__lib_select(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	struct options o;
	struct outcome out;
	check_options(L, &o);
	int status = o.n <= SMALL ? run_small(L, g, &o, &out) : run_large(L, g, &o, &out);
	if (VAI_UNLIKELY(status != LUA_OK))
		return lua_error(L);
	if (out.rc < 0)
		return select_failed(L, g, &o, out.rc);
	return push_chosen(L, g, &out);
}
