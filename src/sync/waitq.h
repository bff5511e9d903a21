/* SPDX-License-Identifier: MIT */
/* Queues of waiting goroutines, for everything in sync/ that blocks.
 *
 * A waiter record lies on the C stack of the goroutine that waits. It is linked into one queue of one object, under
 * that object's lock. It ends in one of two ways:
 *
 * - A waker pops the record under the lock, reads and writes what it needs of it (the message slot), takes a
 * vai__wake out of it, and never touches it again. It may fire the wake after the lock is released: until then the
 * owner still waits, or another waker has fired it and this fire loses. A lost fire leaves no trace; the waker goes
 * on as if the record had not been there.
 *
 * - The owner is woken by something else (deadline, cancel, another case of a select). Before it leaves its frame it
 * takes the lock, and unlinks the record if it is still linked. It needs the lock even if the record is not linked:
 * a waker may be copying into it.
 *
 * So others write to a record under the lock only, and never after its owner has seen a winning fire. The owner of a
 * winning fire needs no lock. Queues are circular with the head as sentinel, so that a record can be unlinked from
 * whatever list it was moved to. */
#ifndef VAI_WAITQ_H
#define VAI_WAITQ_H

#include "base/clock.h"
#include "base/lock.h"
#include "sched/sched.h"

struct vai__waitq {
	/* `next` is read and written by the two functions below only, because some look at a head without the lock. */
	struct vai__waitq *next, *prev;
};

struct vai__waiter {
	struct vai__waitq link; /* linked to itself while it is in no queue */
	vai_g *g;
	vai_msg *msg; /* the message that it sends, or the place for the one that it receives */
	vai_ticket ticket;
	int code;          /* the wake code of success; code + 1: the object was closed */
	bool sends;        /* true: msg is the owner's until success; false: from success on */
	vai_drop_fn *drop; /* for msg, if the owner is abandoned */
};

/* What a goroutine needs of a wait without its stack. It lies in the goroutine's record, and outlasts the wait. */
struct vai__rest {
	struct vai__waiter waiter;
	vai_msg msg;                  /* the message that it sends or receives */
	struct vai__timeout *timeout; /* NULL, except during a wait with a deadline */
	int64_t limit;                /* the deadline of a whole call that may wait several times (bind/) */
	bool sheds;                   /* the goroutine is on its way to its first function (bind/) */
};

/* Whom to fire: what a waker keeps of a popped waiter. */
struct vai__wake {
	vai_g *g;
	vai_ticket ticket;
	int code;
};

/* These use builtins of the compiler and not base/atomic.h, so that they are no steps of spec/sim: nearly all of these
 * accesses are under the lock. */
static inline struct vai__waitq *vai__waitq_next(const struct vai__waitq *q)
{
	return __atomic_load_n(&q->next, __ATOMIC_RELAXED);
}

static inline void vai__waitq_set_next(struct vai__waitq *q, struct vai__waitq *next)
{
	__atomic_store_n(&q->next, next, __ATOMIC_RELAXED);
}

static inline void vai__waitq_init(struct vai__waitq *q)
{
	vai__waitq_set_next(q, q);
	q->prev = q;
}

/* Without the lock it is a guess. */
static inline bool vai__waitq_empty(const struct vai__waitq *q)
{
	return vai__waitq_next(q) == q;
}

static inline void vai__waitq_push(struct vai__waitq *q, struct vai__waiter *w)
{
	struct vai__waitq *last = q->prev;
	vai__waitq_set_next(&w->link, q);
	w->link.prev = last;
	vai__waitq_set_next(last, &w->link);
	q->prev = &w->link;
}

static inline void vai__waitq_unlink(struct vai__waiter *w)
{
	struct vai__waitq *next = vai__waitq_next(&w->link);
	next->prev = w->link.prev;
	vai__waitq_set_next(w->link.prev, next);
	vai__waitq_init(&w->link);
}

static inline bool vai__waitq_linked(const struct vai__waiter *w)
{
	return !vai__waitq_empty(&w->link);
}

/* Takes out the waiter that has waited longest; NULL: there is none. */
static inline struct vai__waiter *vai__waitq_pop(struct vai__waitq *q)
{
	struct vai__waiter *w;
	if (vai__waitq_empty(q))
		return NULL;
	w = VAI_CONTAINER(vai__waitq_next(q), struct vai__waiter, link);
	vai__waitq_unlink(w);
	return w;
}

/* Takes out the waiter that came last; NULL: there is none. */
static inline struct vai__waiter *vai__waitq_pop_last(struct vai__waitq *q)
{
	struct vai__waiter *w;
	if (vai__waitq_empty(q))
		return NULL;
	w = VAI_CONTAINER(q->prev, struct vai__waiter, link);
	vai__waitq_unlink(w);
	return w;
}

/* Moves all of `from` behind what is in `to`. */
static inline void vai__waitq_splice(struct vai__waitq *to, struct vai__waitq *from)
{
	if (vai__waitq_empty(from))
		return;
	struct vai__waitq *first = vai__waitq_next(from);
	first->prev = to->prev;
	vai__waitq_set_next(to->prev, first);
	vai__waitq_set_next(from->prev, to);
	to->prev = from->prev;
	vai__waitq_init(from);
}

static inline struct vai__wake vai__waitq_wake(const struct vai__waiter *w)
{
	return (struct vai__wake){.g = w->g, .ticket = w->ticket, .code = w->code};
}

static inline bool vai__wake_fire(const struct vai__wake *wake)
{
	return vai__fire(wake->g, wake->ticket, wake->code);
}

/* A waiter whose deadline has passed is not served, though its timer may be late. */
static inline bool vai__deadline_over(int64_t deadline)
{
	return deadline != VAI_FOREVER && deadline <= vai__clock_now();
}

/* How many wait in q, under its lock. It walks through the queue: for dumps and tests. */
int vai__waitq_length(const struct vai__waitq *q);
/* Whether no waiter in q, whose object dies, will ever wake: waiters of a runtime that has ended, and those tied to
 * main's thread, which closes the state that held the object. */
bool vai__waitq_abandoned(const struct vai__waitq *q);

/* Fires all waiters of q, in the order in which they came, each with its code + add. The caller holds the lock; on
 * return it is released. Waiters are fired in batches outside the lock: none may be linked into q any more, but
 * owners may still unlink theirs. q may lie on the caller's stack. */
void vai__waitq_fire_all(struct vai__waitq *q, int add, struct vai_lock *lock);

/* The common wait for one event: links the caller into q under the lock that it holds, releases the lock and waits.
 * VAI_OK for a code of success, otherwise the vai__wake_result. */
int vai__waitq_wait(vai_g *self, struct vai__waitq *q, struct vai_lock *lock, enum vai_wait_reason reason,
	const void *obj, int64_t deadline);

/* The same in two calls, for a goroutine that sheds its stack: `begin` returns VAI_SHEDS, and `end` has the result. */
int vai__waitq_wait_begin(vai_g *self, struct vai__waitq *q, struct vai_lock *lock, enum vai_wait_reason reason,
	const void *obj, int64_t deadline, struct vai__rest *rest);
int vai__waitq_wait_end(vai_g *self, struct vai_lock *lock, struct vai__rest *rest);

/* Up to so many waiters of one goroutine lie on its stack; more are allocated, because a parked goroutine is to
 * touch one page. */
enum { VAI__WAITERS_ON_STACK = 8 };

/* Allocates n waiters, and n ints behind them for the order in which select looks at them; NULL: out of memory. */
struct vai__waiter *vai__waiters_new(int n);
void vai__waiters_free(struct vai__waiter *waiters, int n);
/* These ints. */
int *vai__waiters_order(struct vai__waiter *waiters, int n);

/* For vai__sched_hooks.unwait: drops the messages of the wait of g, which will never run again. code says how far
 * the wait has come. */
void vai__waitq_unwait(vai_g *g, int code);
/* For vai__sched_hooks.bury: frees its waiters, to which others may have been linked until then. */
void vai__waitq_bury(vai_g *g);

#endif
