/* SPDX-License-Identifier: MIT */
/* Ending the process while other threads run Lua. exit() would run atexit handlers and destructors while those use
 * their data, and fflush(NULL) waits for any thread that reads a terminal. So a helper thread flushes, for a bounded
 * time, and _exit follows. Only the first caller does this; others wait for the end. */
#include "bind/report/exit.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/fatal.h"
#include "base/atomic.h"
#include "base/fork.h"
#include "sched/sched.h"

enum { FLUSH_SECONDS = 2 };

static atomic_uintptr_t ending; /* the thread that ends the process, or 0 */
static sem_t flushed;

static void *flush_all(void *unused)
{
	(void)unused;
	fflush(NULL);
	sem_post(&flushed);
	return NULL;
}

void vai__exit_begin(void)
{
	uintptr_t nobody = 0, me = (uintptr_t)pthread_self();
	if (atomic_compare_exchange_strong(&ending, &nobody, me) || nobody == me) {
		vai__dying();
		return;
	}
	for (;;)
		pause();
}

/* Called by exit(). */
static void unlock_streams(void)
{
	if (vai__forked || !vai__sched_alive())
		return;
	__fsetlocking(stdin, FSETLOCKING_BYCALLER);
	__fsetlocking(stdout, FSETLOCKING_BYCALLER);
	__fsetlocking(stderr, FSETLOCKING_BYCALLER);
}

void vai__exit_prepare(void)
{
	atexit(unlock_streams);
}

void vai__exit_forked(void)
{
	atomic_store(&ending, 0);
}

void vai__exit_flush(void)
{
	pthread_t helper;
	struct timespec until;
	if (vai__forked) { /* there is no other thread, and fork has left libc's locks free */
		fflush(NULL);
		return;
	}
	sem_init(&flushed, 0, 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FLUSH_SECONDS;
	if (pthread_create(&helper, NULL, flush_all, NULL) == 0) {
		pthread_detach(helper);
		while (sem_timedwait(&flushed, &until) != 0 && errno == EINTR)
			continue;
	}
}

void vai__exit_now(int status)
{
	vai__exit_begin();
	vai__exit_flush();
	_exit(status);
}
