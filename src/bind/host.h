/* SPDX-License-Identifier: MIT */
/* The one host state of the process: the main goroutine's. Read by any thread while the
 * runtime runs, written by main only. */
#ifndef VAI_HOST_H
#define VAI_HOST_H

#include <lua.h>
#include "state/state.h"

/* NULL outside the life of the runtime. */
struct vai_vm *vai__host_vm(void);
/* The Lua thread on which panic handlers run, kept alive by the registry. */
lua_State *vai__host_panic_thread(void);
void vai__host_set_panic_thread(lua_State *L);

/* The Lua thread that main is in (panic.c), which `at` is not where panic handlers run. */
lua_State *vai__report_main_at(void);

#endif
