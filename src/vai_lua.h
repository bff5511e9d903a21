/* SPDX-License-Identifier: MIT */
/* vai for Lua 5.4: what `require "vai"` calls. A host that links vai statically puts
 * luaopen_vai into package.preload or calls luaL_requiref. */
#ifndef VAI_LUA_H
#define VAI_LUA_H

#include "vai.h"

/* Lua's headers, which say nothing of C++ themselves. */
#ifdef __cplusplus
extern "C" {
#endif
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#ifdef __cplusplus
}
#endif

#if LUA_VERSION_NUM != 504
#error "vai needs the headers of Lua 5.4 (LUA_INCDIR names their folder)"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Pushes the module's table. The first call makes L's state the host: the calling thread
 * becomes the first machine and what it runs the main goroutine, unless it has called vai_start before.
 * Raises when another state of the process is the host already; lua_close of the host, or vai_stop before it,
 * ends the runtime. */
VAI_API int luaopen_vai(lua_State *L);

/* Pushes a channel of values (vai_chan_new_values), which has Lua's methods there, with a reference of its own. L is
 * the host's state. May raise. VAI_OK, or VAI_EINVAL and nothing is pushed: a channel of bytes, or another state. */
VAI_API int vai_lua_pushchan(lua_State *L, vai_chan *ch);
/* The channel at idx, which lives as long as it lies there; NULL: there is none. */
VAI_API vai_chan *vai_lua_tochan(lua_State *L, int idx);

#ifdef __cplusplus
}
#endif

#endif
