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

/* ---- what the script has (paths.c) ---- */

/* Sets package.path and cpath of the package table at idx. */
void vai__paths_apply(lua_State *L, int idx);
/* Pushes the script's package.preload[name], or nothing and false. */
bool vai__paths_preload(lua_State *L, struct vai_vm *vm, const char *name);
/* The first snapshot, at vai__state_start. VAI_OK or VAI_ENOMEM. */
int vai__paths_start(lua_State *L);
void vai__paths_drop(void);

/* The module that vai__state_preload named (state.c); NULL, NULL: none. */
extern const char *vai__state_preload_name;
extern lua_CFunction vai__state_preload_open;

#endif
