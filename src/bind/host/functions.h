/* SPDX-License-Identifier: MIT */
/* The functions of the module's table. */
#ifndef VAI_FUNCTIONS_H
#define VAI_FUNCTIONS_H

#include <lua.h>
#include <lauxlib.h>

/* The functions, ended by a NULL name. A name with a dot before it is a table, which its function makes. */
extern const luaL_Reg vai__functions[];

#endif
