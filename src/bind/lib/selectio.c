/* SPDX-License-Identifier: MIT */
/* See selectio.h. Each round tries all cases once without waiting, in random order, and then waits for any of them.
 * While select runs the goroutine owns the reading direction of each object, or queues for it. So no event of the
 * poller is lost, and data of cases that were not chosen stay unread. */
#include "bind/lib/selectio.h"
#include <string.h>
#include "base/clock.h"
#include "bind/lib/netlib.h"
#include "bind/lib/processlib.h"
#include "sched/poll.h"

enum { SHORT_PAUSE = 50000000 /* ns after which accept is tried again when descriptors are out */ };

enum kind { CONN, LISTENER, PACKET, PROCESS };

struct source {
	enum kind kind;
	int index; /* of its case */
	int order; /* list[k].order is the entry that is tried as number k; it has nothing to do with this entry */
	struct vai_obj *obj;   /* borrowed from the Lua stack */
	struct vai__among dir; /* not for processes */
	struct vai__waiter exit;
	int64_t until; /* when the time limit of the connection's view is over */
	bool is_short; /* descriptors are out, and the poller does not say when there are some again */
	int broken;    /* why the source cannot be waited for; or 0 */
	int rc;        /* of the chosen entry, as all that follow: the result, and what was read */
	struct vai__bytes bytes;
	vai_conn *conn;
	struct vai__exit end;
	struct vai__addr from;
	bool truncated;
};

struct vai__selectio {
	struct vai__also also;
	vai_g *g;
	struct vai__case *cases;
	int n, nchans, nsources;
	struct source *chosen;
	struct source list[];
};

static const struct vai_class *const classes[] = {
	[CONN] = &vai__conn_class,
	[LISTENER] = &vai__listener_class,
	[PACKET] = &vai__packet_class,
	[PROCESS] = &vai__process_class,
};

bool vai__selectio_case(lua_State *L, struct vai__case *c)
{
	struct vai_obj *o = vai__handle_any(L, -1);
	bool known = false;
	for (enum kind k = CONN; o && k <= PROCESS; k++)
		known |= o->cls == classes[k];
	if (!known)
		return false;
	if (o->cls == &vai__conn_class && vai__conn_context((vai_conn *)o))
		vai__arg_error(L, 1, "select", "a connection with a context: that is for the option 'timeout'");
	c->ch = NULL;
	c->dir = VAI_DIR_OTHER;
	c->msg.w[0] = (uint64_t)(uintptr_t)o;
	return true;
}

static struct vai__desc *desc_of(struct vai_obj *o, enum kind kind)
{
	switch (kind) {
	case CONN: return vai__conn_desc((vai_conn *)o);
	case LISTENER: return vai__listener_desc((vai_listener *)o);
	case PACKET: return vai__packet_desc((vai_packet *)o);
	default: return NULL;
	}
}

static void source_init(struct source *s, struct vai_obj *o, int index)
{
	memset(s, 0, sizeof *s);
	while (classes[s->kind] != o->cls)
		s->kind++;
	s->index = index;
	s->obj = o;
	s->dir.d = desc_of(o, s->kind);
	s->dir.dir = VAI__READ;
	s->dir.deadline = s->until = VAI_FOREVER;
	double seconds = s->kind == CONN ? vai__conn_limit((vai_conn *)o) : -1;
	if (seconds >= 0)
		s->until = vai__arg_seconds_deadline(seconds);
}

/* ---- looking ---- */

static int try_accept(struct source *s)
{
	int rc = vai__listener_accept_now((vai_listener *)s->obj, &s->conn);
	s->is_short = vai__listener_is_short(rc);
	return s->is_short ? VAI_EAGAIN : rc;
}

static int try_one(vai_g *g, struct source *s)
{
	if (s->kind == PROCESS) {
		int rc = vai__process_wait(g, (vai_process *)s->obj, 0, &s->end);
		return rc == VAI_ETIMEOUT ? VAI_EAGAIN : rc;
	}
	int rc = vai__desc_among_look(&s->dir);
	if (rc == VAI_OK) {
		switch (s->kind) {
		case CONN: rc = vai__conn_read_now((vai_conn *)s->obj, &s->bytes); break;
		case LISTENER: rc = try_accept(s); break;
		default:
			rc = vai__packet_recv_now((vai_packet *)s->obj, VAI__DATAGRAM_MAX, &s->bytes, &s->from, &s->truncated);
			break;
		}
	}
	if (rc == VAI_EAGAIN && s->broken)
		return s->broken;
	return rc == VAI_EAGAIN && (vai__clock_is_past(s->dir.deadline) || vai__clock_is_past(s->until)) ? VAI_ETIMEOUT
																									 : rc;
}

static void shuffle(struct vai__selectio *io)
{
	for (int k = 0; k < io->nsources; k++) {
		int at = (int)vai__select_random((uint64_t)k + 1);
		io->list[k].order = io->list[at].order;
		io->list[at].order = k;
	}
}

/* Tries all cases in random order. Returns the one that was ready, or VAI_EAGAIN. Channels are tried all together
 * when the first of them has its turn. */
static int try_sources(struct vai__selectio *io)
{
	int left = io->nchans;
	shuffle(io);
	for (int k = 0; k <= io->nsources; k++) {
		uint64_t rest = (uint64_t)(io->nsources - k);
		if (left > 0 && vai__select_random(rest + (uint64_t)left) >= rest) {
			int rc = vai__select(io->g, io->cases, io->n, 0);
			if (rc != VAI_EAGAIN)
				return rc;
			left = 0;
		}
		struct source *s = rest > 0 ? &io->list[io->list[k].order] : NULL;
		int rc = s ? try_one(io->g, s) : VAI_EAGAIN;
		if (rc != VAI_EAGAIN) {
			s->rc = rc;
			io->chosen = s;
			return s->index;
		}
	}
	return VAI_EAGAIN;
}

/* ---- waiting ---- */

static bool begin_wait(struct vai__also *also, vai_g *self, vai_ticket ticket)
{
	struct vai__selectio *io = VAI_CONTAINER(also, struct vai__selectio, also);
	bool quiet = true;
	vai__poll_count(1);
	for (struct source *s = io->list; s < io->list + io->nsources; s++) {
		if (s->kind == PROCESS) {
			s->exit = (struct vai__waiter){.g = self, .ticket = ticket, .code = VAI_WAKE_USER};
			quiet &= vai__process_link((vai_process *)s->obj, &s->exit);
			continue;
		}
		int rc = vai__desc_among_wait(self, &s->dir, ticket, VAI__SELECT_CODE(s->index));
		quiet &= rc == VAI_OK;
		s->broken = rc == VAI_EAGAIN ? VAI_OK : rc;
	}
	return quiet;
}

static void end_wait(struct vai__also *also, int code)
{
	struct vai__selectio *io = VAI_CONTAINER(also, struct vai__selectio, also);
	vai__poll_count(-1);
	for (struct source *s = io->list; s < io->list + io->nsources; s++)
		if (s->kind == PROCESS)
			vai__process_unlink((vai_process *)s->obj, &s->exit);
		else
			vai__desc_among_end(io->g, &s->dir, code == VAI__SELECT_CODE(s->index), code == VAI_WAKE_USER);
}

/* When the next round has to begin at the latest. */
static int64_t next_look(const struct vai__selectio *io, int64_t deadline)
{
	int64_t until = deadline;
	for (const struct source *s = io->list; s < io->list + io->nsources; s++) {
		int64_t soon = s->is_short ? vai__clock_now() + SHORT_PAUSE : VAI_FOREVER;
		until = s->dir.deadline < until ? s->dir.deadline : until;
		until = s->until < until ? s->until : until;
		until = soon < until ? soon : until;
	}
	return until;
}

int vai__selectio_run(struct vai__selectio *io, int64_t deadline)
{
	int rc;
	while ((rc = try_sources(io)) == VAI_EAGAIN && !vai__clock_is_past(deadline)) {
		rc = vai__select_also(io->g, io->cases, io->n, next_look(io, deadline), &io->also);
		if (rc != VAI_EAGAIN && rc != VAI_ETIMEOUT)
			break;
	}
	for (int i = 0; i < io->nsources; i++)
		if (io->list[i].kind != PROCESS)
			vai__desc_among_leave(&io->list[i].dir);
	return rc;
}

struct vai__selectio *vai__selectio_new(lua_State *L, vai_g *g, struct vai__case *cases, int n)
{
	int count = 0;
	for (int i = 0; i < n; i++)
		count += cases[i].dir == VAI_DIR_OTHER;
	struct vai__selectio *io = lua_newuserdatauv(L, sizeof *io + (size_t)count * sizeof io->list[0], 0);
	*io = (struct vai__selectio){.also = {begin_wait, end_wait}, .g = g, .cases = cases, .n = n};
	for (int i = 0; i < n; i++) {
		if (cases[i].dir == VAI_DIR_OTHER)
			source_init(&io->list[io->nsources++], (struct vai_obj *)(uintptr_t)cases[i].msg.w[0], i);
		io->nchans += cases[i].ch != NULL;
	}
	return io;
}

/* ---- the result ---- */

int vai__selectio_push(lua_State *L, struct vai__selectio *io)
{
	struct source *s = io->chosen;
	vai_g *g = io->g;
	luaL_checkstack(L, 4, NULL);
	if (s->kind == PROCESS)
		return vai__lib_push_exit(L, g, (vai_process *)s->obj, s->rc, &s->end);
	if (s->rc != VAI_OK && s->kind == CONN)
		return vai__io_conn_failed(L, g, (vai_conn *)s->obj, s->rc);
	if (s->rc != VAI_OK)
		return vai__io_failed(L, g, s->rc, NULL);
	if (s->kind == LISTENER) {
		vai__io_push(L, g, (struct vai_obj *)s->conn);
		return 1;
	}
	if (s->kind == PACKET)
		return vai__lib_push_datagram(L, g, &s->bytes, &s->from, s->truncated);
	vai__io_push_bytes(L, vai__bind_vm(g), (vai_conn *)s->obj, &s->bytes);
	return 1;
}
