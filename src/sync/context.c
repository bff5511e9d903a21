/* SPDX-License-Identifier: MIT */
/* Contexts. Any goroutine may call; the caller holds a reference during the call.
 *
 * Contexts that can be over form trees: a child of a context that is never over is the root of a tree. The root's
 * lock guards the whole tree, so ending a context is one walk under one lock, without references and without
 * recursion. A child has a reference to its parent. The parent's list of children has no references: a child that is
 * destroyed takes itself out of it, under the lock. Hence whatever is found in a tree under its lock still has its
 * memory, though perhaps no reference any more.
 *
 * What happens at a context's end: `state` says that it is over; `ender` is the context with the cause (ctx or one
 * above it, so it lives as long as ctx); waiters are fired; the channel of done() is closed; the calls of after()
 * are started. All of that can also be done where a timer fires. Nothing is released there: calls that have been
 * made go to a list of the dead (vai__context_reap).
 *
 * The channel of done() has a reference to its context, and so has a call of after(). The context points back to the
 * channel without a reference, and has a reference to each call that is pending. */
#include "sync/context.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "sync/chan_private.h"
#include "sync/waitq.h"

struct done {
	vai_chan chan; /* first */
	vai_context *ctx;
};

struct vai_after {
	struct vai_obj obj;
	vai_context *ctx;
	vai_after *next, *prev; /* in ctx->afters, under the tree's lock */
	bool pending;           /* under that lock: it is in the list, which has a reference, or ctx is never over */
	bool owed;              /* there was no memory to fire it: vai__context_reap tries again */
	bool (*fire)(void *arg);
	void (*release)(void *arg);
	void *arg;
	vai_after *dead; /* next in the list of the dead */
};

struct vai_context {
	struct vai_obj obj;
	struct vai__bound bound;
	vai_context *parent;  /* a reference; NULL: vai.context() */
	vai_context *root;    /* the root of its tree; itself if it is never done */
	vai_context *timed;   /* the context whose deadline it has: itself, one above it, or NULL */
	int64_t deadline;     /* its own, or an earlier one of a context above it */
	bool never;           /* it is never over: a root without an end, or one of its children with a value */
	struct vai_lock lock; /* the tree's lock, if this is the root */
	_Atomic(int) state;   /* VAI_OK or why it is over; written once, under the lock, after ender */
	vai_context *ender;   /* the context whose end has ended this one */
	vai_msg cause;        /* set if this is the ender; constant once it is over, as the next */
	bool has_cause;
	/* Under the lock: its list of children, and its place in its parent's list. */
	vai_context *children, *before, *behind;
	struct vai__waitq waiters; /* under the lock: goroutines whose waits it bounds */
	vai_after *afters;         /* under the lock */
	struct done *done;         /* under the lock; no reference */
	struct vai__timer timer;
	vai_msg key, value;
	bool has_value;
	vai_drop_fn *drop;
};

static struct vai_lock *lock_of(vai_context *ctx)
{
	return &ctx->root->lock;
}

/* ---- life ---- */

/* Takes ctx out of its parent's list. Under the lock. */
static void unlink_child(vai_context *ctx)
{
	if (ctx->before)
		ctx->before->behind = ctx->behind;
	else
		ctx->parent->children = ctx->behind;
	if (ctx->behind)
		ctx->behind->before = ctx->before;
}

static void free_context(vai_context *ctx)
{
	vai__timer_stop(&ctx->timer);
	if (ctx->root != ctx) {
		vai__lock(lock_of(ctx));
		unlink_child(ctx);
		vai__unlock(lock_of(ctx));
	}
	if (ctx->has_value) {
		ctx->drop(&ctx->key);
		ctx->drop(&ctx->value);
	}
	if (ctx->has_cause)
		ctx->drop(&ctx->cause);
	vai__mem_free(ctx, sizeof *ctx);
}

/* Destroys ctx, and the contexts above it whose last reference goes with it: in a loop, not by recursion. */
static void destroy(struct vai_obj *o)
{
	vai_context *ctx = VAI_CONTAINER(o, vai_context, obj);
	do {
		vai_context *parent = ctx->parent;
		free_context(ctx);
		ctx = parent;
	} while (ctx && atomic_fetch_sub_acq_rel(&ctx->obj.refs, 1) == 1);
	vai__context_reap();
}

const struct vai_class vai__context_class = {"context", destroy};

static int wait_bounded(struct vai__bound *bound, vai_g *g, vai_ticket ticket, int64_t deadline);
static int64_t time_out(struct vai__timer *t, int64_t now);
static bool wakes_nobody(struct vai__timer *t);

static vai_context *alloc(vai_context *parent, vai_drop_fn *drop)
{
	vai_context *ctx = vai__mem_zalloc(sizeof *ctx);
	vai__context_reap();
	if (!ctx)
		return NULL;
	vai__obj_init(&ctx->obj, &vai__context_class);
	vai__lock_init(&ctx->lock, VAI_RANK_CONTEXT);
	vai__waitq_init(&ctx->waiters);
	ctx->bound.wait = wait_bounded;
	ctx->timer.fn = time_out;
	ctx->timer.idle = wakes_nobody;
	ctx->root = ctx;
	ctx->drop = drop;
	ctx->deadline = VAI_FOREVER;
	if (!parent)
		return ctx;
	vai__obj_ref(&parent->obj);
	ctx->parent = parent;
	ctx->deadline = parent->deadline;
	ctx->timed = parent->timed;
	return ctx;
}

vai_context *vai__context_new(vai_drop_fn *drop)
{
	vai_context *ctx = alloc(NULL, drop);
	if (ctx)
		ctx->never = true;
	return ctx;
}

/* Puts ctx into its parent's tree; if the parent is over, so is ctx. */
static void join_tree(vai_context *ctx)
{
	vai_context *parent = ctx->parent;
	if (parent->never)
		return;
	ctx->root = parent->root;
	vai__lock(lock_of(ctx));
	ctx->behind = parent->children;
	if (ctx->behind)
		ctx->behind->before = ctx;
	parent->children = ctx;
	ctx->ender = parent->ender;
	atomic_store_release(&ctx->state, atomic_load_relaxed(&parent->state));
	vai__unlock(lock_of(ctx));
}

static void end(vai_context *ctx, int why, vai_msg *cause);

vai_context *vai__context_child(vai_g *self, vai_context *parent, int64_t deadline)
{
	vai_context *ctx = alloc(parent, parent->drop);
	if (!ctx)
		return NULL;
	bool timed = deadline < parent->deadline;
	if (timed) {
		ctx->deadline = deadline;
		ctx->timed = ctx;
	}
	join_tree(ctx);
	if (!timed || atomic_load_relaxed(&ctx->state) != VAI_OK)
		return ctx;
	if (deadline <= vai__clock_now()) {
		end(ctx, VAI_ECONTEXT_DEADLINE, NULL);
	} else if (vai__timer_start(self, &ctx->timer, deadline) != VAI_OK) {
		vai__obj_unref(&ctx->obj);
		return NULL;
	} else if (atomic_load_acquire(&ctx->state) != VAI_OK) {
		vai__timer_stop(&ctx->timer);
	}
	return ctx;
}

vai_context *vai__context_with_value(vai_context *parent, vai_msg *key, vai_msg *value)
{
	vai_context *ctx = alloc(parent, parent->drop);
	if (!ctx)
		return NULL;
	ctx->never = parent->never;
	ctx->key = *key;
	ctx->value = *value;
	ctx->has_value = true;
	*key = *value = (vai_msg){{0}};
	join_tree(ctx);
	return ctx;
}

/* ---- the end ---- */

static _Atomic(vai_after *) the_dead; /* linked by dead */

/* Puts a call that has been made on the list of the dead. Takes over a reference. */
static void bury(vai_after *after)
{
	after->dead = atomic_load_relaxed(&the_dead);
	while (!atomic_cas_weak_release(&the_dead, &after->dead, after))
		;
}

/* Takes a call out of ctx->afters. Under the lock. */
static void unlink_after(vai_after *after)
{
	if (after->prev)
		after->prev->next = after->next;
	else
		after->ctx->afters = after->next;
	if (after->next)
		after->next->prev = after->prev;
	after->pending = false;
}

/* One context is over. Under the lock. */
static void mark(vai_context *ctx, int why, vai_context *ender)
{
	struct vai__waiter *w;
	vai_after *after;
	ctx->ender = ender;
	atomic_store_release(&ctx->state, why);
	while ((w = vai__waitq_pop(&ctx->waiters)))
		vai__fire(w->g, w->ticket, why == VAI_ECONTEXT ? VAI_WAKE_CONTEXT : VAI_WAKE_CONTEXT_DEADLINE);
	if (ctx->done)
		vai__chan_close(&ctx->done->chan);
	while ((after = ctx->afters)) {
		unlink_after(after);
		after->owed = !after->fire(after->arg);
		bury(after);
	}
}

/* The context after ctx in the tree below top, parents first; NULL: there is none. below: ctx's children are next, not
 * left out. */
static vai_context *next_below(vai_context *ctx, const vai_context *top, bool below)
{
	if (below && ctx->children)
		return ctx->children;
	while (ctx != top && !ctx->behind)
		ctx = ctx->parent;
	return ctx == top ? NULL : ctx->behind;
}

/* Ends top and all below it: everything below a context that is over is over. Under the lock. */
static void end_tree(vai_context *top, int why)
{
	bool alive = true;
	for (vai_context *c = top; c; c = next_below(c, top, alive)) {
		alive = atomic_load_relaxed(&c->state) == VAI_OK;
		if (alive)
			mark(c, why, top);
	}
}

/* Ends ctx and all below it, unless it is over. Takes *cause over if it was not. */
static void end(vai_context *ctx, int why, vai_msg *cause)
{
	vai__lock(lock_of(ctx));
	if (atomic_load_relaxed(&ctx->state) == VAI_OK) {
		if (cause) {
			ctx->cause = *cause;
			ctx->has_cause = true;
			*cause = (vai_msg){{0}};
		}
		end_tree(ctx, why);
	}
	vai__unlock(lock_of(ctx));
}

void vai__context_cancel(vai_context *ctx, vai_msg *cause)
{
	if (ctx->never)
		return;
	end(ctx, VAI_ECONTEXT, cause);
	vai__timer_stop(&ctx->timer);
	vai__context_reap();
}

static int64_t time_out(struct vai__timer *t, int64_t now)
{
	(void)now;
	end(VAI_CONTAINER(t, vai_context, timer), VAI_ECONTEXT_DEADLINE, NULL);
	return VAI_FOREVER;
}

static bool is_awaited(vai_context *ctx)
{
	return !vai__waitq_empty(&ctx->waiters) || ctx->afters || (ctx->done && !vai__waitq_empty(&ctx->done->chan.recvq));
}

static bool wakes_nobody(struct vai__timer *t)
{
	vai_context *top = VAI_CONTAINER(t, vai_context, timer);
	bool nobody = true, alive = true;
	vai__lock(lock_of(top));
	for (vai_context *c = top; c && nobody; c = next_below(c, top, alive)) {
		alive = atomic_load_relaxed(&c->state) == VAI_OK;
		nobody = !alive || !is_awaited(c);
	}
	vai__unlock(lock_of(top));
	return nobody;
}

/* ---- questions ---- */

/* Whether ctx is over. A deadline that has passed counts, even if its timer is late. */
int vai__context_err(vai_context *ctx)
{
	int why = atomic_load_acquire(&ctx->state);
	if (why != VAI_OK || ctx->deadline == VAI_FOREVER || ctx->deadline > vai__clock_now())
		return why;
	end(ctx->timed, VAI_ECONTEXT_DEADLINE, NULL);
	vai__context_reap();
	return atomic_load_acquire(&ctx->state);
}

const vai_msg *vai__context_cause(vai_context *ctx)
{
	if (atomic_load_acquire(&ctx->state) == VAI_OK || !ctx->ender->has_cause)
		return NULL;
	return &ctx->ender->cause;
}

int64_t vai__context_deadline(const vai_context *ctx)
{
	return ctx->deadline;
}

vai_context *vai__context_parent(const vai_context *ctx)
{
	return ctx->parent;
}

vai_context *vai__context_valued(vai_context *ctx)
{
	while (ctx && !ctx->has_value)
		ctx = ctx->parent;
	return ctx;
}

const vai_msg *vai__context_key(const vai_context *ctx)
{
	return &ctx->key;
}

const vai_msg *vai__context_value(const vai_context *ctx)
{
	return &ctx->value;
}

/* ---- done ---- */

static void done_fini(vai_chan *ch)
{
	struct done *d = VAI_CONTAINER(ch, struct done, chan);
	vai_context *ctx = d->ctx;
	vai__lock(lock_of(ctx));
	if (ctx->done == d)
		ctx->done = NULL;
	vai__unlock(lock_of(ctx));
	vai__obj_unref(&ctx->obj);
}

/* Returns the channel of done(), if there is one, with a reference. A channel that is just dying does not count.
 * Under the lock. */
static struct done *known_done(vai_context *ctx)
{
	if (!ctx->done)
		return NULL;
	_Atomic(unsigned) *refs = &ctx->done->chan.obj.refs;
	unsigned n = atomic_load_relaxed(refs);
	while (n > 0)
		if (atomic_cas_weak_relaxed(refs, &n, n + 1))
			return ctx->done;
	return NULL;
}

static struct done *new_done(vai_context *ctx)
{
	vai_chan *ch = vai__chan_alloc(sizeof(struct done), 0, NULL);
	if (!ch)
		return NULL;
	struct done *d = VAI_CONTAINER(ch, struct done, chan);
	ch->fini = done_fini;
	ch->kept = true;
	ch->obj.site = ctx->obj.site;
	vai__obj_ref(&ctx->obj);
	d->ctx = ctx;
	return d;
}

vai_chan *vai__context_done(vai_context *ctx)
{
	vai__lock(lock_of(ctx));
	struct done *d = known_done(ctx), *own = NULL;
	vai__unlock(lock_of(ctx));
	if (d)
		return &d->chan;
	if (!(own = new_done(ctx)))
		return NULL;
	vai__lock(lock_of(ctx));
	d = known_done(ctx);
	if (!d) {
		ctx->done = own;
		if (atomic_load_relaxed(&ctx->state) != VAI_OK)
			vai__chan_close(&own->chan);
	}
	vai__unlock(lock_of(ctx));
	if (!d)
		return &own->chan;
	vai__obj_unref(&own->chan.obj);
	return &d->chan;
}

/* ---- after ---- */

static void after_destroy(struct vai_obj *o)
{
	vai_after *after = VAI_CONTAINER(o, vai_after, obj);
	if (after->release)
		after->release(after->arg);
	vai__obj_unref(&after->ctx->obj);
	vai__mem_free(after, sizeof *after);
}

const struct vai_class vai__context_after_class = {"after", after_destroy};

void vai__context_reap(void)
{
	vai_after *after, *next;
	if (VAI_LIKELY(!atomic_load_relaxed(&the_dead)))
		return;
	for (after = atomic_exchange_acquire(&the_dead, NULL); after; after = next) {
		next = after->dead;
		if (after->owed && !after->fire(after->arg))
			bury(after);
		else
			vai__obj_unref(&after->obj);
	}
}

vai_after *vai__context_after(vai_context *ctx, bool (*fire)(void *arg), void (*release)(void *arg), void *arg)
{
	vai_after *after = vai__obj_new(sizeof *after, &vai__context_after_class);
	if (!after)
		return NULL;
	vai__obj_ref(&ctx->obj);
	after->ctx = ctx;
	after->fire = fire;
	after->release = release;
	after->arg = arg;
	after->pending = ctx->never;
	vai__lock(lock_of(ctx));
	bool over = atomic_load_relaxed(&ctx->state) != VAI_OK;
	if (!over && !ctx->never) {
		vai__obj_ref(&after->obj);
		after->next = ctx->afters;
		if (after->next)
			after->next->prev = after;
		ctx->afters = after;
		after->pending = true;
	}
	vai__unlock(lock_of(ctx));
	if (ctx->never && release) { /* it is never fired */
		after->release = NULL;
		release(arg);
	}
	if (!over || fire(arg))
		return after;
	after->release = NULL;
	vai__obj_unref(&after->obj);
	return NULL;
}

bool vai__context_after_stop(vai_after *after)
{
	vai__lock(lock_of(after->ctx));
	bool was = after->pending, linked = was && !after->ctx->never;
	after->pending = false;
	if (linked)
		unlink_after(after);
	vai__unlock(lock_of(after->ctx));
	if (linked)
		vai__obj_unref(&after->obj); /* not the last: the caller has one */
	return was;
}

/* ---- bounding waits ---- */

/* The wait of a goroutine that ctx bounds (struct vai__bound): ctx's end may fire its ticket, too. */
static int wait_bounded(struct vai__bound *bound, vai_g *g, vai_ticket ticket, int64_t deadline)
{
	vai_context *ctx = VAI_CONTAINER(bound, vai_context, bound);
	struct vai__waiter w = {.g = g, .ticket = ticket};
	vai__waitq_init(&w.link);
	vai__lock(lock_of(ctx));
	int why = atomic_load_relaxed(&ctx->state);
	if (why == VAI_OK)
		vai__waitq_push(&ctx->waiters, &w);
	vai__unlock(lock_of(ctx));
	if (why != VAI_OK)
		vai__fire(g, ticket, why == VAI_ECONTEXT ? VAI_WAKE_CONTEXT : VAI_WAKE_CONTEXT_DEADLINE);
	int code = vai__wait_parked(g, deadline);
	vai__lock(lock_of(ctx));
	if (vai__waitq_linked(&w))
		vai__waitq_unlink(&w);
	vai__unlock(lock_of(ctx));
	return code;
}

int vai__context_bound(vai_g *self, vai_context *ctx)
{
	int why = ctx ? vai__context_err(ctx) : VAI_OK;
	self->bound = ctx && !ctx->never && why == VAI_OK ? &ctx->bound : NULL;
	return why;
}
