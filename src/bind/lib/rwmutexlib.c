/* SPDX-License-Identifier: MIT */
/* rwmutex and its methods. The handle at index 1 keeps it alive while the goroutine waits. */
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/guardlib.h"
#include "bind/lib/lib.h"
#include "bind/lib/limit.h"
#include "bind/lib/result.h"
#include "bind/report/held.h"
#include "bind/site.h"
#include "sync/rwmutex.h"

static inline vai_rwmutex *self_rwmutex(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__rwmutex_class, fname);
}

int vai__lib_rwmutex(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_rwmutex *m = vai__rwmutex_new();
	if (!m)
		vai__arg_no_memory(L);
	((struct vai_obj *)m)->site = vai__site_here(L);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)m, true);
	return 1;
}

static int locked(lua_State *L, vai_g *g, int rc)
{
	if (VAI_UNLIKELY(rc != VAI_OK))
		return vai__bind_failed(L, g, rc);
	lua_pushboolean(L, 1);
	return 1;
}

/* ---- writers ---- */

static int rwmutex_lock(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "lock");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "lock");
	vai__note_stack(g, L);
	return locked(L, g, VAI_LIMITED(g, limit, vai__rwmutex_lock(g, m, limit.deadline)));
}

static int rwmutex_try_lock(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "try_lock");
	lua_pushboolean(L, vai__rwmutex_trylock(vai__bind_self(L), m));
	return 1;
}

static int rwmutex_unlock(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "unlock");
	vai__bind_self(L);
	if (VAI_UNLIKELY(vai__rwmutex_unlock(m) != VAI_OK))
		return luaL_error(L, "unlock of unlocked rwmutex");
	return 0;
}

static void release(struct vai_obj *m, uint64_t id)
{
	vai__rwmutex_release((vai_rwmutex *)m, id);
}

/* Locks for the guard on top of the stack. VAI_OK, or why it did not. */
static int lock_guarded(lua_State *L, vai_g *g, vai_rwmutex *m, vai_guard *guard, struct vai__limit limit)
{
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__rwmutex_lock(g, m, limit.deadline));
	if (rc != VAI_OK)
		return rc;
	vai__rwmutex_set_guarded(m);
	vai__guard_arm(guard, g->id);
	return VAI_OK;
}

static int rwmutex_guard(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "guard");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "guard");
	int rc = lock_guarded(L, g, m, vai__guard_push(L, g, (struct vai_obj *)m, release), limit);
	return rc == VAI_OK ? 1 : vai__bind_failed(L, g, rc);
}

static int rwmutex_with(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "with");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = {.deadline = VAI_FOREVER};
	luaL_checkstack(L, 8, NULL);
	int rc = lock_guarded(L, g, m, vai__guard_push(L, g, (struct vai_obj *)m, release), limit);
	return rc == VAI_OK ? vai__guard_call(L) : vai__bind_failed(L, g, rc);
}

/* ---- readers ---- */

static int rwmutex_rlock(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "rlock");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "rlock");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__rwmutex_rlock(g, m, limit.deadline));
	if (rc == VAI_OK)
		vai__held_read(g, (struct vai_obj *)m);
	return locked(L, g, rc);
}

static int rwmutex_try_rlock(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "try_rlock");
	vai_g *g = vai__bind_self(L);
	bool got = vai__rwmutex_tryrlock(m);
	if (got)
		vai__held_read(g, (struct vai_obj *)m);
	lua_pushboolean(L, got);
	return 1;
}

static int rwmutex_runlock(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "runlock");
	vai_g *g = vai__bind_self(L);
	if (VAI_UNLIKELY(vai__rwmutex_runlock(m) != VAI_OK))
		return luaL_error(L, "runlock of unlocked rwmutex");
	vai__held_unread(g, (struct vai_obj *)m);
	return 0;
}

static void release_read(struct vai_obj *m, uint64_t id)
{
	(void)id;
	vai__rwmutex_runlock((vai_rwmutex *)m);
}

static int rwmutex_rguard(lua_State *L)
{
	vai_rwmutex *m = self_rwmutex(L, "rguard");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "rguard");
	vai_guard *guard = vai__guard_push(L, g, (struct vai_obj *)m, release_read);
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__rwmutex_rlock(g, m, limit.deadline));
	if (rc != VAI_OK)
		return vai__bind_failed(L, g, rc);
	vai__guard_arm(guard, g->id);
	return 1;
}

static int rwmutex_tostring(lua_State *L)
{
	self_rwmutex(L, "tostring");
	return vai__bind_tostring(L, "rwmutex");
}

static const luaL_Reg methods[] = {
	{"lock", rwmutex_lock},
	{"try_lock", rwmutex_try_lock},
	{"unlock", rwmutex_unlock},
	{"guard", rwmutex_guard},
	{"with", rwmutex_with},
	{"rlock", rwmutex_rlock},
	{"try_rlock", rwmutex_try_rlock},
	{"runlock", rwmutex_runlock},
	{"rguard", rwmutex_rguard},
	{NULL, NULL},
};

static const luaL_Reg meta[] = {
	{"__tostring", rwmutex_tostring},
	{NULL, NULL},
};

const struct vai__handle_type vai__lib_rwmutex_type = {&vai__rwmutex_class, "vai.rwmutex", methods, meta};
