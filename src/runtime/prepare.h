/* SPDX-License-Identifier: MIT */
/* Makes of a bare Lua state what luaL_newstate and luaL_openlibs make. */
#ifndef VAI_PREPARE_H
#define VAI_PREPARE_H

#include "state/state.h"

/* As a lua_CFunction without arguments. The state is a new one in an arena; it becomes as the calling goroutine's home
 * requires (runtime/setup.h). May raise. */
int vai__prepare(lua_State *L);
/* Whether libraries are opened at once, as stock Lua does. Before the first state; on the host's thread. */
void vai__prepare_full(bool on);
/* Sets whether warnings are on in goroutines that have not set it themselves, as the host's state has changed that. */
void vai__prepare_warn(bool on);

#endif
