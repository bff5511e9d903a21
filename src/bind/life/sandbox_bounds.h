/* SPDX-License-Identifier: MIT */
/* The sandbox's bounds in use: how many goroutines a state has, and what each of them may use. Any thread; nothing
 * parks. */
#ifndef VAI_SANDBOX_BOUNDS_H
#define VAI_SANDBOX_BOUNDS_H

#include <lua.h>
#include "bind/main_state.h"
#include "stdlib/sandbox.h"

/* Sets the bounds of a state whose only goroutine is main. NULL: no bounds. False: out of memory. */
bool vai__sandbox_bounds_set(struct vai__main *main, const struct vai__sandbox_bounds *bounds);
/* Counts a new goroutine of the home. False: the bound is reached. After true vai__sandbox_bounds_leave follows. */
bool vai__sandbox_bounds_enter(const struct vai__home *home);
/* Counts the end of a goroutine of the home. */
void vai__sandbox_bounds_leave(const struct vai__home *home);
/* Raises that the bound is reached. */
_Noreturn void vai__sandbox_bounds_error(lua_State *L, const struct vai__home *home);
/* Sets the bounds of a new state for a goroutine of the home. */
void vai__sandbox_bounds_apply(const struct vai__home *home, struct vai_vm *vm);
/* The bound on processor time in ns for a goroutine that asks for `ns`; 0 stands for no bound in both. */
int64_t vai__sandbox_bounds_cpu(const struct vai__home *home, int64_t ns);

#endif
