/* SPDX-License-Identifier: MIT */
/* See serve.h.
 *
 * A connection of a server is `waiting` (the server has a reference, and a watch on its descriptor), `ready` (the
 * same, and it is in the list of those that the server's goroutine looks at next) or `running` (its goroutine has
 * it). It is in the list of all until it is closed. s->lock (VAI_RANK_SYNC, before those of descriptors) guards all
 * that. The watch is called without a lock, by the thread that is in the poller or closes the connection.
 *
 * Ready connections are taken by goroutines that have served another one and ask for the next (vai__serve_next); the
 * server's goroutine starts a new one only for a connection that those have left where it was while it let them run.
 * So there are as many as are busy at the same time, each with its state in the cache, and not as many as there are
 * connections.
 *
 * A server may want whole heads: who sends one byte by byte costs a look at each, and neither a goroutine nor Lua.
 * Where the time for a head is bounded such a connection is in s->heads, from its first byte until its goroutine has
 * it, also while it is READY or looked at (RUNNING). Others that wait are in s->idlers, where that is bounded.
 *
 * The references: a connection's record holds its server, a server holds the connections that wait, and its
 * goroutine holds the server. If the goroutine never runs again, what it holds (g->held) closes the server, which
 * cuts the circle. */
#include "net/serve.h"
#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "sched/poll.h"
#include "sync/waitq.h"

enum { SHORT_PAUSE = 50000000 /* ns */, ROUND = 64, TURNS = 16 };
/* In shutdown, ns: for handshakes that are under way; between looks whether all have been accepted; for connections to
 * say what they want at all. */
enum { GRACE = 100000000, LOOK = 1000000, FRESH = 1000000000 };

enum state { WAITING, READY, RUNNING };

/* Connections in the order in which they came, which is that in which their time is over. */
struct row {
	struct served *oldest, *newest;
	int64_t limit; /* how long they may be in it, ns; VAI_FOREVER. Constant */
};

/* What a server keeps of a connection. */
struct served {
	struct vai__conn_hook hook; /* in the connection */
	struct vai__watch watch;    /* in its descriptor, while it is WAITING */
	vai_conn *conn;
	vai_server *server;         /* a reference */
	struct served *next, *prev; /* of all that are open */
	struct served *next_ready;
	struct row *row;              /* of its server, where it is in one */
	struct served *older, *newer; /* in that */
	int64_t since;                /* and since when */
	uint64_t turn;                /* the how-manieth it was to become ready */
	size_t scanned;               /* of the head that it has begun. Who looks at it, RUNNING, has this */
	enum state state;
	bool fresh; /* nothing has come from it yet */
	bool slow;  /* a part of its head is there. Who looks at it has this */
	bool late;  /* and has taken too long */
	bool closed;
};

struct vai_server {
	struct vai_obj obj;
	struct vai_lock lock;
	vai_listener *listener; /* a reference */
	struct served *all;     /* lock, as for what follows */
	struct served *ready, **ready_end;
	struct row idlers, heads;
	size_t head_most; /* a goroutine starts for a head, or so many bytes; 0: for any. Constant */
	int64_t count;    /* open ones */
	int64_t held;     /* WAITING or READY */
	uint64_t turns;   /* so many times a connection has become ready */
	bool closing;
	vai_g *g; /* the goroutine, while it waits for news */
	vai_ticket ticket;
	int64_t until;             /* and until when */
	struct vai__waitq waiters; /* in shutdown */
	struct vai__waitq workers; /* goroutines that wait for the next connection */
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

/* ---- the goroutine is told ---- */

/* Lock held; releases it. */
static void unlock_and_tell(vai_server *s)
{
	vai_g *g = s->g;
	vai_ticket ticket = s->ticket;
	s->g = NULL;
	vai__unlock(&s->lock);
	if (g)
		vai__fire(g, ticket, VAI_WAKE_USER);
}

/* Wakes a goroutine that waits for a connection, the one that has run last; the server's if there is none. Lock held;
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

/* Under the lock. */
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

/* Under the lock. */
static void leave(struct served *c)
{
	struct row *row = c->row;
	if (!row)
		return;
	*(c->older ? &c->older->newer : &row->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &row->newest) = c->older;
	c->row = NULL;
}

/* A connection begins to wait. Under the lock. */
static void begin_wait(vai_server *s, struct served *c)
{
	c->state = WAITING;
	s->held++;
	if (!c->row)
		enter(&s->idlers, c);
}

/* It waits no more; it is the caller's, with the server's reference. Under the lock. */
static void end_wait(vai_server *s, struct served *c)
{
	leave(c);
	c->state = RUNNING;
	s->held--;
}

/* Under the lock. */
static void push_ready(vai_server *s, struct served *c)
{
	c->state = READY;
	c->next_ready = NULL;
	c->turn = ++s->turns;
	*s->ready_end = c;
	s->ready_end = &c->next_ready;
}

/* Makes a connection ready that waits and has news; also if it was closed. */
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

/* The connection that has been ready for longest, which is the caller's then; or NULL. Under the lock. */
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

/* Lock held; releases it. */
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

/* The connection has been closed, or (gone) nobody has it any more. */
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

/* Takes over conn. NULL: out of memory, or the server closes; conn is closed then. */
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

/* Whether the connection, RUNNING so far, may wait again; the server has a reference then. Who has begun a head may end
 * it. Under the lock. */
static bool may_wait(vai_server *s, struct served *c)
{
	if ((s->closing && c->row != &s->heads) || c->state != RUNNING || c->closed)
		return false;
	begin_wait(s, c);
	return true;
}

/* When the time of the first in the row is over. Under the lock. */
static int64_t end_of(const struct row *row)
{
	return row->oldest ? row->oldest->since + row->limit : VAI_FOREVER;
}

/* The first in the row, if its time is over, or NULL. Under the lock. */
static struct served *overdue(const struct row *row)
{
	return end_of(row) <= vai__clock_now() ? row->oldest : NULL;
}

/* When there is something to do because time has passed. Under the lock. */
static int64_t next_end(const vai_server *s)
{
	int64_t idle = end_of(&s->idlers), head = end_of(&s->heads);
	return idle < head ? idle : head;
}

/* Lock held; releases it. Tells the goroutine if it sleeps for longer than until the first end of a wait. */
static void unlock_and_tell_end(vai_server *s)
{
	if (s->g && next_end(s) < s->until)
		unlock_and_tell(s);
	else
		vai__unlock(&s->lock);
}

/* Makes the connection wait for bytes. */
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

/* A part of a head is there, or (!part) none, or all there will be. True: it has taken too long. */
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

/* As vai__conn_peek, but VAI_OK only for a whole head where the server wants that. */
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

/* Looks at a ready connection: it has bytes. False: it has ended, or has nothing after all, and is no longer the
 * caller's. */
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

/* Called by the server's goroutine. */
static void look_at(vai_g *self, vai_server *s, struct served *c)
{
	if (is_ready(self, c) && !s->start(self, s->arg, c->conn))
		drop(c);
}

/* What the server of a connection keeps of it; NULL: it has none. */
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

/* Lock held; releases it. Waits until a connection is ready, or was. */
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

/* The others that are ready to run have their turn before it takes a connection that waits already. */
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

/* Those that wait for another request; that wait, and have not begun one; that are open. */
enum which { BETWEEN, IDLE, OPEN };

/* Under the lock. */
static struct served *pick(vai_server *s, enum which which)
{
	struct served *c = s->all;
	while (c && which != OPEN && (c->state != WAITING || c->row == &s->heads || (which == BETWEEN && c->fresh)))
		c = c->next;
	return c;
}

/* The goroutine deals with READY ones. */
static void close_conns(vai_server *s, enum which which)
{
	for (;;) {
		vai__lock(&s->lock);
		struct served *c = pick(s, which);
		struct vai__desc *d = c ? vai__conn_desc(c->conn) : NULL;
		bool ours = c && c->state == WAITING;
		if (ours)
			end_wait(s, c); /* the reference of the server is this call's now */
		bool alive = c && (ours || vai__obj_try_ref((struct vai_obj *)c->conn));
		if (c && !alive) { /* it dies at this moment */
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

/* Closes those that have waited for too long. */
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

/* Those whose head takes too long are for a goroutine, which has an answer to that: who looks at one at the moment is
 * told when it notes what it has seen, the others become ready. */
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

/* Lets the goroutine accept all that have connected, also where others listen at the address: a connection that nobody
 * has accepted when its listener closes is lost to its peer. */
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

/* A connection that has said nothing yet gets a while to do so: its request may be on the way. */
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

/* ---- the goroutine ---- */

/* What the goroutine holds. */
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

/* Accepts some connections. VAI_EAGAIN: there are no more; VAI_OK: there are more; otherwise why none can be
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

/* Parks until there is something to do. */
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

/* The connection that has been ready for longest, if it was that at the last look, too; *seen: whose turn it was then,
 * and is now. Otherwise NULL. */
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

/* Starts goroutines for connections that nobody takes. False: it has left some, to look at other things first. */
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
		if (VAI_UNLIKELY(vai__g_ending(self))) { /* the Lua state closes that has started it */
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
