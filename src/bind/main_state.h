/* SPDX-License-Identifier: MIT */
/* The host's state, in which the main goroutine runs, as the other rooms see it; the process has one. Written by
 * main while the runtime starts and ends, read by any thread in between. */
#ifndef VAI_MAIN_STATE_H
#define VAI_MAIN_STATE_H

#include "sched/sched.h"
#include "state/state.h"

/* The vm of the host's state; NULL: the runtime does not run. */
struct vai_vm *vai__main_vm(void);
void vai__main_set_vm(struct vai_vm *vm);
/* The last one that there was, for a comparison: it may be gone. */
const struct vai_vm *vai__main_last_vm(void);
/* The host's Lua state; NULL: the runtime does not run. May be called in signal handlers. */
lua_State *vai__main_L(void);
/* The Lua thread of that state on which panic handlers run, kept alive by the registry; or NULL. */
lua_State *vai__main_panic_thread(void);
void vai__main_set_panic_thread(lua_State *L);
/* The goroutine on main's thread that runs panic handlers at present, or NULL. */
vai_g *vai__main_panic_runner(void);
void vai__main_set_panic_runner(vai_g *g);
/* Says that the runner g ends: there is none from now on, unless the next one has begun already. */
void vai__main_clear_panic_runner(vai_g *g);
/* Adds n to the number of goroutines that run in the host's state for calls of vai_lua_on_host, and returns it. */
int vai__main_guests(int n);
/* The Lua thread in which main stopped. The vm's `at` is another one while panic handlers run. */
lua_State *vai__main_at(void);

#endif
