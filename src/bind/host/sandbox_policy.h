/* SPDX-License-Identifier: MIT */
/* Applies the sandbox that the host has set (vai_lua.h). On the host's thread, but for vai__sandbox_policy_functions:
 * any thread. */
#ifndef VAI_SANDBOX_POLICY_H
#define VAI_SANDBOX_POLICY_H

#include <lua.h>
#include <lauxlib.h>
#include "state/state.h"

/* The functions of vai that a state gets. */
const luaL_Reg *vai__sandbox_policy_functions(const struct vai_vm *vm);
/* Takes away from a host's state what its sandbox does not allow; does nothing without a sandbox. May raise. */
void vai__sandbox_policy_open(lua_State *L);

#endif
