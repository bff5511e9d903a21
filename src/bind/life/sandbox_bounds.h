/* SPDX-License-Identifier: MIT */
/* The sandbox's bounds at work: how many goroutines there are, and what each of them may use. Any thread. */
#ifndef VAI_SANDBOX_BOUNDS_H
#define VAI_SANDBOX_BOUNDS_H

#include <lua.h>
#include "base/base.h"
#include "stdlib/sandbox.h"

/* Host's thread, when the runtime has started. */
void vai__sandbox_bounds_start(void);
/* And when it has ended. */
void vai__sandbox_bounds_stop(void);
/* One goroutine more; false: the sandbox's bound is reached. Each true is followed by one vai__sandbox_bounds_leave. */
bool vai__sandbox_bounds_enter(void);
/* And one less. */
void vai__sandbox_bounds_leave(void);
/* Raises that the bound is reached. */
_Noreturn void vai__sandbox_bounds_error(lua_State *L);
/* Bounds a fresh state. */
void vai__sandbox_bounds_apply(struct vai_vm *vm);
/* The processor time for a goroutine that wishes for `ns` (0: no bound) in ns; 0: no bound. */
int64_t vai__sandbox_bounds_cpu(int64_t ns);

#endif
