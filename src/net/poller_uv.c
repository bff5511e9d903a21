/* SPDX-License-Identifier: MIT */
/* The poller on libuv alone, for systems without epoll (on Linux: VAI_POLL=uv). Its loop belongs to the M that waits in
 * it. Other threads reach the loop through uv_async_send and a list of descriptors that want something: to begin, to be
 * told of a direction, to go.
 *
 * uv_poll_t reports a descriptor again and again as long as it is ready. So a direction is watched only from the moment
 * when a goroutine waits for it until the first event, which counts as an edge for descriptor.h. Nothing is missed,
 * because a watch that begins on a ready descriptor reports it. A descriptor is closed when libuv has let go of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/fatal.h"
#include "base/lock.h"
#include "net/poller.h"
#include "sched/poll.h"

enum {
	MILLISECOND = 1000000,
	LONGEST = 86400000 /* ms */,
	LOOP_FDS = 8, /* what libuv takes at most for its first loop */
	LOOP_BYTES = 65536,
	STANDARD_FDS = 3,
};

/* The poller's slot of a descriptor. Made by add, freed when libuv has closed its handle. */
struct watcher {
	uv_poll_t handle; /* only for the loop's thread, as is `begun` */
	struct vai__desc *desc;
	uint64_t key;
	struct watcher *next; /* under poll.lock, as are the next four */
	bool listed;
	bool armed; /* it has been listed at least once */
	bool going;
	int wanted; /* UV_READABLE | UV_WRITABLE */
	int begun;  /* what libuv watches */
	bool open;  /* the handle has been initialised */
};

static struct {
	uv_loop_t loop;
	uv_async_t async;
	uv_timer_t timer;
	bool open;
	struct vai_lock lock;
	struct watcher *list; /* under lock */
} poll;

/* Does nothing: the call itself makes uv_run return. */
static void on_async(uv_async_t *a)
{
	(void)a;
}

/* Stops the loop: uv_run runs due timers before it polls, too, and would then poll without a limit. */
static void on_timer(uv_timer_t *t)
{
	uv_stop(t->loop);
}

/* Ends the program with a message if other code has closed the loop's descriptor; libuv would abort without one. */
static void check(void)
{
	if (fcntl(uv_backend_fd(&poll.loop), F_GETFD) < 0)
		vai__poller_lost("libuv's loop");
}

static void wake(void)
{
	if (!poll.open)
		return;
	check();
	uv_async_send(&poll.async);
}

/* ---- any thread ---- */

/* Puts a watcher into the list of those that want something. Lock held. */
static void list(struct watcher *w)
{
	if (w->listed)
		return;
	w->listed = true;
	w->next = poll.list;
	poll.list = w;
}

static int add(struct vai__desc *d)
{
	struct watcher *w = calloc(1, sizeof *w);
	if (!w)
		return ENOMEM;
	w->desc = d;
	w->key = vai__desc_key(d);
	*vai__desc_slot(d) = w;
	return 0;
}

static void arm(struct vai__desc *d, enum vai__dir dir)
{
	struct watcher *w = *vai__desc_slot(d);
	vai__lock(&poll.lock);
	w->armed = true;
	w->wanted |= dir == VAI__READ ? UV_READABLE | UV_DISCONNECT : UV_WRITABLE;
	list(w);
	vai__unlock(&poll.lock);
	wake();
}

/* Retires d. The loop may keep the descriptor for a while, but the peer must see the end at once: hence shutdown. */
static void retire(struct vai__desc *d)
{
	struct watcher *w = *vai__desc_slot(d);
	vai__lock(&poll.lock);
	bool known = w->armed;
	if (known) {
		shutdown(vai__desc_fd(d), SHUT_RDWR); /* under the lock, as the loop's thread closes the descriptor */
		w->going = true;
		list(w);
	}
	vai__unlock(&poll.lock);
	if (known) {
		wake();
	} else {
		free(w);
		vai__desc_dispose(d);
	}
}

/* ---- the loop's thread ---- */

static void on_event(uv_poll_t *handle, int status, int events);

/* Makes libuv watch a descriptor for these events. After an error libuv watches no more, and on_event reports both
 * directions as ready. */
static void watch(struct watcher *w, int events)
{
	w->begun = events;
	if (events == 0)
		uv_poll_stop(&w->handle);
	else
		uv_poll_start(&w->handle, events, on_event);
}

static void on_event(uv_poll_t *handle, int status, int events)
{
	struct watcher *w = VAI_CONTAINER(handle, struct watcher, handle);
	bool broken = status < 0;
	bool readable = broken || (events & (UV_READABLE | UV_DISCONNECT)) != 0;
	bool writable = broken || (events & UV_WRITABLE) != 0;
	int left = w->begun;
	if (readable)
		left &= ~(UV_READABLE | UV_DISCONNECT);
	if (writable)
		left &= ~UV_WRITABLE;
	watch(w, left);
	vai__desc_event(w->key, readable, writable, true);
}

static void on_closed(uv_handle_t *handle)
{
	struct watcher *w = VAI_CONTAINER((uv_poll_t *)(void *)handle, struct watcher, handle);
	struct vai__desc *d = w->desc;
	free(w);
	vai__desc_dispose(d);
}

/* Begins to watch a descriptor. If libuv refuses it as nothing to poll, every try is worth its while. */
static void begin(struct watcher *w, int wanted)
{
	/* libuv makes the file non-blocking, but one that was blocking is shared with other processes: set back. */
	int fd = vai__desc_fd(w->desc), flags = w->open ? -1 : fcntl(fd, F_GETFL);
	if (!w->open && uv_poll_init(&poll.loop, &w->handle, fd) != 0) {
		vai__desc_event(w->key, true, true, true);
		return;
	}
	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags);
	w->open = true;
	watch(w, w->begun | wanted);
}

static struct watcher *take_listed(int *wanted, bool *going)
{
	vai__lock(&poll.lock);
	struct watcher *w = poll.list;
	if (w) {
		poll.list = w->next;
		w->listed = false;
		*wanted = w->wanted;
		*going = w->going;
		w->wanted = 0;
	}
	vai__unlock(&poll.lock);
	return w;
}

static void serve_list(void)
{
	int wanted;
	bool going;
	struct watcher *w;
	while ((w = take_listed(&wanted, &going)) != NULL) {
		if (!going)
			begin(w, wanted);
		else if (w->open)
			uv_close((uv_handle_t *)&w->handle, on_closed);
		else
			on_closed((uv_handle_t *)&w->handle);
	}
}

/* Waits in the loop. libuv counts whole milliseconds, so the time is rounded up. */
static void wait(int64_t until)
{
	check();
	serve_list();
	int64_t left = until == 0 || until == VAI_FOREVER ? until : until - vai__clock_real();
	if (left > 0 && left != VAI_FOREVER) {
		int64_t ms = left / MILLISECOND + (left % MILLISECOND != 0);
		uv_update_time(&poll.loop);
		uv_timer_start(&poll.timer, on_timer, (uint64_t)(ms < LONGEST ? ms : LONGEST), 0);
	}
	uv_run(&poll.loop, left > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
	uv_timer_stop(&poll.timer);
	serve_list();
}

/* ---- start and end ---- */

/* Whether libuv has what it needs for its first loop: without descriptors or memory it would abort. */
static bool has_room(void)
{
	int fds[LOOP_FDS], n = 0;
	void *volatile p = malloc(LOOP_BYTES);
	while (n < LOOP_FDS && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0)
		n++;
	bool enough = n == LOOP_FDS && p;
	while (n > 0)
		close(fds[--n]);
	free(p);
	return enough;
}

/* Occupies the numbers 0 to 2 that the process was started without, until libuv has its own descriptors; returns how
 * many. libuv aborts when it closes a descriptor with such a number. */
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
	int taken[STANDARD_FDS];
	int n = take_standard(taken);
	bool opened = has_room() && uv_loop_init(&poll.loop) == 0;
	while (n > 0)
		close(taken[--n]);
	return opened;
}

static int start(const char **call)
{
	*call = "libuv's loop";
	if (!open_loop())
		return VAI_ESYS;
	if (uv_async_init(&poll.loop, &poll.async, on_async) != 0) {
		uv_loop_close(&poll.loop);
		return VAI_ESYS;
	}
	uv_timer_init(&poll.loop, &poll.timer);
	vai__lock_init(&poll.lock, VAI_RANK_POLL);
	poll.open = true;
	return VAI_OK;
}

static void stop(void)
{
	if (!poll.open)
		return;
	serve_list();
	poll.open = false;
	uv_close((uv_handle_t *)&poll.async, NULL);
	uv_close((uv_handle_t *)&poll.timer, NULL);
	while (uv_run(&poll.loop, UV_RUN_DEFAULT) != 0)
		;
	if (uv_loop_close(&poll.loop) != 0)
		vai__fatal("the event loop still holds handles");
}

const struct vai__poller vai__poller_uv = {
	.start = start,
	.stop = stop,
	.wait = wait,
	.wake = wake,
	.check = check,
	.add = add,
	.arm = arm,
	.retire = retire,
};
