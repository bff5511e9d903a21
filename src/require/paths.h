/* SPDX-License-Identifier: MIT */
/* What the script has told `require`: its search paths and preloads, for goroutines. */
#ifndef VAI_PATHS_H
#define VAI_PATHS_H

#include <lua.h>
#include "state/state.h"

/* Before a call is encoded whose code uses `require`: takes package.path, cpath and preload
 * of the host's state for goroutines, where they have changed. Does nothing elsewhere. */
void vai__paths_note(lua_State *L, struct vai_vm *vm);
/* Sets package.path and cpath of the package table at idx. */
void vai__paths_apply(lua_State *L, int idx);
/* Pushes the script's package.preload[name], or nothing and false. */
bool vai__paths_preload(lua_State *L, struct vai_vm *vm, const char *name);
/* The first snapshot, at vai__runtime_start. VAI_OK or VAI_ENOMEM. */
int vai__paths_start(lua_State *L);
void vai__paths_drop(void);

#endif
