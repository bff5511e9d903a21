/* SPDX-License-Identifier: MIT */
/* See uvloop.h. The lock is held in libuv's callbacks, which may allocate, so it is one that sleeps. */
#include "net/uvloop.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/fatal.h"
#include "net/poller.h"
#include "sched/poll.h"

enum { FIRST_FDS = 8, FIRST_BYTES = 65536, STANDARD_FDS = 3, MILLISECOND = 1000000 };

static struct {
	pthread_mutex_t lock;
	uv_loop_t loop;        /* under lock */
	atomic_bool open;      /* written under lock */
	_Atomic(int64_t) next; /* written under lock */
} uv = {.lock = PTHREAD_MUTEX_INITIALIZER, .next = VAI_FOREVER};

/* ---- opening ---- */

/* Whether libuv can make its first loop: it aborts if it gets no descriptor or memory for that. */
static bool has_room(void)
{
	int fds[FIRST_FDS], n = 0;
	void *volatile p = malloc(FIRST_BYTES);
	while (n < FIRST_FDS && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0)
		n++;
	bool enough = n == FIRST_FDS && p;
	while (n > 0)
		close(fds[--n]);
	free(p);
	return enough;
}

/* Takes the numbers of standard streams that the process was started without, until libuv has its own descriptors;
 * returns how many. libuv aborts when it closes a descriptor with such a number. */
static int take_standard(int taken[STANDARD_FDS])
{
	int n = 0, fd = -1;
	while (n < STANDARD_FDS && (fd = eventfd(0, EFD_CLOEXEC)) >= 0 && fd < STANDARD_FDS)
		taken[n++] = fd;
	if (fd >= STANDARD_FDS)
		close(fd);
	return n;
}

int vai__uvloop_init(struct uv_loop_s *loop)
{
	int taken[STANDARD_FDS];
	int n = take_standard(taken);
	bool opened = has_room() && uv_loop_init(loop) == 0;
	while (n > 0)
		close(taken[--n]);
	return opened ? 0 : -1;
}

void vai__uvloop_check(const struct uv_loop_s *loop)
{
	if (fcntl(uv_backend_fd(loop), F_GETFD) < 0)
		vai__poller_lost("libuv's loop");
}

/* ---- the nested loop ---- */

/* Lock held. Of a loop in which there is nothing libuv says that it is due at once; the poller would never sleep. */
static void note_next(void)
{
	int ms = uv_loop_alive(&uv.loop) ? uv_backend_timeout(&uv.loop) : -1;
	atomic_store_seq_cst(&uv.next, ms < 0 ? VAI_FOREVER : vai__clock_real() + (int64_t)ms * MILLISECOND);
}

struct uv_loop_s *vai__uvloop_enter(void)
{
	pthread_mutex_lock(&uv.lock);
	if (!atomic_load_relaxed(&uv.open)) {
		if (vai__uvloop_init(&uv.loop) != 0) {
			pthread_mutex_unlock(&uv.lock);
			return NULL;
		}
		atomic_store_seq_cst(&uv.open, true);
	}
	vai__uvloop_check(&uv.loop);
	uv_update_time(&uv.loop);
	return &uv.loop;
}

void vai__uvloop_leave(void)
{
	uv_run(&uv.loop, UV_RUN_NOWAIT);
	note_next();
	pthread_mutex_unlock(&uv.lock);
	vai__poll_wake();
}

void vai__uvloop_turn(void)
{
	pthread_mutex_lock(&uv.lock);
	if (atomic_load_relaxed(&uv.open)) {
		vai__uvloop_check(&uv.loop);
		uv_run(&uv.loop, UV_RUN_NOWAIT);
		note_next();
	}
	pthread_mutex_unlock(&uv.lock);
}

bool vai__uvloop_is_open(void)
{
	return atomic_load_seq_cst(&uv.open);
}

int vai__uvloop_fd(void)
{
	return uv_backend_fd(&uv.loop);
}

int64_t vai__uvloop_next(void)
{
	return atomic_load_seq_cst(&uv.next);
}

/* ---- the end ---- */

static void close_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

void vai__uvloop_stop(void)
{
	if (!atomic_load(&uv.open))
		return;
	uv_walk(&uv.loop, close_handle, NULL);
	while (uv_run(&uv.loop, UV_RUN_DEFAULT) != 0)
		;
	if (uv_loop_close(&uv.loop) != 0)
		vai__fatal("the event loop still holds handles");
	atomic_store(&uv.open, false);
	atomic_store(&uv.next, VAI_FOREVER);
}
