/* SPDX-License-Identifier: MIT */
/* Broken invariants of the runtime itself. */
#ifndef VAI_FATAL_H
#define VAI_FATAL_H

/* Prints "vai: fatal: ..." to stderr, calls the hook, if any, and aborts. */
_Noreturn void vai__fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Tells more before the process aborts. It may never return, because anything may be broken: vai__fatal sees to
 * that. */
extern void (*vai__fatal_hook)(void);
/* The host's function (vai_options.fatal), called with the text before the hook; NULL: it has none. */
extern void (*vai__fatal_host)(const char *text, void *data);
/* Writes "vai: ..." as a line to stderr, or to the host's function. Any thread. */
void vai__log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern void (*vai__log_host)(const char *line, void *data);
/* The argument of both of the host's functions. */
extern void *vai__fatal_data;
/* Called where the process ends without exit(), to put back what must not be left as it is, such as a terminal's
 * mode. It may run on any thread and in a signal handler, so it makes system calls only. NULL: there is nothing to
 * put back. */
extern void (*_Atomic vai__fatal_dying)(void);
static inline void vai__dying(void)
{
	void (*hook)(void) = vai__fatal_dying;
	if (hook)
		hook();
}
/* Prints "vai: ..." to stderr and ends the process: other code has taken away what the runtime cannot do without. Any
 * thread. */
_Noreturn void vai__fatal_give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern void (*vai__fatal_exit)(int status); /* ends the process; NULL: _exit does */
#define VAI_ASSERT(cond) ((cond) ? (void)0 : vai__fatal("%s:%d: broken invariant: %s", __FILE__, __LINE__, #cond))
#ifdef VAI_DEBUG_LOCKS
#define VAI_DEBUG_ASSERT(cond) VAI_ASSERT(cond)
#else
#define VAI_DEBUG_ASSERT(cond) ((void)0)
#endif

#endif
