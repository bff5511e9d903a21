/* SPDX-License-Identifier: MIT */
/* Metatables of whole types: encode_types.c tells what it is about. Called by the goroutine of the state alone. */
#ifndef VAI_ENCODE_TYPES_H
#define VAI_ENCODE_TYPES_H

#include <lua.h>
#include "sched/sched.h"
#include "base/base.h"
#include "state/state.h"
#include "stdlib/lazy.h"

/* From now on notes whether the script gets at such a metatable in the host's state (home->types_seen). May raise. */
void vai__encode_types_install(lua_State *L);
/* Whether vai__encode_types_differ has to be asked before each spawn. */
static inline bool vai__encode_types_seen(const struct vai_vm *vm)
{
	return VAI_UNLIKELY(vm->is_host ? atomic_load_relaxed(&vai__home_self()->types_seen) : vm->types_seen);
}
/* Whether some type has another metatable than in a fresh state. May raise. */
bool vai__encode_types_differ(lua_State *L);
/* Pushes some value of that Lua type. */
void vai__encode_types_push(lua_State *L, int type);

#endif
