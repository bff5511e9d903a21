/* SPDX-License-Identifier: MIT */
/* See socket.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "net/socket.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "net/resolve.h"

/* ---- errors ---- */

/* libuv's number for an error of getaddrinfo. */
static int gai_uv(int err)
{
	switch (err) {
	case EAI_AGAIN: return UV_EAI_AGAIN;
	case EAI_BADFLAGS: return UV_EAI_BADFLAGS;
	case EAI_FAIL: return UV_EAI_FAIL;
	case EAI_FAMILY: return UV_EAI_FAMILY;
#ifdef EAI_ADDRFAMILY
	case EAI_ADDRFAMILY: return UV_EAI_ADDRFAMILY; /* the number that belongs to the other family */
#endif
	case EAI_NODATA: return UV_EAI_NODATA;
	case EAI_NONAME: return UV_EAI_NONAME;
	case EAI_SERVICE: return UV_EAI_SERVICE;
	case EAI_SOCKTYPE: return UV_EAI_SOCKTYPE;
	default: return UV_EAI_FAIL;
	}
}

static int uv_number(int rc)
{
	if (rc <= -1900)
		return gai_uv(rc + 2000);
	if (vai__errno_of(rc))
		return uv_translate_sys_error(vai__errno_of(rc));
	return rc == VAI_ENOMEM ? UV_ENOMEM : UV_UNKNOWN;
}

/* Errors that files and processes meet and that libuv has no name for. */
static const struct unnamed {
	int number;
	const char *name, *text;
} unnamed[] = {
	{ENOEXEC, "ENOEXEC", "exec format error"},
	{ECHILD, "ECHILD", "no child processes"},
	{EDEADLK, "EDEADLK", "resource deadlock avoided"},
	{ENOLCK, "ENOLCK", "no locks available"},
	{ESTALE, "ESTALE", "stale file handle"},
	{EDQUOT, "EDQUOT", "disk quota exceeded"},
	{EUCLEAN, "EUCLEAN", "structure needs cleaning"},
	{ENOMEDIUM, "ENOMEDIUM", "no medium found"},
	{EBADMSG, "EBADMSG", "bad message"},
};

/* The entry for a result; NULL: libuv knows it. */
static const struct unnamed *find_unnamed(int rc)
{
	for (size_t i = 0; i < sizeof unnamed / sizeof *unnamed; i++)
		if (vai__errno_of(rc) == unnamed[i].number)
			return &unnamed[i];
	return NULL;
}

void vai__net_error_name(int rc, char *buf, size_t size)
{
	const struct unnamed *u = find_unnamed(rc);
	if (u)
		snprintf(buf, size, "%s", u->name);
	else
		uv_err_name_r(uv_number(rc), buf, size);
}

void vai__net_error_text(int rc, char *buf, size_t size)
{
	const struct unnamed *u = find_unnamed(rc);
	if (u)
		snprintf(buf, size, "%s", u->text);
	else
		uv_strerror_r(uv_number(rc), buf, size);
}

static int result(int n)
{
	return n < 0 ? VAI__ERRNO(errno) : n;
}

/* ---- sockets ---- */

static int set_int(int fd, int level, int name, int v)
{
	return result(setsockopt(fd, level, name, &v, sizeof v));
}

/* Sets the seconds of silence after which the system asks a peer whether it is still there, and between two such
 * questions. The values are those of vai__socket_set. */
static int set_keepalive(int fd, int seconds)
{
	int rc = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, seconds >= 0);
	if (rc >= 0 && seconds > 0)
		rc = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
	return rc >= 0 && seconds > 0 ? set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds) : rc;
}

void vai__socket_defaults(int fd, int family, int type)
{
	if (family != AF_UNIX && type == SOCK_STREAM) {
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		set_keepalive(fd, VAI__KEEPALIVE);
	}
	if (family != AF_UNIX && type == SOCK_DGRAM)
		set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
}

int vai__socket_new(int family, int type)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return result(fd);
	vai__socket_defaults(fd, family, type);
	return fd;
}

int vai__socket_accept(int fd, struct vai__addr *from)
{
	int got;
	do {
		from->len = sizeof from->u;
		got = accept4(fd, &from->u.sa, &from->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (got < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
	return result(got);
}

/* Begins to connect. A connect that a signal has interrupted goes on in the background, as does one that cannot end at
 * once. */
int vai__socket_connect(int fd, const struct vai__addr *a)
{
	int rc = connect(fd, &a->u.sa, a->len);
	if (rc < 0 && errno == EINTR)
		errno = EINPROGRESS;
	return result(rc);
}

/* Whether the socket is connected to itself. The system picks the local port and may pick the very one that is dialed:
 * if nobody listens there, a TCP socket then connects to itself (a simultaneous open), and a UDP socket always does. */
static bool met_itself(int fd, const struct vai__addr *remote)
{
	struct vai__addr local;
	return remote->u.sa.sa_family != AF_UNIX && vai__socket_local(fd, &local) >= 0 && local.len == remote->len &&
		memcmp(&local.u, &remote->u, local.len) == 0;
}

/* Asks for SO_ERROR and the peer: being writable does not mean being connected, as a socket that has not begun to
 * connect is writable, too. */
int vai__socket_connected(int fd)
{
	int err = 0;
	socklen_t len = sizeof err;
	struct vai__addr a;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return VAI__ERRNO(errno);
	if (err != 0)
		return VAI__ERRNO(err);
	int rc = vai__socket_remote(fd, &a);
	if (rc >= 0 && met_itself(fd, &a))
		return VAI__ERRNO(ECONNREFUSED);
	return rc == VAI__ERRNO(ENOTCONN) ? VAI_EAGAIN : rc;
}

ssize_t vai__socket_recv(int fd, void *p, size_t n)
{
	ssize_t got;
	do
		got = recv(fd, p, n, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got < 0 ? VAI__ERRNO(errno) : got;
}

ssize_t vai__socket_send(int fd, const struct iovec *iov, int n, const struct vai__addr *to)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
	ssize_t sent;
	if (to) {
		msg.msg_name = (void *)(uintptr_t)&to->u;
		msg.msg_namelen = to->len;
	}
	do
		sent = n == 1 && !to ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
							 : sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? VAI__ERRNO(errno) : sent;
}

/* ---- options ---- */

static const struct option {
	const char *name;
	int level, number;
	enum vai__option_kind kind;
} options[] = {
	{"nodelay", IPPROTO_TCP, TCP_NODELAY, VAI__OPTION_FLAG},
	{"keepalive", SOL_SOCKET, SO_KEEPALIVE, VAI__OPTION_KEEPALIVE},
	{"broadcast", SOL_SOCKET, SO_BROADCAST, VAI__OPTION_FLAG},
	{"rcvbuf", SOL_SOCKET, SO_RCVBUF, VAI__OPTION_BYTES},
	{"sndbuf", SOL_SOCKET, SO_SNDBUF, VAI__OPTION_BYTES},
	{"linger", SOL_SOCKET, SO_LINGER, VAI__OPTION_LINGER},
};

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

enum vai__option_kind vai__socket_option_kind(const char *name)
{
	const struct option *o = find_option(name);
	return o ? o->kind : VAI__OPTION_NONE;
}

int vai__socket_set(int fd, const char *name, int64_t v)
{
	const struct option *o = find_option(name);
	if (!o)
		return VAI_EINVAL;
	int n = v > INT32_MAX ? INT32_MAX : v < 0 ? 0 : (int)v;
	if (o->kind == VAI__OPTION_KEEPALIVE)
		return set_keepalive(fd, v < 0 ? -1 : n);
	if (o->kind != VAI__OPTION_LINGER)
		return set_int(fd, o->level, o->number, n);
	struct linger l = {.l_onoff = v >= 0, .l_linger = n};
	return result(setsockopt(fd, o->level, o->number, &l, sizeof l));
}

static int get_option(int fd, int level, int number, void *v, size_t size)
{
	socklen_t len = (socklen_t)size;
	return result(getsockopt(fd, level, number, v, &len));
}

int vai__socket_get(int fd, const char *name, int64_t *v)
{
	const struct option *o = find_option(name);
	if (!o)
		return VAI_EINVAL;
	if (o->kind == VAI__OPTION_LINGER) {
		struct linger l = {0};
		int rc = get_option(fd, o->level, o->number, &l, sizeof l);
		*v = l.l_onoff ? l.l_linger : -1;
		return rc;
	}
	int n = 0, rc = get_option(fd, o->level, o->number, &n, sizeof n);
	*v = o->kind == VAI__OPTION_FLAG ? n != 0 : n;
	if (o->kind != VAI__OPTION_KEEPALIVE || rc < 0)
		return rc;
	int seconds = 0;
	if (n != 0)
		get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds); /* a Unix socket has none */
	*v = n != 0 ? seconds : -1;
	return rc;
}

/* ---- names ---- */

int vai__socket_local(int fd, struct vai__addr *a)
{
	memset(a, 0, sizeof *a);
	a->len = sizeof a->u;
	return result(getsockname(fd, &a->u.sa, &a->len));
}

int vai__socket_remote(int fd, struct vai__addr *a)
{
	memset(a, 0, sizeof *a);
	a->len = sizeof a->u;
	return result(getpeername(fd, &a->u.sa, &a->len));
}

int vai__socket_local_of(struct vai__desc *d, struct vai__addr *a)
{
	if (!vai__desc_hold(d))
		return VAI_ECLOSED;
	int rc = vai__socket_local(vai__desc_fd(d), a);
	vai__desc_unhold(d);
	return rc;
}

void vai__socket_text(struct vai__desc *d, int family, int type, char *buf, size_t size)
{
	struct vai__addr a;
	char text[VAI__ADDR_TEXT] = "closed";
	if (vai__socket_local_of(d, &a) >= 0)
		vai__addr_text(&a, text);
	snprintf(buf, size, "%s %s", vai__addr_network_name(family, type), text);
}
