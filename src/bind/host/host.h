/* SPDX-License-Identifier: MIT */
/* The life of the runtime, which begins with the host's first Lua state and ends with the last. Each state has its main
 * goroutine on a thread of its own. */
#ifndef VAI_HOST_H
#define VAI_HOST_H

#include <lua.h>
#include "base/base.h"
#include "bind/main_state.h"
#include "state/handle.h"

/* Makes L's state one of the host's, with the calling thread for its main goroutine; the first one starts the runtime.
 * VAI_OK; VAI_EAGAIN: it is open already, or a goroutine's, so nothing was done; VAI_EINVAL: the start failed, and *why
 * is the reason. */
int vai__host_open(lua_State *L, const char **why);
/* Ends what L's state has begun, and with the last state the runtime. For main, or a thread that closes main's state in
 * its place. exits: the process ends next, so nothing need be freed. */
void vai__host_stop(lua_State *L, bool exits);
/* The record of L's state; NULL: it is no open state of the host's. */
struct vai__main *vai__host_of(lua_State *L);
/* The main thread of L's state. */
lua_State *vai__host_main_thread(lua_State *L);
/* Handles for pointers of the host's (embed.c: vai_lua_pushref). */
extern const struct vai__handle_type vai__host_reference_type;

#endif
