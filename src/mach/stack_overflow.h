/* SPDX-License-Identifier: MIT */
/* Turns a fault in the guard page of a stack into a report. Every other fault is passed on to the handler that was
 * there before. */
#ifndef VAI_STACK_OVERFLOW_H
#define VAI_STACK_OVERFLOW_H

/* Installs the SIGSEGV/SIGBUS handler, once per process. report runs on the alternate stack of the
 * thread that overflowed, must be async-signal-safe and must not return. */
void vai__stack_overflow_install(void (*report)(void));
/* Gives the calling thread an alternate signal stack if it has none. 0, or -1 when out of memory. */
int vai__stack_overflow_thread_init(void);
/* Takes the alternate stack away again. It is the thread's last call. */
void vai__stack_overflow_thread_exit(void);

#endif
