/* SPDX-License-Identifier: MIT */
/* VAI_DEBUG=lostwrites: reports writes of goroutines to tables that they captured or were passed, which change only
 * their copy. Every instruction is watched, which is slow: for debugging alone. */
#ifndef VAI_WATCH_LOST_WRITES_H
#define VAI_WATCH_LOST_WRITES_H

#include <lua.h>
#include "base/base.h"

/* Reads the environment. On the host's thread, at the start of the runtime. */
void vai__watch_start(void);
/* Begins to watch the state of a goroutine that is about to run. */
void vai__watch_state(lua_State *L);

#endif
