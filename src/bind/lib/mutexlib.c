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

LOCKING_HOLDER(mutex, mutex)

const struct vai__handle_type vai__lib_mutex_type = {&vai__mutex_class, "vai.mutex",
	.methods = VAI__METHODS({"lock", mutex_lock}, {"try_lock", mutex_try_lock}, {"unlock", mutex_unlock},
		{"guard", mutex_guard}, {"with", mutex_with}),
	.meta = VAI__METHODS({"__tostring", vai__bind_tostring})};
