/* SPDX-License-Identifier: MIT */
/* The end of the process while other threads run Lua. Any thread. */
#ifndef VAI_EXIT_H
#define VAI_EXIT_H

/* Gives stdio a bounded time to flush and ends the process without atexit handlers, which
 * are not made for other threads that still run. */
_Noreturn void vai__exit_now(int status);
/* The first part of vai__exit_now: flushes. */
void vai__exit_flush(void);
/* Called once per process. Since 2.41 glibc takes each stream's lock in exit(), and so would wait for a goroutine that
 * was left behind reading stdin or writing to a full pipe: from now on it does not, for the standard streams. */
void vai__exit_prepare(void);
/* Called in a child of fork: a thread that was ending the process does not exist there. */
void vai__exit_forked(void);
/* Returns once: to the first thread, before it reports what it ends the process for. */
void vai__exit_begin(void);

#endif
