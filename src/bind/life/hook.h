/* SPDX-License-Identifier: MIT */
/* What interrupt.c and hooklib.c share: hooks of Lua states in which a goroutine looks whether it is to be
 * interrupted. */
#ifndef VAI_HOOK_H
#define VAI_HOOK_H

#include <lua.h>
#include "base/base.h"

enum { VAI__HOOK_TICK = 1000 }; /* instructions */

/* The hook of a state whose goroutine looks by itself. It calls the script's own hook, if there is one, and
 * vai__hook_look. */
void vai__hook_tick(lua_State *L, lua_Debug *ar);
/* Whether that hook has to look at every instruction of the calling goroutine, because its end is forced. */
bool vai__hook_looks_always(void);
/* Yields or raises if the calling goroutine was asked to. */
void vai__hook_look(lua_State *L);
/* The hook in a seeded run, in which each call of a method of vai's may end the goroutine's turn. */
void vai__hook_event(lua_State *L, lua_Debug *ar);
/* vai.select: the only function that uses objects of vai's and has none as its first argument. */
extern lua_CFunction vai__hook_select;
/* The events that a hook of a seeded run needs. */
int vai__hook_points(void);
/* The hook that the script has set in L beside ours. True: at the moment ours is in its place. */
bool vai__hook_lent(lua_State *L, lua_Hook *hook, int *mask, int *count);

#endif
