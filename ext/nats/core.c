/* SPDX-License-Identifier: MIT */
/* vai.nats.core: the part of vai.nats that is written in C. */
#include "nats.h"
#include "bind/extension.h"

static const luaL_Reg functions[] = {
	{"next", vai__nats_next},
	{"pack", vai__nats_pack},
	{"unpack", vai__nats_unpack},
#ifdef VAI_NKEY
	{"sign", vai__nats_sign},
#endif
	{NULL, NULL},
};

VAI__QUICK_MODULE;

__attribute__((visibility("default"))) int luaopen_vai_nats_core(lua_State *L);

int luaopen_vai_nats_core(lua_State *L)
{
	luaL_newlib(L, functions);
	return 1;
}
