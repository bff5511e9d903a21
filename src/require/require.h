/* SPDX-License-Identifier: MIT */
/* `require` in goroutines: what happens in a call is told in require.c. */
#ifndef VAI_REQUIRE_H
#define VAI_REQUIRE_H

#include <lua.h>
#include "base/base.h"
#include "state/state.h"

/* Gives the package table on top of a fresh state's stack the script's paths and our searchers. Its C libraries stay
 * loaded when the state ends: their functions may have gone to other states. May raise. */
void vai__require_install(lua_State *L);
/* A module in that file has returned the value at idx. If that is a frozen table, every state gets the same: true, and
 * the one that was returned first is in its place. May raise. */
bool vai__require_share(lua_State *L, struct vai_vm *vm, int idx, const char *filename);

#endif
