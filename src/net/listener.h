/* SPDX-License-Identifier: MIT */
/* Listening sockets, and sockets for datagrams. Any goroutine may call; the caller holds a reference. Functions with a
 * parameter `self` may park, until `limit` (absolute, ns); the others do not. Results are those of descriptor.h. */
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
	int keepalive; /* seconds, for accepted connections, as vai__socket_set takes it; 0: vai's default */
};

/* Listens at the first address of d's list that allows it. VAI_OK: *out has one reference. Otherwise the error of the
 * first address. */
int vai__listener_open(struct vai__dial *d, const struct vai__listen_opts *opts, vai_listener **out);
/* Accepts a connection. VAI_OK: *out has one reference. When the process has no descriptors left the goroutine waits
 * for some, and a warning is written once. rest, VAI_SHEDS and vai__listener_accept_on: as for vai__conn_read. */
int vai__listener_accept(vai_g *self, vai_listener *l, int64_t limit, struct vai__rest *rest, vai_conn **out);
int vai__listener_accept_on(vai_g *self, vai_listener *l, int64_t limit, struct vai__rest *rest, vai_conn **out);
/* Accepts a connection without waiting, for the goroutine that has the listener's reading direction. VAI_EAGAIN: try
 * again after the next edge. Where descriptors or memory are out it returns that error. */
int vai__listener_accept_now(vai_listener *l, vai_conn **out);
/* Whether the result of vai__listener_accept_now says that descriptors or memory are out, so that it may go better
 * after a while. */
bool vai__listener_is_short(int rc);
/* Makes accepted connections into connections of another kind, such as TLS. `over` takes over the accepted connection;
 * NULL: out of memory, and the connection is still the caller's. release: frees arg when the listener is gone. */
struct vai__listener_wrap {
	vai_conn *(*over)(void *arg, vai_conn *c);
	void (*release)(void *arg);
	void *arg;
};
/* Called before l is given to anything else. */
void vai__listener_wrap(vai_listener *l, const struct vai__listener_wrap *wrap);
/* Called before the listener closes where others may listen at the same address (SO_REUSEPORT): new connections no
 * longer come to this one. Their first packet is dropped, and the peer sends it again a second later, when the listener
 * is closed. Connections whose first packet has arrived are still accepted. True: it is in force. */
bool vai__listener_divert(vai_listener *l);
/* Whether connections wait to be accepted. */
bool vai__listener_is_asked(vai_listener *l);
/* Closes the listener, and removes the file of a Unix socket. True for the first call. */
bool vai__listener_close(vai_listener *l);
/* The listener's descriptor; borrowed. */
struct vai__desc *vai__listener_desc(vai_listener *l);
/* Writes "tcp 127.0.0.1:80", at most VAI__CONN_TEXT bytes. */
void vai__listener_text(vai_listener *l, char *buf);

/* ---- datagrams ---- */

typedef struct vai_packet vai_packet;
extern const struct vai_class vai__packet_class;

enum { VAI__DATAGRAM_MAX = 65536 }; /* bytes: no datagram is longer */

/* Binds a socket to the first address of d's list that allows it. VAI_OK: *out has one reference. Otherwise the error
 * of the first address. */
int vai__packet_open(struct vai__dial *d, vai_packet **out);
/* Receives a datagram. VAI_OK: *out is the caller's to free, and is cut off at `max` bytes if *truncated; *from is its
 * sender, with length 0 if that has no address. */
int vai__packet_recv(vai_g *self, vai_packet *p, size_t max, int64_t limit, struct vai__bytes *out,
	struct vai__addr *from, bool *truncated);
/* Sends n bytes as one datagram; parks only while the system has no room for it. ECONNREFUSED may belong to an earlier
 * datagram, so after one the datagram is sent once more. */
int vai__packet_send(vai_g *self, vai_packet *p, const void *data, size_t n, const struct vai__addr *to, int64_t limit);
/* As vai__packet_recv without waiting, for the goroutine that has the reading direction. VAI_EAGAIN: try again after
 * the next edge. */
int vai__packet_recv_now(vai_packet *p, size_t max, struct vai__bytes *out, struct vai__addr *from, bool *truncated);
/* Closes the socket, and removes its file if it is a Unix socket. True for the first call. */
bool vai__packet_close(vai_packet *p);
/* The socket's descriptor and its network; borrowed. */
struct vai__desc *vai__packet_desc(vai_packet *p);
const struct vai__network *vai__packet_network(const vai_packet *p);
/* Writes "udp 127.0.0.1:80"; at most VAI__CONN_TEXT bytes. */
void vai__packet_text(vai_packet *p, char *buf);

#endif
