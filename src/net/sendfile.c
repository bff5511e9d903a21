/* SPDX-License-Identifier: MIT */
/* Files into connections: by sendfile(2) if the connection is a plain socket, otherwise through a block of memory. The
 * goroutine has the writing direction for the whole call, so nothing comes between the head and the file. */
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net/conn.h"
#include "net/sigpipe.h"

enum { MOST = 1 << 30 /* bytes for one call of the system */ };

/* Sends the head with MSG_MORE, so that it shares a segment with the file. What is not sent at once stays in iov. */
static void send_head(vai_conn *c, struct iovec *iov, size_t *done)
{
	ssize_t sent =
		send(vai__desc_fd(vai__conn_desc(c)), iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
	if (sent <= 0)
		return;
	iov->iov_base = (char *)iov->iov_base + sent;
	iov->iov_len -= (size_t)sent;
	*done += (size_t)sent;
}

/* One call of sendfile. The system sends in pieces: if a later piece finds that the peer has gone, SIGPIPE is raised
 * although the call returns the bytes of the earlier ones. So the signal is looked for whenever less than n was
 * sent. */
static ssize_t send_some(int to, int from, off_t *at, size_t n)
{
	struct vai__sigpipe s;
	vai__sigpipe_off(&s);
	ssize_t sent = sendfile(to, from, at, n);
	int err = sent < 0 ? errno : 0;
	vai__sigpipe_on(&s, sent < 0 || (size_t)sent < n);
	return sent < 0 ? VAI__ERRNO(err) : sent;
}

static int by_system(vai_g *self, vai_conn *c, int fd, int64_t at, int64_t n, const struct vai__iowait *w, size_t *done)
{
	struct vai__desc *d = vai__conn_desc(c);
	off_t offset = (off_t)at;
	while (n > 0) {
		ssize_t sent = send_some(vai__desc_fd(d), fd, &offset, n < MOST ? (size_t)n : MOST);
		if (sent > 0) {
			*done += (size_t)sent;
			n -= sent;
			continue;
		}
		if (sent == 0)
			return VAI__EOF;
		if (sent == VAI__ERRNO(EINTR))
			continue;
		if (sent != VAI__ERRNO(EAGAIN))
			return (int)sent;
		int rc = vai__desc_wait(self, d, VAI__WRITE, w);
		if (rc != VAI_OK)
			return rc;
	}
	return VAI_OK;
}

static int by_block(
	vai_g *self, vai_conn *c, void *block, int fd, int64_t at, int64_t n, const struct vai__iowait *w, size_t *done)
{
	int rc = VAI_OK;
	while (rc == VAI_OK && n > 0) {
		ssize_t got = pread(fd, block, n < VAI__SEND_BLOCK ? (size_t)n : VAI__SEND_BLOCK, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? VAI__EOF : VAI__ERRNO(errno);
		struct iovec iov = {block, (size_t)got};
		rc = vai__conn_write_taken(self, c, &iov, 1, w, done);
		at += got;
		n -= got;
	}
	return rc;
}

bool vai__sendfile_possible(vai_conn *c)
{
	return vai__conn_ops(c) == &vai__conn_tcp || vai__conn_ops(c) == &vai__conn_unix;
}

int vai__sendfile(vai_g *self, vai_conn *view, struct iovec *iov, void *block, int fd, int64_t at, int64_t n,
	int64_t limit, size_t *done)
{
	vai_conn *c = vai__conn_base(view);
	struct vai__iowait w = {.reason = VAI_WAIT_WRITE, .obj = c, .limit = limit};
	*done = 0;
	int rc = vai__conn_take(self, c, VAI__WRITE, &w);
	if (rc != VAI_OK)
		return rc;
	if (!block && iov->iov_len > 0 && n > 0)
		send_head(c, iov, done);
	if (iov->iov_len > 0)
		rc = vai__conn_write_taken(self, c, iov, 1, &w, done);
	if (rc == VAI_OK)
		rc = block ? by_block(self, c, block, fd, at, n, &w, done) : by_system(self, c, fd, at, n, &w, done);
	vai__desc_give(vai__conn_desc(c), VAI__WRITE);
	return rc;
}
