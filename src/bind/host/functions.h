/* SPDX-License-Identifier: MIT */
/* The functions of the module's table. */
#ifndef VAI_FUNCTIONS_H
#define VAI_FUNCTIONS_H

#include <lua.h>
#include <lauxlib.h>

/* The list ends with a NULL name. If a name begins with a dot, the module's field of that name (without the dot) has
 * the value that the entry's function pushes when the field is first used. */
extern const luaL_Reg vai__functions[];

#endif
