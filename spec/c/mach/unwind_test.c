/* SPDX-License-Identifier: MIT */
/* Unwinding from every instruction of a switch: the processor stops after each one (x86-64's trap flag), and the
 * handler walks the stack as profilers do. The walk has to come to the frame in which the stack began, and to end
 * there. Elsewhere, and for all that is between switches: a timer's signal at any moment. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <time.h>
#include "base/atomic.h"
#include "base/clock.h"
#include "base/san.h"
#include "mach/ctx.h"
#include "mach/stack.h"
#include "sync/chan.h"
#include "sync/world.h"
#include "whole.h"

enum { DEPTH = 128, ROUNDS = 3, START = 8 /* bytes of vai__ctx_start up to where `far` returns to */ };

static struct vai__ctx home, away;
static void *volatile home_end, *volatile away_end; /* return addresses of the first functions on each stack */
static volatile int walks, home_walks, away_walks, bad;

static void walk(void)
{
	void *at[DEPTH];
	int n = backtrace(at, DEPTH);
	bool from_home = false, from_away = false;
	for (int i = 0; i < n; i++) {
		from_home |= at[i] == home_end;
		from_away |= (uintptr_t)at[i] <= (uintptr_t)away_end && (uintptr_t)at[i] >= (uintptr_t)away_end - START;
	}
	walks++;
	home_walks += from_home;
	away_walks += from_away;
	bad += n == DEPTH || from_home == from_away;
}

static void on_trap(int sig)
{
	(void)sig;
	walk();
}

static VAI_NOINLINE void switch_home(void)
{
	vai__ctx_switch(&away, &home, false);
}

static void far(void *arg)
{
	vai__ctx_entered();
	away_end = __builtin_return_address(0);
	for (;;) {
		switch_home();
		(void)arg;
	}
}

#if defined(__x86_64__) && !defined(VAI_UCONTEXT) && !defined(VAI_ASAN) && !defined(VAI_TSAN) && !defined(VAI_VALGRIND)
enum { STEPS = true, TRAP_FLAG = 256 };

static void on_step(int sig, siginfo_t *info, void *uc)
{
	long long *flags = &((ucontext_t *)uc)->uc_mcontext.gregs[REG_EFL];
	(void)sig;
	(void)info;
	*flags = *flags & TRAP_FLAG ? *flags & ~(long long)TRAP_FLAG : *flags | TRAP_FLAG;
}

/* From its return on, or until then, the processor stops after each instruction. */
static void step(void)
{
	struct sigaction sa = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, NULL);
	kill(getpid(), SIGUSR1); /* raise blocks signals in glibc up to 2.31, SIGTRAP among them */
}
#else
enum { STEPS = false };
static void step(void)
{
}
#endif

static VAI_NOINLINE void near(void)
{
	home_end = __builtin_return_address(0);
	step();
	for (int i = 0; i < ROUNDS; i++) /* the first of them to where a context begins */
		vai__ctx_switch(&home, &away, false);
	step();
}

static void every_instruction(void **state)
{
	(void)state;
	struct sigaction sa = {.sa_handler = on_trap}, old;
	if (!STEPS)
		skip();
	vai__stack_init(262144);
	char *top = vai__stack_alloc();
	assert_non_null(top);
	vai__ctx_native(&home);
	vai__ctx_make(&away, vai__stack_low(top), top - 16, far, NULL);
	vai__ctx_switch(&home, &away, false); /* away_end is known now; once more from the start */
	vai__ctx_make(&away, vai__stack_low(top), top - 16, far, NULL);
	walk(); /* loads what backtrace needs */
	walks = home_walks = away_walks = bad = 0;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGTRAP, &sa, &old);
	near();
	sigaction(SIGTRAP, &old, NULL);
	assert_true(walks >= ROUNDS * 50 && walks <= 10000);
	assert_true(home_walks >= ROUNDS * 20 && home_walks <= walks);
	assert_true(away_walks >= ROUNDS * 20 && away_walks <= walks);
	assert_int_equal(bad, 0);
	vai__stack_free(top);
}

/* ---- at any moment ---- */

#ifdef VAI_UCONTEXT
enum { SWITCHES_UNWIND = 0 };
#else
enum { SWITCHES_UNWIND = 1 };
#endif

static atomic_long samples;
static atomic_long endless;

static void on_sample(int sig)
{
	void *at[DEPTH];
	(void)sig;
	atomic_fetch_add(&samples, 1);
	if (backtrace(at, DEPTH) == DEPTH)
		atomic_fetch_add(&endless, 1);
}

static void pong(vai_g *g, void *arg)
{
	vai_chan **ch = arg;
	vai_msg msg;
	while (vai__chan_recv(g, ch[0], &msg, VAI_FOREVER) == VAI_OK)
		vai__chan_send(g, ch[1], &msg, VAI_FOREVER);
}

static void nothing(vai_g *g, void *arg)
{
	(void)arg;
	vai__yield(g);
}

/* Until it has been looked at so often. */
static void play(long often)
{
	vai_g *self = vai__g_self();
	vai_chan *ch[2] = {vai__chan_new(0, NULL), vai__chan_new(0, NULL)};
	world_go(pong, ch);
	int64_t end = world_in(600000);
	while (atomic_load(&samples) < often && vai__clock_now() < end) {
		vai_msg msg = {{1, 2, 3, 4}};
		for (int i = 0; i < 50; i++) {
			vai__chan_send(self, ch[0], &msg, VAI_FOREVER);
			vai__chan_recv(self, ch[1], &msg, VAI_FOREVER);
		}
		world_go(nothing, NULL);
		vai__sleep(self, vai__clock_now() + 1000);
	}
	vai__chan_close(ch[0]);
	world_join();
	vai__obj_unref((struct vai_obj *)ch[0]);
	vai__obj_unref((struct vai_obj *)ch[1]);
}

static void any_moment(void **state)
{
	(void)state;
	struct sigaction sa = {.sa_handler = on_sample, .sa_flags = SA_RESTART};
	struct itimerval fast = {{0, 70}, {0, 70}}, off = {{0, 0}, {0, 0}};
	if (!SWITCHES_UNWIND) {
		print_message("libc's swapcontext, which this build switches with, cannot be unwound in the middle\n");
		skip();
	}
	atomic_store(&samples, 0);
	walk();
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	play(spec_count(3000, 20000));
	setitimer(ITIMER_REAL, &off, NULL);
	sa.sa_handler = SIG_IGN; /* one may be on its way */
	sigaction(SIGALRM, &sa, NULL);
	assert_true(atomic_load(&samples) > 100);
	assert_int_equal(atomic_load(&endless), 0);
}

int main(void)
{
	const struct CMUnitTest steps[] = {
		cmocka_unit_test(every_instruction),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_moment),
	};
	int failed = cmocka_run_group_tests_name("unwind", steps, NULL, NULL);
	return failed + WORLD_RUN("unwind", tests);
}
