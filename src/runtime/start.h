/* SPDX-License-Identifier: MIT */
/* Start and end of what all Lua states share. On the host's thread. */
#ifndef VAI_START_H
#define VAI_START_H

#include <lua.h>
#include <stdbool.h>

/* Called once per process and host state: reads what a stock state holds, and builds and checks the template. L is the
 * host's state, whose package paths are taken. VAI_OK or VAI_ENOMEM. */
int vai__runtime_start(lua_State *L);
void vai__runtime_stop(void); /* frees the templates and the module cache */
/* How states of the calling goroutine's home are made: "clone" or "build", and why. */
const char *vai__runtime_mode(void);

/* Sets the hooks by which lower rooms call higher ones. The program calls it as it loads; tests that use only lower
 * rooms call it to have this file linked. */
void vai__runtime_set_hooks(void);

#endif
