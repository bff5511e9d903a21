/* SPDX-License-Identifier: MIT */
/* See serve.h.
 *
 * A connection of a server is WAITING (the server has a reference, and a watch on its descriptor), READY (the server
 * has a reference, and the connection is in the list of those that the server's goroutine looks at next) or RUNNING
 * (its goroutine has it). It is in the list of all until it is closed. s->lock (VAI_RANK_SYNC, taken before those of
 * descriptors) guards all that. The watch is called without a lock, by the thread that is in the poller or closes the
 * connection.
 *
 * READY connections are taken by goroutines that have served another one and ask for the next (vai__serve_next). The
 * server's goroutine starts a new goroutine only for a connection that is still READY after those have had a turn to
 * run. So there are as many goroutines as connections that are busy at the same time, each with its Lua state in the
 * cache.
 *
 * A server may want whole heads: then a peer that sends byte by byte costs a look at each byte, but no goroutine and no
 * Lua. If the time for a head is bounded, such a connection is in s->heads from its first byte until its goroutine has
 * it, also while it is READY or looked at (RUNNING). Other connections that wait are in s->idlers, if waiting is
 * bounded.
 *
 * References: a connection's record holds its server, a server holds the connections that wait, and its goroutine holds
 * the server. If the goroutine never runs again, what it holds (g->held) closes the server, which cuts the circle. */
#include "net/serve.h"
#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "sched/poll.h"
#include "sync/waitq.h"

enum { SHORT_PAUSE = 50000000 /* ns */, ROUND = 64, TURNS = 16 };
/* In shutdown, ns. GRACE: for handshakes under way. LOOK: between looks whether all connections have been accepted.
 * FRESH: for connections that have said nothing yet to say something. */
enum { GRACE = 100000000, LOOK = 1000000, FRESH = 1000000000 };

enum state { WAITING, READY, RUNNING };

/* Connections in the order in which they entered, which is the order in which their time is over. */
struct row {
	struct served *oldest, *newest;
	int64_t limit; /* how long a connection may be in it, ns, or VAI_FOREVER; constant */
};

/* What a server keeps of a connection. */
struct served {
	struct vai__conn_hook hook; /* in the connection */
	struct vai__watch watch;    /* in its descriptor, while it is WAITING */
	vai_conn *conn;
	vai_server *server;         /* a reference */
	struct served *next, *prev; /* in the list of all that are open */
	struct served *next_ready;
	struct row *row;              /* the row that it is in (idlers or heads), or NULL */
	struct served *older, *newer; /* its neighbours in that row */
	int64_t since;                /* when it entered the row */
	uint64_t turn;                /* which READY one it was, counted over all: s->turns */
	size_t scanned;               /* the bytes of the head that have been looked at; for whoever looks at it, RUNNING */
	enum state state;
	bool fresh; /* no byte has come from it yet */
	bool slow;  /* part of its head has come; for whoever looks at it */
	bool late;  /* its head has taken too long */
	bool closed;
};

struct vai_server {
	struct vai_obj obj;
	struct vai_lock lock;
	vai_listener *listener; /* a reference */
	struct served *all;     /* under the lock, as is all that follows */
	struct served *ready, **ready_end;
	struct row idlers, heads;
	size_t head_most; /* a goroutine starts for a head or so many bytes, 0: for any byte; constant */
	int64_t count;    /* open connections */
	int64_t held;     /* those that are WAITING or READY */
	uint64_t turns;   /* how many times a connection has become READY */
	bool closing;
	vai_g *g; /* the goroutine, while it waits for news */
	vai_ticket ticket;
	int64_t until;             /* the time that it waits for at the latest */
	struct vai__waitq waiters; /* goroutines in vai__serve_shutdown */
	struct vai__waitq workers; /* goroutines in vai__serve_next */
	vai__serve_fn *start;
	void (*release)(void *arg);
	void *arg;
};

static void server_destroy(struct vai_obj *o)
{
	vai_server *s = VAI_CONTAINER(o, vai_server, obj);
	vai__obj_unref((struct vai_obj *)s->listener);
	s->release(s->arg);
	vai__mem_free(s, sizeof *s);
}

const struct vai_class vai__serve_class = {"server", server_destroy};

/* ---- waking goroutines ---- */

/* Wakes the server's goroutine, if it waits. Lock held; releases it. */
static void unlock_and_tell(vai_server *s)
{
	vai_g *g = s->g;
	vai_ticket ticket = s->ticket;
	s->g = NULL;
	vai__unlock(&s->lock);
	if (g)
		vai__fire(g, ticket, VAI_WAKE_USER);
}

/* Wakes the goroutine that has begun last to wait in vai__serve_next, or the server's if none waits. Lock held;
 * releases it. */
static void unlock_and_wake(vai_server *s)
{
	struct vai__waiter *w;
	while ((w = vai__waitq_pop_last(&s->workers)) != NULL) {
		struct vai__wake wake = vai__waitq_wake(w);
		if (!vai__wake_fire(&wake))
			continue; /* it has given up */
		vai__unlock(&s->lock);
		return;
	}
	unlock_and_tell(s);
}

/* Puts the connection at the end of the row, unless the row is unbounded. Lock held. */
static void enter(struct row *row, struct served *c)
{
	if (row->limit == VAI_FOREVER)
		return;
	c->row = row;
	c->since = vai__clock_now();
	c->older = row->newest;
	c->newer = NULL;
	*(row->newest ? &row->newest->newer : &row->oldest) = c;
	row->newest = c;
}

/* Takes the connection out of its row. Lock held. */
static void leave(struct served *c)
{
	struct row *row = c->row;
	if (!row)
		return;
	*(c->older ? &c->older->newer : &row->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &row->newest) = c->older;
	c->row = NULL;
}

/* Makes the connection WAITING. Lock held. */
static void begin_wait(vai_server *s, struct served *c)
{
	c->state = WAITING;
	s->held++;
	if (!c->row)
		enter(&s->idlers, c);
}

/* Makes the connection RUNNING: it is the caller's, with the server's reference. Lock held. */
static void end_wait(vai_server *s, struct served *c)
{
	leave(c);
	c->state = RUNNING;
	s->held--;
}

/* Puts the connection at the end of the list of READY ones. Lock held. */
static void push_ready(vai_server *s, struct served *c)
{
	c->state = READY;
	c->next_ready = NULL;
	c->turn = ++s->turns;
	*s->ready_end = c;
	s->ready_end = &c->next_ready;
}

/* Makes a connection READY that is WAITING, as it has news or was closed. */
static void make_ready(struct served *c)
{
	vai_server *s = c->server;
	vai__lock(&s->lock);
	if (c->state == WAITING) {
		if (c->row == &s->idlers)
			leave(c);
		push_ready(s, c);
	}
	unlock_and_wake(s);
}

static void on_watch(struct vai__watch *w)
{
	make_ready(VAI_CONTAINER(w, struct served, watch));
}

/* Takes the connection that has been READY for longest, which is the caller's then; or NULL. Lock held. */
static struct served *pop_ready(vai_server *s)
{
	struct served *c = s->ready;
	if (!c)
		return NULL;
	s->ready = c->next_ready;
	if (!s->ready)
		s->ready_end = &s->ready;
	c->state = RUNNING;
	s->held--;
	return c;
}

static struct served *next_ready(vai_server *s)
{
	vai__lock(&s->lock);
	struct served *c = pop_ready(s);
	vai__unlock(&s->lock);
	return c;
}

/* ---- connections ---- */

/* Removes the connection from the server, whose shutdown may be over with that. Lock held; releases it. */
static void forget(vai_server *s, struct served *c)
{
	struct vai__waitq all;
	vai__waitq_init(&all);
	if (c->prev)
		c->prev->next = c->next;
	else
		s->all = c->next;
	if (c->next)
		c->next->prev = c->prev;
	leave(c);
	c->closed = true;
	if (--s->count == 0)
		vai__waitq_splice(&all, &s->waiters);
	vai__waitq_fire_all(&all, 0, &s->lock);
}

/* Called when the connection has been closed, or (gone) when its last reference is gone. */
static void on_close(struct vai__conn_hook *hook, bool gone)
{
	struct served *c = VAI_CONTAINER(hook, struct served, hook);
	vai_server *s = c->server;
	vai__lock(&s->lock);
	if (!c->closed)
		forget(s, c);
	else
		vai__unlock(&s->lock);
	if (!gone)
		return;
	vai__mem_free(c, sizeof *c);
	vai__obj_unref(&s->obj);
}

/* Makes the connection one of the server's. Takes over conn. NULL: out of memory, or the server closes; conn is closed
 * then. */
static struct served *adopt(vai_server *s, vai_conn *conn)
{
	struct served *c = vai__mem_zalloc(sizeof *c);
	vai__lock(&s->lock);
	if (!c || s->closing) {
		vai__unlock(&s->lock);
		vai__mem_free(c, sizeof *c);
		vai__obj_unref((struct vai_obj *)conn);
		return NULL;
	}
	c->hook.closed = on_close;
	c->watch.fn = on_watch;
	c->conn = conn;
	c->server = s;
	c->state = RUNNING;
	c->fresh = true;
	c->next = s->all;
	if (s->all)
		s->all->prev = c;
	s->all = c;
	s->count++;
	vai__obj_ref(&s->obj);
	vai__unlock(&s->lock);
	vai__conn_set_hook(conn, &c->hook);
	return c;
}

static void drop(struct served *c)
{
	vai_conn *conn = c->conn;
	vai__conn_close(conn);
	vai__obj_unref((struct vai_obj *)conn);
}

/* Whether the connection, RUNNING so far, may wait again; if so the server has the caller's reference. While the server
 * closes only a connection with part of a head may. Lock held. */
static bool may_wait(vai_server *s, struct served *c)
{
	if ((s->closing && c->row != &s->heads) || c->state != RUNNING || c->closed)
		return false;
	begin_wait(s, c);
	return true;
}

/* When the time of the row's first connection is over, or VAI_FOREVER. Lock held. */
static int64_t end_of(const struct row *row)
{
	return row->oldest ? row->oldest->since + row->limit : VAI_FOREVER;
}

/* The row's first connection if its time is over, or NULL. Lock held. */
static struct served *overdue(const struct row *row)
{
	return end_of(row) <= vai__clock_now() ? row->oldest : NULL;
}

/* When the next connection's time is over, in either row. Lock held. */
static int64_t next_end(const vai_server *s)
{
	int64_t idle = end_of(&s->idlers), head = end_of(&s->heads);
	return idle < head ? idle : head;
}

/* Wakes the server's goroutine if it would sleep beyond the next end of a connection's time. Lock held; releases it. */
static void unlock_and_tell_end(vai_server *s)
{
	if (s->g && next_end(s) < s->until)
		unlock_and_tell(s);
	else
		vai__unlock(&s->lock);
}

/* Makes the connection, RUNNING so far, wait for bytes. */
static void wait_for_bytes(struct served *c)
{
	vai_server *s = c->server;
	vai__lock(&s->lock);
	bool waits = may_wait(s, c);
	unlock_and_tell_end(s);
	if (!waits)
		drop(c);
	else if (!vai__desc_watch(vai__conn_desc(c->conn), VAI__READ, &c->watch))
		make_ready(c);
}

/* Notes whether part of a head is there. part: it is; otherwise no byte is there, or the head is whole. True: the head
 * has taken too long. */
static bool note_head(struct served *c, bool part)
{
	vai_server *s = c->server;
	vai__lock(&s->lock);
	bool late = c->late;
	if (!part || late)
		leave(c);
	else if (!c->row && !c->closed)
		enter(&s->heads, c);
	vai__unlock(&s->lock);
	c->slow = part && !late;
	return late;
}

/* As vai__conn_peek, but if the server wants whole heads VAI_OK only for a whole one. */
static int peek(vai_g *self, struct served *c)
{
	size_t most = c->server->head_most;
	if (most == 0)
		return vai__conn_peek(self, c->conn, true);
	int rc = vai__conn_peek_head(self, c->conn, most, &c->scanned);
	bool part = rc == VAI__PART;
	bool late = (part || c->slow) && note_head(c, part);
	c->fresh &= !part;
	if (part && !late)
		return VAI_EAGAIN;
	c->scanned = 0;
	return part ? VAI_OK : rc;
}

/* Looks whether a READY connection has bytes. False: it has none or has ended, and is no longer the caller's. */
static bool is_ready(vai_g *self, struct served *c)
{
	int rc = peek(self, c);
	c->fresh &= rc == VAI_EAGAIN;
	if (rc == VAI_EAGAIN)
		wait_for_bytes(c);
	else if (rc != VAI_OK)
		drop(c);
	return rc == VAI_OK;
}

/* Starts a goroutine for the connection if it has bytes. For the server's goroutine. */
static void look_at(vai_g *self, vai_server *s, struct served *c)
{
	if (is_ready(self, c) && !s->start(self, s->arg, c->conn))
		drop(c);
}

/* The server's record of a connection; NULL: it belongs to no server. */
static struct served *served_of(vai_conn *view)
{
	struct vai__conn_hook *hook = vai__conn_hook(view);
	return hook && hook->closed == on_close ? VAI_CONTAINER(hook, struct served, hook) : NULL;
}

int vai__serve_idle(vai_g *self, vai_conn *view)
{
	vai_conn *conn = vai__conn_base(view);
	struct served *c = served_of(view);
	if (!c)
		return VAI_EINVAL;
	int rc = vai__conn_peek(self, conn, false);
	if (rc != VAI_OK && rc != VAI_EAGAIN)
		return rc == VAI_ETIMEOUT ? VAI_EAGAIN : rc;
	vai_server *s = c->server;
	vai__lock(&s->lock);
	bool late = c->late && rc == VAI_OK, ok = !late && may_wait(s, c);
	c->late = late;
	if (ok)
		vai__obj_ref((struct vai_obj *)conn);
	unlock_and_tell_end(s);
	if (!ok)
		return late ? VAI_ETIMEOUT : VAI_ECLOSED;
	if (rc == VAI_OK || !vai__desc_watch(vai__conn_desc(conn), VAI__READ, &c->watch))
		make_ready(c);
	return VAI_OK;
}

/* Waits until a connection is READY, or has been. Lock held; releases it. */
static int await_ready(vai_g *self, vai_server *s, int64_t limit)
{
	if (s->closing || vai__deadline_over(limit)) {
		bool closing = s->closing;
		vai__unlock(&s->lock);
		return closing ? VAI_ECLOSED : VAI_ETIMEOUT;
	}
	vai__poll_count(1);
	int rc = vai__waitq_wait(self, &s->workers, &s->lock, VAI_WAIT_SERVE, s->listener, limit);
	vai__poll_count(-1);
	return rc;
}

/* Goroutines that are ready to run have a turn before this one takes a connection that is READY already. */
int vai__serve_next(vai_g *self, vai_conn *view, int64_t limit, vai_conn **next)
{
	struct served *c = served_of(view);
	vai_server *s = c ? c->server : NULL;
	int rc = s ? VAI_OK : VAI_EINVAL;
	if (s)
		vai__yield(self);
	while (rc == VAI_OK) {
		vai__lock(&s->lock);
		c = pop_ready(s);
		if (!c) {
			rc = await_ready(self, s, limit);
			continue;
		}
		vai__unlock(&s->lock);
		if (!is_ready(self, c))
			continue;
		*next = c->conn;
		return VAI_OK;
	}
	return rc;
}

/* ---- closing ---- */

/* Which connections to close: those that wait between two requests; those that wait and have not begun a request;
 * all. */
enum which { BETWEEN, IDLE, OPEN };

/* The next connection to close, or NULL. Lock held. */
static struct served *pick(vai_server *s, enum which which)
{
	struct served *c = s->all;
	while (c && which != OPEN && (c->state != WAITING || c->row == &s->heads || (which == BETWEEN && c->fresh)))
		c = c->next;
	return c;
}

/* Closes these connections. The server's reference to a READY one is left to the server's goroutine, which finds it
 * closed. */
static void close_conns(vai_server *s, enum which which)
{
	for (;;) {
		vai__lock(&s->lock);
		struct served *c = pick(s, which);
		struct vai__desc *d = c ? vai__conn_desc(c->conn) : NULL;
		bool ours = c && c->state == WAITING;
		if (ours)
			end_wait(s, c); /* the server's reference is this call's now */
		bool alive = c && (ours || vai__obj_try_ref((struct vai_obj *)c->conn));
		if (c && !alive) { /* its last reference is going at this moment */
			forget(s, c);
			continue;
		}
		if (!c) {
			unlock_and_tell(s);
			return;
		}
		vai__unlock(&s->lock);
		vai__desc_unwatch(d, VAI__READ);
		drop(c);
	}
}

/* Closes the connections that have waited for too long. */
static void close_idle(vai_server *s)
{
	for (;;) {
		vai__lock(&s->lock);
		struct served *c = overdue(&s->idlers);
		if (c)
			end_wait(s, c);
		vai__unlock(&s->lock);
		if (!c)
			return;
		vai__desc_unwatch(vai__conn_desc(c->conn), VAI__READ);
		drop(c);
	}
}

/* A connection whose head takes too long goes to a goroutine, which has an answer for that. A goroutine that looks at
 * it at this moment learns of it in note_head; the others become READY. */
static void end_heads(vai_server *s)
{
	for (;;) {
		vai__lock(&s->lock);
		struct served *c = overdue(&s->heads);
		if (!c) {
			vai__unlock(&s->lock);
			return;
		}
		c->late = true;
		leave(c);
		bool waits = c->state == WAITING;
		if (waits)
			c->state = RUNNING;
		vai__unlock(&s->lock);
		if (!waits)
			continue;
		vai__desc_unwatch(vai__conn_desc(c->conn), VAI__READ);
		vai__lock(&s->lock);
		push_ready(s, c);
		unlock_and_wake(s);
	}
}

static void begin_close(vai_server *s)
{
	vai__listener_close(s->listener);
	struct vai__waitq all;
	vai__waitq_init(&all);
	vai__lock(&s->lock);
	s->closing = true;
	vai__waitq_splice(&all, &s->workers);
	vai__waitq_fire_all(&all, 0, &s->lock);
	vai__lock(&s->lock);
	unlock_and_tell(s);
}

void vai__serve_close(vai_server *s)
{
	begin_close(s);
	close_conns(s, OPEN);
}

/* Lets the server's goroutine accept all that have connected before the listener closes, as those that are not accepted
 * by then are reset. Where others listen at the address, too, new connections are diverted to them. */
static int let_in(vai_g *self, vai_server *s, int64_t limit)
{
	int64_t now = vai__clock_now(), until = now + (limit > now && vai__listener_divert(s->listener) ? GRACE : 0);
	int64_t end = limit < now + FRESH ? limit : now + FRESH;
	while (now < end && (now < until || vai__listener_is_asked(s->listener))) {
		int64_t next = now < until ? until : now + LOOK;
		vai__wait_begin(self);
		int code = vai__wait(self, VAI_WAIT_CLOSE, s->listener, next < end ? next : end);
		if (code != VAI_WAKE_TIMEOUT)
			return vai__wake_result(code);
		now = vai__clock_now();
	}
	return VAI_OK;
}

static int wait_for_all(vai_g *self, vai_server *s, int64_t limit)
{
	vai__lock(&s->lock);
	if (s->count > 0 && limit != 0)
		return vai__waitq_wait(self, &s->waiters, &s->lock, VAI_WAIT_SERVE, s->listener, limit);
	int rc = s->count == 0 ? VAI_OK : VAI_ETIMEOUT;
	vai__unlock(&s->lock);
	return rc;
}

/* A connection that has sent nothing yet gets some time to do so, as its request may be on the way. */
int vai__serve_shutdown(vai_g *self, vai_server *s, int64_t limit)
{
	struct vai__iowait w = {.reason = VAI_WAIT_CLOSE, .obj = s->listener, .limit = limit};
	int rc = let_in(self, s, limit);
	begin_close(s);
	close_conns(s, BETWEEN);
	if (rc == VAI_OK)
		rc = vai__desc_await(self, vai__listener_desc(s->listener), &w);
	if (rc != VAI_OK && rc != VAI_ETIMEOUT)
		return rc;
	int64_t first = vai__clock_now() + FRESH;
	rc = wait_for_all(self, s, first < limit ? first : limit);
	if (rc != VAI_ETIMEOUT)
		return rc;
	close_conns(s, IDLE);
	return wait_for_all(self, s, limit);
}

vai_listener *vai__serve_listener(const vai_server *s)
{
	return s->listener;
}

int64_t vai__serve_count(vai_server *s)
{
	vai__lock(&s->lock);
	int64_t n = s->count;
	vai__unlock(&s->lock);
	return n;
}

/* ---- the server's goroutine ---- */

/* What the server's goroutine holds. */
struct hold {
	struct vai_obj obj;
	vai_server *server;
	bool over; /* it has ended by itself */
};

static void let_go(struct vai_obj *o)
{
	struct hold *h = VAI_CONTAINER(o, struct hold, obj);
	struct served *c;
	if (!h->over)
		vai__serve_close(h->server);
	while ((c = next_ready(h->server)) != NULL)
		drop(c);
	vai__obj_unref(&h->server->obj);
	vai__mem_free(h, sizeof *h);
}

static const struct vai_class hold_class = {"server's goroutine", let_go};

/* Accepts some connections. VAI_OK: there may be more; VAI_EAGAIN: there are no more; otherwise why none can be
 * accepted. */
static int accept_some(vai_server *s)
{
	int rc = VAI_OK;
	for (int i = 0; i < ROUND && rc == VAI_OK; i++) {
		vai_conn *conn;
		rc = vai__listener_accept_now(s->listener, &conn);
		struct served *c = rc == VAI_OK ? adopt(s, conn) : NULL;
		if (c)
			wait_for_bytes(c);
	}
	return rc;
}

/* Parks until there is something to do, or until `until`. */
static void wait_for_news(vai_g *self, vai_server *s, bool listening, int64_t until)
{
	vai_ticket ticket = vai__wait_begin(self);
	struct vai__desc *d = vai__listener_desc(s->listener);
	vai__lock(&s->lock);
	bool news = s->ready || (s->closing && s->held == 0);
	if (next_end(s) < until)
		until = next_end(s);
	if (!news) {
		s->g = self;
		s->ticket = ticket;
		s->until = until;
	}
	vai__unlock(&s->lock);
	if (!news && listening)
		news = !vai__desc_publish(self, d, VAI__READ, ticket);
	if (news)
		vai__fire(self, ticket, VAI_WAKE_USER);
	vai__poll_count(1);
	vai__wait(self, VAI_WAIT_SERVE, s->listener, until);
	vai__poll_count(-1);
	vai__lock(&s->lock);
	s->g = NULL;
	vai__unlock(&s->lock);
	if (listening)
		vai__desc_retract(self, d, VAI__READ);
}

static bool is_over(vai_server *s)
{
	vai__lock(&s->lock);
	bool over = s->closing && s->held == 0;
	vai__unlock(&s->lock);
	return over;
}

/* The connection that has been READY for longest, if it was that at the last look, too; otherwise NULL. *seen: the turn
 * of the first READY connection at the last look, and then at this one. */
static struct served *left_ready(vai_server *s, uint64_t *seen)
{
	vai__lock(&s->lock);
	struct served *c = s->ready;
	bool left = c && c->turn == *seen;
	*seen = c ? c->turn : 0;
	if (left)
		pop_ready(s);
	vai__unlock(&s->lock);
	return left ? c : NULL;
}

/* Starts goroutines for READY connections that nobody has taken. False: some are left, as it is time to look at other
 * things. */
static bool hand_out(vai_g *self, vai_server *s)
{
	uint64_t seen = 0;
	for (int i = 0; i < TURNS; i++) {
		struct served *c = left_ready(s, &seen);
		if (c)
			look_at(self, s, c);
		else if (seen == 0)
			return true;
		else
			vai__yield(self);
	}
	return false;
}

static void serve(vai_g *self, vai_server *s)
{
	struct vai__iowait w = {.reason = VAI_WAIT_SERVE, .obj = s->listener, .limit = VAI_FOREVER};
	struct vai__desc *d = vai__listener_desc(s->listener);
	bool listening = vai__desc_take(self, d, VAI__READ, &w) == VAI_OK;
	for (;;) {
		if (VAI_UNLIKELY(vai__g_ending(self))) { /* the Lua state that has started it closes */
			vai__serve_close(s);
			break;
		}
		hand_out(self, s);
		if (s->idlers.limit != VAI_FOREVER)
			close_idle(s);
		if (s->heads.limit != VAI_FOREVER)
			end_heads(s);
		int rc = listening ? accept_some(s) : VAI_EAGAIN;
		if (listening && vai__desc_is_closed(d)) {
			vai__desc_give(d, VAI__READ);
			listening = false;
		}
		if (is_over(s))
			break;
		if (rc != VAI_OK)
			wait_for_news(self, s, listening, rc == VAI_EAGAIN ? VAI_FOREVER : vai__clock_now() + SHORT_PAUSE);
	}
	if (listening)
		vai__desc_give(d, VAI__READ);
}

static void entry(vai_g *g, void *arg)
{
	struct hold *h = arg;
	serve(g, h->server);
	h->over = true;
	g->held = NULL;
	vai__obj_unref(&h->obj);
}

static vai_server *server_new(
	vai_listener *l, const struct vai__serve_how *how, vai__serve_fn *start, void (*release)(void *arg), void *arg)
{
	vai_server *s = vai__obj_new(sizeof *s, &vai__serve_class);
	if (!s)
		return NULL;
	vai__lock_init(&s->lock, VAI_RANK_SYNC);
	vai__waitq_init(&s->waiters);
	vai__waitq_init(&s->workers);
	s->ready_end = &s->ready;
	s->idlers.limit = how->idle;
	s->heads.limit = how->head_time;
	s->head_most = how->head_most;
	s->start = start;
	s->release = release;
	s->arg = arg;
	s->listener = l;
	vai__obj_ref((struct vai_obj *)l);
	return s;
}

vai_server *vai__serve(vai_g *self, vai_listener *l, const struct vai__serve_how *how, vai__serve_fn *start,
	void (*release)(void *arg), void *arg, const char *site)
{
	struct hold *h = vai__mem_zalloc(sizeof *h);
	vai_g *g = h ? vai__g_new(entry, h) : NULL;
	vai_server *s = g ? server_new(l, how, start, release, arg) : NULL;
	if (!s) {
		if (g)
			vai__g_discard(g);
		vai__mem_free(h, sizeof *h);
		return NULL;
	}
	vai__obj_init(&h->obj, &hold_class);
	h->server = s;
	vai__obj_ref(&s->obj);
	g->held = h;
	g->site = site;
	vai__g_start(self, g);
	return s;
}
