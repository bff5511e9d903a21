/* SPDX-License-Identifier: MIT */
/* Calls from goroutines into the host's state: vai_lua_on_host of vai_lua.h. */
#ifndef VAI_VISIT_H
#define VAI_VISIT_H

#include <lua.h>
#include "bind/main_state.h"

/* Makes in the host's state what such calls need. May raise. */
void vai__visit_prepare(lua_State *L, struct vai__main *main);

#endif
