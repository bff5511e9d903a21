/* SPDX-License-Identifier: MIT */
/* atomic and its methods. The methods do not wait, take no lock and do not depend on the calling goroutine, so they
 * also work in finalizers. Integers wrap around as Lua's do. */
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "data/atomic.h"

static inline vai_atomic *self_atomic(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__atomic_class, fname);
}

int vai__lib_atomic(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_atomic *a = vai__atomic_new(lua_isnoneornil(L, 1) ? 0 : vai__arg_integer(L, 1, 1, "atomic"));
	return vai__bind_push_new(L, g, (struct vai_obj *)a);
}

static int atomic_get(lua_State *L)
{
	lua_pushinteger(L, vai__atomic_get(self_atomic(L, "get")));
	return 1;
}

static int atomic_set(lua_State *L)
{
	vai_atomic *a = self_atomic(L, "set");
	vai__atomic_set(a, vai__arg_integer(L, 2, 1, "set"));
	return 0;
}

static int atomic_add(lua_State *L)
{
	vai_atomic *a = self_atomic(L, "add");
	lua_pushinteger(L, vai__atomic_add(a, vai__arg_integer(L, 2, 1, "add")));
	return 1;
}

static int atomic_swap(lua_State *L)
{
	vai_atomic *a = self_atomic(L, "swap");
	lua_pushinteger(L, vai__atomic_swap(a, vai__arg_integer(L, 2, 1, "swap")));
	return 1;
}

static int atomic_cas(lua_State *L)
{
	vai_atomic *a = self_atomic(L, "cas");
	int64_t old = vai__arg_integer(L, 2, 1, "cas"), now = vai__arg_integer(L, 3, 2, "cas");
	lua_pushboolean(L, vai__atomic_cas(a, old, now));
	return 1;
}

static int atomic_tostring(lua_State *L)
{
	lua_pushfstring(L, "atomic: %I", (LUAI_UACINT)vai__atomic_get(self_atomic(L, "tostring")));
	return 1;
}

const struct vai__handle_type vai__lib_atomic_type = {&vai__atomic_class, "vai.atomic",
	.methods = VAI__METHODS(
		{"get", atomic_get}, {"set", atomic_set}, {"add", atomic_add}, {"swap", atomic_swap}, {"cas", atomic_cas}),
	.meta = VAI__METHODS({"__tostring", atomic_tostring})};
