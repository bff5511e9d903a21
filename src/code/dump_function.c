/* SPDX-License-Identifier: MIT */
/* Dumps a function's bytecode into a buffer. All of vai's calls of lua_dump are here. */
#include "code/dump_function.h"

static int write_dump(lua_State *L, const void *bytes, size_t n, void *buffer)
{
	(void)L;
	return vai__buffer_add(buffer, bytes, n) ? 0 : 1;
}

bool vai__dump_function(lua_State *L, struct vai__buffer *b)
{
	return lua_dump(L, write_dump, b, 0) == 0;
}
