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
#include "base/mem.h"
#include "proc/tty.h"

enum { STREAMS = 3 };

/* What a connection of one of the streams has as its state. */
struct stream {
	int n;          /* the descriptor */
	vai_conn *conn; /* without a reference */
};

/* The latest of each stream. It goes with its connection, unless there is a later one by then. */
static struct {
	pthread_mutex_t lock;
	struct stream *latest[STREAMS];
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
	struct stream *s = state;
	pthread_mutex_lock(&std.lock);
	if (std.latest[s->n] == s)
		std.latest[s->n] = NULL;
	pthread_mutex_unlock(&std.lock);
	vai__mem_free(s, sizeof *s);
}

static const struct vai__conn_ops ops[STREAMS] = {
	{.name = "stdin", .recv = std_recv, .send = std_send, .destroy = gone, .grows = true},
	{.name = "stdout", .recv = std_recv, .send = std_send, .destroy = gone, .grows = true},
	{.name = "stderr", .recv = std_recv, .send = std_send, .destroy = gone, .grows = true},
};

/* Makes a connection for descriptor n, with s as its state. */
static vai_conn *make_conn(struct stream *s, int n, int *rc)
{
	struct vai__desc *d = vai__desc_new_unpolled(n, true, rc);
	if (!d)
		return NULL;
	*s = (struct stream){.n = n, .conn = vai__conn_new(d, &ops[n], s)};
	if (!s->conn)
		*rc = VAI_ENOMEM;
	return s->conn;
}

/* A connection whose last reference has gone is not freed before its state has left the list, which takes the lock. */
vai_conn *vai__std_conn(int n, int *rc)
{
	*rc = VAI_OK;
	pthread_mutex_lock(&std.lock);
	struct stream *s = std.latest[n];
	vai_conn *c = s && vai__obj_try_ref((struct vai_obj *)s->conn) ? s->conn : NULL;
	if (!c) {
		s = vai__mem_alloc(sizeof *s);
		if (!s)
			*rc = VAI_ENOMEM;
		else if ((c = make_conn(s, n, rc)) != NULL)
			std.latest[n] = s;
		else
			vai__mem_free(s, sizeof *s);
	}
	pthread_mutex_unlock(&std.lock);
	return c;
}
