/* SPDX-License-Identifier: MIT */
/* Replacements of stock functions that may block in C. They are lua_CFunctions of goroutines and of main, and may park:
 * goroutines other than main leave main's thread before they block. */
#ifndef VAI_BLOCKING_H
#define VAI_BLOCKING_H

#include <lua.h>
#include <stdio.h>
#include "base/base.h"

/* os.execute, which gives the P away before it starts the process; file:read and file:lines. */
int vai__blocking_os_execute(lua_State *L);
int vai__blocking_file_read(lua_State *L);
int vai__blocking_file_lines(lua_State *L);
/* Sets the stock function that one of the last two calls. Once, before there are goroutines. */
void vai__blocking_stock(lua_CFunction ours, lua_CFunction stock);
/* flockfile(f), to write n bytes and flush them. A goroutine that may have to wait, for the lock or for the reader of
 * what is written, first leaves main's thread. May park. */
void vai__blocking_lock_output(lua_State *L, FILE *f, size_t n, bool flush);

#endif
