/* SPDX-License-Identifier: MIT */
/* See shed.h. */
#include "bind/life/shed.h"

struct vai__rest *vai__shed_look(lua_State *L, const vai_g *g)
{
	const struct vai__life *life = vai__life(g);
	if (!life || !life->rest || life->phase != VAI_PHASE_LIVE || !vai__shed_is_body(L))
		return NULL;
	return vai__park_shed_pays(g) && lua_isyieldable(L) ? life->rest : NULL;
}

int vai__shed_in(lua_State *L, struct vai__rest *rest, lua_KFunction end)
{
	rest->sheds = true;
	return lua_yieldk(L, 0, (lua_KContext)rest, end);
}
