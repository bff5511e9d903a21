/* SPDX-License-Identifier: MIT */
/* Lists goroutines when the runtime itself is broken. Locks may be held for ever and lists be broken, so a thread of
 * its own makes the list, and is waited for at most SECONDS. Lua states are not touched. */
#include "bind/report/dump_fatal.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>
#include "bind/report/dump.h"

enum { SECONDS = 2, LISTED = 1000 };

static sem_t listed;

static void *list_goroutines(void *unused)
{
	struct vai__buffer text = {0};
	(void)unused;
	vai__dump_all(&text, NULL, VAI__DUMP_SHORT, LISTED);
	vai__text_write(&text, STDERR_FILENO);
	sem_post(&listed);
	return NULL;
}

void vai__dump_fatal(void)
{
	pthread_t thread;
	struct timespec until;
	if (!vai__sched_running())
		return;
	sem_init(&listed, 0, 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SECONDS;
	if (pthread_create(&thread, NULL, list_goroutines, NULL) != 0)
		return;
	pthread_detach(thread);
	while (sem_timedwait(&listed, &until) != 0 && errno == EINTR)
		continue;
}
