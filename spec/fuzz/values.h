/* SPDX-License-Identifier: MIT */
/* Lua values made from bytes, for the fuzzer of the codec. */
#ifndef VAI_SPEC_VALUES_H
#define VAI_SPEC_VALUES_H

#include <lua.h>
#include <stdbool.h>
#include "fuzz.h"

/* Defines in L what values are made of; once. */
void values_open(lua_State *L);

/* Pushes up to four values and returns how many. *plain: none of them changes on its way
 * (__vai_send) or cannot be sent. The state's stack must be empty. */
int values_make(lua_State *L, struct fuzz *f, bool *plain);

#endif
