/* SPDX-License-Identifier: MIT */
/* Turns Lua functions into bytes. */
#ifndef VAI_DUMP_FUNCTION_H
#define VAI_DUMP_FUNCTION_H

#include <lua.h>
#include "base/buffer.h"

/* Adds the bytecode of the Lua function on top of the stack, with its names. Raises nothing, and asks for no memory
 * of Lua's. False: out of memory. */
bool vai__dump_function(lua_State *L, struct vai__buffer *b);

#endif
