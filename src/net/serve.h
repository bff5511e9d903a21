/* SPDX-License-Identifier: MIT */
/* A server: each connection of a listener is handed to a goroutine once it has sent something. Until then, and again
 * after its goroutine has returned it, a connection costs a descriptor record and a struct served, but no goroutine,
 * Lua state or buffer. One goroutine without a Lua state accepts connections and starts the other goroutines. Any
 * goroutine may call; limits are absolute times in ns. */
#ifndef VAI_SERVE_H
#define VAI_SERVE_H

#include "net/conn.h"
#include "net/listener.h"

typedef struct vai_server vai_server;
extern const struct vai_class vai__serve_class;

/* Starts a goroutine for c and takes over the reference. False: out of memory, and the reference is still the
 * caller's. */
typedef bool vai__serve_fn(vai_g *self, void *arg, vai_conn *c);

/* What a server asks of its connections. */
struct vai__serve_how {
	int64_t idle;      /* how long a connection may wait, ns, or VAI_FOREVER; then it is closed */
	size_t head_most;  /* not 0: a goroutine starts only for a whole head (net/head_end.h), or so many bytes of one, */
	int64_t head_time; /* or when a head is unfinished for so long, ns, or VAI_FOREVER */
};

/* Makes a server of the listener, with one reference for the caller. NULL: out of memory. release: called for arg once
 * nobody needs it, but not if there is no server. site: where it was made, for dumps; a constant text. */
vai_server *vai__serve(vai_g *self, vai_listener *l, const struct vai__serve_how *how, vai__serve_fn *start,
	void (*release)(void *arg), void *arg, const char *site);
/* Makes the connection wait in its server for more bytes, as it did before its first ones. VAI_OK; VAI_EINVAL: it
 * belongs to no server; VAI_EAGAIN: a goroutine reads it; VAI_ETIMEOUT: it has begun a head that took too long;
 * VAI_ECLOSED. */
int vai__serve_idle(vai_g *self, vai_conn *c);
/* Called by a goroutine that the server has started and that is done with c: takes the next connection that has bytes,
 * so that no new goroutine is needed. Parks until `limit`. VAI_OK: *next, with a reference; VAI_ETIMEOUT: none came;
 * VAI_ECLOSED: the server closes; VAI_ECANCELED; VAI_EINVAL: c belongs to no server. */
int vai__serve_next(vai_g *self, vai_conn *c, int64_t limit, vai_conn **next);
/* Both functions close the listener and the connections that wait. vai__serve_close also closes the connections that
 * have goroutines; vai__serve_shutdown waits for those. */
void vai__serve_close(vai_server *s); /* any thread; does not park */
/* Parks until the last connection is closed, or until `limit`. VAI_OK; VAI_ETIMEOUT: some are still open;
 * VAI_ECANCELED, VAI_EDEADLOCK. */
int vai__serve_shutdown(vai_g *self, vai_server *s, int64_t limit);
vai_listener *vai__serve_listener(const vai_server *s); /* borrowed */
/* The number of connections that are open. */
int64_t vai__serve_count(vai_server *s);

#endif
