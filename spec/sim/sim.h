/* SPDX-License-Identifier: MIT */
/* The simulated machine. Its threads run one at a time on one thread of the system, and change only at
 * steps: before an atomic access, and where one waits. Which goes on is decided by the explorer
 * (explore.c); a test is run again and again, from the same state, with other decisions.
 *
 * Memory is that of x86: each thread has a buffer of stores, in order, that drains at its locked
 * instructions, its seq_cst stores and fences, and when it waits. Whether a store goes into the buffer or
 * to memory at once is a decision too. Plain accesses are no steps: that they do not race is TSan's to
 * say. */
#ifndef VAI_SIM_H
#define VAI_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- machine.c: threads and memory ---- */

enum { SIM_THREADS = 12 };

/* Runs f on simulated thread 0 until it returns; every other thread must have ended or wait then. */
void sim_run(void (*f)(void));
/* Another thread. Its number. */
int sim_spawn(void (*f)(void *), void *arg);
int sim_self(void);
/* The calling thread waits until f(arg) holds; f may look at anything and change nothing. Or until the
 * simulated clock shows `deadline`. */
void sim_wait(bool (*f)(void *), void *arg, int64_t deadline, const char *what);
/* Computes until *flag is set: its stores do not drain by themselves. */
void sim_compute_until(const bool *flag);
/* As sim_wait for *flag, as a C call that waits in the kernel does: vai__thread_look tells. */
void sim_c_call(const bool *flag);
bool sim_in_c_call(int thread);
/* A step that is no access. */
void sim_step(const char *what);
/* Others go first, or not: any order, for free. */
void sim_let_others(void);
/* Others go first: the caller spins. */
void sim_relax(void);
/* All buffers drain: membarrier(2). */
void sim_drain_all(void);
void sim_drain(void);
/* Reads or writes as the calling thread would, without a step. */
int64_t sim_now(void);
void sim_pass(int64_t ns);
/* No decisions from here on: the usual one is taken everywhere. */
void sim_quiet(bool on);
bool sim_is_quiet(void);
/* Ends the test: prints the message, and how to see it again. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define SIM_CHECK(c) ((c) ? (void)0 : sim_fail("%s:%d: not so: %s", __FILE__, __LINE__, #c))
/* From the arena of this run; nothing is used twice. */
void *sim_take(size_t n, size_t align);
/* Blocks of sim_malloc and vai__mem_alloc that live. */
int sim_blocks(void);
/* The state to which each run returns: all static data and thread-locals as they are now. */
void sim_begin(void);
/* This address is of no interest: counters, statistics. */
void sim_ignore(const void *p, size_t size);

/* ---- explore.c: decisions ---- */

/* One of n; 0 is the usual. costs: a choice other than 0 takes from the budget of preemptions. */
int explore_choose(int n, bool costs);
/* Which of the n threads in `ready` (the caller's first, if it can go on) goes on. */
int explore_thread(const int *ready, int n, bool can_go_on);
/* Whether a store is held back in the buffer. */
bool explore_hold(void);
/* Others go before the caller, who spins. */
void explore_yields(int thread);
bool explore_tracing(void);
/* Prints how to repeat the run. */
void explore_print(void);

struct sim_test {
	const char *name;
	void (*f)(void);
	int bound; /* of preemptions that is affordable */
};
extern const struct sim_test sim_tests[];

#endif
