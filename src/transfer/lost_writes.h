/* SPDX-License-Identifier: MIT */
/* Writes of a goroutine that reach only its own copy of what it captured. Called by the goroutine of the state. */
#ifndef VAI_LOST_WRITES_H
#define VAI_LOST_WRITES_H

#include <lua.h>
#include "code/code.h"

/* VAI_DEBUG=lostwrites: the tables that come with a call are noted. Constant while the runtime is up. */
extern bool vai__lost_watching;
/* Notes the table on top. May raise for want of memory. */
void vai__lost_watch(lua_State *L);
/* Whether the table on top has been noted. Neither raises nor collects. */
bool vai__lost_is_watched(lua_State *L);
/* Reports, once per place, that the goroutine writes into such a table, of that name or NULL. */
void vai__lost_tell(const char *source, int line, const char *name);

/* Raises if the function at idx, about to become a goroutine, assigns a captured local.
 * code may be borrowed from the state: it is not looked at once anything may collect. */
void vai__lost_check(lua_State *L, int idx, const struct vai_code *code);
/* Raises that error for the function's upvalue of that number. */
_Noreturn void vai__lost_raise(lua_State *L, int idx, const struct vai__upval *up, int number);
/* Reports once per place that the function at idx `does` that to `name` (NULL: upvalue
 * `number` of a stripped function). Neither raises nor collects. */
void vai__lost_report(
	lua_State *L, int idx, _Atomic(bool) *warned, int line, const char *does, const char *name, int number);

#endif
