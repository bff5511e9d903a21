/* SPDX-License-Identifier: MIT */
/* coroutine.resume, wrap and close that note which coroutine a goroutine runs, and let its end pass. */
#ifndef VAI_COROLIB_H
#define VAI_COROLIB_H

#include <lua.h>

int vai__corolib_resume(lua_State *L);
int vai__corolib_wrap(lua_State *L);
int vai__corolib_close(lua_State *L);

#endif
