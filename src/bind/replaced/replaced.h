/* SPDX-License-Identifier: MIT */
/* The list of stock functions that scripts get replacements for: print, io.write, os.execute, coroutine.resume, pcall,
 * ... Their code is beside this file, in bind/life/ (pcall and its like, debug.sethook), in bind/host/ (os.exit) and in
 * stdlib/popen.c. Functions that are replaced only because tables of goroutines fill themselves (next, setmetatable,
 * io.open, ...) are in stdlib/lazy_functions.c. */
#ifndef VAI_REPLACED_H
#define VAI_REPLACED_H

#include <lua.h>

/* Registers them for new states, with os_exit for os.exit. Once per process, before vai__runtime_start. */
void vai__replaced_register(lua_CFunction os_exit);
/* Puts them into the host's own state, where that still has the stock functions. On the host's thread; may raise. */
void vai__replaced_install(lua_State *L);

#endif
