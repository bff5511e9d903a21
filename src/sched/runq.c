/* SPDX-License-Identifier: MIT */
/* The run queue of a P: a ring that its owner fills at the tail and everybody empties at the head, and runnext, after
 * runqput, runqget and runqgrab of Go's proc.go. Whom an M steals from, and when: idle.c.
 *
 * Invariants: only the owner writes tail and the slots [head, head + RUNQ_SIZE); a slot is read before the
 * compare-and-swap of head that takes it, which fails if anybody else took it meanwhile. Release stores of tail pair
 * with acquire loads by thieves: a goroutine taken is seen as its putter left it. head never passes tail.
 *
 * The owner takes runnext without an atomic operation, which would cost it 5 ns for each message of a ping-pong. A
 * thief says that it comes (`thieves`), makes all threads pass a barrier, and waits until the owner is not in the
 * middle of taking runnext (`taking`). From then on the owner sees the thief, and both use an exchange. Where the
 * kernel has no such barrier the owner always sees one thief more than there are. */
#include "sched/rt.h"

static struct g *ring_load(struct p *p, unsigned i)
{
	return atomic_load_relaxed(&p->ring[i % RUNQ_SIZE]);
}

static void ring_store(struct p *p, unsigned i, struct g *g)
{
	atomic_store_relaxed(&p->ring[i % RUNQ_SIZE], g);
}

/* Moves half of the full ring, and g, to the global queue. False: a thief has made room meanwhile. */
static bool overflow(struct p *p, struct g *g, unsigned head, unsigned tail)
{
	struct gqueue q = {0};
	unsigned n = (tail - head) / 2;
	struct g *batch[RUNQ_SIZE / 2];
	for (unsigned i = 0; i < n; i++)
		batch[i] = ring_load(p, head + i);
	VAI_BUG_TEAR(overflow_commit);
	if (!atomic_cas_strong_acq_rel(&p->head, &head, head + n))
		return false;
	for (unsigned i = 0; i < n; i++)
		vai__gqueue_push(&q, batch[i]);
	vai__gqueue_push(&q, g);
	count_add(&p->count.overflows, n + 1);
	vai__global_put_batch(&q);
	return true;
}

static void put_tail(struct p *p, struct g *g)
{
	for (;;) {
		unsigned head = atomic_load_acquire(&p->head);
		unsigned tail = atomic_load_relaxed(&p->tail);
		if (tail - head < RUNQ_SIZE) {
			VAI_BUG_DO(tail_first, atomic_store_release(&p->tail, tail + 1));
			ring_store(p, tail, g);
			atomic_store_release(&p->tail, tail + 1);
			return;
		}
		if (overflow(p, g, head, tail))
			return;
	}
}

/* Puts g into runnext and returns what was there. Only the owner fills runnext, so a plain store will do where it is
 * empty. */
static struct g *replace_next(struct p *p, struct g *g)
{
	if (VAI_UNLIKELY(atomic_load_relaxed(&p->runnext) != NULL)) {
		VAI_BUG_TEAR(next_store);
		return atomic_exchange_acq_rel(&p->runnext, g);
	}
	atomic_store_release(&p->runnext, g);
	return NULL;
}

void vai__runq_put(struct p *p, struct g *g, bool next)
{
	if (next)
		g = replace_next(p, g);
	if (g)
		put_tail(p, g);
}

/* Empties runnext. Owner only. */
static struct g *take_next(struct p *p)
{
	struct g *g;
	if (!VAI_BUG(next_unsaid))
		atomic_store_relaxed(&p->taking, true);
	atomic_signal_fence(memory_order_seq_cst); /* the thief's barrier does the rest */
	if (VAI_UNLIKELY(atomic_load_acquire(&p->thieves) > 0)) {
		g = atomic_exchange_acq_rel(&p->runnext, NULL);
	} else {
		g = atomic_load_relaxed(&p->runnext);
		atomic_store_relaxed(&p->runnext, NULL);
	}
	atomic_store_release(&p->taking, false);
	return g;
}

/* Empties victim's runnext. A thief. */
static struct g *steal_next(struct p *victim)
{
	atomic_fetch_add_seq_cst(&victim->thieves, 1);
	if (!VAI_BUG(next_barrier))
		vai__barrier_heavy();
	vai__lock_await(&victim->taking);
	struct g *g = atomic_exchange_acq_rel(&victim->runnext, NULL);
	atomic_fetch_sub_acq_rel(&victim->thieves, 1);
	return g;
}

bool vai__runq_take_back(struct p *p, struct g *g)
{
	return atomic_cas_strong_acquire(&p->runnext, &g, NULL);
}

/* Takes the first of the ring, or runnext if the ring is empty. Owner only. */
static struct g *take_head(struct p *p)
{
	struct g *g;
	unsigned head = atomic_load_acquire(&p->head);
	for (;;) {
		unsigned tail = atomic_load_relaxed(&p->tail);
		if (head == tail)
			break;
		g = ring_load(p, head);
		VAI_BUG_TEAR(pop_commit);
		if (atomic_cas_weak_acq_rel_acquire(&p->head, &head, head + 1))
			return g;
	}
	return atomic_load_relaxed(&p->runnext) ? take_next(p) : NULL;
}

/* runnext comes first, but after RUNNEXT_STREAK times in a row the ring does, so that two goroutines which make each
 * other ready do not keep out the others. */
struct g *vai__runq_get(struct p *p)
{
	if (atomic_load_relaxed(&p->runnext) && p->streak < RUNNEXT_STREAK) {
		struct g *g = take_next(p);
		if (VAI_LIKELY(g)) { /* a thief may have taken it first */
			p->streak++;
			return g;
		}
	}
	p->streak = 0;
	return take_head(p);
}

/* Two goroutines that yield to each other stand in runnext by turns, from where the owner takes them without an atomic
 * operation. */
struct g *vai__runq_exchange(struct p *p, struct g *g)
{
	struct g *next = vai__runq_get(p);
	bool empty = atomic_load_acquire(&p->head) == atomic_load_relaxed(&p->tail) && !atomic_load_relaxed(&p->runnext);
	vai__runq_put(p, g, empty);
	return next;
}

unsigned vai__runq_len(struct p *p)
{
	unsigned head = atomic_load_acquire(&p->head);
	unsigned n = atomic_load_acquire(&p->tail) - head;
	return n + (atomic_load_relaxed(&p->runnext) != NULL);
}

/* Exact for the owner. Others look again if the tail moved, so as not to miss a goroutine that moves from runnext to
 * the ring in between. */
bool vai__runq_empty(struct p *p)
{
	for (;;) {
		unsigned head = atomic_load_acquire(&p->head);
		unsigned tail = atomic_load_acquire(&p->tail);
		struct g *next = atomic_load_acquire(&p->runnext);
		if (tail == atomic_load_acquire(&p->tail) || VAI_BUG(empty_once))
			return head == tail && !next;
	}
}

struct g *vai__runq_steal(struct p *p, struct p *victim, bool take_next)
{
	unsigned tail = atomic_load_relaxed(&p->tail);
	for (;;) {
		unsigned vhead = atomic_load_acquire(&victim->head);
		unsigned vtail = atomic_load_acquire(&victim->tail);
		unsigned n = vtail - vhead;
		n -= n / 2;
		if (n == 0)
			break;
		if (n > RUNQ_SIZE / 2) /* head and tail were read at different moments */
			continue;
		for (unsigned i = 0; i < n; i++)
			ring_store(p, tail + i, ring_load(victim, vhead + i));
		VAI_BUG_TEAR(steal_commit);
		if (!atomic_cas_strong_acq_rel(&victim->head, &vhead, vhead + n))
			continue;
		count_add(&p->count.steals, 1);
		count_add(&p->count.stolen, n);
		struct g *g = ring_load(p, tail + n - 1);
		atomic_store_release(&p->tail, tail + n - 1);
		return g;
	}
	if (!take_next || !atomic_load_relaxed(&victim->runnext))
		return NULL;
	struct g *g = steal_next(victim);
	if (g) {
		count_add(&p->count.steals, 1);
		count_add(&p->count.stolen, 1);
	}
	return g;
}
