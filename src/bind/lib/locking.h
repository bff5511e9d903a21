/* SPDX-License-Identifier: MIT */
/* The methods that every lock has in Lua: a mutex, and the two sides of an rwmutex. Each method is written once here,
 * and inlined for each kind of lock, so that locking costs no call through a pointer. The handle at index 1 keeps the
 * lock alive while the goroutine waits for it. Called by that goroutine. */
#ifndef VAI_LOCKING_H
#define VAI_LOCKING_H

#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/guardlib.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"

/* How a kind of lock is locked and unlocked. */
struct locking {
	const struct vai_class *class;
	int (*lock)(vai_g *g, struct vai_obj *o, int64_t deadline);
	bool (*try_lock)(vai_g *g, struct vai_obj *o);
	int (*unlock)(struct vai_obj *o);
	void (*locked)(vai_g *g, struct vai_obj *o);   /* after each lock without a guard; or NULL */
	void (*unlocked)(vai_g *g, struct vai_obj *o); /* after each unlock; or NULL */
	void (*guarded)(struct vai_obj *o);            /* after each lock with a guard; or NULL */
	void (*release)(struct vai_obj *o, uint64_t id);
};

/* The methods. Each takes the lock as argument 1 and returns how many values it has pushed. `lock`, `guard` and `with`
 * may park; the first two take a limit, and give nil and why if it ends the wait. `unlock` raises if the lock is not
 * locked. */
static inline int locking_lock(lua_State *L, const struct locking *k, const char *fname)
{
	struct vai_obj *o = vai__bind_object(L, k->class, fname);
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, fname);
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, k->lock(g, o, limit.deadline));
	if (VAI_UNLIKELY(rc != VAI_OK))
		return vai__bind_failed(L, g, rc);
	if (k->locked)
		k->locked(g, o);
	lua_pushboolean(L, 1);
	return 1;
}

static inline int locking_try_lock(lua_State *L, const struct locking *k, const char *fname)
{
	struct vai_obj *o = vai__bind_object(L, k->class, fname);
	vai_g *g = vai__bind_self(L);
	bool got = k->try_lock(g, o);
	if (got && k->locked)
		k->locked(g, o);
	lua_pushboolean(L, got);
	return 1;
}

static inline int locking_unlock(lua_State *L, const struct locking *k, const char *fname)
{
	struct vai_obj *o = vai__bind_object(L, k->class, fname);
	vai_g *g = vai__bind_self(L);
	if (VAI_UNLIKELY(k->unlock(o) != VAI_OK))
		return luaL_error(L, "%s of unlocked %s", fname, k->class->name);
	if (k->unlocked)
		k->unlocked(g, o);
	return 0;
}

/* Locks, and leaves on top of the stack a guard that unlocks. VAI_OK; or why the wait for the lock ended without it. */
static inline int locking_with_guard(
	lua_State *L, vai_g *g, const struct locking *k, struct vai_obj *o, struct vai__limit limit)
{
	vai_guard *guard = vai__guard_push(L, g, o, k->release);
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, k->lock(g, o, limit.deadline));
	if (rc != VAI_OK)
		return rc;
	if (k->guarded)
		k->guarded(o);
	vai__guard_arm(guard, g->id);
	return VAI_OK;
}

static inline int locking_guard(lua_State *L, const struct locking *k, const char *fname)
{
	struct vai_obj *o = vai__bind_object(L, k->class, fname);
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, fname);
	int rc = locking_with_guard(L, g, k, o, limit);
	return rc == VAI_OK ? 1 : vai__bind_failed(L, g, rc);
}

static inline int locking_with(lua_State *L, const struct locking *k, const char *fname)
{
	struct vai_obj *o = vai__bind_object(L, k->class, fname);
	vai_g *g = vai__bind_self(L);
	if (lua_isnoneornil(L, 2))
		vai__arg_type_error(L, 2, 1, fname, "function");
	luaL_checkstack(L, 8, NULL);
	int rc = locking_with_guard(L, g, k, o, (struct vai__limit){.deadline = VAI_FOREVER});
	return rc == VAI_OK ? vai__guard_call(L) : vai__bind_failed(L, g, rc);
}

/* Defines KIND_call_lock, KIND_call_try_lock and KIND_call_unlock for struct locking, which call vai__OBJECT_LOCK and
 * so on. */
#define LOCKING_CALLS(KIND, OBJECT, LOCK, TRY_LOCK, UNLOCK) \
	static int KIND##_call_lock(vai_g *g, struct vai_obj *o, int64_t deadline) \
	{ \
		return vai__##OBJECT##_##LOCK(g, (vai_##OBJECT *)o, deadline); \
	} \
	static bool KIND##_call_try_lock(vai_g *g, struct vai_obj *o) \
	{ \
		return vai__##OBJECT##_##TRY_LOCK(g, (vai_##OBJECT *)o); \
	} \
	static int KIND##_call_unlock(struct vai_obj *o) \
	{ \
		return vai__##OBJECT##_##UNLOCK((vai_##OBJECT *)o); \
	}

/* Defines KIND_HOW, which is the Lua method NAME; HOW is lock, try_lock, unlock, guard or with. */
#define LOCKING_METHOD(KIND, HOW, NAME) \
	static int KIND##_##HOW(lua_State *L) \
	{ \
		return locking_##HOW(L, &(KIND), NAME); \
	}

/* Defines all for a lock that knows its holder: the struct locking KIND, and the methods KIND_lock and so on. */
#define LOCKING_HOLDER(KIND, OBJECT) \
	LOCKING_CALLS(KIND, OBJECT, lock, trylock, unlock) \
	static void KIND##_call_guarded(struct vai_obj *o) \
	{ \
		vai__##OBJECT##_set_guarded((vai_##OBJECT *)o); \
	} \
	static void KIND##_call_release(struct vai_obj *o, uint64_t id) \
	{ \
		vai__##OBJECT##_release((vai_##OBJECT *)o, id); \
	} \
	static const struct locking KIND = { \
		.class = &vai__##OBJECT##_class, \
		.lock = KIND##_call_lock, \
		.try_lock = KIND##_call_try_lock, \
		.unlock = KIND##_call_unlock, \
		.guarded = KIND##_call_guarded, \
		.release = KIND##_call_release, \
	}; \
	LOCKING_METHOD(KIND, lock, "lock") \
	LOCKING_METHOD(KIND, try_lock, "try_lock") \
	LOCKING_METHOD(KIND, unlock, "unlock") \
	LOCKING_METHOD(KIND, guard, "guard") \
	LOCKING_METHOD(KIND, with, "with")

#endif
