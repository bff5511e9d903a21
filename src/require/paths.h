/* SPDX-License-Identifier: MIT */
/* What the script has told `require`: its search paths, preloads and searchers, for goroutines. */
#ifndef VAI_PATHS_H
#define VAI_PATHS_H

#include <lua.h>
#include "sched/sched.h"
#include "state/state.h"

/* Called before a call is encoded whose code uses `require`: takes package.path, cpath, preload and searchers of the
 * host's state, and what differs in its modules, for goroutines, if that has changed. Does nothing in other states. */
void vai__paths_note(lua_State *L, struct vai_vm *vm);
/* Sets package.path and cpath of the package table at idx. */
void vai__paths_apply(lua_State *L, int idx);
/* Puts package.searchers (at idx), with stock's or what stands for them in it, in the script's order, with its own. */
void vai__paths_apply_searchers(lua_State *L, int idx);
/* Pushes the script's package.preload[name], or nothing and false. */
bool vai__paths_preload(lua_State *L, struct vai_vm *vm, const char *name);
/* A searcher has found the module: its loader and what that is told are on top. If the script has changed that module
 * the loader is put into one that changes it likewise. Returns 2. */
int vai__paths_found(lua_State *L, const char *name);
/* For a new goroutine's state: what the script has changed in standard libraries is there once they are used. */
void vai__paths_change_libraries(lua_State *L, struct vai_vm *vm);
/* Changes the table at idx, the library of that number in a goroutine, as the script has changed its own. */
void vai__paths_change_library(lua_State *L, struct vai_vm *vm, int lib, int idx);
/* Takes the first snapshot, of the calling main's state. VAI_OK or VAI_ENOMEM. */
int vai__paths_start(lua_State *L);
/* Called when the state of the home closes and its goroutines have ended. */
void vai__paths_drop(struct vai__home *home);

#endif
