/* SPDX-License-Identifier: MIT */
/* mutex and its methods. */
#include "bind/lib/lib.h"
#include "bind/lib/locking.h"
#include "sync/mutex.h"

int vai__lib_mutex(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_mutex *m = vai__mutex_new();
	return vai__bind_push_new(L, g, (struct vai_obj *)m);
}

LOCKING_CALLS(mutex, mutex, lock, trylock, unlock)
LOCKING_HOLDER_CALLS(mutex, mutex)

static const struct locking mutex = {
	.class = &vai__mutex_class,
	.lock = mutex_call_lock,
	.try_lock = mutex_call_try_lock,
	.unlock = mutex_call_unlock,
	.guarded = mutex_call_guarded,
	.release = mutex_call_release,
};

LOCKING_METHOD(mutex, lock, "lock")
LOCKING_METHOD(mutex, try_lock, "try_lock")
LOCKING_METHOD(mutex, unlock, "unlock")
LOCKING_METHOD(mutex, guard, "guard")
LOCKING_METHOD(mutex, with, "with")

static int mutex_tostring(lua_State *L)
{
	vai__bind_object(L, &vai__mutex_class, "tostring");
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
