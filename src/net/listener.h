/* SPDX-License-Identifier: MIT */
/* Listening sockets and sockets for datagrams. Any goroutine may call; the caller holds a reference. What has a
 * parameter `self` may park, until `limit` (absolute); nothing else does. Results are those of descriptor.h. */
#ifndef VAI_LISTENER_H
#define VAI_LISTENER_H

#include "base/obj.h"
#include "net/conn.h"
#include "net/dial.h"

typedef struct vai_listener vai_listener;
extern const struct vai_class vai__listener_class;

struct vai__listen_opts {
	int backlog; /* 0: as many as the system allows */
	bool reuseport;
	int mode;      /* of a Unix socket's file; -1: as the system makes it */
	int keepalive; /* of the connections, as vai__socket_set takes it; 0: what vai sets by default */
};

/* Listens at the first address of d's list where that is possible. VAI_OK: *out has one reference. Else the error of
 * the first address. */
int vai__listener_open(struct vai__dial *d, const struct vai__listen_opts *opts, vai_listener **out);
/* Accepts a connection. VAI_OK: *out has one reference. When the process has no descriptors left it waits for some,
 * and says so once. rest, VAI_SHEDS and the second function: as of vai__conn_read. */
int vai__listener_accept(vai_g *self, vai_listener *l, int64_t limit, struct vai__rest *rest, vai_conn **out);
int vai__listener_accept_on(vai_g *self, vai_listener *l, int64_t limit, struct vai__rest *rest, vai_conn **out);
/* For the goroutine that has the listener's reading direction. VAI_EAGAIN: the next edge tells when to try again.
 * The rest as above, but it does not wait for descriptors. */
int vai__listener_accept_now(vai_listener *l, vai_conn **out);
/* Whether that result says that there are none left, or no memory: worth another try after a while. */
bool vai__listener_is_short(int rc);
/* What makes connections of another kind out of those that are accepted, which are `over`'s then. NULL: out of memory,
 * and the connection is the caller's. release: of arg, when the listener is gone. */
struct vai__listener_wrap {
	vai_conn *(*over)(void *arg, vai_conn *c);
	void (*release)(void *arg);
	void *arg;
};
/* Called before l is given to anything else. */
void vai__listener_wrap(vai_listener *l, const struct vai__listener_wrap *wrap);
/* Before it closes. Where others may listen at the same address (SO_REUSEPORT), new connections do not come to this
 * listener any more: their first packet is dropped, and sent again a second later, when it is closed. What has got that
 * packet already comes on. True: so it is. */
bool vai__listener_divert(vai_listener *l);
/* Whether connections wait to be accepted. */
bool vai__listener_is_asked(vai_listener *l);
/* Closes the listener, and removes the file of a Unix socket. True for the first call. */
bool vai__listener_close(vai_listener *l);
/* Its descriptor; borrowed. */
struct vai__desc *vai__listener_desc(vai_listener *l);
/* Writes "tcp 127.0.0.1:80"; at most VAI__CONN_TEXT bytes. */
void vai__listener_text(vai_listener *l, char *buf);

/* ---- datagrams ---- */

typedef struct vai_packet vai_packet;
extern const struct vai_class vai__packet_class;

enum { VAI__DATAGRAM_MAX = 65536 }; /* bytes: none is longer */

/* Binds a socket to the first address of d's list where that is possible. VAI_OK: *out has one reference. Else the
 * error of the first address. */
int vai__packet_open(struct vai__dial *d, vai_packet **out);
/* Receives a datagram. VAI_OK: *out is the caller's, cut off at `max` bytes where *truncated; *from is its sender, of
 * length 0 for one that has no address. */
int vai__packet_recv(vai_g *self, vai_packet *p, size_t max, int64_t limit, struct vai__bytes *out,
	struct vai__addr *from, bool *truncated);
/* Sends n bytes as one datagram, and waits only where the system has no room for it. Where the system says
 * ECONNREFUSED, which an earlier datagram may have left behind, it is sent once more. */
int vai__packet_send(vai_g *self, vai_packet *p, const void *data, size_t n, const struct vai__addr *to, int64_t limit);
/* For the goroutine that has the reading direction: does not wait. VAI_EAGAIN as in vai__listener_accept_now. */
int vai__packet_recv_now(vai_packet *p, size_t max, struct vai__bytes *out, struct vai__addr *from, bool *truncated);
/* Closes it, and removes the file of a Unix socket. True for the first call. */
bool vai__packet_close(vai_packet *p);
/* Its descriptor and its network; borrowed. */
struct vai__desc *vai__packet_desc(vai_packet *p);
const struct vai__network *vai__packet_network(const vai_packet *p);
/* Writes "udp 127.0.0.1:80"; at most VAI__CONN_TEXT bytes. */
void vai__packet_text(vai_packet *p, char *buf);

#endif
