/* SPDX-License-Identifier: MIT */
/* Turns a bare Lua state into one as luaL_newstate and luaL_openlibs give it. */
#ifndef VAI_PREPARE_H
#define VAI_PREPARE_H

#include "state/state.h"

/* A lua_CFunction; its arguments do not matter. The state is a fresh one, in an arena, and becomes what the calling
 * goroutine's home wishes (runtime/setup.h). May raise. */
int vai__prepare(lua_State *L);
/* Whether libraries are opened at once, as stock does. Before the first of the states; host thread. */
void vai__prepare_full(bool on);
/* The host has turned its warnings on or off: so they are in goroutines that have not done so themselves. */
void vai__prepare_warn(bool on);

#endif
