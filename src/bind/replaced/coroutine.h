/* SPDX-License-Identifier: MIT */
/* Replacements of the coroutine functions: resume, wrap and close note which coroutine a goroutine runs, and let its
 * end pass; yield and isyieldable know the goroutine's body. As lua_CFunctions; arguments, results and errors are those
 * of the stock functions. */
#ifndef VAI_COROUTINE_H
#define VAI_COROUTINE_H

#include <lua.h>

int vai__coroutine_resume(lua_State *L);
int vai__coroutine_wrap(lua_State *L);
int vai__coroutine_close(lua_State *L);
int vai__coroutine_yield(lua_State *L);
int vai__coroutine_isyieldable(lua_State *L);

#endif
