/* SPDX-License-Identifier: MIT */
/* Queues of goroutines that need a lock: the global run queue, and lists through g->link.
 * sched.global and its count belong to sched.lock; nglobal mirrors the count so that an
 * empty queue costs one load. */
#include "sched/rt.h"

void vai__gqueue_push(struct gqueue *q, struct g *g)
{
	g->link = NULL;
	if (q->tail)
		q->tail->link = g;
	else
		q->head = g;
	q->tail = g;
	q->count++;
}

void vai__gqueue_append(struct gqueue *q, const struct gqueue *more)
{
	if (q->tail)
		q->tail->link = more->head;
	else
		q->head = more->head;
	q->tail = more->tail;
	q->count += more->count;
}

struct g *vai__gqueue_pop(struct gqueue *q)
{
	struct g *g = q->head;
	if (!g)
		return NULL;
	q->head = g->link;
	if (!q->head)
		q->tail = NULL;
	q->count--;
	return g;
}

/* Sets nglobal. Under sched.lock. */
static void mirror(void)
{
	atomic_store_release(&vai__sched.nglobal, vai__sched.global.count);
}

void vai__global_put(struct g *g)
{
	vai__lock(&vai__sched.lock);
	vai__gqueue_push(&vai__sched.global, g);
	mirror();
	vai__unlock(&vai__sched.lock);
}

void vai__global_put_batch(struct gqueue *q)
{
	if (!q->head)
		return;
	vai__lock(&vai__sched.lock);
	vai__gqueue_append(&vai__sched.global, q);
	mirror();
	vai__unlock(&vai__sched.lock);
}

/* p's share of the queue is what each P would get, but at most half of a ring, and one if p has work of its own. */
struct g *vai__global_get(struct p *p)
{
	if (atomic_load_acquire(&vai__sched.nglobal) == 0)
		return NULL;
	struct g *rest[RUNQ_SIZE / 2];
	int64_t n = 0;
	vai__lock(&vai__sched.lock);
	struct g *g = vai__gqueue_pop(&vai__sched.global);
	int64_t share = vai__sched.global.count / atomic_load_relaxed(&vai__sched.nprocs);
	if (share > RUNQ_SIZE / 2 - 1)
		share = RUNQ_SIZE / 2 - 1;
	if (vai__runq_len(p) > 0)
		share = 0;
	while (n < share)
		rest[n++] = vai__gqueue_pop(&vai__sched.global);
	mirror();
	vai__unlock(&vai__sched.lock);
	for (int64_t i = 0; i < n; i++)
		vai__runq_put(p, rest[i], false);
	if (g)
		count_add(&p->count.global_gets, (uint64_t)n + 1);
	return g;
}
