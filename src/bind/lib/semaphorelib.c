/* SPDX-License-Identifier: MIT */
/* semaphore and its methods. The handle at index 1 keeps it alive while the goroutine waits. */
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/guardlib.h"
#include "bind/lib/lib.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"
#include "sync/semaphore.h"

static inline vai_semaphore *self_semaphore(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__semaphore_class, fname);
}

int vai__lib_semaphore(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	int64_t n = vai__arg_integer(L, 1, 1, "semaphore");
	if (n < 0 || n > VAI_SEMAPHORE_MAX)
		vai__arg_error(L, 1, "semaphore", "%lld permits are out of range", (long long)n);
	vai_semaphore *s = vai__semaphore_new(n);
	return vai__bind_push_new(L, g, (struct vai_obj *)s);
}

/* The number of permits at index 2; by default 1. */
static int64_t permits(lua_State *L, vai_semaphore *s, const char *fname)
{
	int64_t k = lua_isnoneornil(L, 2) ? 1 : vai__arg_integer(L, 2, 1, fname);
	if (k < 0)
		vai__arg_error(L, 1, fname, "%lld is negative", (long long)k);
	if (k > vai__semaphore_size(s))
		vai__arg_error(L, 1, fname, "%lld of %lld permits", (long long)k, (long long)vai__semaphore_size(s));
	return k;
}

static int semaphore_acquire(lua_State *L)
{
	vai_semaphore *s = self_semaphore(L, "acquire");
	vai_g *g = vai__bind_self(L);
	int64_t k = permits(L, s, "acquire");
	struct vai__limit limit = vai__arg_limit(L, 3, 2, "acquire");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__semaphore_acquire(g, s, k, limit.deadline));
	if (VAI_UNLIKELY(rc != VAI_OK))
		return vai__bind_failed(L, g, rc);
	lua_pushboolean(L, 1);
	return 1;
}

static int semaphore_try_acquire(lua_State *L)
{
	vai_semaphore *s = self_semaphore(L, "try_acquire");
	vai__bind_self(L);
	lua_pushboolean(L, vai__semaphore_try_acquire(s, permits(L, s, "try_acquire")));
	return 1;
}

/* Gives permits back. Any goroutine may, as a semaphore has no holder. */
static int semaphore_release(lua_State *L)
{
	vai_semaphore *s = self_semaphore(L, "release");
	vai__bind_self(L);
	if (vai__semaphore_release(s, permits(L, s, "release")) != VAI_OK)
		return luaL_error(L, "semaphore released more than acquired");
	return 0;
}

/* Closes a guard, which is armed with the number of permits. */
static void release_permits(struct vai_obj *o, uint64_t k)
{
	vai__semaphore_release((vai_semaphore *)o, (int64_t)k);
}

static int semaphore_guard(lua_State *L)
{
	vai_semaphore *s = self_semaphore(L, "guard");
	vai_g *g = vai__bind_self(L);
	int64_t k = permits(L, s, "guard");
	struct vai__limit limit = vai__arg_limit(L, 3, 2, "guard");
	vai_guard *guard = vai__guard_push(L, g, (struct vai_obj *)s, release_permits);
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__semaphore_acquire(g, s, k, limit.deadline));
	if (VAI_UNLIKELY(rc != VAI_OK))
		return vai__bind_failed(L, g, rc);
	vai__guard_arm(guard, (uint64_t)k);
	return 1;
}

const struct vai__handle_type vai__lib_semaphore_type = {&vai__semaphore_class, "vai.semaphore",
	.methods = VAI__METHODS({"acquire", semaphore_acquire}, {"try_acquire", semaphore_try_acquire},
		{"release", semaphore_release}, {"guard", semaphore_guard}),
	.meta = VAI__METHODS({"__tostring", vai__bind_tostring})};
