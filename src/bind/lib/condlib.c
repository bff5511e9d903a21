/* SPDX-License-Identifier: MIT */
/* cond and its methods. The handle at index 1 keeps it, and its mutex, alive while the goroutine waits. */
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"
#include "sync/cond.h"

static inline vai_cond *self_cond(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__cond_class, fname);
}

int vai__lib_cond(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_mutex *m = (vai_mutex *)vai__handle_test(L, 1, &vai__mutex_class);
	if (!m)
		vai__arg_type_error(L, 1, 1, "cond", "mutex");
	vai_cond *c = vai__cond_new(m);
	return vai__bind_push_new(L, g, (struct vai_obj *)c);
}

/* The goroutine holds the mutex again when this returns or raises, as in Go, so that callers can always unlock it.
 * There are two exceptions: this raises a deadlock, or the goroutine is canceled while the mutex belongs to a
 * goroutine that has ended. */
static int cond_wait(lua_State *L)
{
	vai_cond *c = self_cond(L, "wait");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "wait");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__cond_wait(g, c, limit.deadline));
	if (rc == VAI_EINVAL)
		return luaL_error(L, "unlock of unlocked mutex");
	if (rc != VAI_OK)
		return vai__bind_failed(L, g, rc);
	lua_pushboolean(L, 1);
	return 1;
}

static int cond_signal(lua_State *L)
{
	vai_cond *c = self_cond(L, "signal");
	vai__bind_self(L);
	vai__cond_signal(c);
	return 0;
}

static int cond_broadcast(lua_State *L)
{
	vai_cond *c = self_cond(L, "broadcast");
	vai__bind_self(L);
	vai__cond_broadcast(c);
	return 0;
}

const struct vai__handle_type vai__lib_cond_type = {&vai__cond_class, "vai.cond",
	.methods = VAI__METHODS({"wait", cond_wait}, {"signal", cond_signal}, {"broadcast", cond_broadcast}),
	.meta = VAI__METHODS({"__tostring", vai__bind_tostring})};
