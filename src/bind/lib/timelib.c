/* SPDX-License-Identifier: MIT */
/* sleep, now, after, timer, ticker. Times are seconds in Lua and ns in the rooms below. The call of a timer is
 * encoded when the timer is made, and a timer that is reset makes the same call again. Timers fire on any M, under
 * the timers' lock, so they only start a goroutine. */
#include "base/clock.h"
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "bind/life/life.h"
#include "bind/life/shed.h"
#include "bind/life/spawn.h"
#include "bind/site.h"
#include "sync/chan.h"
#include "sync/ticker.h"
#include "sync/timed_chan.h"
#include "sync/timer_object.h"
#include "transfer/codec.h"

int vai__lib_now(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)vai__clock_now() / 1e9);
	return 1;
}

static int have_slept(lua_State *L, vai_g *g, int rc)
{
	return rc == VAI_OK ? 0 : vai__bind_failed(L, g, rc);
}

/* Continues a sleep without a stack. */
static int sleep_end(lua_State *L, int status, lua_KContext rest)
{
	vai_g *g = vai__bind_self(L);
	(void)status;
	return have_slept(L, g, vai__sleep_end(g, &((struct vai__rest *)rest)->timeout));
}

int vai__lib_sleep(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	int64_t deadline = vai__arg_seconds_deadline(vai__arg_seconds(L, 1, 1, "sleep"));
	vai__note_stack(g, L);
	if (deadline == 0) { /* nothing to wait for: other goroutines have a turn, as with vai.yield */
		vai__yield(g);
		if (vai__end_due(g))
			vai__end_raise(L, g);
		return 0;
	}
	struct vai__rest *rest = vai__shed_may(L, g);
	if (VAI_LIKELY(!rest))
		return have_slept(L, g, vai__sleep(g, deadline));
	vai__sleep_begin(g, deadline, &rest->timeout);
	return vai__shed_in(L, rest, sleep_end);
}

/* Makes what after() and tickers send: the time at which they fired, by the clock of vai.now. A number needs no
 * memory, which could not be had under the timers' lock. */
static void stamp(vai_msg *out, int64_t now)
{
	vai__msg_number(out, (double)now / 1e9);
}

int vai__lib_after(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	int64_t when = vai__clock_after(vai__arg_seconds(L, 1, 1, "after"));
	struct vai__timed_chan *ch = vai__timed_chan_new(g, when, 0, stamp, vai__msg_drop);
	return vai__bind_push_new(L, g, (struct vai_obj *)ch);
}

/* ---- timers ---- */

/* Starts the timer's goroutine. False: memory is out, and the timer fires again later. */
static bool timer_fire(void *arg)
{
	return vai__call_fire(arg);
}

static void timer_release(void *arg)
{
	vai__call_unref(arg);
}

static int new_timer(lua_State *L, bool idle)
{
	static const struct vai__callname name = {"timer", 2, "timer: argument 2"};
	vai_g *g = vai__bind_self(L);
	double seconds = vai__arg_seconds(L, 1, 1, "timer");
	struct vai__call *call = vai__call_new(L, g, 2, &name, VAI_FATE_PANIC);
	vai_timer_object *t = vai__timer_object_new(g, vai__clock_after(seconds), timer_fire, timer_release, call, idle);
	if (!t) {
		vai__call_unref(call);
		vai__arg_no_memory(L);
	}
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)t, true);
	return 1;
}

int vai__lib_timer(lua_State *L)
{
	return new_timer(L, false);
}

/* vai._timer, for vai's own modules: a timer whose call wakes no goroutine, so it does not put off the report of a
 * deadlock. */
int vai__lib_idle_timer(lua_State *L)
{
	return new_timer(L, true);
}

static int timer_stop(lua_State *L)
{
	vai_timer_object *t = vai__bind_object(L, &vai__timer_object_class, "stop");
	vai__bind_self(L);
	lua_pushboolean(L, vai__timer_object_stop(t));
	return 1;
}

static int timer_reset(lua_State *L)
{
	vai_timer_object *t = vai__bind_object(L, &vai__timer_object_class, "reset");
	vai_g *g = vai__bind_self(L);
	int64_t when = vai__clock_after(vai__arg_seconds(L, 2, 1, "reset"));
	bool was = false;
	if (vai__timer_object_reset(g, t, when, &was) != VAI_OK)
		vai__arg_no_memory(L);
	lua_pushboolean(L, was);
	return 1;
}

/* local t <close>: stops the timer, also when the runtime has ended. */
static int timer_end(lua_State *L)
{
	vai_timer_object *t = vai__bind_object(L, &vai__timer_object_class, "__close");
	if (vai__g_self())
		vai__timer_object_stop(t);
	return 0;
}

/* ---- tickers ---- */

/* The period at idx in ns. It is at least 1, as a ticker with 0 would fire without end. A ticker whose period is too
 * long for int64_t never fires. */
static int64_t check_period(lua_State *L, int idx, const char *fname)
{
	double seconds = vai__arg_seconds(L, idx, 1, fname);
	if (seconds <= 0)
		vai__arg_error(L, 1, fname, "period must be positive");
	double ns = seconds * 1e9;
	return ns < 1 ? 1 : ns >= 9e18 ? VAI_FOREVER : (int64_t)ns;
}

int vai__lib_ticker(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	int64_t period = check_period(L, 1, "ticker");
	vai_ticker *t = vai__ticker_new(g, period, stamp, vai__msg_drop);
	if (!t)
		vai__arg_no_memory(L);
	((struct vai_obj *)vai__ticker_chan(t))->site = vai__site_here(L);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)t, true);
	return 1;
}

static int ticker_chan(lua_State *L)
{
	vai_ticker *t = vai__bind_object(L, &vai__ticker_class, "chan");
	vai_g *g = vai__bind_self(L);
	struct vai_obj *ch = (struct vai_obj *)vai__ticker_chan(t);
	vai__obj_ref(ch);
	vai__handle_push(L, vai__bind_vm(g), ch, false);
	return 1;
}

static int ticker_stop(lua_State *L)
{
	vai_ticker *t = vai__bind_object(L, &vai__ticker_class, "stop");
	vai__bind_self(L);
	lua_pushboolean(L, vai__ticker_stop(t));
	return 1;
}

static int ticker_reset(lua_State *L)
{
	vai_ticker *t = vai__bind_object(L, &vai__ticker_class, "reset");
	vai_g *g = vai__bind_self(L);
	if (vai__ticker_reset(g, t, check_period(L, 2, "reset")) != VAI_OK)
		vai__arg_no_memory(L);
	return 0;
}

static int ticker_end(lua_State *L)
{
	vai_ticker *t = vai__bind_object(L, &vai__ticker_class, "__close");
	if (vai__g_self())
		vai__ticker_stop(t);
	return 0;
}

/* Raises for a ticker that is used as its channel: in a loop, or by a method. */
static int ticker_is_no_channel(lua_State *L)
{
	return luaL_error(L, "a ticker is no channel (ticker:chan() is one)");
}

const struct vai__handle_type vai__lib_timer_type = {&vai__timer_object_class, "vai.timer",
	.methods = VAI__METHODS({"stop", timer_stop}, {"reset", timer_reset}),
	.meta = VAI__METHODS({"__close", timer_end}, {"__tostring", vai__bind_tostring})};

const struct vai__handle_type vai__lib_ticker_type = {&vai__ticker_class, "vai.ticker",
	.methods = VAI__METHODS(
		{"chan", ticker_chan}, {"stop", ticker_stop}, {"reset", ticker_reset}, {"recv", ticker_is_no_channel}),
	.meta =
		VAI__METHODS({"__close", ticker_end}, {"__call", ticker_is_no_channel}, {"__tostring", vai__bind_tostring})};
