/* SPDX-License-Identifier: MIT */
/* Checks of arguments. Messages call a function by its documented name, not by the name that the caller uses, so that
 * pcall(ch.send, ch) names it, too. */
#include "bind/arg.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/fork.h"
#include "bind/main_state.h"

void vai__arg_error(lua_State *L, int arg, const char *fname, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	luaL_error(L, "bad argument #%d to '%s' (%s)", arg, fname, text);
	__builtin_unreachable();
}

const char *vai__arg_typename(lua_State *L, int idx)
{
	if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING)
		return lua_tostring(L, -1); /* the name stays on the stack: an error follows in any case */
	if (lua_type(L, idx) == LUA_TLIGHTUSERDATA)
		return "light userdata";
	return luaL_typename(L, idx);
}

void vai__arg_type_error(lua_State *L, int idx, int arg, const char *fname, const char *expected)
{
	vai__arg_error(L, arg, fname, "%s expected, got %s", expected, vai__arg_typename(L, idx));
}

void vai__arg_self_error(lua_State *L, const char *fname, const char *expected)
{
	luaL_error(L, "calling '%s' on bad self (%s expected, got %s)", fname, expected, vai__arg_typename(L, 1));
	__builtin_unreachable();
}

int64_t vai__arg_integer(lua_State *L, int idx, int arg, const char *fname)
{
	int ok;
	lua_Integer n = lua_tointegerx(L, idx, &ok);
	if (VAI_LIKELY(ok && lua_type(L, idx) == LUA_TNUMBER))
		return n;
	if (lua_type(L, idx) == LUA_TNUMBER)
		vai__arg_error(L, arg, fname, "number has no integer representation");
	vai__arg_type_error(L, idx, arg, fname, "integer");
}

double vai__arg_seconds(lua_State *L, int idx, int arg, const char *fname)
{
	if (VAI_UNLIKELY(lua_type(L, idx) != LUA_TNUMBER))
		vai__arg_type_error(L, idx, arg, fname, "number");
	double seconds = lua_tonumber(L, idx);
	if (VAI_UNLIKELY(isnan(seconds)))
		vai__arg_error(L, arg, fname, "seconds expected, got nan");
	return seconds;
}

int64_t vai__arg_seconds_deadline(double seconds)
{
	return seconds <= 0 ? 0 : vai__clock_after(seconds);
}

void vai__arg_no_goroutine(lua_State *L)
{
	if (vai__forked)
		luaL_error(L, "vai: the runtime does not survive fork; call exec or exit in the child");
	if (!vai__sched_running())
		luaL_error(L, "vai: the runtime has ended");
	const vai_g *g = vai__g_self();
	if (g && g->vm && !vai__bind_owns(g, L))
		luaL_error(L, "vai: called in a Lua state that another thread has opened");
	luaL_error(L, "vai: called from a thread that does not run goroutines");
	__builtin_unreachable();
}

void vai__arg_no_memory(lua_State *L)
{
	luaL_error(L, "%s", vai__main_shortage());
	__builtin_unreachable();
}
