/* SPDX-License-Identifier: MIT */
/* VAI_DEBUG=lostwrites: goroutines tell when they write into a table that they captured or were passed, which changes
 * only their copy. Every instruction is looked at: slow, and for debugging alone. */
#ifndef VAI_WATCH_LOST_WRITES_H
#define VAI_WATCH_LOST_WRITES_H

#include <lua.h>
#include "base/base.h"

/* Reads the environment. Host thread, at the start of the runtime. */
void vai__watch_start(void);
/* The state of a goroutine that is about to begin. */
void vai__watch_state(lua_State *L);

#endif
