/* SPDX-License-Identifier: MIT */
/* The poller on epoll. Descriptors are registered once, edge-triggered, when they are made. One more member is the
 * eventfd of vai__poll_wake, edge-triggered and never read.
 *
 * Any thread may add, retire and wake; one at a time waits. A child after fork inherits the descriptors, but does not
 * touch them: the runtime's functions raise before they come here. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifdef __linux__
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/clock.h"
#include "net/poller.h"

enum { BATCH = 128, SECOND = 1000000000, MILLISECOND = 1000000 };

/* The eventfd's key. Keys of descriptors have a tag in their upper half. */
#define KEY_WAKE UINT64_C(1)

static struct {
	int ep, wake;
	dev_t dev; /* of the epoll and the event descriptor, as ino is */
	ino_t ino;
	atomic_bool woken;  /* the eventfd has been written to, and the poller has not seen it */
	atomic_bool coarse; /* the kernel has no epoll_pwait2 */
} poll = {.ep = -1, .wake = -1};

static int enlist(int fd, uint32_t events, uint64_t key)
{
	struct epoll_event ev = {.events = events, .data.u64 = key};
	return epoll_ctl(poll.ep, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : errno;
}

static void stop(void)
{
	if (poll.wake >= 0)
		close(poll.wake);
	if (poll.ep >= 0)
		close(poll.ep);
	poll.ep = poll.wake = -1;
}

/* Opens both descriptors. Returns the name of the call that failed, or NULL. */
static const char *open_both(void)
{
	if ((poll.ep = epoll_create1(EPOLL_CLOEXEC)) < 0)
		return "epoll_create1";
	if ((poll.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		return "eventfd";
	return enlist(poll.wake, EPOLLIN | EPOLLET, KEY_WAKE) == 0 ? NULL : "epoll_ctl";
}

static int start(const char **call)
{
	atomic_store(&poll.woken, false);
	struct stat st = {0};
	*call = open_both();
	if (!*call && fstat(poll.ep, &st) != 0) /* without them nothing is checked */
		memset(&st, 0, sizeof st);
	poll.dev = st.st_dev;
	poll.ino = st.st_ino;
	if (!*call)
		return VAI_OK;
	int why = errno;
	stop();
	errno = why;
	return VAI_ESYS;
}

static void wake(void)
{
	uint64_t one = 1;
	if (!atomic_exchange_seq_cst(&poll.woken, true))
		while (write(poll.wake, &one, sizeof one) < 0)
			if (errno != EINTR)
				vai__poller_lost("write to an eventfd");
}

/* Whether fd is still one of ours. The kernel's anonymous files share one inode, so another such file in its place is
 * not noticed. */
static bool is_ours(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return errno != EBADF;
	errno = EBADF;
	return st.st_dev == poll.dev && st.st_ino == poll.ino;
}

static void check(void)
{
	if (poll.ino == 0)
		return;
	if (!is_ours(poll.ep) || !is_ours(poll.wake))
		vai__poller_lost("fstat");
}

/* ---- descriptors ---- */

static int add(struct vai__desc *d)
{
	return enlist(vai__desc_fd(d), EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET, vai__desc_key(d));
}

/* Removes the entry explicitly, as a duplicate of the descriptor, such as a child's, would keep it alive. */
static void retire(struct vai__desc *d)
{
	epoll_ctl(poll.ep, EPOLL_CTL_DEL, vai__desc_fd(d), NULL);
	vai__desc_dispose(d);
}

/* ---- waiting ---- */

/* Waits in whole milliseconds, rounded up: the scheduler's timers decide what is due. */
static int wait_coarsely(struct epoll_event *evs, int64_t left)
{
	int64_t ms = left == VAI_FOREVER ? -1 : (left + MILLISECOND - 1) / MILLISECOND;
	return epoll_wait(poll.ep, evs, BATCH, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

/* Waits for at most `left` ns. */
static int wait_for(struct epoll_event *evs, int64_t left)
{
#ifdef SYS_epoll_pwait2
	if (left > 0 && left != VAI_FOREVER && !atomic_load_relaxed(&poll.coarse)) {
		struct timespec t = {.tv_sec = (time_t)(left / SECOND), .tv_nsec = (long)(left % SECOND)};
		int n = (int)syscall(SYS_epoll_pwait2, poll.ep, evs, BATCH, &t, NULL, (size_t)0);
		if (n >= 0 || errno != ENOSYS)
			return n;
		atomic_store_relaxed(&poll.coarse, true);
	}
#endif
	return wait_coarsely(evs, left);
}

static void handle(const struct epoll_event *ev)
{
	if (ev->data.u64 == KEY_WAKE)
		atomic_store_seq_cst(&poll.woken, false);
	else
		vai__desc_event(ev->data.u64, (ev->events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0,
			(ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0,
			(ev->events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}

static void wait(int64_t until)
{
	struct epoll_event evs[BATCH];
	int64_t left = 0;
	if (until != 0) {
		left = until == VAI_FOREVER ? VAI_FOREVER : until - vai__clock_real();
		if (left < 0)
			left = 0;
	}
	int n = wait_for(evs, left);
	if (VAI_UNLIKELY(n < 0 && errno != EINTR))
		vai__poller_lost("epoll_wait");
	for (int i = 0; i < n; i++)
		handle(&evs[i]);
}

const struct vai__poller vai__poller_epoll = {
	.start = start,
	.stop = stop,
	.wait = wait,
	.wake = wake,
	.check = check,
	.add = add,
	.retire = retire,
};
#else
typedef int vai__no_epoll_here;
#endif
