/* SPDX-License-Identifier: MIT */
/* System calls that cannot be told to send no SIGPIPE: the signal is blocked around them on this thread, and one that
 * came is taken away before any handler sees it. Nothing parks in between. */
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

/* came: the signal may have come. */
static inline void vai__sigpipe_on(const struct vai__sigpipe *s, bool came)
{
	static const struct timespec at_once;
	if (came && !sigismember(&s->old, SIGPIPE))
		sigtimedwait(&s->quiet, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &s->old, NULL);
}

#endif
