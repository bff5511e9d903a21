/* SPDX-License-Identifier: MIT */
/* Ctrl-C while main waits, and vai_interrupt. The `lua` program's handler sets a hook on main's state, which raises
 * "interrupted!" at main's next instruction; in stock Lua main comes to that when its blocking call has ended. In vai
 * main may wait for ever, so its wait has to end. Our handler calls the handler that it has found. If that has set a
 * hook on main's state, sysmon ends main's wait, now or when it begins.
 *
 * `lua` has its handler in place only while it runs a chunk. So ours is put around it where main begins to wait for
 * long: before M0 sleeps, and when sysmon finds main waiting. On any thread. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include "sched/rt.h"

static struct vai_lock lock; /* held while the handler is wrapped or removed; no other lock is held with it */
static struct sigaction
	inner; /* the handler that ours calls; written under lock, read by our handler once it is in place */
static const void *_Atomic set; /* the hook that a handler has set and main has not come to yet, or NULL */
static const char asked;        /* in place of the hook: vai_interrupt */
static atomic_bool aside;       /* SIGINT is somebody else's; changed under lock */

static void call_inner(int sig, siginfo_t *info, void *uc)
{
	struct sigaction sa = inner;
	if (sa.sa_flags & SA_SIGINFO)
		sa.sa_sigaction(sig, info, uc);
	else if (sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN)
		sa.sa_handler(sig);
}

static void on_interrupt(int sig, siginfo_t *info, void *uc)
{
	int saved = errno;
	const void *before = vai__sched_hooks.main_hook();
	call_inner(sig, info, uc);
	const void *after = vai__sched_hooks.main_hook();
	if (after && after != before) {
		atomic_store_seq_cst(&set, after);
		vai__sysmon_hurry();
	}
	errno = saved;
}

static bool is_ours(const struct sigaction *sa)
{
	return (sa->sa_flags & SA_SIGINFO) && sa->sa_sigaction == on_interrupt;
}

static bool is_handler(const struct sigaction *sa)
{
	return (sa->sa_flags & SA_SIGINFO) || (sa->sa_handler != SIG_DFL && sa->sa_handler != SIG_IGN);
}

void vai__sigint_wrap(void)
{
	struct sigaction now;
	if (atomic_load_relaxed(&aside) || vai__sched.no_signals || !vai__sched_hooks.main_hook ||
		sigaction(SIGINT, NULL, &now) != 0 || is_ours(&now) || !is_handler(&now))
		return;
	vai__lock(&lock);
	if (!aside && sigaction(SIGINT, NULL, &now) == 0 && !is_ours(&now) && is_handler(&now)) {
		struct sigaction ours = now;
		inner = now;
		ours.sa_sigaction = on_interrupt;
		ours.sa_flags |= SA_SIGINFO | SA_ONSTACK;
		sigaction(SIGINT, &ours, NULL);
	}
	vai__unlock(&lock);
}

void vai__sigint_remove(void)
{
	struct sigaction now;
	atomic_store_relaxed(&set, NULL);
	if (vai__sched_hooks.main_hook && sigaction(SIGINT, NULL, &now) == 0 && is_ours(&now))
		sigaction(SIGINT, &inner, NULL);
}

void vai__sigint_set_aside(bool yes)
{
	struct sigaction now;
	vai__lock(&lock);
	atomic_store_relaxed(&aside, yes);
	if (yes && sigaction(SIGINT, NULL, &now) == 0 && is_ours(&now))
		sigaction(SIGINT, &inner, NULL);
	vai__unlock(&lock);
}

void vai__sched_interrupt_main(void)
{
	atomic_store_seq_cst(&set, &asked);
	vai__sysmon_hurry();
}

bool vai__sched_interrupted(vai_g *g)
{
	const void *mark = &asked;
	return VAI_UNLIKELY(atomic_load_relaxed(&set) == mark) && g == &vai__sched.main->pub &&
		atomic_cas_strong_seq_cst(&set, &mark, NULL);
}

bool vai__sigint_pending(void)
{
	return atomic_load_seq_cst(&set) != NULL;
}

/* Main runs: has the Lua code that it runs, if it does, look (vai__sched_interrupted). */
static void ask_main(void)
{
	struct m *m = vai__sched.m0;
	vai__lock(&vai__sched.lock);
	if (m_curg(m) == vai__sched.main)
		vai__preempt_ask(m, vai__clock_real());
	vai__unlock(&vai__sched.lock);
}

void vai__sigint_check(void)
{
	const void *hook = atomic_load_seq_cst(&set);
	bool waits = atomic_load_acquire(&vai__sched.main->state) == VAI_G_WAITING;
	if (waits)
		vai__sigint_wrap();
	if (!hook)
		return;
	if (hook == &asked && !waits) {
		ask_main();
		return;
	}
	bool over = hook != &asked && vai__sched_hooks.main_hook() != hook; /* main has come to the hook */
	if (over || (waits && vai__fire_any(&vai__sched.main->pub, VAI_WAKE_INTERRUPTED)))
		atomic_cas_strong_seq_cst(&set, &hook, NULL);
}
