/* SPDX-License-Identifier: MIT */
/* The end of the process while other threads run Lua. Any thread. */
#ifndef VAI_EXIT_H
#define VAI_EXIT_H

/* Gives stdio a bounded time to flush, and ends the process without atexit handlers, which are not made for threads
 * that still run. */
_Noreturn void vai__exit_now(int status);
/* Flushes: the first part of vai__exit_now. */
void vai__exit_flush(void);
/* Since glibc 2.41 exit() takes the lock of each stream, and so would wait for an abandoned goroutine that reads
 * stdin or writes to a full pipe. After this call exit() does not wait for the standard streams. Called once per
 * process. */
void vai__exit_prepare(void);
/* Called in the child of a fork, which does not have the thread that was ending the process. */
void vai__exit_forked(void);
/* Returns only to the first thread that calls it before reporting why it ends the process; other threads stay in it. */
void vai__exit_begin(void);

#endif
