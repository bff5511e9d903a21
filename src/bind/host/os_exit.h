/* SPDX-License-Identifier: MIT */
/* os.exit for a process in which other threads run Lua. */
#ifndef VAI_OS_EXIT_H
#define VAI_OS_EXIT_H

#include <lua.h>

/* On main, outside of any goroutine of its own thread, exit is safe once the others have
 * stopped. Elsewhere nothing of the host's can be closed. */
int vai__os_exit(lua_State *L);

#endif
