/* SPDX-License-Identifier: MIT */
/* See conn.h. Deadlines belong to the descriptor (descriptor.c).
 *
 * What a goroutine has read but not yet returned lies in the connection, never on the goroutine's stack. If a limit
 * ends the call the bytes are left for the next read, and if the goroutine never runs again they go with the
 * connection. */
#include "net/conn.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/head_end.h"
#include "net/sigpipe.h"
#include "net/socket.h"

enum { SETTLE = 1000000000 /* ns */ };
enum {
	GRAIN_MIN = 12, /* bits: a read asks for 4 kB at first, */
	GRAIN_MAX = 16, /* and for up to 64 kB while it gets what it asks for */
	IOV_MOST = 1024,
	LINE_MAX = 1048576,
	ALL_MAX = 67108864
};

struct vai_conn {
	struct vai_obj obj;
	vai_conn *base;      /* the connection itself; for a view, its connection, with a reference */
	double limit;        /* of a view, in seconds; negative: none */
	struct vai_obj *ctx; /* of a view: its context, with a reference */
	/* The memory of a view ends here. */
	const struct vai__conn_ops *ops;
	struct vai__desc *desc;
	void *state;
	vai_conn *inner;             /* the connection that this one is over, with a reference; or NULL */
	struct vai__conn_hook *hook; /* or NULL */
	struct vai__bytes in;        /* belongs to the reading direction, as do the fields that follow */
	size_t line_max, all_max;
	uint8_t grain;
	bool drained;                /* the last recv left nothing in the system, when vai__desc_edges was: */
	uint32_t edges;              /* only after another edge does a recv make sense */
	bool ended;                  /* the peer's end of the stream has been seen */
	atomic_bool no_read;         /* set by close_read; any thread */
	atomic_bool begun;           /* ops->begin has succeeded */
	union vai__addr_inet remote; /* the peer's address at first; AF_UNSPEC: not kept */
};

enum { VIEW_SIZE = offsetof(struct vai_conn, ops) };

void vai__conn_bytes_free(struct vai__bytes *b)
{
	if (b->p)
		vai__mem_free(b->p, b->cap);
	*b = (struct vai__bytes){0};
}

/* ---- life ---- */

static void destroy(struct vai_obj *o)
{
	vai_conn *c = VAI_CONTAINER(o, vai_conn, obj);
	if (c->base != c) {
		if (c->ctx)
			vai__obj_unref(c->ctx);
		vai__obj_unref(&c->base->obj);
		vai__mem_free(c, VIEW_SIZE);
		return;
	}
	vai__conn_close(c);
	if (!c->inner)
		vai__desc_release(c->desc);
	if (c->hook)
		c->hook->closed(c->hook, true);
	if (c->ops->destroy)
		c->ops->destroy(c->state);
	if (c->inner)
		vai__obj_unref(&c->inner->obj);
	vai__conn_bytes_free(&c->in);
	vai__mem_free(c, sizeof *c);
}

const struct vai_class vai__conn_class = {"connection", destroy};

static vai_conn *make(struct vai__desc *d, const struct vai__conn_ops *ops, void *state)
{
	vai_conn *c = vai__mem_zalloc(sizeof *c);
	if (!c)
		return NULL;
	vai__obj_init(&c->obj, &vai__conn_class);
	c->base = c;
	c->limit = -1;
	c->ops = ops;
	c->desc = d;
	c->state = state;
	c->line_max = LINE_MAX;
	c->all_max = ALL_MAX;
	c->grain = GRAIN_MIN;
	return c;
}

vai_conn *vai__conn_new(struct vai__desc *d, const struct vai__conn_ops *ops, void *state)
{
	vai_conn *c = make(d, ops, state);
	if (!c)
		vai__desc_release(d);
	return c;
}

vai_conn *vai__conn_over(vai_conn *view, const struct vai__conn_ops *ops, void *state)
{
	vai_conn *inner = view->base, *c = make(inner->desc, ops, state);
	if (!c)
		return NULL;
	vai__obj_ref(&inner->obj);
	c->inner = inner;
	return c;
}

vai_conn *vai__conn_view(vai_conn *c, double seconds, struct vai_obj *ctx)
{
	vai_conn *v = vai__mem_zalloc(VIEW_SIZE);
	if (!v)
		return NULL;
	vai__obj_init(&v->obj, &vai__conn_class);
	v->base = c->base;
	v->limit = seconds;
	v->ctx = ctx;
	if (ctx)
		vai__obj_ref(ctx);
	vai__obj_ref(&c->base->obj);
	return v;
}

vai_conn *vai__conn_base(vai_conn *c)
{
	return c->base;
}

double vai__conn_limit(const vai_conn *c)
{
	return c->limit;
}

struct vai_obj *vai__conn_context(const vai_conn *c)
{
	return c->ctx;
}

struct vai__desc *vai__conn_desc(vai_conn *c)
{
	return c->base->desc;
}

const struct vai__conn_ops *vai__conn_ops(vai_conn *c)
{
	return c->base->ops;
}

void *vai__conn_state(vai_conn *c)
{
	return c->base->state;
}

void vai__conn_set_hook(vai_conn *c, struct vai__conn_hook *h)
{
	c->hook = h;
}

struct vai__conn_hook *vai__conn_hook(vai_conn *c)
{
	return c->base->hook;
}

/* ---- kinds ---- */

static ssize_t socket_recv(vai_conn *c, void *p, size_t n)
{
	return vai__socket_recv(vai__desc_fd(c->desc), p, n);
}

static ssize_t socket_send(vai_conn *c, const struct iovec *iov, int n)
{
	return vai__socket_send(vai__desc_fd(c->desc), iov, n, NULL);
}

/* Sends a datagram of UDP. If the system reports a refusal, that belongs to an earlier datagram and this one was not
 * sent, so it is sent once more. A Unix socket's refusal belongs to this datagram, and the system disconnects the
 * socket. */
static ssize_t datagram_send(vai_conn *c, const struct iovec *iov, int n)
{
	ssize_t sent = socket_send(c, iov, n);
	return sent == VAI__ERRNO(ECONNREFUSED) ? socket_send(c, iov, n) : sent;
}

static int socket_shut(vai_conn *c)
{
	return shutdown(vai__desc_fd(c->desc), SHUT_WR) < 0 ? VAI__ERRNO(errno) : VAI_OK;
}

static ssize_t file_recv(vai_conn *c, void *p, size_t n)
{
	ssize_t got;
	do
		got = read(vai__desc_fd(c->desc), p, n);
	while (got < 0 && errno == EINTR);
	return got < 0 ? VAI__ERRNO(errno) : got;
}

static ssize_t file_send(vai_conn *c, const struct iovec *iov, int n)
{
	struct vai__sigpipe s;
	ssize_t sent;
	vai__sigpipe_off(&s);
	do
		sent = writev(vai__desc_fd(c->desc), iov, n);
	while (sent < 0 && errno == EINTR);
	int err = sent < 0 ? errno : 0;
	vai__sigpipe_on(&s, err == EPIPE);
	return sent < 0 ? VAI__ERRNO(err) : sent;
}

const struct vai__conn_ops vai__conn_tcp = {
	.name = "tcp", .recv = socket_recv, .send = socket_send, .shut = socket_shut, .is_socket = true, .drains = true};
const struct vai__conn_ops vai__conn_unix = {
	.name = "unix", .recv = socket_recv, .send = socket_send, .shut = socket_shut, .is_socket = true};
const struct vai__conn_ops vai__conn_udp = {.name = "udp",
	.recv = socket_recv,
	.send = datagram_send,
	.shut = socket_shut,
	.datagrams = true,
	.is_socket = true};
const struct vai__conn_ops vai__conn_unixgram = {.name = "unixgram",
	.recv = socket_recv,
	.send = socket_send,
	.shut = socket_shut,
	.datagrams = true,
	.is_socket = true};
/* A pipe or a terminal. */
const struct vai__conn_ops vai__conn_file = {.name = "file", .recv = file_recv, .send = file_send};

const struct vai__conn_ops *vai__conn_ops_of(int family, int type)
{
	if (family == AF_UNIX)
		return type == SOCK_DGRAM ? &vai__conn_unixgram : &vai__conn_unix;
	return type == SOCK_DGRAM ? &vai__conn_udp : &vai__conn_tcp;
}

/* ---- the buffer ---- */

/* Makes room for `want` more bytes behind those in the block. False: out of memory. */
static bool make_room(struct vai__bytes *b, size_t want)
{
	if (b->n == 0)
		b->at = 0;
	if (b->p && b->cap - b->at - b->n >= want)
		return true;
	if (b->p && b->cap - b->n >= want && b->at >= b->cap / 2) {
		memmove(b->p, b->p + b->at, b->n);
		b->at = 0;
		return true;
	}
	size_t cap = b->n + want;
	if (b->n > 0 && cap < 2 * b->n)
		cap = 2 * b->n;
	cap = vai__mem_round(cap);
	char *p = vai__mem_alloc(cap);
	if (!p)
		return false;
	if (b->p && b->n > 0)
		memcpy(p, b->p + b->at, b->n);
	struct vai__bytes grown = {.p = p, .n = b->n, .cap = cap};
	vai__conn_bytes_free(b);
	*b = grown;
	return true;
}

/* Adapts the size of reads: a peer that sends as much as is asked for gets bigger ones. */
static void note_size(vai_conn *c, size_t got, size_t asked)
{
	if (got == asked && c->grain < GRAIN_MAX)
		c->grain++;
	else if (got < asked / 4 && c->grain > GRAIN_MIN)
		c->grain--;
}

/* Receives, and notes whether that left anything. The edges are read before the call, so that bytes which come during
 * it are noticed by their own edge. */
static ssize_t receive(vai_conn *c, void *p, size_t n)
{
	c->edges = vai__desc_edges(c->desc, VAI__READ);
	ssize_t got = c->ops->recv(c, p, n);
	c->drained = c->ops->drains && got > 0 && (size_t)got < n && !(c->edges & 1);
	return got;
}

/* Whether it is known that recv would say EAGAIN. */
static bool is_drained(const vai_conn *c)
{
	return c->drained && vai__desc_edges(c->desc, VAI__READ) == c->edges;
}

/* The result for a recv that has brought no bytes. */
static int nothing_came(vai_conn *c, ssize_t got)
{
	if (got == 0 && c->ops->datagrams)
		return VAI_OK;
	c->ended |= got == 0 && !c->ops->grows;
	return got == 0 ? VAI__EOF : (int)got;
}

/* One recv into the buffer. VAI_OK: it holds more; VAI__EOF; VAI__ERRNO(e); VAI_ENOMEM. */
static int try_fill(vai_conn *c)
{
	size_t grain = (size_t)1 << (c->ops->datagrams ? GRAIN_MAX : c->grain);
	if (!make_room(&c->in, c->in.n > 0 && !c->ops->datagrams ? grain / 4 : grain))
		return VAI_ENOMEM; /* a quarter will do, lest single bytes move the buffer each time */
	size_t room = c->in.cap - c->in.at - c->in.n;
	ssize_t got = receive(c, c->in.p + c->in.at + c->in.n, room);
	if (got > 0) {
		c->in.n += (size_t)got;
		note_size(c, (size_t)got, room);
		return VAI_OK;
	}
	if (c->in.n == 0)
		vai__conn_bytes_free(&c->in); /* a goroutine that waits holds no block */
	return nothing_came(c, got);
}

/* One recv past the buffer, which is empty. VAI_OK: *to is what has come. */
static int try_into(vai_conn *c, struct iovec *to)
{
	ssize_t got = receive(c, to->iov_base, to->iov_len);
	if (got <= 0)
		return nothing_came(c, got);
	to->iov_len = (size_t)got;
	return VAI_OK;
}

static int try_to(vai_conn *c, struct iovec *to)
{
	return to ? try_into(c, to) : try_fill(c);
}

/* The last try after a limit is over: bytes that are there win over the limit, even if no event has told of them
 * yet. */
static int last_look(vai_conn *c, struct iovec *to)
{
	int rc = try_to(c, to);
	return rc == VAI__ERRNO(EAGAIN) || rc == VAI__ERRNO(EWOULDBLOCK) ? VAI_ETIMEOUT : rc;
}

/* Gets more bytes into the buffer, or past it to *to. Parks until there are some. VAI_SHEDS (only if w->rest is set and
 * the buffer is empty): the wait has begun; such a read has done nothing so far and begins anew after the wait. */
static int fill_to(vai_g *self, vai_conn *c, const struct vai__iowait *w, struct iovec *to)
{
	struct vai__iowait wait = c->in.n > 0 ? vai__iowait_plain(w) : *w;
	for (;;) {
		if (atomic_load_relaxed(&c->no_read) || (c->in.n > 0 && vai__desc_is_closed(c->desc)))
			return VAI_ECLOSED; /* tested before each recv, as a peer that never stops sending never makes us wait */
		if (c->ended)
			return VAI__EOF;
		bool asked = !is_drained(c);
		int rc = asked ? try_to(c, to) : VAI__ERRNO(EAGAIN);
		if (rc != VAI__ERRNO(EAGAIN) && rc != VAI__ERRNO(EWOULDBLOCK))
			return rc;
		rc = vai__desc_wait(self, c->desc, VAI__READ, &wait);
		if (rc != VAI_OK)
			return rc == VAI_ETIMEOUT && !asked ? last_look(c, to) : rc;
		wait.renews = false; /* if others queue, renewing would wake it for nothing again and again */
	}
}

static int fill(vai_g *self, vai_conn *c, const struct vai__iowait *w)
{
	return fill_to(self, c, w, NULL);
}

/* Gives away the first n bytes. A buffer that is used up is given away as it is; otherwise the bytes are copied and the
 * buffer keeps the rest. */
static int take(vai_conn *c, size_t n, struct vai__bytes *out)
{
	struct vai__bytes *in = &c->in;
	if (n == in->n) {
		*out = *in;
		*in = (struct vai__bytes){0};
		return VAI_OK;
	}
	size_t cap = vai__mem_round(n);
	char *p = n > 0 ? vai__mem_alloc(cap) : NULL;
	if (n > 0 && !p)
		return VAI_ENOMEM;
	if (n > 0)
		memcpy(p, in->p + in->at, n);
	in->at += n;
	in->n -= n;
	*out = (struct vai__bytes){.p = p, .n = n, .cap = p ? cap : 0};
	return VAI_OK;
}

/* ---- beginning ---- */

/* The goroutine has the reading direction. It does not wait for long for the writing one, as nobody writes before the
 * connection has begun. */
static int begin_reading(vai_g *self, vai_conn *c, const struct vai__iowait *w)
{
	int rc = vai__desc_take(self, c->desc, VAI__WRITE, w);
	if (rc != VAI_OK)
		return rc;
	rc = c->ops->begin(self, c, w);
	if (rc == VAI_OK)
		atomic_store_release(&c->begun, true);
	vai__desc_give(c->desc, VAI__WRITE);
	return rc;
}

/* Takes the reading direction first, so that two goroutines that want both do not wait for each other. Once the
 * connection has begun, nobody may wait for the writing direction with the reading one in hand: the writer may wait for
 * its peer, which may wait for us to read. */
static VAI_NOINLINE int begin(vai_g *self, vai_conn *c, const struct vai__iowait *w)
{
	struct vai__iowait wait = vai__iowait_plain(w);
	int rc = vai__desc_take(self, c->desc, VAI__READ, &wait);
	if (rc != VAI_OK)
		return rc;
	if (!atomic_load_acquire(&c->begun))
		rc = begin_reading(self, c, &wait);
	vai__desc_give(c->desc, VAI__READ);
	return rc;
}

static inline int begin_once(vai_g *self, vai_conn *c, const struct vai__iowait *w)
{
	if (VAI_LIKELY(!c->ops->begin) || atomic_load_acquire(&c->begun))
		return VAI_OK;
	return begin(self, c, w);
}

int vai__conn_take(vai_g *self, vai_conn *view, enum vai__dir dir, const struct vai__iowait *w)
{
	int rc = begin_once(self, view->base, w);
	return rc == VAI_OK ? vai__desc_take(self, view->base->desc, dir, w) : rc;
}

int vai__conn_begin(vai_g *self, vai_conn *view, int64_t limit)
{
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = view->base, .limit = limit};
	return begin_once(self, view->base, &w);
}

/* ---- reading ---- */

/* Reads at least one byte or, from datagrams, one of them. */
static int read_some(vai_g *self, vai_conn *c, const struct vai__iowait *w, struct vai__bytes *out)
{
	int rc = c->in.n > 0 ? VAI_OK : fill(self, c, w);
	return rc == VAI_OK ? take(c, c->in.n, out) : rc;
}

static int read_count(vai_g *self, vai_conn *c, size_t n, const struct vai__iowait *w, struct vai__bytes *out)
{
	int rc = VAI_OK;
	while (rc == VAI_OK && c->in.n < (n ? n : 1))
		rc = fill(self, c, w);
	if (rc == VAI_OK || (rc == VAI__EOF && c->in.n > 0))
		return take(c, c->in.n < n ? c->in.n : n, out);
	return rc;
}

/* Finds the end of a line. *len: the length of the line without its end; *skip: how many bytes the end has. */
static int find_line(vai_g *self, vai_conn *c, const struct vai__iowait *w, size_t *len, size_t *skip)
{
	size_t seen = 0;
	for (;;) {
		const char *from = c->in.p + c->in.at;
		const char *end = c->in.n > seen ? memchr(from + seen, '\n', c->in.n - seen) : NULL;
		*len = end ? (size_t)(end - from) : c->in.n;
		*skip = end != NULL;
		if (*len > c->line_max)
			return VAI__TOO_LONG;
		if (end)
			return VAI_OK;
		seen = c->in.n;
		int rc = fill(self, c, w);
		if (rc == VAI__EOF && c->in.n > 0)
			return VAI_OK;
		if (rc != VAI_OK)
			return rc;
	}
}

static int read_line(vai_g *self, vai_conn *c, bool kept, const struct vai__iowait *w, struct vai__bytes *out)
{
	size_t len, skip;
	int rc = find_line(self, c, w, &len, &skip);
	if (rc == VAI_OK)
		rc = take(c, len + (kept ? skip : 0), out);
	if (rc == VAI_OK && skip && !kept) {
		c->in.at++;
		c->in.n--;
	}
	return rc;
}

static int read_all(vai_g *self, vai_conn *c, const struct vai__iowait *w, struct vai__bytes *out)
{
	int rc = VAI_OK;
	while (rc == VAI_OK && c->in.n <= c->all_max)
		rc = fill(self, c, w);
	if (rc == VAI__EOF)
		return c->in.n > c->all_max ? VAI__TOO_LONG : take(c, c->in.n, out);
	return rc == VAI_OK ? VAI__TOO_LONG : rc;
}

/* Reads; the goroutine has the reading direction, and gives it back unless the result is VAI_SHEDS. */
static int read_taken(
	vai_g *self, vai_conn *c, const struct vai__asked *what, const struct vai__iowait *w, struct vai__bytes *out)
{
	int rc = VAI_EINVAL;
	switch (what->what) {
	case VAI__READ_SOME: rc = read_some(self, c, w, out); break;
	case VAI__READ_COUNT: rc = read_count(self, c, what->count, w, out); break;
	case VAI__READ_LINE: rc = read_line(self, c, false, w, out); break;
	case VAI__READ_LINE_KEPT: rc = read_line(self, c, true, w, out); break;
	case VAI__READ_ALL: rc = read_all(self, c, w, out); break;
	}
	if (rc == VAI_SHEDS)
		return rc;
	if (c->in.n == 0)
		vai__conn_bytes_free(&c->in);
	vai__desc_give(c->desc, VAI__READ);
	return rc;
}

int vai__conn_read(
	vai_g *self, vai_conn *view, struct vai__asked what, int64_t limit, struct vai__rest *rest, struct vai__bytes *out)
{
	vai_conn *c = view->base;
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = c, .limit = limit, .rest = rest, .renews = what.renews};
	*out = (struct vai__bytes){0};
	int rc = vai__conn_take(self, c, VAI__READ, &w);
	return rc == VAI_OK ? read_taken(self, c, &what, &w, out) : rc;
}

int vai__conn_read_on(
	vai_g *self, vai_conn *view, struct vai__asked what, int64_t limit, struct vai__rest *rest, struct vai__bytes *out)
{
	vai_conn *c = view->base;
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = c, .limit = limit, .rest = rest, .renews = what.renews};
	*out = (struct vai__bytes){0};
	int rc = vai__desc_wait_end(self, c->desc, VAI__READ, rest);
	if (rc == VAI_ETIMEOUT)
		rc = last_look(c, NULL);
	if (rc == VAI__EOF)
		rc = VAI_OK; /* the end: what it means depends on what was asked for */
	if (rc == VAI_OK)
		return read_taken(self, c, &what, &w, out);
	vai__desc_give(c->desc, VAI__READ);
	return rc;
}

/* Moves up to *n bytes from the buffer to p; sets *n to how many. */
static void move_out(vai_conn *c, void *p, size_t *n)
{
	if (*n > c->in.n)
		*n = c->in.n;
	if (*n > 0)
		memcpy(p, c->in.p + c->in.at, *n);
	c->in.at += *n;
	c->in.n -= *n;
	if (c->in.n == 0)
		vai__conn_bytes_free(&c->in);
}

/* A datagram comes through the buffer, as it may be longer than n. */
int vai__conn_read_into(vai_g *self, vai_conn *view, void *p, size_t n, int64_t limit, size_t *got)
{
	vai_conn *c = view->base;
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = c, .limit = limit};
	struct iovec to = {p, n};
	int rc = vai__conn_take(self, c, VAI__READ, &w);
	if (rc != VAI_OK)
		return rc;
	const bool direct = c->in.n == 0 && !c->ops->datagrams;
	if (c->in.n == 0)
		rc = fill_to(self, c, &w, direct ? &to : NULL);
	if (rc == VAI_OK && !direct)
		move_out(c, p, &to.iov_len);
	vai__desc_give(c->desc, VAI__READ);
	*got = to.iov_len;
	return rc;
}

int vai__conn_read_now(vai_conn *view, struct vai__bytes *out)
{
	vai_conn *c = view->base;
	int rc = VAI_OK;
	*out = (struct vai__bytes){0};
	if (c->in.n == 0) {
		if (atomic_load_relaxed(&c->no_read))
			return VAI_ECLOSED;
		rc = c->ended ? VAI__EOF : try_fill(c);
	}
	return rc == VAI_OK ? take(c, c->in.n, out) : rc == VAI__ERRNO(EAGAIN) ? VAI_EAGAIN : rc;
}

int vai__conn_peek(vai_g *self, vai_conn *view, bool event)
{
	vai_conn *c = view->base;
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = c, .limit = 0};
	if (c->ops->begin && !atomic_load_acquire(&c->begun))
		return VAI_OK; /* the handshake needs the other direction, too: let a goroutine do it */
	int rc = vai__desc_take(self, c->desc, VAI__READ, &w);
	if (rc != VAI_OK)
		return rc;
	if (c->in.n == 0 && (event || !is_drained(c))) {
		vai__desc_forget_edge(c->desc, VAI__READ);
		rc = c->ended ? VAI__EOF : try_fill(c);
	} else if (c->in.n == 0) {
		rc = VAI_EAGAIN;
	}
	vai__desc_give(c->desc, VAI__READ);
	return rc == VAI__ERRNO(EAGAIN) ? VAI_EAGAIN : rc;
}

/* Whether vai__conn_peek_head returns VAI_OK. */
static bool has_head(const vai_conn *c, size_t most, size_t *from)
{
	return c->in.n > 0 && (vai__head_end(c->in.p + c->in.at, c->in.n, from) != 0 || c->in.n > most);
}

int vai__conn_peek_head(vai_g *self, vai_conn *view, size_t most, size_t *from)
{
	vai_conn *c = view->base;
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = c, .limit = 0};
	if (c->ops->begin && !atomic_load_acquire(&c->begun))
		return VAI_OK; /* as in vai__conn_peek */
	int rc = vai__desc_take(self, c->desc, VAI__READ, &w);
	if (rc != VAI_OK)
		return rc;
	for (bool asked = false; rc == VAI_OK && !has_head(c, most, from); asked = true) {
		if (asked && is_drained(c)) {
			rc = VAI_EAGAIN;
			break;
		}
		vai__desc_forget_edge(c->desc, VAI__READ);
		rc = c->ended ? VAI__EOF : try_fill(c);
	}
	bool part = c->in.n > 0;
	vai__desc_give(c->desc, VAI__READ);
	if (rc == VAI__ERRNO(EAGAIN) || rc == VAI_EAGAIN)
		return part ? VAI__PART : VAI_EAGAIN;
	return rc;
}

/* If another goroutine has begun a read by now, these bytes come before those that it has not read yet. */
bool vai__conn_unread(vai_conn *view, struct vai__bytes *b)
{
	vai_conn *c = view->base;
	struct vai__iowait w = {.reason = VAI_WAIT_READ, .obj = c, .limit = 0};
	bool done = b->n == 0;
	if (b->n > 0 && vai__desc_take(vai__g_self(), c->desc, VAI__READ, &w) == VAI_OK) {
		if (c->in.n == 0 || make_room(b, c->in.n)) {
			if (c->in.n > 0)
				memcpy(b->p + b->at + b->n, c->in.p + c->in.at, c->in.n);
			b->n += c->in.n;
			vai__conn_bytes_free(&c->in);
			c->in = *b;
			*b = (struct vai__bytes){0};
			done = true;
		}
		vai__desc_give(c->desc, VAI__READ);
	}
	vai__conn_bytes_free(b);
	return done;
}

void vai__conn_take_buffer(vai_conn *c, struct vai__bytes *out)
{
	*out = c->base->in;
	c->base->in = (struct vai__bytes){0};
}

size_t vai__conn_drop_buffer(vai_conn *c)
{
	size_t n = c->base->in.n;
	vai__conn_bytes_free(&c->base->in);
	return n;
}

void vai__conn_set_max(vai_conn *c, size_t line, size_t all)
{
	if (line)
		c->base->line_max = line;
	if (all)
		c->base->all_max = all;
}

/* ---- writing ---- */

/* Moves *iov and *k on by n bytes, which have been written. */
static void advance(struct iovec **iov, int *k, size_t n)
{
	while (*k > 0 && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		++*iov;
		--*k;
	}
	if (*k > 0) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

/* Sends what the kind of connection keeps back, and parks until all of it is sent. */
static int flush(vai_g *self, vai_conn *c, const struct vai__iowait *w)
{
	int rc = c->ops->flush ? c->ops->flush(c) : VAI_OK;
	while (rc == VAI__ERRNO(EAGAIN)) {
		rc = vai__desc_wait(self, c->desc, VAI__WRITE, w);
		if (rc == VAI_OK)
			rc = c->ops->flush(c);
	}
	return rc;
}

int vai__conn_write_taken(
	vai_g *self, vai_conn *view, struct iovec *iov, int n, const struct vai__iowait *w, size_t *done)
{
	vai_conn *c = view->base;
	advance(&iov, &n, 0);
	while (n > 0 || (c->ops->datagrams && *done == 0)) {
		ssize_t sent = c->ops->send(c, iov, n < IOV_MOST ? n : IOV_MOST);
		if (sent >= 0) {
			*done += (size_t)sent;
			if (c->ops->datagrams)
				return VAI_OK;
			advance(&iov, &n, (size_t)sent);
			if (n > 0 && vai__desc_is_closed(c->desc))
				return VAI_ECLOSED;
			continue;
		}
		if (sent != VAI__ERRNO(EAGAIN) && sent != VAI__ERRNO(EWOULDBLOCK))
			return (int)sent;
		int rc = vai__desc_wait(self, c->desc, VAI__WRITE, w);
		if (rc != VAI_OK)
			return rc;
	}
	return flush(self, c, w);
}

int vai__conn_write(vai_g *self, vai_conn *view, struct iovec *iov, int n, int64_t limit, size_t *done)
{
	vai_conn *c = view->base;
	struct vai__iowait w = {.reason = VAI_WAIT_WRITE, .obj = c, .limit = limit};
	*done = 0;
	int rc = vai__conn_take(self, c, VAI__WRITE, &w);
	if (rc != VAI_OK)
		return rc;
	rc = vai__conn_write_taken(self, c, iov, n, &w, done);
	vai__desc_give(c->desc, VAI__WRITE);
	return rc;
}

/* ---- closing ---- */

void vai__conn_settle(vai_g *self, vai_conn *view)
{
	vai_conn *c = view->base;
	struct vai__iowait at_once = {.reason = VAI_WAIT_CLOSE, .obj = c, .limit = 0};
	if (!c->ops->settle || vai__desc_take(self, c->desc, VAI__READ, &at_once) != VAI_OK)
		return;
	struct vai__iowait w = {.reason = VAI_WAIT_CLOSE, .obj = c, .limit = vai__clock_now() + SETTLE};
	while (c->ops->settle(c) == VAI__ERRNO(EAGAIN) && vai__desc_wait(self, c->desc, VAI__READ, &w) == VAI_OK)
		;
	vai__desc_give(c->desc, VAI__READ);
}

bool vai__conn_close(vai_conn *c)
{
	c = c->base;
	if (c->ops->bye && vai__desc_hold(c->desc)) {
		c->ops->bye(c);
		vai__desc_unhold(c->desc);
	}
	if (!(c->inner ? vai__conn_close(c->inner) : vai__desc_close(c->desc)))
		return false;
	if (c->hook)
		c->hook->closed(c->hook, false);
	return true;
}

/* Takes the writing direction, so that the end comes after what is being written. */
int vai__conn_close_write(vai_g *self, vai_conn *view, int64_t limit)
{
	vai_conn *c = view->base;
	struct vai__iowait w = {.reason = VAI_WAIT_WRITE, .obj = c, .limit = limit};
	if (!c->ops->shut)
		return VAI__ERRNO(ENOTSOCK);
	int rc = vai__conn_take(self, c, VAI__WRITE, &w);
	if (rc != VAI_OK)
		return rc;
	rc = c->ops->shut(c);
	if (rc == VAI_OK)
		rc = flush(self, c, &w);
	vai__desc_give(c->desc, VAI__WRITE);
	return rc;
}

/* Remembers the end here, too, as a TCP socket still delivers bytes that come after SHUT_RD. */
int vai__conn_close_read(vai_conn *view)
{
	vai_conn *c = view->base;
	if (!vai__desc_hold(c->desc))
		return VAI_ECLOSED;
	atomic_store_relaxed(&c->no_read, true);
	if (c->ops->is_socket)
		shutdown(vai__desc_fd(c->desc), SHUT_RD);
	vai__desc_nudge(c->desc, VAI__READ);
	vai__desc_unhold(c->desc);
	return VAI_OK;
}

/* ---- names ---- */

static int name_of(vai_conn *c, struct vai__addr *a, int (*get)(int fd, struct vai__addr *a))
{
	if (!vai__desc_hold(c->base->desc))
		return VAI_ECLOSED;
	int rc = get(vai__desc_fd(c->base->desc), a);
	vai__desc_unhold(c->base->desc);
	return rc;
}

int vai__conn_local(vai_conn *c, struct vai__addr *a)
{
	return name_of(c, a, vai__socket_local);
}

int vai__conn_remote(vai_conn *c, struct vai__addr *a)
{
	int rc = name_of(c, a, vai__socket_remote);
	c = c->base;
	while (c->inner)
		c = c->inner;
	if (rc != VAI__ERRNO(ENOTCONN) || c->remote.sa.sa_family == AF_UNSPEC)
		return rc;
	*a = (struct vai__addr){.len = sizeof c->remote};
	memcpy(&a->u, &c->remote, sizeof c->remote);
	return VAI_OK;
}

void vai__conn_set_remote(vai_conn *c, const struct vai__addr *a)
{
	if (a->u.sa.sa_family != AF_UNIX)
		memcpy(&c->remote, &a->u, sizeof c->remote);
}

static void put_name(vai_conn *c, int (*get)(vai_conn *c, struct vai__addr *a), char *buf)
{
	struct vai__addr a;
	if (get(c, &a) < 0)
		memcpy(buf, "?", 2);
	else
		vai__addr_text(&a, buf);
	if (!*buf)
		memcpy(buf, "(unnamed)", sizeof "(unnamed)");
}

void vai__conn_text(vai_conn *c, char *buf)
{
	char local[VAI__ADDR_TEXT], remote[VAI__ADDR_TEXT];
	put_name(c, vai__conn_local, local);
	put_name(c, vai__conn_remote, remote);
	if (!c->base->ops->is_socket || vai__desc_is_closed(c->base->desc))
		snprintf(buf, VAI__CONN_TEXT, "%s", c->base->ops->name);
	else
		snprintf(buf, VAI__CONN_TEXT, "%s %s -> %s", c->base->ops->name, local, remote);
}
