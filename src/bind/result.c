/* SPDX-License-Identifier: MIT */
/* What Lua gets to see of the outcomes of the layers below. */
#include "bind/bind.h"

int vai__bind_nil(lua_State *L, const char *why)
{
	lua_pushnil(L);
	lua_pushstring(L, why);
	return 2;
}

int vai__bind_failed(lua_State *L, vai_g *g, int rc, enum vai_wait_reason reason)
{
	switch (rc) {
	case VAI_ETIMEOUT:
	case VAI_EAGAIN: return vai__bind_nil(L, "timeout");
	case VAI_ECANCELED: return luaL_error(L, "canceled");
	case VAI_EDEADLOCK: vai__report_deadlock(L, g, reason);
	case VAI_ENOMEM: vai__no_memory(L);
	default: return luaL_error(L, "vai: unexpected result %d", rc);
	}
}

int vai__bind_tostring(lua_State *L, const char *name)
{
	lua_pushfstring(L, "%s: %p", name, (void *)vai__handle_any(L, 1));
	return 1;
}
