/* SPDX-License-Identifier: MIT */
/* os.exit in a process in which other threads run Lua. */
#ifndef VAI_OS_EXIT_H
#define VAI_OS_EXIT_H

#include <lua.h>

/* os.exit as a lua_CFunction. Main, outside of any other goroutine on its thread, may call exit once the other
 * goroutines have stopped. Elsewhere nothing of the host's can be closed, so the process ends at once. */
int vai__os_exit(lua_State *L);

#endif
