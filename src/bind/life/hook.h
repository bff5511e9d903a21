/* SPDX-License-Identifier: MIT */
/* What interrupt.c and hooklib.c share. */
#ifndef VAI_HOOK_H
#define VAI_HOOK_H

#include <lua.h>
#include "base/base.h"

enum { VAI__HOOK_TICK = 1000 }; /* instructions */

/* The hook of states that look themselves whether they are to be interrupted. It calls the script's own hook, if
 * there is one, and vai__hook_look. */
void vai__hook_tick(lua_State *L, lua_Debug *ar);
/* Whether that hook is to look at every instruction of the calling goroutine, because its end is forced. */
bool vai__hook_looks_always(void);
/* Yields or raises if the calling goroutine was asked to. */
void vai__hook_look(lua_State *L);
/* The same in a seeded run, where each call of a method of vai's may be the end of a turn. */
void vai__hook_event(lua_State *L, lua_Debug *ar);
/* vai.select: the one function whose first argument is no object of vai's and that has to do with some. */
extern lua_CFunction vai__hook_select;
/* The events of which ours has to hear for that. */
int vai__hook_points(void);
/* Tells the hook that L has apart from ours. True: ours is in its place at the moment. */
bool vai__hook_lent(lua_State *L, lua_Hook *hook, int *mask, int *count);

#endif
