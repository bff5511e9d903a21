/* SPDX-License-Identifier: MIT */
/* select(cases) works in four passes. (1) It looks at all keys of the table and leaves the names of named cases on
 * the Lua stack, from index 2 on. (2) It checks every case and leaves the case's channel and value on the stack,
 * which keeps them alive whatever happens to the table. (3) It encodes the values, in a protected call if an error
 * would lose messages that were encoded before. (4) It waits.
 *
 * For a usual table, which is a list of channels and options, one pass takes the place of the first two (check_list).
 * That pass has no effects and raises nothing, and leaves any other table to the two passes. */
#include <stdio.h>
#include <string.h>
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"
#include "bind/lib/selectio.h"
#include "sync/chan.h"
#include "sync/select.h"
#include "sync/task.h"
#include "sync/ticker.h"
#include "transfer/charge.h"
#include "transfer/codec.h"
#include "transfer/message.h"

enum {
	SMALL = 8,
	KEPT = 64,  /* memory for up to so many cases is kept for the next select */
	MANY = 256, /* check_list does not take tables with more cases */
};

struct options {
	int n;      /* all cases */
	int listed; /* cases in the list; the others have names */
	int others; /* cases that are no channels */
	int sends;  /* cases that send */
	bool has_default, has_timeout;
	struct vai__limit limit;
};

/* ---- checking ---- */

/* How messages name case number i, from 0 on: "case 2", "case 'quit'". */
struct case_name {
	char text[48];
};

static const char *name_case(lua_State *L, const struct options *o, int i, struct case_name *name)
{
	if (i < o->listed)
		snprintf(name->text, sizeof name->text, "case %d", i + 1);
	else
		snprintf(name->text, sizeof name->text, "case '%.30s'", lua_tostring(L, 2 + i - o->listed));
	return name->text;
}

/* A hint for the author of a wrong case, whose value is on top. */
static const char *hint(lua_State *L)
{
	if (lua_type(L, -1) == LUA_TFUNCTION)
		return " (what to do follows from the case that select returns)";
	if (vai__handle_test(L, -1, &vai__task_class))
		return " (task:done() is a channel)";
	if (vai__handle_test(L, -1, &vai__ticker_class))
		return " (ticker:chan() is one)";
	if (vai__handle_any(L, -1) || lua_isnil(L, -1))
		return "";
	return " (channel to receive, {channel, value} to send)";
}

static _Noreturn void case_error(lua_State *L, const struct options *o, int i, const char *expected)
{
	struct case_name name;
	const char *help = hint(L);
	vai__arg_error(L, 1, "select", "%s: %s expected, got %s%s", name_case(L, o, i, &name), expected,
		vai__arg_typename(L, -1), help);
}

/* The channel on top of the stack; NULL for false. */
static vai_chan *check_chan(lua_State *L, const struct options *o, int i, const char *expected)
{
	vai_chan *ch = (vai_chan *)vai__handle_test(L, -1, &vai__chan_class);
	if (VAI_UNLIKELY(!ch) && (lua_type(L, -1) != LUA_TBOOLEAN || lua_toboolean(L, -1)))
		case_error(L, o, i, expected);
	return ch;
}

/* Replaces {ch, v} on top by ch, v. Until v is encoded, the message holds its stack index. */
static void check_send(lua_State *L, struct options *o, int i, struct vai__case *c)
{
	struct case_name name;
	int t = lua_gettop(L);
	lua_rawgeti(L, t, 1);
	c->ch = check_chan(L, o, i, "channel to send to");
	c->dir = c->ch ? VAI_DIR_SEND : VAI_DIR_NONE;
	if (c->ch && vai__chan_is_kept(c->ch))
		vai__arg_error(L, 1, "select", "%s: send on the channel of a context or task", name_case(L, o, i, &name));
	if (lua_rawgeti(L, t, 2) == LUA_TNIL && c->ch)
		vai__arg_error(L, 1, "select", "%s: nil cannot be sent", name_case(L, o, i, &name));
	lua_remove(L, t);
	o->sends++;
	c->msg.w[0] = (uint64_t)t + 1;
}

/* Whether the table on top says which channel stands for it (__vai_channel); if so the channel takes its place. */
static bool stands_for_channel(lua_State *L)
{
	if (VAI_LIKELY(!lua_getmetatable(L, -1)))
		return false;
	lua_pop(L, 1);
	if (luaL_getmetafield(L, -1, "__vai_channel") == LUA_TNIL)
		return false;
	lua_insert(L, -2);
	lua_call(L, 1, 1);
	return true;
}

static void check_case(lua_State *L, struct options *o, int i, struct vai__case *c)
{
	c->result = VAI_OK;
	if (i < o->listed) {
		lua_rawgeti(L, 1, i + 1);
	} else {
		lua_pushvalue(L, 2 + i - o->listed);
		lua_rawget(L, 1);
	}
	if (lua_type(L, -1) == LUA_TTABLE && !stands_for_channel(L)) {
		check_send(L, o, i, c);
		return;
	}
	c->ch = (vai_chan *)vai__handle_test(L, -1, &vai__chan_class);
	if (VAI_UNLIKELY(!c->ch) && vai__selectio_case(L, c)) {
		o->others++;
		return;
	}
	if (VAI_UNLIKELY(!c->ch))
		check_chan(L, o, i, "channel");
	c->dir = c->ch ? VAI_DIR_RECV : VAI_DIR_NONE;
}

/* Reads the timeout on top: a number, or a context, which then stays on the stack. */
static void check_timeout(lua_State *L, struct options *o)
{
	o->has_timeout = true;
	o->limit.ctx = (vai_context *)vai__handle_test(L, -1, &vai__context_class);
	if (o->limit.ctx)
		return;
	if (lua_type(L, -1) != LUA_TNUMBER)
		vai__arg_error(L, 1, "select", "timeout: number or context expected, got %s", vai__arg_typename(L, -1));
	if (lua_tonumber(L, -1) != lua_tonumber(L, -1))
		vai__arg_error(L, 1, "select", "timeout: seconds expected, got nan");
	o->limit.deadline = vai__arg_seconds_deadline(lua_tonumber(L, -1));
}

/* Checks a string key, whose value is on top: an option or the name of a case. True: it names a case. "n" is ignored,
 * as table.pack sets it. */
static bool check_name(lua_State *L, struct options *o)
{
	const char *name = lua_tostring(L, -2);
	if (strcmp(name, "timeout") == 0) {
		check_timeout(L, o);
		return false;
	}
	if (strcmp(name, "default") == 0) {
		o->has_default = lua_toboolean(L, -1);
		return false;
	}
	int type = lua_type(L, -1);
	if (type == LUA_TNUMBER && strcmp(name, "n") == 0)
		return false;
	if (type == LUA_TNUMBER || type == LUA_TSTRING || (type == LUA_TBOOLEAN && lua_toboolean(L, -1)))
		vai__arg_error(L, 1, "select", "unknown option '%s'", name);
	return true;
}

/* Whether the value on top is a usual case: a channel, or a plain {channel, value}. What it needs stays on the
 * stack. */
static bool check_usual(lua_State *L, struct options *o, struct vai__case *c)
{
	c->result = VAI_OK;
	c->dir = VAI_DIR_RECV;
	c->ch = (vai_chan *)vai__handle_test(L, -1, &vai__chan_class);
	if (VAI_LIKELY(c->ch))
		return true;
	if (lua_type(L, -1) != LUA_TTABLE || lua_getmetatable(L, -1))
		return false;
	lua_rawgeti(L, -1, 1);
	c->dir = VAI_DIR_SEND;
	c->ch = (vai_chan *)vai__handle_test(L, -1, &vai__chan_class);
	o->sends++;
	bool sends = c->ch && !vai__chan_is_kept(c->ch) && lua_rawgeti(L, -2, 2) != LUA_TNIL;
	c->msg.w[0] = (uint64_t)lua_gettop(L); /* as in check_send */
	return sends;
}

/* Does the pass for a usual table. The values stay on the stack, so the key is pushed once more for lua_next. False:
 * the table is none. */
static bool check_list(lua_State *L, struct options *o, struct vai__case *cases)
{
	int i = 0;
	luaL_checkstack(L, 4 * o->n + 16, "too many cases");
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		if (i < o->n && lua_isinteger(L, -2) && lua_tointeger(L, -2) == i + 1) {
			if (!check_usual(L, o, &cases[i]))
				return false;
			lua_pushinteger(L, ++i);
		} else if (lua_type(L, -2) == LUA_TSTRING && !check_name(L, o)) {
			lua_pushvalue(L, -2);
		} else {
			return false;
		}
	}
	if (o->has_default)
		o->limit.deadline = 0;
	return i == o->n;
}

/* Reads the options. Names of cases stay on the stack from index 2 on, below the key. */
static void check_names(lua_State *L, struct options *o)
{
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		if (VAI_LIKELY(lua_type(L, -2) != LUA_TSTRING) || !check_name(L, o)) {
			lua_pop(L, 1);
			continue;
		}
		lua_pop(L, 1);
		luaL_checkstack(L, 4, "too many cases");
		lua_pushvalue(L, -1);
		o->n++;
	}
}

static void begin(lua_State *L, struct options *o)
{
	lua_settop(L, 1);
	lua_Unsigned n = lua_rawlen(L, 1);
	if (n > (LUAI_MAXSTACK - 100) / 2)
		vai__arg_error(L, 1, "select", "too many cases");
	*o = (struct options){.n = (int)n, .listed = (int)n, .limit = {.deadline = VAI_FOREVER}};
}

static void check_options(lua_State *L, struct options *o)
{
	begin(L, o);
	check_names(L, o);
	if (VAI_UNLIKELY(o->n == 0) && vai__lib_thaw_at(L, 1)) {
		begin(L, o);
		check_names(L, o);
	}
	if (o->has_default)
		o->limit.deadline = 0;
	if (o->limit.ctx) {
		lua_pushliteral(L, "timeout");
		lua_rawget(L, 1);
		check_timeout(L, o);
	}
	luaL_checkstack(L, 2 * o->n + 8, "too many cases");
}

/* ---- encoding ---- */

struct encoding {
	struct vai_vm *vm;
	const char *name;
	vai_msg *out;
};

static VAI_NOINLINE void encode_named(lua_State *L, struct vai_vm *vm, int idx, const char *name, vai_msg *out)
{
	char what[sizeof(struct case_name) + 8];
	snprintf(what, sizeof what, "select: %s", name);
	vai__encode(L, vm, idx, out, what);
	if (vai__msg_tag(out) == M_NIL)
		vai__arg_error(L, 1, "select", "%s: nil cannot be sent", name);
}

static int encode_protected(lua_State *L)
{
	struct encoding *e = lua_touserdata(L, 1);
	encode_named(L, e->vm, 2, e->name, e->out);
	return 0;
}

static VAI_NOINLINE int encode_guarded(lua_State *L, struct vai_vm *vm, int idx, const char *name, vai_msg *out)
{
	struct encoding e = {vm, name, out};
	lua_pushcfunction(L, encode_protected);
	lua_pushlightuserdata(L, &e);
	lua_pushvalue(L, idx);
	return lua_pcall(L, 2, 0, 0);
}

static VAI_NOINLINE int encode_other(
	lua_State *L, struct vai_vm *vm, const struct options *o, int i, vai_msg *out, bool guard)
{
	struct case_name name;
	name_case(L, o, i, &name);
	if (guard)
		return encode_guarded(L, vm, (int)out->w[0], name.text, out);
	encode_named(L, vm, (int)out->w[0], name.text, out);
	return LUA_OK;
}

/* Encodes the value of case i. guard: in a protected call, as raising would lose earlier messages. Scalars never
 * raise. */
static int encode_value(lua_State *L, struct vai_vm *vm, const struct options *o, int i, vai_msg *out, bool guard)
{
	int idx = (int)out->w[0], type = lua_type(L, idx);
	if (type != LUA_TNUMBER && type != LUA_TBOOLEAN && (type != LUA_TSTRING || guard))
		return encode_other(L, vm, o, i, out, guard);
	vai__encode(L, vm, idx, out, "select");
	return LUA_OK;
}

static VAI_NOINLINE void drop_unsent(struct vai__case *cases, int n, int chosen)
{
	for (int i = 0; i < n; i++)
		if (i != chosen && cases[i].dir == VAI_DIR_SEND)
			vai__msg_drop(&cases[i].msg);
}

/* Encodes all values. LUA_OK; or an error code, with the error on top of the stack and no message left to drop. */
static int encode_values(lua_State *L, struct vai_vm *vm, struct vai__case *cases, const struct options *o)
{
	bool guard = false;
	for (int i = 0; i < o->n; i++) {
		if (cases[i].dir != VAI_DIR_SEND)
			continue;
		int status = encode_value(L, vm, o, i, &cases[i].msg, guard);
		if (VAI_UNLIKELY(status != LUA_OK)) {
			drop_unsent(cases, i, -1);
			return status;
		}
		if (VAI_UNLIKELY(vai__charge_is_carried(&cases[i].msg)))
			vai__charge_move(&cases[i].msg, vm, vai__chan_owner(cases[i].ch));
		if (VAI_UNLIKELY(vai__msg_owns_objects(&cases[i].msg)) &&
			vai__msg_count_object(&cases[i].msg, (struct vai_obj *)cases[i].ch) > 0)
			vai__chan_note_itself(cases[i].ch);
		guard |= vai__msg_owns(&cases[i].msg);
	}
	return LUA_OK;
}

/* ---- waiting ---- */

/* What the caller needs of the chosen case once the array is freed. */
struct outcome {
	int rc;
	struct vai__selectio *io; /* on the Lua stack, or NULL */
	struct vai__case chosen;
};

/* The result of select_listed with `list` set, which uses check_list, if the table is not a usual one. */
enum { NOT_USUAL = -1 };

static int run_cases(lua_State *L, vai_g *g, struct vai__case *cases, struct options *o, struct outcome *out, bool list)
{
	if (list && !check_list(L, o, cases))
		return NOT_USUAL;
	for (int i = 0; i < o->n && !list; i++)
		check_case(L, o, i, &cases[i]);
	out->io = VAI_UNLIKELY(o->others > 0) ? vai__selectio_new(L, g, cases, o->n) : NULL;
	int status = o->sends > 0 ? encode_values(L, vai__bind_vm(g), cases, o) : LUA_OK;
	if (VAI_UNLIKELY(status != LUA_OK))
		return status;
	vai__note_stack(g, L);
	int64_t until = o->limit.deadline;
	out->rc =
		VAI_LIMITED(g, o->limit, out->io ? vai__selectio_run(out->io, until) : vai__select(g, cases, o->n, until));
	bool sent = out->rc >= 0 && cases[out->rc].result == VAI_OK;
	if (o->sends > 0)
		drop_unsent(cases, o->n, sent ? out->rc : -1);
	if (out->rc >= 0)
		out->chosen = cases[out->rc];
	return LUA_OK;
}

static VAI_NOINLINE int run_small(lua_State *L, vai_g *g, struct options *o, struct outcome *out, bool list)
{
	struct vai__case cases[o->n > 0 ? o->n : 1]; /* few: a parked goroutine is to touch one page of its stack */
	return run_cases(L, g, cases, o, out, list);
}

/* Memory for many cases, in a userdata. The state's registry keeps one for the next select, as making and collecting
 * one each time took a tenth of a select with 32 cases. */
struct room {
	int size;
	bool used; /* stays set if a select raises; the next one then makes another */
	struct vai__case cases[];
};

static const char room_key;

/* Pushes such memory. */
static struct room *take_room(lua_State *L, int n)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, &room_key);
	struct room *room = lua_touserdata(L, -1);
	if (VAI_UNLIKELY(!room || room->used || room->size < n)) {
		lua_pop(L, 1);
		room = lua_newuserdatauv(L, sizeof *room + (size_t)n * sizeof *room->cases, 0);
		room->size = n;
		if (n <= KEPT) {
			lua_pushvalue(L, -1);
			lua_rawsetp(L, LUA_REGISTRYINDEX, &room_key);
		}
	}
	room->used = true;
	return room;
}

static VAI_NOINLINE int run_large(lua_State *L, vai_g *g, struct options *o, struct outcome *out, bool list)
{
	struct room *room = take_room(L, o->n);
	int status = run_cases(L, g, room->cases, o, out, list);
	room->used = false;
	return status;
}

static int select_listed(lua_State *L, vai_g *g, struct options *o, struct outcome *out, bool list)
{
	return o->n <= SMALL ? run_small(L, g, o, out, list) : run_large(L, g, o, out, list);
}

static int select_failed(lua_State *L, vai_g *g, const struct options *o, int rc)
{
	if (rc == VAI_EAGAIN || rc == VAI_ETIMEOUT)
		return vai__bind_nil(L, o->has_default ? "default" : "timeout");
	return vai__bind_failed(L, g, rc);
}

static int push_chosen(lua_State *L, vai_g *g, const struct options *o, struct outcome *out)
{
	struct vai__case *c = &out->chosen;
	if (c->dir == VAI_DIR_SEND && c->result == VAI_ECLOSED)
		return luaL_error(L, "send on closed channel");
	if (out->rc < o->listed)
		lua_pushinteger(L, out->rc + 1);
	else
		lua_pushvalue(L, 2 + out->rc - o->listed);
	if (c->dir == VAI_DIR_SEND) {
		lua_pushboolean(L, 1);
		return 2;
	}
	if (VAI_UNLIKELY(out->io && c->dir == VAI_DIR_OTHER))
		return 1 + vai__selectio_push(L, out->io);
	if (c->result == VAI_ECLOSED)
		return 1 + vai__bind_nil(L, "closed");
	return 1 + vai__bind_deliver(L, vai__bind_vm(g), &c->msg);
}

int vai__lib_select(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	struct options o;
	struct outcome out;
	if (VAI_UNLIKELY(lua_type(L, 1) != LUA_TTABLE))
		vai__arg_type_error(L, 1, 1, "select", "table");
	begin(L, &o);
	/* A table with no elements may be a frozen one. */
	int status = o.n > 0 && o.n <= MANY ? select_listed(L, g, &o, &out, true) : NOT_USUAL;
	if (VAI_UNLIKELY(status == NOT_USUAL)) {
		check_options(L, &o);
		status = select_listed(L, g, &o, &out, false);
	}
	if (VAI_UNLIKELY(status != LUA_OK))
		return lua_error(L);
	if (out.rc < 0)
		return select_failed(L, g, &o, out.rc);
	return push_chosen(L, g, &o, &out);
}
