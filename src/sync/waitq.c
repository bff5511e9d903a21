/* SPDX-License-Identifier: MIT */
/* Waking all waiters of a queue, and waiting for one event. The protocol is in waitq.h. */
#include "sync/waitq.h"

#include "base/mem.h"

enum { BATCH = 16 };

static int pop_batch(struct vai__waitq *q, struct vai__wake *batch)
{
	int n = 0;
	struct vai__waiter *w;
	while (n < BATCH && (w = vai__waitq_pop(q)))
		batch[n++] = vai__waitq_wake(w);
	return n;
}

int vai__waitq_length(const struct vai__waitq *q)
{
	int n = 0;
	for (const struct vai__waitq *at = vai__waitq_next(q); at != q; at = vai__waitq_next(at))
		n++;
	return n;
}

bool vai__waitq_abandoned(const struct vai__waitq *q)
{
	for (const struct vai__waitq *at = vai__waitq_next(q); vai__sched_running() && at != q; at = vai__waitq_next(at))
		if (!vai__g_on_main(VAI_CONTAINER((struct vai__waitq *)(uintptr_t)at, struct vai__waiter, link)->g))
			return false;
	return true;
}

void vai__waitq_fire_all(struct vai__waitq *q, int add, struct vai_lock *lock)
{
	struct vai__wake batch[BATCH];
	int n;
	while ((n = pop_batch(q, batch)) > 0) {
		vai__unlock(lock);
		for (int i = 0; i < n; i++)
			vai__fire(batch[i].g, batch[i].ticket, batch[i].code + add);
		vai__lock(lock);
	}
	vai__unlock(lock);
}

/* Begins a wait of self in q. The caller holds the lock; it is released. */
static inline void link_in(vai_g *self, struct vai__waitq *q, struct vai_lock *lock, struct vai__waiter *w)
{
	*w = (struct vai__waiter){.g = self, .ticket = vai__wait_begin(self), .code = VAI_WAKE_USER};
	vai__waitq_push(q, w);
	vai__unlock(lock);
}

/* Ends a wait that has ended with `code`, and returns its result. */
static inline int settle(struct vai_lock *lock, struct vai__waiter *w, int code)
{
	if (code == VAI_WAKE_USER)
		return VAI_OK;
	vai__lock(lock);
	if (vai__waitq_linked(w))
		vai__waitq_unlink(w);
	vai__unlock(lock);
	return vai__wake_result(code);
}

int vai__waitq_wait(vai_g *self, struct vai__waitq *q, struct vai_lock *lock, enum vai_wait_reason reason,
	const void *obj, int64_t deadline)
{
	struct vai__waiter w;
	link_in(self, q, lock, &w);
	return settle(lock, &w, vai__wait(self, reason, obj, deadline));
}

int vai__waitq_wait_begin(vai_g *self, struct vai__waitq *q, struct vai_lock *lock, enum vai_wait_reason reason,
	const void *obj, int64_t deadline, struct vai__rest *rest)
{
	link_in(self, q, lock, &rest->waiter);
	vai__park_shed_begin(self, reason, obj, deadline, &rest->timeout);
	return VAI_SHEDS;
}

int vai__waitq_wait_end(vai_g *self, struct vai_lock *lock, struct vai__rest *rest)
{
	return settle(lock, &rest->waiter, vai__park_shed_end(self, &rest->timeout));
}

static size_t bytes_of(int n)
{
	return (size_t)n * (sizeof(struct vai__waiter) + sizeof(int));
}

struct vai__waiter *vai__waiters_new(int n)
{
	return vai__mem_alloc(bytes_of(n));
}

void vai__waiters_free(struct vai__waiter *waiters, int n)
{
	vai__mem_free(waiters, bytes_of(n));
}

int *vai__waiters_order(struct vai__waiter *waiters, int n)
{
	return (int *)(waiters + n);
}

void vai__waitq_unwait(vai_g *g, int code)
{
	struct vai__waiter *w = g->waits;
	for (int i = 0; w && i < g->nwaits; i++)
		if (w[i].drop && w[i].sends == (code != w[i].code))
			w[i].drop(w[i].msg);
}

void vai__waitq_bury(vai_g *g)
{
	if (g->waits && g->nwaits > VAI__WAITERS_ON_STACK)
		vai__waiters_free(g->waits, g->nwaits);
	g->waits = NULL;
}
