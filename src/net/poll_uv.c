/* SPDX-License-Identifier: MIT */
/* sched/poll.h on a libuv loop. The loop belongs to the M that waits in it; other threads
 * reach it through uv_async_send alone. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/fatal.h"
#include "sched/poll.h"

enum { FIRST_FDS = 8, FIRST_BYTES = 65536, STANDARD_FDS = 3 };

static struct {
	uv_loop_t loop;
	uv_async_t async;
	uv_timer_t timer;
	_Atomic(int64_t) pending;
	bool open;
} poll;

/* Coming back from uv_run is the point. */
static void on_async(uv_async_t *a)
{
	(void)a;
}

/* uv_run runs due timers before it polls too; without a stop it would then poll with no limit. */
static void on_timer(uv_timer_t *t)
{
	uv_stop(t->loop);
}

/* libuv aborts where it gets no descriptor or memory for the first that it makes. */
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

/* libuv aborts when it closes a descriptor with the number of a standard stream. Those of them
 * that the process was started without are taken here, until libuv has its own: how many. */
static int take_standard(int taken[STANDARD_FDS])
{
	int n = 0, fd = -1;
	while (n < STANDARD_FDS && (fd = eventfd(0, EFD_CLOEXEC)) >= 0 && fd < STANDARD_FDS)
		taken[n++] = fd;
	if (fd >= STANDARD_FDS)
		close(fd);
	return n;
}

static bool open_loop(void)
{
	if (uv_loop_init(&poll.loop) != 0)
		return false;
	if (uv_async_init(&poll.loop, &poll.async, on_async) == 0)
		return true;
	uv_loop_close(&poll.loop);
	return false;
}

int vai__poll_start(void)
{
	int taken[STANDARD_FDS];
	int n = take_standard(taken);
	bool opened = has_room() && open_loop();
	while (n > 0)
		close(taken[--n]);
	if (!opened)
		return VAI_ESYS;
	uv_timer_init(&poll.loop, &poll.timer);
	atomic_store(&poll.pending, 0);
	poll.open = true;
	return VAI_OK;
}

void vai__poll_stop(void)
{
	if (!poll.open)
		return;
	poll.open = false;
	uv_close((uv_handle_t *)&poll.async, NULL);
	uv_close((uv_handle_t *)&poll.timer, NULL);
	while (uv_run(&poll.loop, UV_RUN_DEFAULT) != 0)
		;
	if (uv_loop_close(&poll.loop) != 0)
		vai__fatal("the event loop still holds handles");
}

/* libuv counts whole milliseconds: round up, the scheduler's timers decide what is due. The
 * last part of a millisecond is slept off by the caller looking again. */
void vai__poll_wait(int64_t until)
{
	if (until == 0) {
		uv_run(&poll.loop, UV_RUN_NOWAIT);
		return;
	}
	if (until != VAI_FOREVER) {
		int64_t left = until - vai__clock_now();
		if (left <= 0)
			return;
		uv_update_time(&poll.loop);
		uv_timer_start(&poll.timer, on_timer, (uint64_t)(left + 999999) / 1000000, 0);
	}
	uv_run(&poll.loop, UV_RUN_ONCE);
	uv_timer_stop(&poll.timer);
}

void vai__poll_wake(void)
{
	if (poll.open)
		uv_async_send(&poll.async);
}

int64_t vai__poll_pending(void)
{
	return atomic_load_seq_cst(&poll.pending);
}
