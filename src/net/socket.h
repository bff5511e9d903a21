/* SPDX-License-Identifier: MIT */
/* Sockets by the system's calls: non-blocking, close-on-exec, never a SIGPIPE. Any thread; nothing waits.
 * Results are 0 or more, or VAI__ERRNO(e). */
#ifndef VAI_SOCKET_H
#define VAI_SOCKET_H

#include <sys/uio.h>
#include "net/addr.h"
#include "net/descriptor.h"

/* Write "ECONNREFUSED" and "connection refused" for a result of net/. At most `size` bytes. */
void vai__net_error_name(int rc, char *buf, size_t size);
void vai__net_error_text(int rc, char *buf, size_t size);

/* A new one, with what vai sets by default for its kind: its descriptor. */
int vai__socket_new(int family, int type);
/* Sets that for one that came otherwise: TCP without delay and with VAI__KEEPALIVE, datagrams that may go to a
 * broadcast address. */
enum { VAI__KEEPALIVE = 15, VAI__KEEPALIVE_MOST = 32767 /* seconds; the system takes no more */ };
void vai__socket_defaults(int fd, int family, int type);
/* The descriptor of the next connection that waits, and who it is from. EINTR is dealt with. */
int vai__socket_accept(int fd, struct vai__addr *from);
/* Begins to connect; 0: it is connected. VAI__ERRNO(EINPROGRESS): vai__socket_connected will tell how it has ended. */
int vai__socket_connect(int fd, const struct vai__addr *a);
/* After a connect: VAI_OK, VAI_EAGAIN (it goes on in the background), or why it failed. A socket that has found none
 * but itself is refused, as nobody else is there. */
int vai__socket_connected(int fd);
/* How many bytes, 0 at the end. to: for datagrams; NULL: the peer. VAI__ERRNO(EAGAIN): nothing there, or no room. */
ssize_t vai__socket_recv(int fd, void *p, size_t n);
ssize_t vai__socket_send(int fd, const struct iovec *iov, int n, const struct vai__addr *to);
/* Options by name: "nodelay", "keepalive", "rcvbuf", "sndbuf", "linger", "broadcast". Booleans are 0 and 1. linger and
 * keepalive are seconds, -1 for off; setting keepalive to 0 turns it on with the seconds that it has. VAI_EINVAL: there
 * is no such option. */
int vai__socket_set(int fd, const char *option, int64_t v);
int vai__socket_get(int fd, const char *option, int64_t *v);
/* What its values are. */
enum vai__option_kind {
	VAI__OPTION_NONE,
	VAI__OPTION_FLAG,
	VAI__OPTION_BYTES,
	VAI__OPTION_LINGER,
	VAI__OPTION_KEEPALIVE
};
enum vai__option_kind vai__socket_option_kind(const char *option);

/* Its own address and the peer's. */
int vai__socket_local(int fd, struct vai__addr *a);
int vai__socket_remote(int fd, struct vai__addr *a);
/* The local address of a descriptor, which somebody may be closing. */
int vai__socket_local_of(struct vai__desc *d, struct vai__addr *a);
/* "tcp 127.0.0.1:80", or "tcp closed", for a socket that is bound. At most `size` bytes. */
void vai__socket_text(struct vai__desc *d, int family, int type, char *buf, size_t size);

#endif
