/* SPDX-License-Identifier: MIT */
/* Parts of the module that are Lua code: it lies in the module as it is and is loaded in the states that use it. */
#ifndef VAI_LUA_SOURCE_H
#define VAI_LUA_SOURCE_H

#include "bind/arg.h"

/* Declares name and name_end, around the bytes of a file. Paths are seen from the project's folder, where make runs. */
#define VAI_LUA_SOURCE(name, file) \
	__asm__(".pushsection .rodata\n" \
			".hidden " #name "\n" \
			".hidden " #name "_end\n" \
			".global " #name "_end\n" #name ":\n" \
			".incbin \"" file "\"\n" #name "_end:\n" \
			".byte 0\n" \
			".popsection\n"); \
	extern const char name[], name##_end[] /* NOLINT(bugprone-macro-parentheses): a declaration takes none */

/* Pushes what the code returns when it is called with the module and, if it is not NULL, a function that only it has;
 * once a state, then kept under key. */
void vai__lib_push_source(
	lua_State *L, const void *key, const char *from, const char *to, const char *name, lua_CFunction extra);

#endif
