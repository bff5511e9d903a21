/* SPDX-License-Identifier: MIT */
/* SIGQUIT, as in Go: a dump of everything and the end, also when all threads are stuck. The
 * handler only leaves a note and wakes sysmon, which has no P and no goroutine to wait for.
 * Installed where nobody else has: a host's handler, or its wish to ignore the signal, stays. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "sched/rt.h"

static bool installed; /* host thread */
static atomic_bool asked;

static void on_quit(int sig)
{
	int saved = errno;
	(void)sig;
	atomic_store_seq_cst(&asked, true);
	vai__sysmon_hurry();
	errno = saved;
}

static bool is(const struct sigaction *sa, void (*handler)(int))
{
	return !(sa->sa_flags & SA_SIGINFO) && sa->sa_handler == handler;
}

void vai__sigquit_install(void)
{
	struct sigaction old, sa = {.sa_handler = on_quit, .sa_flags = SA_ONSTACK | SA_RESTART};
	const char *wish = getenv("VAI_SIGQUIT");
	if (!vai__sched_hooks.quit || vai__sched.no_signals || (wish && strcmp(wish, "off") == 0))
		return;
	sigemptyset(&sa.sa_mask);
	atomic_store_relaxed(&asked, false);
	installed = sigaction(SIGQUIT, NULL, &old) == 0 && is(&old, SIG_DFL) && sigaction(SIGQUIT, &sa, NULL) == 0;
}

void vai__sigquit_remove(void)
{
	struct sigaction now, sa = {.sa_handler = SIG_DFL};
	if (!installed)
		return;
	installed = false;
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGQUIT, NULL, &now) == 0 && is(&now, on_quit))
		sigaction(SIGQUIT, &sa, NULL);
}

void vai__sigquit_check(void)
{
	if (VAI_UNLIKELY(atomic_load_relaxed(&asked)) && atomic_exchange(&asked, false))
		vai__sched_hooks.quit();
}
