/* SPDX-License-Identifier: MIT */
/* A guard around system calls that cannot be told to send no SIGPIPE: the signal is blocked on this thread during the
 * call, and one that came is removed before any handler sees it. The goroutine must not park between the two calls. */
#ifndef VAI_SIGPIPE_H
#define VAI_SIGPIPE_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

struct vai__sigpipe {
	sigset_t quiet, old;
};

static inline void vai__sigpipe_off(struct vai__sigpipe *s)
{
	sigemptyset(&s->quiet);
	sigaddset(&s->quiet, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &s->quiet, &s->old);
}

/* Ends the guard. came: the call may have raised the signal, so it is looked for. */
static inline void vai__sigpipe_on(const struct vai__sigpipe *s, bool came)
{
	static const struct timespec at_once;
	if (came && !sigismember(&s->old, SIGPIPE))
		sigtimedwait(&s->quiet, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &s->old, NULL);
}

#endif
