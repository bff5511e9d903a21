/* SPDX-License-Identifier: MIT */
/* The stock functions that goroutines and the host's state get replaced: print, io.write, ... */
#ifndef VAI_BASELIB_H
#define VAI_BASELIB_H

#include <lua.h>

/* For fresh states: before vai__runtime_start, once per process. os_exit becomes os.exit. */
void vai__base_register(lua_CFunction os_exit);
/* For the host's own state, where it still has the stock ones. */
void vai__base_install(lua_State *L);

#endif
