/* SPDX-License-Identifier: MIT */
/* Goroutines that are interrupted, ended, tied to a thread, blocked in C calls, or stopped all
 * together. Part of sched.h, which includes it. */
#ifndef VAI_INTERRUPT_H
#define VAI_INTERRUPT_H

#include "sched/sched.h"

/* How goroutines that run Lua code are interrupted, by VAI_PREEMPT in the environment (off,
 * signal, count): not; by a signal to their thread, upon which hooks.interrupt is called
 * there; or by a flag that they must look at now and then themselves. */
enum vai_preempt_mode { VAI_PREEMPT_OFF, VAI_PREEMPT_SIGNAL, VAI_PREEMPT_COUNT };
enum vai_preempt_mode vai__preempt_mode(void);
/* VAI_PREEMPT_COUNT: the calling goroutine is to be interrupted; it is told once. */
bool vai__g_asked(vai_g *self);

/* Why a goroutine is to end. */
enum vai_end { VAI_END_NO, VAI_END_CANCELED, VAI_END_CPU, VAI_END_MEMORY };

/* Asks g to end: sets g->end unless it is set already, fires the wait that g is in with
 * VAI_WAKE_CANCELED, and has g interrupted (hooks.interrupt) if it runs, or when it next
 * does, again and again as long as g->end is not 0. While it is, g's waits give
 * VAI_ECANCELED; g itself may set it back, to clean up. Any thread, for a g that cannot end
 * meanwhile: the caller holds the lock of its task while that is alive. */
void vai__g_end(vai_g *g, enum vai_end why);
/* Processor time in ns that the calling goroutine, which has a cpu_limit, has used. */
int64_t vai__g_cpu(vai_g *self);
/* The calling goroutine may use so many ns of processor time from now on. */
void vai__g_limit_cpu(vai_g *self, int64_t ns);

/* Ties the calling goroutine to its thread until vai__g_unlock_thread; no other runs there
 * meanwhile. Does not nest. Main is tied to its thread in any case; locked, it has it alone. */
void vai__g_lock_thread(vai_g *self);
void vai__g_unlock_thread(vai_g *self);
/* The calling goroutine may stay in C calls for long from now on, having opened a file or got a
 * foreign C function. Unless it is main it leaves main's thread, which could not run main
 * meanwhile, for good; those of which it shows only when sysmon takes their P do so then. */
void vai__g_leave_main(vai_g *self);
/* The calling goroutine is not main and runs on main's thread, which it could leave. */
bool vai__g_holds_main(vai_g *self);
/* Around a C call that is known to take long: the goroutine's P is given away before it
 * (without, sysmon takes it when it sees that the thread sleeps), and the goroutine
 * leaves main's thread. Both may park. */
void vai__g_block_begin(vai_g *self);
void vai__g_block_end(vai_g *self);

/* Stops all goroutines but the caller's: when it returns true none of them runs Lua code or
 * is in vai, save those that have not come back from a C call (info.in_c) and may at any
 * moment. False: somebody else has stopped the world or `timeout` ns have passed; nothing is
 * stopped then. self: the caller, NULL on a thread that is no M. vai__world_start ends it. */
bool vai__world_stop(vai_g *self, int64_t timeout);
void vai__world_start(void);

/* For a process that is about to end: true if g runs a C call on a thread which has come into a
 * signal handler, within `timeout` ns, that it never leaves. Off the Ms, world stopped. */
bool vai__g_freeze(vai_g *g, int64_t timeout);

#endif
