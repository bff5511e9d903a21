/* SPDX-License-Identifier: MIT */
/* `require` in fresh states: the script's search paths and preloads, and modules that are
 * found and compiled once a process. */
#ifndef VAI_MODCACHE_H
#define VAI_MODCACHE_H

#include <lua.h>
#include "base/base.h"
#include "state/state.h"

/* Gives the package table on top of a fresh state's stack the script's paths and the
 * caching searcher. Its C libraries stay loaded when the state ends: their functions may
 * have gone to other states. */
void vai__modcache_install(lua_State *L);
void vai__modcache_drop(void);
/* A module in that file has returned the value at idx. If that is a frozen table, every state gets the same: true, and
 * the one that was returned first is in its place. */
bool vai__modcache_share(lua_State *L, struct vai_vm *vm, int idx, const char *filename);

#endif
