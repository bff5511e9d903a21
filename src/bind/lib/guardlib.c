/* SPDX-License-Identifier: MIT */
/* Guards: handles that are closed at the end of a block. A guard that is armed and was not closed does its work when
 * its state ends, since that frees it. */
#include "bind/lib/guardlib.h"
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"

vai_guard *vai__guard_push(
	lua_State *L, vai_g *g, struct vai_obj *what, void (*undo)(struct vai_obj *what, uint64_t id))
{
	vai_guard *guard = vai__guard_new(what, undo);
	if (!guard)
		vai__arg_no_memory(L);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)guard, true);
	return guard;
}

/* The continuation of a guarded call: returns the function's results. The guard at index 2 is closed when the method
 * returns. */
static int called(lua_State *L, int status, lua_KContext context)
{
	(void)status;
	(void)context;
	return lua_gettop(L) - 2;
}

int vai__guard_call(lua_State *L)
{
	lua_insert(L, 2);
	lua_toclose(L, 2);
	lua_callk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, called);
	return called(L, LUA_OK, 0);
}

/* Also called on a thread that runs no goroutine, when the runtime ends. */
static int guard_close(lua_State *L)
{
	vai__guard_fire(vai__bind_object(L, &vai__guard_class, "close"));
	return 0;
}

const struct vai__handle_type vai__lib_guard_type = {
	&vai__guard_class, "vai.guard", .meta = VAI__METHODS({"__close", guard_close}, {"__tostring", vai__bind_tostring})};
