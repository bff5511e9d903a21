/* SPDX-License-Identifier: MIT */
/* Parts of the module that are written in Lua: their source lies in the module, and a state loads it when it uses
 * it. */
#ifndef VAI_LUA_SOURCE_H
#define VAI_LUA_SOURCE_H

#include "bind/arg.h"

/* Declares name and name_end, which enclose the bytes of a file. Its path is relative to the project's folder, in which
 * make runs. */
#define VAI_LUA_SOURCE(name, file) \
	__asm__(".pushsection .rodata\n" \
			".hidden " #name "\n" \
			".hidden " #name "_end\n" \
			".global " #name "_end\n" #name ":\n" \
			".incbin \"" file "\"\n" #name "_end:\n" \
			".byte 0\n" \
			".popsection\n"); \
	extern const char name[], name##_end[] /* NOLINT(bugprone-macro-parentheses): a declaration takes none */

/* Pushes what the code returns when it is called with the module and, unless it is NULL, a function for its use alone.
 * The code runs once in each state; the result is kept under `key`. */
void vai__lib_push_source(
	lua_State *L, const void *key, const char *from, const char *to, const char *name, lua_CFunction extra);

#endif
