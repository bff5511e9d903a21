/* SPDX-License-Identifier: MIT */
/* Start and end of what all Lua states share. The host's thread. */
#ifndef VAI_START_H
#define VAI_START_H

#include <lua.h>
#include <stdbool.h>

/* Called once per process and host state: reads what a stock state holds, builds the template and proves it. L is
 * the host's state, from which the package paths are taken. VAI_OK, VAI_ENOMEM. */
int vai__runtime_start(lua_State *L);
void vai__runtime_stop(void); /* drops the templates and the module cache */
/* "clone" or "build", and why: of the calling goroutine's home. */
const char *vai__runtime_mode(void);

/* Sets the hooks by which lower rooms call higher ones. That is done when the program loads; tests that use no more
 * than the lower rooms call it to have this file linked. */
void vai__runtime_set_hooks(void);

#endif
