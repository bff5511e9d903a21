/* SPDX-License-Identifier: MIT */
/* What Lua gets to see of the outcomes of the layers below. Called by the goroutine whose state L belongs to. */
#ifndef VAI_RESULT_H
#define VAI_RESULT_H

#include "bind/arg.h"

/* Pushes the value of a received message, which it takes over. Raises where memory for it is out: the message is
 * gone then, as a value is that a failing assignment drops. Returns the number of values: 1. */
int vai__bind_deliver(lua_State *L, struct vai_vm *vm, vai_msg *msg);
/* nil, why: 2 */
int vai__bind_nil(lua_State *L, const char *why);
/* What ctx:err() gives for a result of vai__context_err; NULL: nil, the context is not over. */
const char *vai__bind_context_text(int why);
/* For a wait that ended with rc < 0: pushes nil and "timeout", "canceled" or "deadline exceeded", and returns 2; raises
 * where the goroutine is to end, in a deadlock, and where memory is out. */
int vai__bind_failed(lua_State *L, vai_g *g, int rc);
/* Pushes the handle of a fresh object, which it takes over, and notes where it was made. NULL: raises that memory is
 * out. Returns 1. */
int vai__bind_push_new(lua_State *L, vai_g *g, struct vai_obj *o);
/* __tostring of handles that have nothing more to tell: "channel: 0x55d0c8". */
int vai__bind_tostring(lua_State *L);

#endif
