/* SPDX-License-Identifier: MIT */
/* See descriptor.h.
 *
 * Records are never unmapped, and are found by number. A key is a record's number and its tag, which changes when the
 * record is disposed of, so an event that the poller fetched before a descriptor was closed is dropped. For each
 * direction a record has a goroutine, its ticket, and whether an edge has come that was not used. These do not fit into
 * one word, so the record has a lock (rank VAI_RANK_POLL, held for tens of instructions, never two at once).
 *
 * `ready` is remembered, not counted: an edge that no goroutine waited for makes the next wait return at once, which
 * costs one more EAGAIN. `ready` is cleared before the system call that follows, so an edge that comes during that call
 * is not lost. */
#include "net/descriptor.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/lock.h"
#include "net/poller.h"
#include "sched/poll.h"
#include "sync/waitq.h"

const struct vai__poller *vai__desc_poller;

#ifdef VAI_SIM
enum { SLAB = 2, SLABS = 2 };
#else
enum { SLAB = 64, SLABS = 65536 };
#endif

/* Added to a waiter's code in the queue of a direction. GIVEN: the direction is the waiter's. AGAIN: something has
 * changed, and the waiter looks again. */
enum { GIVEN, AGAIN };

struct side {
	vai_g *g; /* the goroutine that is parked for this direction; or NULL */
	vai_ticket ticket;
	bool busy;  /* a goroutine has the direction */
	bool ready; /* an edge has come that no goroutine has used */
	/* Twice the number of edges so far, plus 1 once no other may come: vai__desc_edges. Changed under the lock. */
	_Atomic(uint32_t) edges;
	int64_t deadline;
	struct vai__watch *watch;
	struct vai__waitq queue; /* goroutines that want the direction next */
};

struct vai__desc {
	struct vai_lock lock; /* guards everything below that changes while it is in use */
	int fd;
	uint32_t number, tag;
	uint32_t users;       /* how many directions are taken and holds are open */
	bool closed;          /* by its owner */
	bool retired;         /* handed to the poller, to be disposed of */
	bool disposed;        /* fd is gone */
	bool orphan;          /* its owner has released it */
	bool borrowed;        /* fd is not closed with the record */
	atomic_bool unpolled; /* the poller does not know it, so far; changed under the lock */
	void *slot;           /* the poller's own */
	struct side side[2];
	struct vai__waitq closers; /* goroutines that wait until fd is closed */
	struct vai__desc *link;    /* in the list of free ones, under table.lock */
};

static struct {
	struct vai_lock lock;
	struct vai__desc *free;
	_Atomic(uint32_t) nslabs; /* written under lock */
	_Atomic(int64_t) open;
	_Atomic(struct vai__desc *) slabs[SLABS];
} table = {.lock = {
#ifdef VAI_DEBUG_LOCKS
			   .rank = VAI_RANK_POLL
#endif
		   }};

/* ---- records ---- */

/* Makes another slab of records; table.lock is held. NULL: out of memory, or there are too many. */
static struct vai__desc *more(void)
{
	uint32_t n = atomic_load_relaxed(&table.nslabs);
	struct vai__desc *slab = n < SLABS ? calloc(SLAB, sizeof *slab) : NULL;
	if (!slab)
		return NULL;
	for (uint32_t i = SLAB; i-- > 0;) {
		vai__lock_init(&slab[i].lock, VAI_RANK_POLL);
		slab[i].number = n * SLAB + i;
		slab[i].fd = -1;
		slab[i].disposed = true;
		slab[i].link = table.free;
		table.free = &slab[i];
	}
	atomic_store_release(&table.slabs[n], slab);
	atomic_store_release(&table.nslabs, n + 1);
	return slab;
}

static struct vai__desc *record_new(void)
{
	vai__lock(&table.lock);
	struct vai__desc *d = table.free ? table.free : more();
	if (d)
		table.free = d->link;
	vai__unlock(&table.lock);
	return d;
}

static void record_free(struct vai__desc *d)
{
	vai__lock(&table.lock);
	d->link = table.free;
	table.free = d;
	vai__unlock(&table.lock);
}

static struct vai__desc *record_at(uint32_t number)
{
	uint32_t slab = number / SLAB;
	return slab < atomic_load_acquire(&table.nslabs) ? atomic_load_acquire(&table.slabs[slab]) + number % SLAB : NULL;
}

static void side_init(struct side *s)
{
	memset(s, 0, sizeof *s);
	s->deadline = VAI_FOREVER;
	vai__waitq_init(&s->queue);
}

/* Fills in a record for fd. The tag of a key is never 0, as keys with that are the poller's own. */
static void begin(struct vai__desc *d, int fd)
{
	vai__lock(&d->lock);
	d->fd = fd;
	d->tag = d->tag == UINT32_MAX ? 1 : d->tag + 1;
	d->users = 0;
	d->closed = d->retired = d->disposed = d->orphan = d->borrowed = false;
	atomic_store_relaxed(&d->unpolled, false);
	d->slot = NULL;
	side_init(&d->side[VAI__READ]);
	side_init(&d->side[VAI__WRITE]);
	vai__waitq_init(&d->closers);
	vai__unlock(&d->lock);
	atomic_fetch_add_relaxed(&table.open, 1);
}

struct vai__desc *vai__desc_new(int fd, int *rc)
{
	struct vai__desc *d = record_new();
	*rc = VAI_ENOMEM;
	if (!d)
		return NULL;
	begin(d, fd);
	int err = vai__desc_poller->add(d);
	if (err == 0)
		return d;
	*rc = VAI__ERRNO(err);
	vai__lock(&d->lock);
	d->closed = d->retired = d->disposed = true;
	d->fd = -1;
	vai__unlock(&d->lock);
	atomic_fetch_sub_relaxed(&table.open, 1);
	record_free(d);
	return NULL;
}

struct vai__desc *vai__desc_new_unpolled(int fd, bool borrowed, int *rc)
{
	struct vai__desc *d = record_new();
	*rc = d ? VAI_OK : VAI_ENOMEM;
	if (d) {
		begin(d, fd);
		atomic_store_relaxed(&d->unpolled, true);
		d->borrowed = borrowed;
	}
	return d;
}

int vai__desc_fd(const struct vai__desc *d)
{
	return d->fd;
}

uint64_t vai__desc_key(const struct vai__desc *d)
{
	return (uint64_t)d->tag << 32 | d->number;
}

void **vai__desc_slot(struct vai__desc *d)
{
	return &d->slot;
}

int64_t vai__desc_count(void)
{
	return atomic_load_relaxed(&table.open);
}

/* ---- closing ---- */

/* Whether the caller is to retire d once it has released the lock. Lock held. */
static bool is_over(struct vai__desc *d)
{
	if (!d->closed || (d->users > 0 && !VAI_BUG(desc_close_early)) || d->retired)
		return false;
	return d->retired = true;
}

/* Closes fd before `disposed` says so: a goroutine that waits for that may use the address at once. */
void vai__desc_dispose(struct vai__desc *d)
{
	struct vai__waitq closers;
	vai__waitq_init(&closers);
	int fd = d->fd;
	if (!d->borrowed && !VAI_BUG(desc_gone_late))
		close(fd);
	atomic_fetch_sub_relaxed(&table.open, 1);
	vai__lock(&d->lock);
	bool orphan = d->orphan;
	d->fd = -1;
	d->disposed = true;
	d->tag = d->tag == UINT32_MAX ? 1 : d->tag + 1; /* old events must not count for the next descriptor */
	vai__waitq_splice(&closers, &d->closers);
	vai__waitq_fire_all(&closers, 0, &d->lock);
	VAI_BUG_DO(desc_gone_late, close(fd));
	if (orphan)
		record_free(d);
}

static void retire(struct vai__desc *d)
{
	if (atomic_load_relaxed(&d->unpolled))
		vai__desc_dispose(d);
	else
		vai__desc_poller->retire(d);
}

/* The goroutine or watch that is told what has happened to a side, once the lock is released. */
struct news {
	vai_g *g;
	vai_ticket ticket;
	struct vai__watch *watch;
};

/* Takes them from the side. Lock held. */
static struct news take_news(struct side *s)
{
	struct news n = {s->g, s->ticket, s->watch};
	s->g = NULL;
	s->watch = NULL;
	return n;
}

static void tell(const struct news *n)
{
	if (n->g)
		vai__fire(n->g, n->ticket, VAI_WAKE_USER);
	if (n->watch)
		n->watch->fn(n->watch);
}

bool vai__desc_close(struct vai__desc *d)
{
	struct vai__waitq all;
	vai__waitq_init(&all);
	vai__lock(&d->lock);
	if (d->closed) {
		vai__unlock(&d->lock);
		return false;
	}
	d->closed = true;
	struct news r = take_news(&d->side[VAI__READ]), w = take_news(&d->side[VAI__WRITE]);
	vai__waitq_splice(&all, &d->side[VAI__READ].queue);
	vai__waitq_splice(&all, &d->side[VAI__WRITE].queue);
	bool over = is_over(d);
	vai__waitq_fire_all(&all, AGAIN, &d->lock);
	if (over)
		retire(d);
	tell(&r);
	tell(&w);
	return true;
}

bool vai__desc_close_named(struct vai__desc *d, const char *path)
{
	if (!vai__desc_hold(d)) /* keeps fd open, so that nobody finds the address free while the file is there */
		return false;
	bool first = vai__desc_close(d);
	if (first && *path)
		unlink(path);
	vai__desc_unhold(d);
	return first;
}

/* Whether a call in progress may stay in the system for any time, because fd blocks. Lock held. */
static bool may_block(const struct vai__desc *d)
{
	if (atomic_load_relaxed(&d->unpolled) || d->borrowed)
		return true;
	int flags = d->users > 0 ? fcntl(d->fd, F_GETFL) : O_NONBLOCK;
	return flags < 0 || !(flags & O_NONBLOCK);
}

int vai__desc_await(vai_g *self, struct vai__desc *d, const struct vai__iowait *w)
{
	vai__lock(&d->lock);
	if ((d->disposed && !VAI_BUG(desc_await_blind)) || !d->closed || w->limit == 0 || may_block(d)) {
		bool left = d->closed && !d->disposed && w->limit == 0;
		vai__unlock(&d->lock);
		return left ? VAI_ETIMEOUT : VAI_OK;
	}
	vai__poll_count(1);
	int rc = vai__waitq_wait(self, &d->closers, &d->lock, w->reason, w->obj, w->limit);
	vai__poll_count(-1);
	return rc;
}

bool vai__desc_is_closed(struct vai__desc *d)
{
	vai__lock(&d->lock);
	bool closed = d->closed;
	vai__unlock(&d->lock);
	return closed;
}

/* If there are users left they are goroutines that never run again: vai__desc_stop. */
void vai__desc_release(struct vai__desc *d)
{
	vai__desc_close(d);
	vai__lock(&d->lock);
	d->orphan = true;
	bool gone = d->disposed;
	vai__unlock(&d->lock);
	if (gone)
		record_free(d);
}

static bool is_left(const struct vai__desc *d)
{
	return !d->disposed && !(d->retired && d->users == 0);
}

static void end_watches(struct vai__desc *d)
{
	for (int dir = VAI__READ; dir <= VAI__WRITE; dir++) {
		struct vai__watch *w = d->side[dir].watch;
		d->side[dir].watch = NULL;
		if (w && w->gone)
			w->gone(w);
	}
}

/* No M is left. The watches end first, as what they let go of may release other descriptors in the ordinary way. */
void vai__desc_stop(void)
{
	uint32_t n = atomic_load_relaxed(&table.nslabs) * SLAB;
	for (uint32_t i = 0; i < n; i++)
		if (is_left(record_at(i)))
			end_watches(record_at(i));
	for (uint32_t i = 0; i < n; i++) {
		struct vai__desc *d = record_at(i);
		if (!d->disposed)
			vai__waitq_init(&d->closers); /* their goroutines never run again */
		if (!is_left(d))
			continue;
		d->closed = d->retired = d->orphan = true;
		d->users = 0;
		retire(d);
	}
}

/* ---- taking a direction ---- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Waits in the queue of a direction that another goroutine has. Lock held; releases it. */
static int queue_up(vai_g *self, struct vai__desc *d, struct side *s, const struct vai__iowait *w)
{
	int64_t until = earlier(w->limit, s->deadline);
	if (vai__clock_is_past(until)) {
		vai__unlock(&d->lock);
		return VAI_WAKE_TIMEOUT;
	}
	struct vai__waiter me = {.g = self, .ticket = vai__wait_begin(self), .code = VAI_WAKE_USER};
	vai__waitq_push(&s->queue, &me);
	vai__unlock(&d->lock);
	int code = vai__wait(self, w->reason, w->obj, until);
	if (code >= VAI_WAKE_USER)
		return code;
	vai__lock(&d->lock);
	if (vai__waitq_linked(&me))
		vai__waitq_unlink(&me);
	vai__unlock(&d->lock);
	return code;
}

int vai__desc_take(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w)
{
	struct side *s = &d->side[dir];
	for (;;) {
		vai__lock(&d->lock);
		if (d->closed) {
			vai__unlock(&d->lock);
			return VAI_ECLOSED;
		}
		if (!s->busy) {
			s->busy = true;
			d->users++;
			vai__unlock(&d->lock);
			return VAI_OK;
		}
		int code = queue_up(self, d, s, w);
		if (code == VAI_WAKE_USER + GIVEN)
			return VAI_OK;
		if (code != VAI_WAKE_USER + AGAIN)
			return vai__wake_result(code);
	}
}

/* Gives the direction to the first goroutine in its queue that still wants it. True: there was one. Lock held. */
static bool pass_on(struct side *s)
{
	struct vai__waiter *next;
	while ((next = vai__waitq_pop(&s->queue)) != NULL) {
		struct vai__wake wake = vai__waitq_wake(next);
		if (vai__wake_fire(&wake) || VAI_BUG(desc_pass_lost))
			return true;
	}
	return false;
}

void vai__desc_give(struct vai__desc *d, enum vai__dir dir)
{
	struct side *s = &d->side[dir];
	bool over = false;
	vai__lock(&d->lock);
	if (!pass_on(s)) {
		s->busy = false;
		d->users--;
		over = is_over(d);
	}
	vai__unlock(&d->lock);
	if (over)
		retire(d);
}

bool vai__desc_hold(struct vai__desc *d)
{
	vai__lock(&d->lock);
	bool open = !d->closed;
	d->users += open;
	vai__unlock(&d->lock);
	return open;
}

void vai__desc_unhold(struct vai__desc *d)
{
	vai__lock(&d->lock);
	d->users--;
	bool over = is_over(d);
	vai__unlock(&d->lock);
	if (over)
		retire(d);
}

/* ---- readiness ---- */

static struct news note_edge(struct side *s, bool last)
{
	s->ready = !VAI_BUG(desc_edge_lost);
	atomic_store_relaxed(&s->edges, (atomic_load_relaxed(&s->edges) + 2) | last);
	return take_news(s);
}

uint32_t vai__desc_edges(const struct vai__desc *d, enum vai__dir dir)
{
	return atomic_load_relaxed(&d->side[dir].edges);
}

void vai__desc_event(uint64_t key, bool readable, bool writable, bool last)
{
	struct vai__desc *d = record_at((uint32_t)key);
	struct news r = {0}, w = {0};
	vai__lock(&d->lock);
	if (d->tag == key >> 32 && !d->disposed) {
		if (readable)
			r = note_edge(&d->side[VAI__READ], last);
		if (writable)
			w = note_edge(&d->side[VAI__WRITE], last);
	}
	vai__unlock(&d->lock);
	tell(&r);
	tell(&w);
}

static void arm(struct vai__desc *d, enum vai__dir dir)
{
	if (vai__desc_poller->arm)
		vai__desc_poller->arm(d, dir);
}

/* Takes what the wait has left in d back, after it has ended with `code`. Returns the wait's result. */
static int end_wait(vai_g *self, struct vai__desc *d, struct side *s, int code)
{
	vai__poll_count(-1);
	vai__wait_renews(self, false);
	vai__lock(&d->lock);
	s->g = NULL;
	if (code == VAI_WAKE_USER)
		s->ready = false;
	bool closed = d->closed, alone = vai__waitq_empty(&s->queue);
	vai__unlock(&d->lock);
	if (code != VAI_WAKE_USER && code != VAI_WAKE_LONG)
		return vai__wake_result(code);
	return closed ? VAI_ECLOSED : code == VAI_WAKE_LONG && alone ? VAI__RENEW : VAI_OK;
}

/* Makes the poller watch d, for the first goroutine that has to wait. If that fails, a goroutine that waits in the
 * other direction calls this, too, and gets the error itself. */
static int join_poller(struct vai__desc *d)
{
	vai__lock(&d->lock);
	bool mine = atomic_load_relaxed(&d->unpolled);
	atomic_store_relaxed(&d->unpolled, false);
	vai__unlock(&d->lock);
	int err = mine ? vai__desc_poller->add(d) : 0;
	if (err == 0)
		return VAI_OK;
	vai__lock(&d->lock);
	atomic_store_relaxed(&d->unpolled, true);
	vai__unlock(&d->lock);
	vai__desc_nudge(d, VAI__READ);
	vai__desc_nudge(d, VAI__WRITE);
	return VAI__ERRNO(err);
}

int vai__desc_wait(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w)
{
	struct side *s = &d->side[dir];
	int joined = VAI_UNLIKELY(atomic_load_relaxed(&d->unpolled)) ? join_poller(d) : VAI_OK;
	if (joined != VAI_OK)
		return joined;
	vai__lock(&d->lock);
	int64_t until = earlier(w->limit, s->deadline);
	bool closed = d->closed && !VAI_BUG(desc_close_blind), ready = s->ready && !VAI_BUG(desc_ready_ignored);
	int rc = closed ? VAI_ECLOSED : ready ? VAI_OK : vai__clock_is_past(until) ? VAI_ETIMEOUT : VAI_EAGAIN;
	s->ready = false;
	if (rc == VAI_EAGAIN) {
		s->ticket = vai__wait_begin(self);
		s->g = self;
	}
	vai__unlock(&d->lock);
	if (rc != VAI_EAGAIN)
		return rc;
	vai__poll_count(1);
	arm(d, dir);
	if (w->renews)
		vai__wait_renews(self, true);
	if (VAI_LIKELY(!w->rest))
		return end_wait(self, d, s, vai__wait(self, w->reason, w->obj, until));
	vai__park_shed_begin(self, w->reason, w->obj, until, &w->rest->timeout);
	return VAI_SHEDS;
}

int vai__desc_wait_end(vai_g *self, struct vai__desc *d, enum vai__dir dir, struct vai__rest *rest)
{
	return end_wait(self, d, &d->side[dir], vai__park_shed_end(self, &rest->timeout));
}

int vai__desc_nap(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w, int64_t pause)
{
	struct vai__iowait nap = vai__iowait_plain(w);
	int64_t now = vai__clock_now();
	if (w->limit == VAI_FOREVER || w->limit - now > pause)
		nap.limit = now + pause;
	int rc = vai__desc_wait(self, d, dir, &nap);
	/* A limit that is over before the pause is was the direction's deadline. */
	return rc == VAI_ETIMEOUT && nap.limit != w->limit && vai__clock_is_past(nap.limit) ? VAI_OK : rc;
}

void vai__desc_nudge(struct vai__desc *d, enum vai__dir dir)
{
	struct side *s = &d->side[dir];
	struct vai__waitq all;
	vai__waitq_init(&all);
	vai__lock(&d->lock);
	struct news n = {.g = s->g, .ticket = s->ticket};
	s->g = NULL;
	vai__waitq_splice(&all, &s->queue);
	vai__waitq_fire_all(&all, AGAIN, &d->lock);
	tell(&n);
}

void vai__desc_set_deadline(struct vai__desc *d, enum vai__dir dir, int64_t when)
{
	vai__lock(&d->lock);
	d->side[dir].deadline = when;
	vai__unlock(&d->lock);
	if (!VAI_BUG(desc_deadline_silent))
		vai__desc_nudge(d, dir);
}

/* ---- several at once, watches ---- */

bool vai__desc_publish(vai_g *self, struct vai__desc *d, enum vai__dir dir, vai_ticket ticket)
{
	struct side *s = &d->side[dir];
	vai__lock(&d->lock);
	bool waits = !d->closed && !s->ready && !s->g && !s->watch;
	s->ready = false;
	if (waits) {
		s->g = self;
		s->ticket = ticket;
	}
	vai__unlock(&d->lock);
	if (waits)
		arm(d, dir);
	return waits;
}

/* Leaves alone what another goroutine has put there since. */
void vai__desc_retract(vai_g *self, struct vai__desc *d, enum vai__dir dir)
{
	vai__lock(&d->lock);
	if (d->side[dir].g == self)
		d->side[dir].g = NULL;
	vai__unlock(&d->lock);
}

int vai__desc_among_look(struct vai__among *a)
{
	struct vai__desc *d = a->d;
	struct side *s = &d->side[a->dir];
	int rc = VAI_OK;
	vai__lock(&d->lock);
	a->deadline = s->deadline;
	if (d->closed)
		rc = VAI_ECLOSED;
	else if (!a->has && s->busy)
		rc = VAI_EAGAIN;
	if (rc == VAI_OK && !a->has) {
		s->busy = a->has = true;
		d->users++;
	}
	vai__unlock(&d->lock);
	return rc == VAI_EAGAIN && vai__clock_is_past(a->deadline) ? VAI_ETIMEOUT : rc;
}

/* Puts the ticket into d. False: there is news, so the goroutine must look again. Lock held. */
static bool leave_ticket(vai_g *self, struct vai__among *a, vai_ticket ticket, int code)
{
	struct side *s = &a->d->side[a->dir];
	bool news = a->d->closed || s->deadline != a->deadline || (a->has ? s->ready : !s->busy);
	if (a->has)
		s->ready = false;
	if (news)
		return false;
	if (a->has) {
		s->g = self;
		s->ticket = ticket;
	} else {
		a->waiter = (struct vai__waiter){.g = self, .ticket = ticket, .code = code};
		vai__waitq_push(&s->queue, &a->waiter);
		a->queued = true;
	}
	return true;
}

int vai__desc_among_wait(vai_g *self, struct vai__among *a, vai_ticket ticket, int code)
{
	struct vai__desc *d = a->d;
	int joined = VAI_UNLIKELY(atomic_load_relaxed(&d->unpolled)) ? join_poller(d) : VAI_OK;
	if (joined != VAI_OK)
		return joined;
	vai__lock(&d->lock);
	bool waits = leave_ticket(self, a, ticket, code);
	vai__unlock(&d->lock);
	if (waits && a->has)
		arm(d, a->dir);
	return waits ? VAI_OK : VAI_EAGAIN;
}

void vai__desc_among_end(vai_g *self, struct vai__among *a, bool given, bool woken)
{
	struct side *s = &a->d->side[a->dir];
	vai__lock(&a->d->lock);
	if (a->has && s->g == self)
		s->g = NULL;
	if (a->has && woken)
		s->ready = false;
	if (a->queued && vai__waitq_linked(&a->waiter))
		vai__waitq_unlink(&a->waiter);
	a->has |= given;
	a->queued = false;
	vai__unlock(&a->d->lock);
}

void vai__desc_among_leave(struct vai__among *a)
{
	if (a->has)
		vai__desc_give(a->d, a->dir);
	a->has = false;
}

void vai__desc_forget_edge(struct vai__desc *d, enum vai__dir dir)
{
	vai__lock(&d->lock);
	d->side[dir].ready = false;
	vai__unlock(&d->lock);
}

bool vai__desc_watch(struct vai__desc *d, enum vai__dir dir, struct vai__watch *w)
{
	struct side *s = &d->side[dir];
	vai__lock(&d->lock);
	bool waits = !d->closed && !s->ready;
	s->ready = false;
	if (waits)
		s->watch = w;
	vai__unlock(&d->lock);
	if (waits)
		arm(d, dir);
	return waits;
}

bool vai__desc_unwatch(struct vai__desc *d, enum vai__dir dir)
{
	vai__lock(&d->lock);
	bool was = d->side[dir].watch != NULL;
	d->side[dir].watch = NULL;
	vai__unlock(&d->lock);
	return was;
}
