/* SPDX-License-Identifier: MIT */
/* The sandbox's bounds at work: how many goroutines a state has, and what each of them may use. Any thread. */
#ifndef VAI_SANDBOX_BOUNDS_H
#define VAI_SANDBOX_BOUNDS_H

#include <lua.h>
#include "bind/main_state.h"
#include "stdlib/sandbox.h"

/* Sets those of a state which has no goroutine but main. NULL: none. False: out of memory. */
bool vai__sandbox_bounds_set(struct vai__main *main, const struct vai__sandbox_bounds *bounds);
/* One goroutine of the home more; false: its bound is reached. Each true is followed by a vai__sandbox_bounds_leave. */
bool vai__sandbox_bounds_enter(const struct vai__home *home);
/* And one less. */
void vai__sandbox_bounds_leave(const struct vai__home *home);
/* Raises that the bound is reached. */
_Noreturn void vai__sandbox_bounds_error(lua_State *L, const struct vai__home *home);
/* Bounds a fresh state of one of its goroutines. */
void vai__sandbox_bounds_apply(const struct vai__home *home, struct vai_vm *vm);
/* The processor time for one that wishes for `ns` (0: no bound) in ns; 0: no bound. */
int64_t vai__sandbox_bounds_cpu(const struct vai__home *home, int64_t ns);

#endif
