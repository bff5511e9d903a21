/* SPDX-License-Identifier: MIT */
/* See result.h. */
#include "bind/lib/result.h"
#include "bind/arg.h"
#include "bind/life/life.h"
#include "bind/report/deadlock.h"
#include "bind/report/leaks.h"
#include "bind/site.h"
#include "transfer/codec.h"
#include "transfer/message.h"

int vai__bind_deliver(lua_State *L, struct vai_vm *vm, vai_msg *msg)
{
	if (VAI_LIKELY(vai__msg_tag(msg) == M_INT)) {
		lua_pushinteger(L, (lua_Integer)msg->w[1]);
		return 1;
	}
	return vai__msg_owns(msg) ? vai__decode_take(L, vm, msg) : vai__decode(L, vm, msg);
}

int vai__bind_nil(lua_State *L, const char *why)
{
	lua_pushnil(L);
	lua_pushstring(L, why);
	return 2;
}

const char *vai__bind_context_text(int why)
{
	return why == VAI_ECONTEXT ? "canceled" : why == VAI_ECONTEXT_DEADLINE ? "deadline exceeded" : NULL;
}

int vai__bind_failed(lua_State *L, vai_g *g, int rc)
{
	(void)g;
	switch (rc) {
	case VAI_ETIMEOUT:
	case VAI_EAGAIN: return vai__bind_nil(L, "timeout");
	case VAI_ECONTEXT:
	case VAI_ECONTEXT_DEADLINE: return vai__bind_nil(L, vai__bind_context_text(rc));
	case VAI_ECANCELED: vai__end_raise(L, g);
	case VAI_EDEADLOCK: vai__report_deadlock(L);
	case VAI_EINTERRUPTED: vai__interrupt_main(L);
	case VAI_ENOMEM: vai__arg_no_memory(L);
	default: return luaL_error(L, "vai: unexpected result %d", rc);
	}
}

int vai__bind_push_new(lua_State *L, vai_g *g, struct vai_obj *o)
{
	if (VAI_UNLIKELY(!o))
		vai__arg_no_memory(L);
	o->site = vai__site_here(L);
	vai__leaks_note(o);
	vai__handle_push(L, vai__bind_vm(g), o, true);
	return 1;
}

int vai__bind_tostring(lua_State *L)
{
	struct vai_obj *o = vai__handle_any(L, 1);
	if (!o)
		vai__arg_self_error(L, "tostring", "object of vai");
	lua_pushfstring(L, "%s: %p", o->cls->name, (void *)o);
	return 1;
}
