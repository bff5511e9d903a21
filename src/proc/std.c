/* SPDX-License-Identifier: MIT */
/* The streams that the process began with, as connections (vai__std_conn of tty.h).
 *
 * Other processes share their open files, such as the shell that started this one, so they stay blocking. poll(2) is
 * asked before each read or write; if it says no, the goroutine waits for the poller. A pipe that is ready takes
 * PIPE_BUF bytes without waiting, so a write is cut into such pieces. If another process empties or fills the file
 * between the two calls, the second one blocks: that holds up a thread, but no P. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/atomic.h"
#include "proc/tty.h"

enum { STREAMS = 3 };

static struct {
	pthread_mutex_t lock;
	vai_conn *conn[STREAMS]; /* without references; each goes with its connection */
	int dying[STREAMS];      /* how many older connections, already replaced, are not freed yet */
} std = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool would_wait(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	return poll(&p, 1, 0) == 0;
}

static ssize_t std_recv(vai_conn *c, void *p, size_t n)
{
	if (would_wait(vai__desc_fd(vai__conn_desc(c)), POLLIN))
		return VAI__ERRNO(EAGAIN);
	return vai__conn_file.recv(c, p, n);
}

static bool is_regular(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static ssize_t std_send(vai_conn *c, const struct iovec *iov, int n)
{
	struct iovec piece = *iov;
	int fd = vai__desc_fd(vai__conn_desc(c));
	if (is_regular(fd))
		return vai__conn_file.send(c, iov, n);
	if (would_wait(fd, POLLOUT))
		return VAI__ERRNO(EAGAIN);
	if (piece.iov_len > PIPE_BUF)
		piece.iov_len = PIPE_BUF;
	return vai__conn_file.send(c, &piece, 1);
}

static void gone(void *state)
{
	ptrdiff_t n = (vai_conn **)state - std.conn;
	pthread_mutex_lock(&std.lock);
	if (std.dying[n] > 0)
		std.dying[n]--;
	else
		std.conn[n] = NULL;
	pthread_mutex_unlock(&std.lock);
}

static const struct vai__conn_ops ops[STREAMS] = {
	{.name = "stdin", .recv = std_recv, .send = std_send, .destroy = gone, .grows = true},
	{.name = "stdout", .recv = std_recv, .send = std_send, .destroy = gone, .grows = true},
	{.name = "stderr", .recv = std_recv, .send = std_send, .destroy = gone, .grows = true},
};

/* The connection for descriptor n, made if there is none. Lock held. */
static vai_conn *conn_of(int n, int *rc)
{
	struct vai__desc *d = vai__desc_new_unpolled(n, true, rc);
	if (!d)
		return NULL;
	*rc = VAI_ENOMEM;
	return vai__conn_new(d, &ops[n], &std.conn[n]);
}

vai_conn *vai__std_conn(int n, int *rc)
{
	*rc = VAI_OK;
	pthread_mutex_lock(&std.lock);
	vai_conn *c = std.conn[n];
	if (!c || !vai__obj_try_ref((struct vai_obj *)c)) {
		std.dying[n] += c != NULL;
		c = std.conn[n] = conn_of(n, rc);
	}
	pthread_mutex_unlock(&std.lock);
	return c;
}
