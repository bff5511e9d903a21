/* SPDX-License-Identifier: MIT */
/* Private to sched/: what has to do with signals, file by file. Included by rt.h. */
#ifndef VAI_SIGNALS_H
#define VAI_SIGNALS_H

#include "sched/rt.h"

/* preempt.c: goroutines that run for too long */
void vai__preempt_install(void);
/* Goroutines that begin from now on look themselves whether they are to be interrupted, whatever the mode. */
void vai__preempt_count_too(bool on);
void vai__preempt_add(struct m *m);    /* by its thread */
void vai__preempt_remove(struct m *m); /* by its thread, but for a host's that may be gone */
void vai__preempt_send(struct m *m);   /* sched.lock held: interrupts what m runs, at once */
/* As vai__preempt_send, but never within a system call; it may take several calls until it is done. True: another
 * call should follow soon. Under sched.lock, as the next two. */
bool vai__preempt_ask(struct m *m, int64_t now);
void vai__preempt_urge(struct m *m, int64_t now); /* under sched.lock: at once, if that can hardly do harm */
int64_t vai__preempt_lead(struct m *m);           /* how many ns early vai__preempt_ask should be called */
/* For how many ns m's thread has computed for its goroutine without a sleep, since it was first looked at; -1: it
 * sleeps. */
int64_t vai__preempt_computes(struct m *m);
void vai__preempt_all(void);           /* interrupts all goroutines that run but the caller's */
int64_t vai__preempt_thread_cpu(void); /* the processor time of the calling thread, in ns */
static inline bool has_cpu_limit(struct g *g)
{
	return atomic_load_relaxed(&g->pub.cpu_limit) != 0;
}
void vai__preempt_interrupt(struct g *g); /* g runs on this thread, or is about to */
/* The same for the goroutine of m, the caller's: where it has no P, getting one is the answer. */
void vai__preempt_call_in(struct m *m, struct g *g);
void vai__preempt_cpu_begin(struct g *g); /* g, which has a limit, is about to run on this thread */
void vai__preempt_cpu_end(struct g *g);   /* and has run */
/* sigquit.c: SIGQUIT; host thread, but for the last two */
void vai__sigquit_install(void);
void vai__sigquit_remove(void); /* sets the default action again, if the handler is still ours */
void vai__sigquit_check(void);  /* sysmon */
/* sigint.c: Ctrl-C while main waits */
void vai__sigint_wrap(void);    /* any thread */
void vai__sigint_remove(void);  /* host thread */
bool vai__sigint_pending(void); /* sysmon has to check */
void vai__sigint_check(void);   /* sysmon */

#endif
