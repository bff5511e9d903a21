/* SPDX-License-Identifier: MIT */
/* The host's wishes for the sandbox (vai_lua.h). Host's thread; the functions of the module's table: any. */
#ifndef VAI_SANDBOX_POLICY_H
#define VAI_SANDBOX_POLICY_H

#include <lua.h>
#include <lauxlib.h>
#include "state/state.h"

/* Which functions of vai a state gets. */
const luaL_Reg *vai__sandbox_policy_functions(const struct vai_vm *vm);
/* Takes from a state of the host's what it is not to have. Does nothing without a sandbox. May raise. */
void vai__sandbox_policy_open(lua_State *L);

#endif
