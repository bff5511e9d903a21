/* SPDX-License-Identifier: MIT */
/* What interrupt.c and hooklib.c share: hooks of Lua states, in which a goroutine finds out whether it is to be
 * interrupted. */
#ifndef VAI_HOOK_H
#define VAI_HOOK_H

#include <lua.h>
#include "base/base.h"

enum { VAI__HOOK_TICK = 1000 }; /* instructions */

/* The hook of a state that has a hook all the time: that of a script's debug.sethook, or in any state with
 * VAI_PREEMPT=count. It calls the script's own hook, if there is one, and vai__hook_look. */
void vai__hook_tick(lua_State *L, lua_Debug *ar);
/* Whether that hook has to run at every instruction, because the calling goroutine's end is forced. */
bool vai__hook_looks_always(void);
/* Yields or raises if the calling goroutine was asked to do so. */
void vai__hook_look(lua_State *L);
/* The hook in a seeded run, in which each call of a method of vai's may end the goroutine's turn. */
void vai__hook_event(lua_State *L, lua_Debug *ar);
/* vai.select: the only function that uses objects of vai's and has none as its first argument. */
extern lua_CFunction vai__hook_select;
/* The events that a hook of a seeded run needs. */
int vai__hook_points(void);
/* Gives the hook of the script, or of a C module, that L would have without vai. True: vai's own hook replaces it
 * now. */
bool vai__hook_lent(lua_State *L, lua_Hook *hook, int *mask, int *count);

#endif
