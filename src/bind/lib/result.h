/* SPDX-License-Identifier: MIT */
/* How results of the rooms below become values of Lua. Called by the goroutine whose state L belongs to. */
#ifndef VAI_RESULT_H
#define VAI_RESULT_H

#include "bind/arg.h"

/* Pushes the value of a received message, which it takes over. Raises if memory is out; the message is lost then.
 * Returns 1, the number of values. */
int vai__bind_deliver(lua_State *L, struct vai_vm *vm, vai_msg *msg);
/* Pushes nil and the reason. Returns 2. */
int vai__bind_nil(lua_State *L, const char *why);
/* What ctx:err() returns for a result of vai__context_err; NULL: nil, as the context is not over. */
const char *vai__bind_context_text(int why);
/* For a wait that ended with rc < 0: pushes nil and "timeout", "canceled" or "deadline exceeded", and returns 2. Raises
 * if the goroutine is to end, in a deadlock, and if memory is out. */
int vai__bind_failed(lua_State *L, vai_g *g, int rc);
/* Pushes the handle of a new object, whose reference it takes over, and notes where it was made. Raises that memory is
 * out if o is NULL. Returns 1. */
int vai__bind_push_new(lua_State *L, vai_g *g, struct vai_obj *o);
/* __tostring of handles that have no more to tell than "channel: 0x55d0c8". */
int vai__bind_tostring(lua_State *L);

#endif
