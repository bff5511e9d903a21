/* SPDX-License-Identifier: MIT */
/* Sockets for datagrams: see listener.h. Each call takes one whole datagram; what does not fit is cut off, and the
 * caller is told. If the system reports a refusal, that belongs to a datagram sent before. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/socket.h"

enum { FULL_PAUSE = 2000000 /* ns */ };

struct vai_packet {
	struct vai_obj obj;
	struct vai__desc *desc;
	const struct vai__network *net;
	int family;
	char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
};

static void destroy(struct vai_obj *o)
{
	vai_packet *p = VAI_CONTAINER(o, vai_packet, obj);
	vai__packet_close(p);
	vai__desc_release(p->desc);
	vai__mem_free(p, sizeof *p);
}

const struct vai_class vai__packet_class = {"packet socket", destroy};

/* Returns a socket bound to address k, or why there is none. */
static int open_at(const struct vai__dial *d, int k)
{
	const struct vai__addr *a = &d->list[k];
	int fd = vai__socket_new(a->u.sa.sa_family, d->net->type);
	int only = d->net->family == AF_INET6;
	if (fd < 0)
		return fd;
	if (a->u.sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
	if (bind(fd, &a->u.sa, a->len) == 0)
		return fd;
	int rc = VAI__ERRNO(errno);
	close(fd);
	return rc;
}

static int make(int fd, const struct vai__dial *d, int k, vai_packet **out)
{
	int rc = VAI_ENOMEM;
	vai_packet *p = vai__mem_zalloc(sizeof *p);
	if (p)
		p->desc = vai__desc_new(fd, &rc);
	if (!p || !p->desc) {
		close(fd);
		vai__mem_free(p, sizeof *p);
		return rc;
	}
	vai__obj_init(&p->obj, &vai__packet_class);
	p->net = d->net;
	p->family = d->list[k].u.sa.sa_family;
	if (p->family == AF_UNIX && *d->list[k].u.un.sun_path)
		vai__addr_text(&d->list[k], p->path);
	*out = p;
	return VAI_OK;
}

int vai__packet_open(struct vai__dial *d, vai_packet **out)
{
	int first = 0;
	for (int k = 0; k < d->n; k++) {
		int fd = open_at(d, k);
		if (fd >= 0)
			return make(fd, d, k, out);
		first = first ? first : fd;
	}
	return first;
}

/* ---- receiving ---- */

static int receive(vai_packet *p, struct vai__bytes *b, size_t max, struct vai__addr *from, bool *truncated)
{
	struct iovec iov = {b->p, max < b->cap ? max : b->cap};
	struct msghdr msg = {.msg_name = &from->u, .msg_namelen = sizeof from->u, .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;
	memset(from, 0, sizeof *from);
	do
		n = recvmsg(vai__desc_fd(p->desc), &msg, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return VAI__ERRNO(errno);
	from->len = msg.msg_namelen;
	b->n = (size_t)n;
	*truncated = (msg.msg_flags & MSG_TRUNC) != 0;
	return VAI_OK;
}

/* Receives one datagram. The block exists only while there may be something for it, so a goroutine that waits holds
 * none. */
static int try_receive(vai_packet *p, size_t max, struct vai__bytes *out, struct vai__addr *from, bool *truncated)
{
	out->cap = vai__mem_round(max > 0 ? max : 1);
	out->p = vai__mem_alloc(out->cap);
	if (!out->p)
		return VAI_ENOMEM;
	int rc = receive(p, out, max, from, truncated);
	if (rc != VAI_OK)
		vai__conn_bytes_free(out);
	return rc;
}

int vai__packet_recv(vai_g *self, vai_packet *p, size_t max, int64_t limit, struct vai__bytes *out,
	struct vai__addr *from, bool *truncated)
{
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = p, .limit = limit};
	*out = (struct vai__bytes){0};
	int rc = vai__desc_take(self, p->desc, VAI__READ, &w);
	if (rc != VAI_OK)
		return rc;
	while ((rc = try_receive(p, max, out, from, truncated)) == VAI__ERRNO(EAGAIN)) {
		rc = vai__desc_wait(self, p->desc, VAI__READ, &w);
		if (rc != VAI_OK)
			break;
	}
	vai__desc_give(p->desc, VAI__READ);
	return rc;
}

int vai__packet_recv_now(vai_packet *p, size_t max, struct vai__bytes *out, struct vai__addr *from, bool *truncated)
{
	int rc = try_receive(p, max, out, from, truncated);
	return rc == VAI__ERRNO(EAGAIN) ? VAI_EAGAIN : rc;
}

/* ---- sending ---- */

/* Naps for a Unix socket that is not connected: no event tells it when the queue of the receiver has room again. */
static int wait_to_send(vai_g *self, vai_packet *p, const struct vai__iowait *w)
{
	return p->family == AF_UNIX ? vai__desc_nap(self, p->desc, VAI__WRITE, w, FULL_PAUSE)
								: vai__desc_wait(self, p->desc, VAI__WRITE, w);
}

int vai__packet_send(vai_g *self, vai_packet *p, const void *data, size_t n, const struct vai__addr *to, int64_t limit)
{
	struct vai__iowait w = {.reason = VAI_WAIT_WRITE, .obj = p, .limit = limit};
	struct iovec iov = {(void *)(uintptr_t)data, n};
	bool refused = false;
	int rc = vai__desc_take(self, p->desc, VAI__WRITE, &w);
	if (rc != VAI_OK)
		return rc;
	while (rc == VAI_OK) {
		ssize_t sent = vai__socket_send(vai__desc_fd(p->desc), &iov, 1, to);
		rc = sent < 0 ? (int)sent : VAI_OK;
		if (sent >= 0)
			break;
		if (rc == VAI__ERRNO(EAGAIN))
			rc = wait_to_send(self, p, &w);
		else if (rc == VAI__ERRNO(ECONNREFUSED) && !refused)
			rc = VAI_OK, refused = true;
	}
	vai__desc_give(p->desc, VAI__WRITE);
	return rc;
}

/* ---- the rest ---- */

bool vai__packet_close(vai_packet *p)
{
	return vai__desc_close_named(p->desc, p->path);
}

struct vai__desc *vai__packet_desc(vai_packet *p)
{
	return p->desc;
}

const struct vai__network *vai__packet_network(const vai_packet *p)
{
	return p->net;
}

void vai__packet_text(vai_packet *p, char *buf)
{
	vai__socket_text(p->desc, p->family, SOCK_DGRAM, buf, VAI__CONN_TEXT);
}
