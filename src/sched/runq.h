/* SPDX-License-Identifier: MIT */
/* Private to sched/: the queue of a P (runq.c) and the queues that need a lock (global_queue.c). Included by rt.h. */
#ifndef VAI_RUNQ_H
#define VAI_RUNQ_H

#include "sched/rt.h"

/* runq.c: the lock-free queue of a P, after Go's */
/* Adds g. next: to runnext, and what was there goes to the tail; otherwise to the tail. If the ring is full, half of it
 * goes to the global queue. Owner of p. */
void vai__runq_put(struct p *p, struct g *g, bool next);
/* Takes the next goroutine; NULL: the queue is empty. One that comes from runnext shares the slice of the goroutine
 * that made it ready; p->streak counts those. Owner of p. */
struct g *vai__runq_get(struct p *p);
/* Takes the next goroutine as vai__runq_get does, and then adds g behind all others. Owner of p. */
struct g *vai__runq_exchange(struct p *p, struct g *g);
/* Takes g out of runnext. False: it is not there any more. Owner of p. */
bool vai__runq_take_back(struct p *p, struct g *g);
/* Takes half of victim's ring for p, and returns one of those goroutines. take_next: if the ring is empty, runnext.
 * NULL: there was nothing to take. Owner of p. */
struct g *vai__runq_steal(struct p *p, struct p *victim, bool take_next);
/* Whether the queue was empty at one moment. Any thread. */
bool vai__runq_empty(struct p *p);
/* How many goroutines are in the queue: exact for the owner, a guess for others. Any thread. */
unsigned vai__runq_len(struct p *p);
/* For how many ns the last goroutine of p's queue will wait until p has run those before it. Any thread. */
static inline int64_t runq_wait(struct p *p)
{
	return (int64_t)vai__runq_len(p) * atomic_load_relaxed(&p->slice);
}
/* global_queue.c: queues that need a lock */
/* Adds g at the end. The caller holds the lock of q, if it has one, as for the next two. */
void vai__gqueue_push(struct gqueue *q, struct g *g);
/* Moves all of *more, which is not empty and must not be used again, to the end of q. */
void vai__gqueue_append(struct gqueue *q, const struct gqueue *more);
/* Takes the oldest; NULL: q is empty. */
struct g *vai__gqueue_pop(struct gqueue *q);
/* Add to the global queue; wake no M. *q may be empty. Any thread, without the lock. */
void vai__global_put(struct g *g);
void vai__global_put_batch(struct gqueue *q);
/* Takes p's share of the global queue: returns one, and puts the others into p's ring. NULL: there was none. Owner of
 * p, without the lock. */
struct g *vai__global_get(struct p *p);

#endif
