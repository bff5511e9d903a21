/* SPDX-License-Identifier: MIT */
/* The life of the runtime, tied to that of the host's state: one at a time in a process. */
#ifndef VAI_HOST_H
#define VAI_HOST_H

#include <lua.h>
#include "base/base.h"
#include "state/handle.h"

/* Begins the runtime with L's state as the host's. VAI_OK; VAI_EAGAIN: it is open, or about to be, so
 * nothing was done; VAI_EINVAL: the start failed and *why says of what. */
int vai__host_open(lua_State *L, const char **why);
/* Ends the runtime; main only, or a thread that closes main's state for it. exits: the process ends next, so
 * that nothing need be released. */
void vai__host_stop(lua_State *L, bool exits);
/* The main thread of the host's state, or NULL. */
lua_State *vai__host_state(void);
/* The main thread of L's state. */
lua_State *vai__host_main_thread(lua_State *L);
/* embed.c: pointers of the host's that are sent */
extern const struct vai__handle_type vai__host_reference_type;

#endif
