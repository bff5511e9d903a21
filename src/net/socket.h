/* SPDX-License-Identifier: MIT */
/* Sockets by the system's calls: non-blocking, close-on-exec, never a SIGPIPE. Any thread; nothing waits. Unless said
 * otherwise, results are 0 or more, or VAI__ERRNO(e). */
#ifndef VAI_SOCKET_H
#define VAI_SOCKET_H

#include <sys/uio.h>
#include "net/addr.h"
#include "net/descriptor.h"

/* Write the name ("ECONNREFUSED") and the text ("connection refused") of a result of net/, at most `size` bytes with
 * the zero. */
void vai__net_error_name(int rc, char *buf, size_t size);
void vai__net_error_text(int rc, char *buf, size_t size);

/* Makes a socket with vai's defaults for its kind; returns its descriptor, which is the caller's. */
int vai__socket_new(int family, int type);
/* Sets these defaults on a socket from elsewhere: TCP without delay and with VAI__KEEPALIVE, datagrams that may go to a
 * broadcast address. */
enum { VAI__KEEPALIVE = 15, VAI__KEEPALIVE_MOST = 32767 /* seconds; the system takes no more */ };
void vai__socket_defaults(int fd, int family, int type);
/* Accepts a waiting connection: returns its descriptor, which is the caller's; *from: its peer. Repeats after EINTR. */
int vai__socket_accept(int fd, struct vai__addr *from);
/* Begins to connect. 0: the socket is connected. VAI__ERRNO(EINPROGRESS): vai__socket_connected tells how it ends. */
int vai__socket_connect(int fd, const struct vai__addr *a);
/* How a connect has ended: VAI_OK; VAI_EAGAIN: it goes on in the background; or why it failed. A socket that has
 * connected to itself counts as refused, for it shows that nobody listens. */
int vai__socket_connected(int fd);
/* Receive and send; return how many bytes, 0 at the end. to: where a datagram goes; NULL: to the peer.
 * VAI__ERRNO(EAGAIN): nothing has come, or there is no room. */
ssize_t vai__socket_recv(int fd, void *p, size_t n);
ssize_t vai__socket_send(int fd, const struct iovec *iov, int n, const struct vai__addr *to);
/* Set and get an option by name: "nodelay", "keepalive", "rcvbuf", "sndbuf", "linger", "broadcast". Booleans are 0 and
 * 1. linger and keepalive are seconds, -1 for off; setting keepalive to 0 turns it on with the seconds that it has.
 * VAI_EINVAL: there is no such option. */
int vai__socket_set(int fd, const char *option, int64_t v);
int vai__socket_get(int fd, const char *option, int64_t *v);
/* What kind of values an option has; VAI__OPTION_NONE: there is no such option. */
enum vai__option_kind {
	VAI__OPTION_NONE,
	VAI__OPTION_FLAG,
	VAI__OPTION_BYTES,
	VAI__OPTION_LINGER,
	VAI__OPTION_KEEPALIVE
};
enum vai__option_kind vai__socket_option_kind(const char *option);

/* The socket's own address and its peer's. */
int vai__socket_local(int fd, struct vai__addr *a);
int vai__socket_remote(int fd, struct vai__addr *a);
/* The own address of a descriptor that another goroutine may be closing: VAI_ECLOSED then. */
int vai__socket_local_of(struct vai__desc *d, struct vai__addr *a);
/* Writes "tcp 127.0.0.1:80", or "tcp closed", for a bound socket; at most `size` bytes with the zero. */
void vai__socket_text(struct vai__desc *d, int family, int type, char *buf, size_t size);

#endif
