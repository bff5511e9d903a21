/* SPDX-License-Identifier: MIT */
/* What the system tells of threads of this process. Any thread may ask. */
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
/* Some 10 microseconds. All zero where it cannot be known. */
void vai__thread_look(int id, struct vai__thread_look *out);
/* ns of processor time that it has used; -1: not known. */
int64_t vai__thread_cpu(int id);
int64_t vai__thread_user(int id); /* the same outside of the kernel, in whole ticks of the system's clock */
/* A timer on the time that the thread computes outside of the kernel: started, it sends the signal to the
 * thread, with the value, at a tick of the system's clock (1 to 10 ms) that finds the thread there, and so
 * never interrupts a system call. It goes by timer_delete. False: there is none to be had. */
bool vai__thread_timer_new(int id, int sig, void *value, timer_t *out);
void vai__thread_timer_start(timer_t timer);

#endif
