/* SPDX-License-Identifier: MIT */
/* A handler of SIGSEGV and SIGBUS on an alternate stack. Hosts keep their own handlers: a fault outside of our guard
 * pages is passed on to the handler that was installed before. If there was none the process ends as it would without
 * ours: a fault repeats itself once the default action is back; a signal that was sent does not repeat itself, so it is
 * sent again. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mach/stack_overflow.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/fatal.h"
#include "mach/stack.h"

enum { ALT_SIZE = 32768 };

static void (*report_overflow)(void);
static struct sigaction old_segv, old_bus;
static _Thread_local __attribute__((tls_model("initial-exec"))) void *alt_stack;

/* Whether the signal was sent by kill, sigqueue and their like: a fault that the kernel finds itself has a code
 * above 0. */
static bool was_sent(const siginfo_t *info)
{
	return info->si_code <= 0;
}

/* Ends the process as the default action does. The handler has SA_NODEFER, so neither this signal nor the one sent
 * again is held back here. */
static void end_by_default(int sig, const siginfo_t *info)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	vai__dying();
	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
	if (!was_sent(info))
		return;
	if (raise(sig) != 0)
		kill(getpid(), sig);
}

/* Passes the fault on as the kernel would: a process that ignores the signal does not get away with a fault. */
static void pass_on(int sig, siginfo_t *info, void *uc)
{
	struct sigaction *slot = sig == SIGSEGV ? &old_segv : &old_bus, old = *slot;
	bool handled = (old.sa_flags & SA_SIGINFO) || (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN);
	if (!handled) {
		if (old.sa_handler == SIG_DFL || !was_sent(info))
			end_by_default(sig, info);
		return;
	}
	if (old.sa_flags & (int)SA_RESETHAND)
		*slot = (struct sigaction){.sa_handler = SIG_DFL};
	if (old.sa_flags & SA_SIGINFO)
		old.sa_sigaction(sig, info, uc);
	else
		old.sa_handler(sig);
}

static void on_fault(int sig, siginfo_t *info, void *uc)
{
	if (!was_sent(info) && vai__stack_is_guard(info->si_addr))
		report_overflow();
	pass_on(sig, info, uc);
}

static void install(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, &old_segv);
	sigaction(SIGBUS, &sa, &old_bus);
}

void vai__stack_overflow_install(void (*report)(void))
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	report_overflow = report;
	pthread_once(&once, install);
}

int vai__stack_overflow_thread_init(void)
{
	stack_t now;
	if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE))
		return 0;
	void *p = mmap(NULL, ALT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (p == MAP_FAILED)
		return -1;
	stack_t ss = {.ss_sp = p, .ss_size = ALT_SIZE};
	if (sigaltstack(&ss, NULL) != 0) {
		munmap(p, ALT_SIZE);
		return -1;
	}
	alt_stack = p;
	return 0;
}

void vai__stack_overflow_thread_exit(void)
{
	if (!alt_stack)
		return;
	stack_t off = {.ss_flags = SS_DISABLE};
	sigaltstack(&off, NULL);
	munmap(alt_stack, ALT_SIZE);
	alt_stack = NULL;
}
