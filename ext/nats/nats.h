/* SPDX-License-Identifier: MIT */
/* What the files of vai.nats.core share. The module holds no state and no connection: its functions take values and
 * give values, so any goroutine may call them at any time, and none of them parks. The client around them, which reads
 * and writes, is Lua code (lua/vai/nats/). The comment before each function's body gives its arguments and results;
 * they raise on arguments of wrong types. */
#ifndef VAI_NATS_H
#define VAI_NATS_H

#include <lua.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

int vai__nats_next(lua_State *L);   /* parse.c */
int vai__nats_pack(lua_State *L);   /* pack.c */
int vai__nats_unpack(lua_State *L); /* unpack.c */
int vai__nats_sign(lua_State *L);   /* nkey.c */

/* The depth to which tables may be nested, in both directions. */
enum { NATS_DEPTH = 100 };

#endif
