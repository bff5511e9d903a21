/* SPDX-License-Identifier: MIT */
/* Private to bind/host/. */
#ifndef VAI_VISIT_H
#define VAI_VISIT_H

#include <lua.h>
#include "bind/main_state.h"

/* Makes in the host's state what visits need. May raise. */
void vai__visit_prepare(lua_State *L, struct vai__main *main);

#endif
