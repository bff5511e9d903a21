/* SPDX-License-Identifier: MIT */
/* What the loaded modules of a state reach by names: functions, userdata and tables, each with the table that has it
 * and its key there, so that it can be sent as "the one under that name there"; and classes that their functions have
 * captured, each with the function and the name of its upvalue. The host's modules are noted when
 * `require` has loaded them, before a script can change them; a goroutine's when they are first asked for. Called by
 * the goroutine of the state alone. */
#ifndef VAI_NAMES_H
#define VAI_NAMES_H

#include <lua.h>
#include "base/base.h"
#include "state/state.h"

struct vai__home;

enum { VAI__NAMES_DEPTH = 100 }; /* names from a module to what is in it */

/* Called when the module in that file has returned the value at idx. True: every state gets one shared value for it,
 * which is in its place now. Set by runtime/start.c, because require/ is above. */
extern bool (*vai__names_share)(lua_State *L, struct vai_vm *vm, int idx, const char *filename);

/* Takes the place of `require` in the host's state, and notes all that is loaded. May raise. */
void vai__names_install(lua_State *L, struct vai_vm *vm);
/* Ends that. Called on the host's thread, before the vm of its state goes. */
void vai__names_uninstall(struct vai__home *home);
/* Whether modules are noted or have to be. Never raises. */
bool vai__names_any(const struct vai_vm *vm);
/* Whether modules may have been loaded that are not noted. Never raises. */
bool vai__names_stale(const struct vai_vm *vm);
/* Notes modules that were loaded since. May raise. */
void vai__names_refresh(lua_State *L, struct vai_vm *vm);
/* The same for modules that were loaded without `require`. True: there were some. May raise. */
bool vai__names_search(lua_State *L, struct vai_vm *vm);
/* Pushes the keys that lead to the value at idx, all strings, the last one first, then the module; returns how many
 * keys. -1: nothing has it, and nothing is pushed. Neither raises nor collects; needs 12 slots of stack. */
int vai__names_path(lua_State *L, struct vai_vm *vm, int idx);
/* Pushes the upvalue of that name of the function at f; false: it has none, and nothing is pushed. Never raises. */
bool vai__names_upvalue(lua_State *L, int f, const char *name);
/* Whether the table at idx is known to be one that a script has put into a module. Never raises. */
bool vai__names_added(lua_State *L, const struct vai_vm *vm, int idx);
/* Notes that. May raise. */
void vai__names_add(lua_State *L, struct vai_vm *vm, int idx);
/* Whether the value at idx is a module, or a module had it when it was noted. Never raises. */
bool vai__names_noted(lua_State *L, const struct vai_vm *vm, int idx);
/* Whether the value at idx is known to be in no module. Never raises. */
bool vai__names_missed(lua_State *L, const struct vai_vm *vm, int idx);
/* Notes that the value at idx is in no module, after vai__names_search. May raise. */
void vai__names_miss(lua_State *L, struct vai_vm *vm, int idx);
/* Pushes the best of the names under which package.loaded has the table, and the others as one string with NULs
 * between, or nil; false: it has none, and nothing is pushed. May raise. */
bool vai__names_of_module(lua_State *L, struct vai_vm *vm, const void *table);

#endif
