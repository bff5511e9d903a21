/* SPDX-License-Identifier: MIT */
/* waitgroup and its methods. The handle at index 1 keeps it alive while the goroutine waits. A goroutine of wg:go has
 * a reference of its own, and counts down when its state is freed, however it ended: so `wait` returns after its
 * to-be-closed variables have run. */
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"
#include "bind/life/shed.h"
#include "bind/life/spawn.h"
#include "sync/waitgroup.h"

static inline vai_waitgroup *self_wg(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__waitgroup_class, fname);
}

int vai__lib_waitgroup(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_waitgroup *wg = vai__waitgroup_new();
	return vai__bind_push_new(L, g, (struct vai_obj *)wg);
}

static int add_failed(lua_State *L, int64_t n)
{
	return luaL_error(L, n < 0 ? "negative waitgroup counter" : "waitgroup counter overflow");
}

static int wg_add(lua_State *L)
{
	vai_waitgroup *wg = self_wg(L, "add");
	int64_t n = lua_isnoneornil(L, 2) ? 1 : vai__arg_integer(L, 2, 1, "add");
	vai__bind_self(L);
	if (VAI_UNLIKELY(vai__waitgroup_add(wg, n) != VAI_OK))
		return add_failed(L, n);
	return 0;
}

static int wg_done(lua_State *L)
{
	vai_waitgroup *wg = self_wg(L, "done");
	vai__bind_self(L);
	if (VAI_UNLIKELY(vai__waitgroup_add(wg, -1) != VAI_OK))
		return add_failed(L, -1);
	return 0;
}

static int have_waited(lua_State *L, vai_g *g, int rc)
{
	if (rc != VAI_OK)
		return vai__bind_failed(L, g, rc);
	lua_pushboolean(L, 1);
	return 1;
}

/* Continues a wait without a stack. */
static int wait_end(lua_State *L, int status, lua_KContext rest)
{
	vai_g *g = vai__bind_self(L);
	(void)status;
	return have_waited(L, g, vai__waitgroup_wait_end(g, self_wg(L, "wait"), (struct vai__rest *)rest));
}

static int wait_shedding(lua_State *L, vai_g *g, vai_waitgroup *wg, int64_t deadline, struct vai__rest *rest)
{
	int rc = vai__waitgroup_wait_begin(g, wg, deadline, rest);
	return rc == VAI_SHEDS ? vai__shed_in(L, rest, wait_end) : have_waited(L, g, rc);
}

static int wg_wait(lua_State *L)
{
	vai_waitgroup *wg = self_wg(L, "wait");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "wait");
	vai__note_stack(g, L);
	struct vai__rest *rest = limit.ctx ? NULL : vai__shed_may(L, g);
	if (VAI_UNLIKELY(rest != NULL))
		return wait_shedding(L, g, wg, limit.deadline, rest);
	return have_waited(L, g, VAI_LIMITED(g, limit, vai__waitgroup_wait(g, wg, limit.deadline)));
}

static const struct vai__callname go_name = {"go", 1, "go: argument"};

/* wg:go(f, ...): add(1), go(f, ...), and done when that goroutine has ended, however it ended. */
static int wg_go(lua_State *L)
{
	vai_waitgroup *wg = self_wg(L, "go");
	vai_g *g = vai__bind_self(L);
	struct vai__call *call = vai__call_new(L, g, 2, &go_name, VAI_FATE_PANIC);
	/* The goroutine is counted before it starts, so that a `wait` on another thread cannot miss it. */
	if (VAI_UNLIKELY(vai__waitgroup_add(wg, 1) != VAI_OK)) {
		vai__call_unref(call);
		return add_failed(L, 1);
	}
	vai__obj_ref((struct vai_obj *)wg);
	call->wg = wg;
	return vai__call_go_for_lua(L, g, call);
}

const struct vai__handle_type vai__lib_waitgroup_type = {&vai__waitgroup_class, "vai.waitgroup",
	.methods = VAI__METHODS({"add", wg_add}, {"done", wg_done}, {"wait", wg_wait}, {"go", wg_go}),
	.meta = VAI__METHODS({"__tostring", vai__bind_tostring})};
