/* SPDX-License-Identifier: MIT */
/* The one writer for lua_dump: into a buffer. */
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
