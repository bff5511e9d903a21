/* SPDX-License-Identifier: MIT */
/* A server: connections of a listener, each handed to a goroutine once it has sent something. Until then, and again
 * when its goroutine has returned it, a connection is a descriptor record and this file's: no goroutine, no Lua
 * state, no buffer. One goroutine without a Lua state accepts, and starts the others. Any goroutine may call. */
#ifndef VAI_SERVE_H
#define VAI_SERVE_H

#include "net/conn.h"
#include "net/listener.h"

typedef struct vai_server vai_server;
extern const struct vai_class vai__serve_class;

/* Starts a goroutine for c and takes over the reference. False: out of memory, and c is still the caller's. */
typedef bool vai__serve_fn(vai_g *self, void *arg, vai_conn *c);

/* What a server asks of its connections. */
struct vai__serve_how {
	int64_t idle;      /* how long one may wait, ns, or VAI_FOREVER; it is closed then */
	size_t head_most;  /* not 0: goroutines start for whole heads (net/head_end.h), or what has so many bytes */
	int64_t head_time; /* or has begun so long ago, ns; VAI_FOREVER */
};

/* One reference; NULL: out of memory.
 * release: of arg, once nobody needs it; not if there is no server. site: where it was made, for dumps, a text
 * that stays. */
vai_server *vai__serve(vai_g *self, vai_listener *l, const struct vai__serve_how *how, vai__serve_fn *start,
	void (*release)(void *arg), void *arg, const char *site);
/* Makes the connection wait in its server for more, as it did before its first bytes. VAI_OK; VAI_EINVAL: it belongs
 * to no server; VAI_EAGAIN: a goroutine reads it; VAI_ETIMEOUT: it has begun a head that took too long; VAI_ECLOSED. */
int vai__serve_idle(vai_g *self, vai_conn *c);
/* For a goroutine that the server has started, once it is done with c: takes the next connection that has bytes, in
 * place of a new goroutine. VAI_OK: *next, with a reference; VAI_ETIMEOUT: there was none until then; VAI_ECLOSED: the
 * server closes; VAI_ECANCELED; VAI_EINVAL: c belongs to no server. */
int vai__serve_next(vai_g *self, vai_conn *c, int64_t limit, vai_conn **next);
/* Accepts no more connections: closes the listener and the connections that wait. Connections that have goroutines
 * are closed, too, or (shutdown) waited for. */
void vai__serve_close(vai_server *s); /* any thread; does not park */
/* Parks until the last of these is closed, or until `limit` (absolute). VAI_OK; VAI_ETIMEOUT: some are open still;
 * VAI_ECANCELED, VAI_EDEADLOCK. */
int vai__serve_shutdown(vai_g *self, vai_server *s, int64_t limit);
vai_listener *vai__serve_listener(const vai_server *s); /* borrowed */
/* The number of connections that are open. */
int64_t vai__serve_count(vai_server *s);

#endif
