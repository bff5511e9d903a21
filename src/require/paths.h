/* SPDX-License-Identifier: MIT */
/* The script's settings for `require`, which its goroutines get: search paths, preloads and searchers. Called by the
 * goroutine whose state L belongs to. */
#ifndef VAI_PATHS_H
#define VAI_PATHS_H

#include <lua.h>
#include "sched/sched.h"
#include "state/state.h"

/* Called in the host's state before a call is encoded whose code uses `require`: if package.path, cpath, preload, the
 * searchers or the script's changes to modules differ from the last snapshot, takes a new one. Does nothing in other
 * states. */
void vai__paths_note(lua_State *L, struct vai_vm *vm);
/* Sets package.path and package.cpath in the package table at idx. */
void vai__paths_apply(lua_State *L, int idx);
/* Fills package.searchers (at idx) with the script's searchers in its order; stock's or their replacements are in idx
 * already. */
void vai__paths_apply_searchers(lua_State *L, int idx);
/* Pushes the script's package.preload[name], or nothing and false. */
bool vai__paths_preload(lua_State *L, struct vai_vm *vm, const char *name);
/* Called when a searcher has found the module: its loader and the loader's argument are on top. If the script has
 * changed that module, the loader is wrapped into one that makes the same changes. Returns 2. */
int vai__paths_found(lua_State *L, const char *name);
/* Makes a new goroutine's state apply the script's changes to standard libraries when it first uses them. */
void vai__paths_change_libraries(lua_State *L, struct vai_vm *vm);
/* Changes library number `lib`, which is the table at idx, as the script has changed its own. */
void vai__paths_change_library(lua_State *L, struct vai_vm *vm, int lib, int idx);
/* Takes the first snapshot of the calling main's state. VAI_OK or VAI_ENOMEM. */
int vai__paths_start(lua_State *L);
/* Frees the snapshot of the home, whose state closes and whose goroutines have ended. */
void vai__paths_drop(struct vai__home *home);

#endif
