/* SPDX-License-Identifier: MIT */
/* `require` in goroutines; require.c says what happens in a call. Called by the goroutine whose state L belongs to. */
#ifndef VAI_REQUIRE_H
#define VAI_REQUIRE_H

#include <lua.h>
#include "base/base.h"
#include "state/state.h"

/* Gives the package table on top of a new state's stack the script's paths and vai's searchers. C libraries that it
 * loads stay loaded when the state ends, as their functions may have gone to other states. May raise. */
void vai__require_install(lua_State *L);
/* Called when the module in that file has returned the value at idx. If that is a frozen table, all states get the same
 * one: returns true, with the first one that was returned in its place. May raise. */
bool vai__require_share(lua_State *L, struct vai_vm *vm, int idx, const char *filename);

#endif
