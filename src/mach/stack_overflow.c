/* SPDX-License-Identifier: MIT */
/* A handler of SIGSEGV and SIGBUS on an alternate stack. Hosts keep their own handlers: a fault outside of our guard
 * pages is passed on to the handler that was installed before. If there was none the process ends as it would without
 * ours: a fault repeats itself once the default action is back; a signal that was sent does not repeat itself, so it is
 * sent again. The text of the report is sched/m.c's. */
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

/* Handlers of hosts run there, too, and those that tell of a crash may want much; the system gives pages as they are
 * touched. Below lies a guard: what a handler writes beyond its stack would be another mapping's. */
enum { ALT_SIZE = 131072 };

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

/* Blocks what the kernel blocks while that handler runs; what was blocked before comes back with the end of ours. So a
 * handler that faults itself ends the process, where it would be called again and again otherwise. */
static void block_for(const struct sigaction *handler, int sig)
{
	sigset_t all = handler->sa_mask;
	if (!(handler->sa_flags & SA_NODEFER))
		sigaddset(&all, sig);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
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
	block_for(&old, sig);
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

static size_t guard_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int vai__stack_overflow_thread_init(void)
{
	stack_t now;
	if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE))
		return 0;
	size_t guard = guard_size();
	char *p = mmap(NULL, guard + ALT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (p == MAP_FAILED)
		return -1;
	stack_t ss = {.ss_sp = p + guard, .ss_size = ALT_SIZE};
	if (mprotect(p, guard, PROT_NONE) != 0 || sigaltstack(&ss, NULL) != 0) {
		munmap(p, guard + ALT_SIZE);
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
	munmap(alt_stack, guard_size() + ALT_SIZE);
	alt_stack = NULL;
}
