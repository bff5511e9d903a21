/* SPDX-License-Identifier: MIT */
/* What the system tells about threads of this process. Any thread may ask. */
#ifndef VAI_THREAD_H
#define VAI_THREAD_H

#include <time.h>
#include "base/base.h"

struct vai__thread_look {
	bool asleep;     /* it waits in the kernel */
	uint64_t sleeps; /* how often it has begun to wait there */
};

/* The calling thread's number. */
int vai__thread_id(void);
/* The number of the CPU that it runs on at this moment; -1: not known. */
int vai__thread_where(void);
/* Whether a process that the calling thread has started still runs, or nobody has asked yet how it has ended. */
bool vai__thread_has_children(void);
/* Calls f on the calling thread, which is about to return, once libraries have cleaned up after it: when the
 * destructors of its thread-specific data have run. At once where there is no key for that. */
void vai__thread_at_end(void (*f)(void));
/* Lets another thread run that waits for the same CPU. */
void vai__thread_yield(void);
/* Looks whether the thread sleeps, which takes some 10 microseconds. All of *out is zero where that cannot be
 * known. */
void vai__thread_look(int id, struct vai__thread_look *out);
/* The processor time that the thread has used, in ns; -1: not known. */
int64_t vai__thread_cpu(int id);
int64_t vai__thread_user(int id); /* the part of it outside of the kernel, in whole ticks of the system's clock */
/* A timer on the time that the thread computes outside of the kernel. Once started it sends the signal to the
 * thread, with the value, at a tick of the system's clock (every 1 to 10 ms) that finds the thread there; so it
 * never interrupts a system call. It is deleted by timer_delete. False: the system has none. */
bool vai__thread_timer_new(int id, int sig, void *value, timer_t *out);
bool vai__thread_timer_start(timer_t timer); /* false: the system refuses */
/* A timer on the monotonic clock, which sends the signal to the thread wherever that is. False: the system has none. */
bool vai__thread_alarm_new(int id, int sig, void *value, timer_t *out);
/* Sends it once, ns from now, in place of what was asked before; 0: no more. */
void vai__thread_alarm(timer_t timer, int64_t ns);

#endif
