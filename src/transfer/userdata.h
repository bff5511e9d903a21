/* SPDX-License-Identifier: MIT */
/* Codecs: how userdata of a host's types cross. One is found by the name of the type (__name, luaL_newmetatable), in
 * any state, where the metatable has no __vai_send. They stay as long as the process. Any thread. */
#ifndef VAI_USERDATA_H
#define VAI_USERDATA_H

#include <lua.h>
#include "base/base.h"

/* Adds a codec for a type, whose name is copied. out gets the userdata and returns values that are sent in its place;
 * in gets these in the other state and returns the userdata. VAI_OK, VAI_ENOMEM; VAI_EINVAL: the type has a codec. */
int vai__userdata_add(const char *type, lua_CFunction out, lua_CFunction in);
/* Whether there is any codec. */
bool vai__userdata_any(void);
/* If the metatable on top is of a type with a codec: pushes a function that does what __vai_send does. May raise. */
bool vai__userdata_push_send(lua_State *L);
/* Whether f is the second function of a codec: it may be sent in any case. */
bool vai__userdata_is_in(lua_CFunction f);

#endif
