/* SPDX-License-Identifier: MIT */
/* How a goroutine's Lua code is interrupted and ended: four files that call each other, as they are one concept.
 * interrupt.c sets hooks, hooklib.c leaves the script its own, end.c raises the end and follows it up the stack,
 * protect.c tells end.c what has caught an error. Their record of a goroutine is struct vai__life. Called by the
 * goroutine itself, unless said otherwise. */
#ifndef VAI_LIFE_H
#define VAI_LIFE_H

#include <lua.h>
#include <signal.h>
#include "base/base.h"
#include "bind/goroutine.h"
#include "sched/sched.h"

/* ---- hooks (interrupt.c) ---- */

/* Gives a state that is about to run for the first time its hook, if goroutines have hooks all the time
 * (VAI_PREEMPT=count, a seeded run). */
void vai__hook_prepare(lua_State *L);
/* As lua_sethook. The signal handler sets no hook meanwhile. */
void vai__hook_set(lua_State *L, lua_Hook f, int mask, int count);

/* ---- the end (end.c) ---- */

/* Raises the end: g, the calling goroutine, was asked to end, or a wait of g was ended for that. */
_Noreturn void vai__end_raise(lua_State *L, vai_g *g);
/* Whether g, the calling goroutine, was asked to end and has not raised that yet. */
static inline bool vai__end_due(vai_g *g)
{
	return VAI_UNLIKELY(atomic_load_relaxed(&g->end) != VAI_END_NO);
}
/* Called when pcall or xpcall has caught an error, which is on top, or coroutine.resume has (then co is the coroutine
 * that has failed). Returns only if the code may go on after the error. True: the error was raised bare, and no
 * message handler has seen it. */
bool vai__end_caught(lua_State *L, lua_State *co, int status);
/* Called when coroutine.wrap is about to pass on the error of co; returns unless that is the end. */
void vai__end_pass(lua_State *L, lua_State *co);
/* Called when a script raises the error at idx again. */
void vai__end_rethrow(lua_State *L, int idx);
/* Called when the goroutine's function has returned: the end is not raised in it any more. */
void vai__end_over(vai_g *g);
/* The error for used-up processor time: that of g alone, or that of all goroutines in its sandbox. */
const char *vai__end_cpu_text(const vai_g *g);
/* The error of a goroutine whose home closes. */
extern const char vai__end_closed_text[];
/* Pushes the error that was raised for the end. */
void vai__end_push_reason(lua_State *L, vai_g *g);
/* For a block that waits for what it leaves, in a goroutine g (the caller) that was canceled: waits on, with the end
 * put off, for at most so many ns. Calls again(what) each time that g is canceled meanwhile. Parks. */
void vai__end_wait_on(
	vai_g *g, int (*wait)(vai_g *g, void *what, int64_t until), void (*again)(void *what), void *what, int64_t most);

/* vai__sched_hooks.interrupt: makes the Lua code that g runs yield or end at its next instruction. In the signal
 * handler on g's thread. */
void vai__interrupt_g(vai_g *g);
/* Makes g's Lua code raise an error at its next instruction, as its body has yielded, which only coroutines may. */
void vai__interrupt_yield(vai_g *g);
/* vai__sched_hooks.main_hook: the hook of main's Lua state. In signal handlers and on any thread. */
const void *vai__interrupt_hook(void);
/* Raises "interrupted!": Ctrl-C has ended main's wait in L. */
_Noreturn void vai__interrupt_main(lua_State *L);

/* ---- replaced functions that take part in it (protect.c, hooklib.c) ---- */

/* The replacements of pcall, xpcall, error, assert, debug.sethook and debug.gethook; as lua_CFunctions. */
int vai__protect_pcall(lua_State *L);
int vai__protect_xpcall(lua_State *L);
int vai__protect_error(lua_State *L);
int vai__protect_assert(lua_State *L);
extern lua_CFunction vai__protect_stock_pcall, vai__protect_stock_xpcall;
extern lua_CFunction vai__protect_stock_error, vai__protect_stock_assert;
int vai__hook_sethook(lua_State *L);
int vai__hook_gethook(lua_State *L);

#endif
