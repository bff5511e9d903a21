/* SPDX-License-Identifier: MIT */
/* Turns a fault in a stack's guard page into a report. The handler that was there before
 * gets every other fault. */
#ifndef VAI_GUARD_H
#define VAI_GUARD_H

/* Installs the SIGSEGV/SIGBUS handler, once per process. report runs on the alternate stack of the
 * thread that overflowed, must be async-signal-safe and must not return. */
void vai__guard_install(void (*report)(void));
/* Gives the calling thread an alternate signal stack if it has none. 0, or -1 when out of memory. */
int vai__guard_thread_init(void);
/* Takes it away again; the thread's last call. */
void vai__guard_thread_exit(void);

#endif
