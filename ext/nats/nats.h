/* SPDX-License-Identifier: MIT */
/* What the files of vai.nats.core share. The module holds no state and no connection: its functions take values and
 * give values, so any goroutine may call them at any time, and none of them waits. The client around them, which reads
 * and writes, is Lua (lua/vai/nats/). */
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

/* How deep tables may be nested, in both directions. */
enum { NATS_DEPTH = 100 };

#endif
