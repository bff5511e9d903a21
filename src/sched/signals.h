/* SPDX-License-Identifier: MIT */
/* Private to sched/: what has to do with signals, file by file. Included by rt.h. "Lock held": sched.lock; times are
 * vai__clock_real(). */
#ifndef VAI_SIGNALS_H
#define VAI_SIGNALS_H

#include "sched/rt.h"

/* preempt.c: goroutines that run for too long */
/* Installs the handler, once in a process. Host's thread. */
void vai__preempt_install(void);
/* on: goroutines that begin from now on look themselves whether they are to be interrupted, whatever the mode. */
void vai__preempt_count_too(bool on);
/* m's thread begins to get signals, and m is in sched.all_ms. m's thread. */
void vai__preempt_add(struct m *m);
/* The opposite. m's thread; for a host's M also another, since the host's may be gone. */
void vai__preempt_remove(struct m *m);
/* Interrupts what m runs, at once, even in a system call. Any thread; lock held. */
void vai__preempt_send(struct m *m);
/* The same, but never within a system call; it may take several calls until it is done. True: another call should
 * follow soon. Any thread; lock held. */
bool vai__preempt_ask(struct m *m, int64_t now);
/* The same for a goroutine that is in the way of a main: at once, if m's thread is hardly ever in system calls. Any
 * thread; lock held. */
void vai__preempt_urge(struct m *m, int64_t now);
/* How many ns before a goroutine is to be interrupted vai__preempt_ask should be called. Any thread. */
int64_t vai__preempt_lead(struct m *m);
/* For how many ns m's thread has computed for its goroutine without a sleep, since it was first looked at; -1: it
 * sleeps. Any thread; lock held. */
int64_t vai__preempt_computes(struct m *m);
/* Interrupts all goroutines that run but the caller's, for the end of the runtime. Any thread. */
void vai__preempt_all(void);
/* The processor time of the calling thread, in ns. */
int64_t vai__preempt_thread_cpu(void);
static inline bool has_cpu_limit(struct g *g)
{
	return atomic_load_relaxed(&g->pub.cpu_limit) != 0;
}
/* Calls hooks.interrupt for g, which runs on this thread or is about to; first ends it if it is over its cpu_limit.
 * Also in a signal handler. */
void vai__preempt_interrupt(struct g *g);
/* The same for g, the goroutine of m, the caller's, which may be interrupted only because it has no P: then getting one
 * is all that it has to do (vai__yield_late). */
void vai__preempt_call_in(struct m *m, struct g *g);
/* g, which has a cpu_limit, is about to run on this thread, and has run: its time is measured in between. begin asks g
 * to end if it is over its limit. */
void vai__preempt_cpu_begin(struct g *g);
void vai__preempt_cpu_end(struct g *g);

/* sigquit.c: the dump at SIGQUIT */
/* Installs the handler, unless the host has one or ignores the signal. Host's thread, as for the next. */
void vai__sigquit_install(void);
/* Sets the default action again, if the handler is still ours. */
void vai__sigquit_remove(void);
/* Calls hooks.quit if the signal has come. sysmon. */
void vai__sigquit_check(void);

/* sigint.c: Ctrl-C while main waits */
/* Puts our handler around the host's, if that has one and ours is not there. Any thread. */
void vai__sigint_wrap(void);
/* Sets the host's handler again. Host's thread. */
void vai__sigint_remove(void);
/* Whether sysmon has to call vai__sigint_check soon. Any thread. */
bool vai__sigint_pending(void);
/* Ends the waits of mains that are to be interrupted. sysmon. */
void vai__sigint_check(void);

#endif
