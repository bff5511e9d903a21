/* SPDX-License-Identifier: MIT */
/* chan and its methods. The handle at index 1 keeps the channel alive while the goroutine
 * waits in it. */
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/life/shed.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"
#include "sync/chan.h"
#include "transfer/charge.h"
#include "transfer/codec.h"
#include "transfer/message.h"

static inline vai_chan *self_chan(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__chan_class, fname);
}

/* As self, for methods that send or close. */
static inline vai_chan *self_sender(lua_State *L, const char *fname)
{
	vai_chan *ch = self_chan(L, fname);
	if (VAI_UNLIKELY(vai__chan_is_kept(ch)))
		luaL_error(L, "%s on the channel of a context or task", fname);
	return ch;
}

int vai__lib_chan(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	int64_t cap = lua_isnoneornil(L, 1) ? 0 : vai__arg_integer(L, 1, 1, "chan");
	if (cap < 0 || cap > VAI_CHAN_MAX_CAP)
		vai__arg_error(L, 1, "chan", "capacity %lld out of range", (long long)cap);
	vai__charge_look(L, vai__bind_vm(g), false);
	vai_chan *ch = vai__chan_new(cap, vai__msg_drop);
	if (VAI_LIKELY(ch))
		vai__chan_set_owner(ch, vai__charge_account(vai__bind_vm(g)));
	return vai__bind_push_new(L, g, (struct vai_obj *)ch);
}

/* Bytes from which on a message is large: a few dozen of them do not fit the second-level cache of a CPU. */
enum { LARGE = 32768 };

/* For a message that is more than a copy of bytes: charges the sandbox for it, and counts its references to ch
 * itself. Returns whether it is large. */
static VAI_NOINLINE bool look_into(vai_g *g, vai_chan *ch, const vai_msg *msg)
{
	if (vai__charge_is_carried(msg))
		vai__charge_move(msg, vai__bind_vm(g), vai__chan_owner(ch));
	if (vai__msg_owns_objects(msg) && vai__msg_count_object(msg, (struct vai_obj *)ch) > 0)
		vai__chan_note_itself(ch);
	return vai__msg_tag(msg) == M_BLOCK && vai__msg_block(msg)->size >= LARGE;
}

/* Encodes the value to send to ch; top: the number of arguments with ch. nil is refused, as a receiver could not tell
 * it from the end. Returns whether the message is large. */
static inline bool encode_value(
	lua_State *L, vai_g *g, vai_chan *ch, int top, vai_msg *msg, const char *fname, const char *what)
{
	bool large = false;
	if (VAI_LIKELY(top >= 2)) {
		vai__encode(L, vai__bind_vm(g), 2, msg, what);
		if (VAI_UNLIKELY(vai__msg_tag(msg) >= M_OBJECT))
			large = look_into(g, ch, msg);
		if (VAI_LIKELY(vai__msg_tag(msg) != M_NIL))
			return large;
	}
	vai__arg_error(L, 1, fname, "nil cannot be sent");
	return false;
}

/* The limit at stack index idx: the second argument of send, or the first of recv. */
static inline struct vai__limit limit_at(lua_State *L, int top, int idx, const char *fname)
{
	if (VAI_LIKELY(top < idx))
		return (struct vai__limit){.deadline = VAI_FOREVER};
	return vai__arg_limit(L, idx, idx - 1, fname);
}

static int send_failed(lua_State *L, vai_g *g, vai_msg *msg, int rc)
{
	vai__msg_drop(msg);
	if (rc == VAI_ECLOSED)
		return luaL_error(L, "send on closed channel");
	return vai__bind_failed(L, g, rc);
}

static int sent(lua_State *L, vai_g *g, int rc, vai_msg *msg)
{
	if (VAI_UNLIKELY(rc != VAI_OK))
		return send_failed(L, g, msg, rc);
	lua_pushboolean(L, 1);
	return 1;
}

/* As sent, when the message may be a large one. The receiver that this has made ready runs first, as it finds the
 * message in this CPU's caches then: in a buffer full of such messages each comes from memory (strings of 100 kB on one
 * P: 24 us, and 13 since). */
static inline int sent_any(lua_State *L, vai_g *g, int rc, vai_msg *msg, bool large)
{
	if (VAI_UNLIKELY(large) && rc == VAI_OK)
		vai__yield_to_next(g);
	return sent(L, g, rc, msg);
}

/* Continues send after a wait without a stack; ch is still at index 1. */
static int send_end(lua_State *L, int status, lua_KContext ctx)
{
	struct vai__rest *rest = (struct vai__rest *)ctx;
	vai_g *g = rest->waiter.g;
	(void)status;
	return sent(L, g, vai__chan_send_end(g, self_chan(L, "send"), rest), &rest->msg);
}

static VAI_NOINLINE int send_shedding(
	lua_State *L, vai_g *g, vai_chan *ch, const vai_msg *msg, int64_t deadline, struct vai__rest *rest, bool large)
{
	rest->msg = *msg;
	int rc = vai__chan_send_begin(g, ch, deadline, rest);
	return rc == VAI_SHEDS ? vai__shed_in(L, rest, send_end) : sent_any(L, g, rc, &rest->msg, large);
}

static int chan_send(lua_State *L)
{
	vai_chan *ch = self_sender(L, "send");
	vai_g *g = vai__bind_self(L);
	vai_msg msg;
	const int top = lua_gettop(L);
	struct vai__limit limit = limit_at(L, top, 3, "send");
	const bool large = encode_value(L, g, ch, top, &msg, "send", "send: argument 1");
	vai__note_stack(g, L);
	struct vai__rest *rest = limit.ctx ? NULL : vai__shed_may(L, g);
	if (VAI_UNLIKELY(rest != NULL))
		return send_shedding(L, g, ch, &msg, limit.deadline, rest, large);
	return sent_any(L, g, VAI_LIMITED(g, limit, vai__chan_send(g, ch, &msg, limit.deadline)), &msg, large);
}

static int chan_try_send(lua_State *L)
{
	vai_chan *ch = self_sender(L, "try_send");
	vai_g *g = vai__bind_self(L);
	vai_msg msg;
	encode_value(L, g, ch, lua_gettop(L), &msg, "try_send", "try_send: argument 1");
	int rc = vai__chan_send(g, ch, &msg, 0);
	if (rc == VAI_EAGAIN || rc == VAI_ETIMEOUT) {
		vai__msg_drop(&msg);
		return vai__bind_nil(L, "full");
	}
	return sent(L, g, rc, &msg);
}

static int recv_failed(lua_State *L, vai_g *g, int rc)
{
	if (rc == VAI_ECLOSED)
		return vai__bind_nil(L, "closed");
	return vai__bind_failed(L, g, rc);
}

static int received(lua_State *L, vai_g *g, int rc, vai_msg *msg)
{
	if (VAI_UNLIKELY(rc != VAI_OK))
		return recv_failed(L, g, rc);
	return vai__bind_deliver(L, vai__bind_vm(g), msg);
}

typedef int received_fn(lua_State *L, vai_g *g, int rc, vai_msg *msg);

/* Receives by a wait without a stack; `end` is called after the wait, if there was one. finish: gives the result. */
static VAI_NOINLINE int recv_shedding(
	lua_State *L, vai_g *g, int64_t deadline, struct vai__rest *rest, lua_KFunction end, received_fn *finish)
{
	int rc = vai__chan_recv_begin(g, self_chan(L, "recv"), deadline, rest);
	return rc == VAI_SHEDS ? vai__shed_in(L, rest, end) : finish(L, g, rc, &rest->msg);
}

/* Ends such a receive; the channel is still at index 1. */
static int shed_end(lua_State *L, lua_KContext ctx, received_fn *finish)
{
	struct vai__rest *rest = (struct vai__rest *)ctx;
	vai_g *g = rest->waiter.g;
	return finish(L, g, vai__chan_recv_end(g, self_chan(L, "recv"), rest), &rest->msg);
}

static int recv_end(lua_State *L, int status, lua_KContext ctx)
{
	(void)status;
	return shed_end(L, ctx, received);
}

static int chan_recv(lua_State *L)
{
	vai_chan *ch = self_chan(L, "recv");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = limit_at(L, lua_gettop(L), 2, "recv");
	vai_msg msg;
	vai__note_stack(g, L);
	struct vai__rest *rest = limit.ctx ? NULL : vai__shed_may(L, g);
	if (VAI_UNLIKELY(rest != NULL))
		return recv_shedding(L, g, limit.deadline, rest, recv_end, received);
	int rc = VAI_LIMITED(g, limit, vai__chan_recv(g, ch, &msg, limit.deadline));
	return received(L, g, rc, &msg);
}

static int chan_try_recv(lua_State *L)
{
	vai_chan *ch = self_chan(L, "try_recv");
	vai_g *g = vai__bind_self(L);
	vai_msg msg;
	int rc = vai__chan_recv(g, ch, &msg, 0);
	if (rc == VAI_EAGAIN || rc == VAI_ETIMEOUT)
		return vai__bind_nil(L, "empty");
	if (rc != VAI_OK)
		return recv_failed(L, g, rc);
	return vai__bind_deliver(L, vai__bind_vm(g), &msg);
}

/* Gives a loop its next value: nil alone ends it. */
static int looped(lua_State *L, vai_g *g, int rc, vai_msg *msg)
{
	if (VAI_LIKELY(rc != VAI_ECLOSED))
		return received(L, g, rc, msg);
	lua_pushnil(L);
	return 1;
}

static int call_end(lua_State *L, int status, lua_KContext ctx)
{
	(void)status;
	return shed_end(L, ctx, looped);
}

/* for v in ch do: called with the channel, and the loop's state and control value. */
static int chan_call(lua_State *L)
{
	vai_chan *ch = self_chan(L, "for iterator");
	vai_g *g = vai__bind_self(L);
	vai_msg msg;
	vai__note_stack(g, L);
	struct vai__rest *rest = vai__shed_may(L, g);
	if (VAI_UNLIKELY(rest != NULL))
		return recv_shedding(L, g, VAI_FOREVER, rest, call_end, looped);
	int rc = vai__chan_recv(g, ch, &msg, VAI_FOREVER);
	return looped(L, g, rc, &msg);
}

static int chan_close(lua_State *L)
{
	vai_chan *ch = self_sender(L, "close");
	vai__bind_self(L);
	if (vai__chan_close(ch) == VAI_ECLOSED)
		return luaL_error(L, "close of closed channel");
	return 0;
}

/* local ch <close>: closes the channel. It may be closed already, and the runtime may have ended. */
static int chan_end(lua_State *L)
{
	vai__chan_close(self_sender(L, "close"));
	return 0;
}

static int chan_len(lua_State *L)
{
	vai_chan *ch = self_chan(L, "#");
	vai__bind_self(L);
	lua_pushinteger(L, vai__chan_len(ch));
	return 1;
}

static int chan_cap(lua_State *L)
{
	lua_pushinteger(L, vai__chan_cap(self_chan(L, "cap")));
	return 1;
}

static int chan_is_closed(lua_State *L)
{
	vai_chan *ch = self_chan(L, "is_closed");
	vai__bind_self(L);
	lua_pushboolean(L, vai__chan_is_closed(ch));
	return 1;
}

const struct vai__handle_type vai__lib_chan_type = {&vai__chan_class, "vai.channel",
	.methods = VAI__METHODS({"send", chan_send}, {"recv", chan_recv}, {"try_send", chan_try_send},
		{"try_recv", chan_try_recv}, {"close", chan_close}, {"cap", chan_cap}, {"is_closed", chan_is_closed}),
	.meta = VAI__METHODS(
		{"__call", chan_call}, {"__close", chan_end}, {"__len", chan_len}, {"__tostring", vai__bind_tostring})};
