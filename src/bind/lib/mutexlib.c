/* SPDX-License-Identifier: MIT */
/* mutex and its methods. The handle at index 1 keeps the mutex alive while the goroutine waits. */
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/guardlib.h"
#include "bind/lib/lib.h"
#include "bind/lib/limit.h"
#include "bind/lib/result.h"
#include "bind/site.h"
#include "sync/mutex.h"

static inline vai_mutex *self_mutex(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__mutex_class, fname);
}

int vai__lib_mutex(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_mutex *m = vai__mutex_new();
	if (!m)
		vai__arg_no_memory(L);
	((struct vai_obj *)m)->site = vai__site_here(L);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)m, true);
	return 1;
}

static int mutex_lock(lua_State *L)
{
	vai_mutex *m = self_mutex(L, "lock");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "lock");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__mutex_lock(g, m, limit.deadline));
	if (VAI_UNLIKELY(rc != VAI_OK))
		return vai__bind_failed(L, g, rc);
	lua_pushboolean(L, 1);
	return 1;
}

static int mutex_try_lock(lua_State *L)
{
	vai_mutex *m = self_mutex(L, "try_lock");
	lua_pushboolean(L, vai__mutex_trylock(vai__bind_self(L), m));
	return 1;
}

static int mutex_unlock(lua_State *L)
{
	vai_mutex *m = self_mutex(L, "unlock");
	vai__bind_self(L);
	if (VAI_UNLIKELY(vai__mutex_unlock(m) != VAI_OK))
		return luaL_error(L, "unlock of unlocked mutex");
	return 0;
}

static void release(struct vai_obj *m, uint64_t id)
{
	vai__mutex_release((vai_mutex *)m, id);
}

/* Locks for the guard on top of the stack. VAI_OK, or why it did not. */
static int lock_guarded(lua_State *L, vai_g *g, vai_mutex *m, vai_guard *guard, struct vai__limit limit)
{
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__mutex_lock(g, m, limit.deadline));
	if (rc != VAI_OK)
		return rc;
	vai__mutex_set_guarded(m);
	vai__guard_arm(guard, g->id);
	return VAI_OK;
}

static int mutex_guard(lua_State *L)
{
	vai_mutex *m = self_mutex(L, "guard");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "guard");
	int rc = lock_guarded(L, g, m, vai__guard_push(L, g, (struct vai_obj *)m, release), limit);
	return rc == VAI_OK ? 1 : vai__bind_failed(L, g, rc);
}

static int mutex_with(lua_State *L)
{
	vai_mutex *m = self_mutex(L, "with");
	vai_g *g = vai__bind_self(L);
	luaL_checkstack(L, 8, NULL);
	struct vai__limit limit = {.deadline = VAI_FOREVER};
	int rc = lock_guarded(L, g, m, vai__guard_push(L, g, (struct vai_obj *)m, release), limit);
	return rc == VAI_OK ? vai__guard_call(L) : vai__bind_failed(L, g, rc);
}

static int mutex_tostring(lua_State *L)
{
	self_mutex(L, "tostring");
	return vai__bind_tostring(L, "mutex");
}

static const luaL_Reg methods[] = {
	{"lock", mutex_lock},
	{"try_lock", mutex_try_lock},
	{"unlock", mutex_unlock},
	{"guard", mutex_guard},
	{"with", mutex_with},
	{NULL, NULL},
};

static const luaL_Reg meta[] = {
	{"__tostring", mutex_tostring},
	{NULL, NULL},
};

const struct vai__handle_type vai__lib_mutex_type = {&vai__mutex_class, "vai.mutex", methods, meta};
