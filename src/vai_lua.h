/* SPDX-License-Identifier: MIT */
/* vai for Lua 5.4: what `require "vai"` calls. A host that links vai statically puts
 * luaopen_vai into package.preload or calls luaL_requiref. */
#ifndef VAI_LUA_H
#define VAI_LUA_H

#include <lua.h>

#if LUA_VERSION_NUM != 504
#error "vai needs the headers of Lua 5.4 (LUA_INCDIR names their folder)"
#endif

#if defined(__GNUC__) || defined(__clang__)
#define VAI_API __attribute__((visibility("default")))
#else
#define VAI_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Pushes the module's table. The first call makes L's state the host: the calling thread
 * becomes the first machine and what it runs the main goroutine. Raises when another
 * state of the process is the host already; lua_close of the host ends the runtime. */
VAI_API int luaopen_vai(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
