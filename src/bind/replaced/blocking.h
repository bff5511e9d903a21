/* SPDX-License-Identifier: MIT */
/* Functions that may wait in a C call, and the stock ones that two of them end in. All are lua_CFunctions of goroutines
 * and of main, and may park: other goroutines than main leave main's thread before they wait. */
#ifndef VAI_BLOCKING_H
#define VAI_BLOCKING_H

#include <lua.h>
#include <stdio.h>
#include "base/base.h"

/* os.execute, which gives the P away before it starts the process; file:read and file:lines. */
int vai__blocking_os_execute(lua_State *L);
int vai__blocking_file_read(lua_State *L);
int vai__blocking_file_lines(lua_State *L);
/* Says which stock function one of the last two is to call. Once, before there are goroutines. */
void vai__blocking_stock(lua_CFunction ours, lua_CFunction stock);
/* flockfile(f), to write n bytes, and flush them: a goroutine that may have to wait for that, for
 * the lock or for who reads what is written, leaves main's thread before. May park. */
void vai__blocking_lock_output(lua_State *L, FILE *f, size_t n, bool flush);

#endif
