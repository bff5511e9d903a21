/* SPDX-License-Identifier: MIT */
/* The life of the runtime, tied to those of the host's states: each has its main goroutine on a thread of its own. */
#ifndef VAI_HOST_H
#define VAI_HOST_H

#include <lua.h>
#include "base/base.h"
#include "bind/main_state.h"
#include "state/handle.h"

/* L's state becomes one of the host's, with the calling thread, and the runtime begins with the first. VAI_OK;
 * VAI_EAGAIN: it is open, or a goroutine's, so nothing was done; VAI_EINVAL: the start failed and *why says of what. */
int vai__host_open(lua_State *L, const char **why);
/* Ends what L's state has begun, and the runtime with the last; main only, or a thread that closes main's state for it.
 * exits: the process ends next, so that nothing need be released. */
void vai__host_stop(lua_State *L, bool exits);
/* What vai keeps of L's state while it is one of the host's that are open, or NULL. */
struct vai__main *vai__host_of(lua_State *L);
/* The main thread of L's state. */
lua_State *vai__host_main_thread(lua_State *L);
/* embed.c: pointers of the host's that are sent */
extern const struct vai__handle_type vai__host_reference_type;

#endif
