/* SPDX-License-Identifier: MIT */
/* coroutine.resume, wrap, close, yield and isyieldable as in Lua 5.4's lcorolib.c, with three differences:
 * vai_g.running is the coroutine that runs, so that interruptions reach it; the end of a goroutine that a coroutine
 * has caught is noticed; and the body of a goroutine is no coroutine. Used in the host's state, too, on whatever
 * thread runs it. */
#include "bind/replaced/coroutine.h"
#include <lauxlib.h>
#include "bind/life/life.h"
#include "bind/life/shed.h"
#include "code/probe_lua.h"

/* Lua 5.4.6 and later have it, and need it, as lua_resetthread there forgets how deep C calls are nested. */
int lua_closethread(lua_State *L, lua_State *from) __attribute__((weak));

static int close_thread(lua_State *co, lua_State *from)
{
	return lua_closethread ? lua_closethread(co, from) : lua_resetthread(co);
}

/* Notes that co runs. Only a coroutine that can run is noted: resuming another one may raise out of here (for want of
 * memory), and then nothing would undo the note. */
static inline void turn_begin(struct vai__turn *t, lua_State *co)
{
	t->g = vai__g_self();
	t->outer = t->g ? atomic_load_relaxed(&t->g->running) : NULL;
	if (VAI_UNLIKELY(!t->outer))
		return;
	struct vai__life *life = vai__life(t->g);
	t->prev = life->turn;
	life->turn = t;
	atomic_store_relaxed(&t->g->running, co);
}

/* Notes that the coroutine has stopped. If a hook was set for an interruption and has not run, the
 * interruption is passed on to the coroutine that runs now. */
static inline void turn_end(const struct vai__turn *t)
{
	if (VAI_UNLIKELY(!t->outer))
		return;
	struct vai__life *life = vai__life(t->g);
	life->turn = t->prev;
	atomic_store_relaxed(&t->g->running, t->outer);
	atomic_signal_fence(memory_order_seq_cst);
	if (VAI_UNLIKELY(life->asked))
		vai__interrupt_g(t->g);
}

static bool has_frames(lua_State *co)
{
	lua_Debug ar;
	return lua_getstack(co, 0, &ar);
}

/* Whether co is suspended, or has not begun. */
static inline bool can_run(lua_State *co)
{
	int status = lua_status(co);
	return status == LUA_YIELD || (status == LUA_OK && lua_gettop(co) > 0 && !has_frames(co));
}

static inline int run_coroutine(lua_State *L, lua_State *co, int narg, int *nres)
{
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__preempt_counts)))
		vai__hook_prepare(co);
	if (VAI_UNLIKELY(!can_run(co))) {
		lua_xmove(L, co, narg);
		return lua_resume(co, L, narg, nres);
	}
	lua_xmove(L, co, narg);
	struct vai__turn t;
	turn_begin(&t, co);
	int status = lua_resume(co, L, narg, nres);
	turn_end(&t);
	return status;
}

/* Resumes co. Returns the number of results on top of L; or -1, with the error, and *status tells whether that is the
 * coroutine's. */
static inline int resume(lua_State *L, lua_State *co, int narg, int *status)
{
	int nres;
	*status = LUA_OK;
	if (VAI_UNLIKELY(!lua_checkstack(co, narg))) {
		lua_pushliteral(L, "too many arguments to resume");
		return -1;
	}
	int rc = run_coroutine(L, co, narg, &nres);
	if (VAI_UNLIKELY(rc != LUA_OK && rc != LUA_YIELD)) {
		*status = rc;
		lua_xmove(co, L, 1);
		return -1;
	}
	if (VAI_UNLIKELY(!lua_checkstack(L, nres + 1))) {
		lua_pop(co, nres);
		lua_pushliteral(L, "too many results to resume");
		return -1;
	}
	lua_xmove(co, L, nres);
	return nres;
}

static inline lua_State *thread_argument(lua_State *L)
{
	lua_State *co = lua_tothread(L, 1);
	luaL_argexpected(L, co, 1, "thread");
	return co;
}

int vai__coroutine_resume(lua_State *L)
{
	int status;
	lua_State *co = thread_argument(L);
	int n = resume(L, co, lua_gettop(L) - 1, &status);
	if (VAI_UNLIKELY(n < 0)) {
		if (status != LUA_OK)
			vai__end_caught(L, co, status);
		lua_pushboolean(L, 0);
		lua_insert(L, -2);
		return 2;
	}
	lua_pushboolean(L, 1);
	lua_insert(L, -(n + 1));
	return n + 1;
}

static int reset(lua_State *L, lua_State *co)
{
	struct vai__turn t;
	turn_begin(&t, co);
	int status = close_thread(co, L);
	turn_end(&t);
	return status;
}

/* Raises the error on top of L. The position is put before an error of co's own, as the stock function does. */
static int wrap_failed(lua_State *L, lua_State *co)
{
	int status = lua_status(co);
	if (status != LUA_OK && status != LUA_YIELD) {
		int closed = reset(L, co);
		if (vai__probe_close_fails() && lua_gettop(co) > 0) {
			status = closed;
			lua_xmove(co, L, 1); /* to-be-closed variables may have replaced the error */
		}
	}
	vai__end_pass(L, co);
	if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_insert(L, -2);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

static int wrapped(lua_State *L)
{
	int status;
	lua_State *co = lua_tothread(L, lua_upvalueindex(1));
	int n = resume(L, co, lua_gettop(L), &status);
	return VAI_LIKELY(n >= 0) ? n : wrap_failed(L, co);
}

int vai__coroutine_yield(lua_State *L)
{
	if (VAI_UNLIKELY(vai__shed_is_body(L))) {
		lua_pushliteral(L, "attempt to yield from outside a coroutine");
		return lua_error(L);
	}
	return lua_yield(L, lua_gettop(L));
}

int vai__coroutine_isyieldable(lua_State *L)
{
	lua_State *co = lua_isnone(L, 1) ? L : thread_argument(L);
	lua_pushboolean(L, lua_isyieldable(co) && !vai__shed_is_body(co));
	return 1;
}

int vai__coroutine_wrap(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_State *co = lua_newthread(L);
	lua_pushvalue(L, 1);
	lua_xmove(L, co, 1);
	lua_pushcclosure(L, wrapped, 1);
	return 1;
}

/* Why co cannot be closed; NULL: it can. */
static const char *why_not_closed(lua_State *L, lua_State *co)
{
	if (L == co)
		return "running";
	return lua_status(co) == LUA_OK && has_frames(co) ? "normal" : NULL;
}

int vai__coroutine_close(lua_State *L)
{
	lua_State *co = thread_argument(L);
	const char *state = why_not_closed(L, co);
	if (state)
		return luaL_error(L, "cannot close a %s coroutine", state);
	int status = reset(L, co);
	if (status == LUA_OK) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_xmove(co, L, 1);
	vai__end_caught(L, co, status);
	lua_pushboolean(L, 0);
	lua_insert(L, -2);
	return 2;
}
