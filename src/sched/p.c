/* SPDX-License-Identifier: MIT */
/* Processors: made on demand, never freed, owned by one M or idle or retired. */
#include <stdlib.h>
#include <string.h>
#include "sched/poll.h"
#include "sched/rt.h"

struct p *p_new(int index)
{
	struct p *p = aligned_alloc(VAI_CACHELINE, sizeof(struct p));
	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->index = index;
	p->rand = (uint32_t)index * 2654435761u + 1;
	atomic_init(&p->slice, SLICE_UNKNOWN);
	timers_init(&p->timers);
	return p;
}

struct p *p_get_idle(void)
{
	struct p *p = sched.idle_ps;
	if (!p || sched.world_stopped)
		return NULL;
	sched.idle_ps = p->link;
	p->idle = false;
	if (atomic_fetch_sub_explicit(&sched.nidle_ps, 1, memory_order_seq_cst) ==
		atomic_load_explicit(&sched.nprocs, memory_order_relaxed))
		sysmon_poke();
	return p;
}

void p_put_idle(struct p *p)
{
	p->link = sched.idle_ps;
	sched.idle_ps = p;
	p->idle = true;
	atomic_fetch_add_explicit(&sched.nidle_ps, 1, memory_order_seq_cst);
}

/* Owner, or who else may touch p. */
static void empty_queue(struct p *p, struct gqueue *q)
{
	struct g *g;
	bool inherit;
	while ((g = runq_get(p, &inherit)) != NULL)
		gqueue_push(q, g);
}

/* Its goroutines go to the global queue, its timers to P 0. Owner. */
static void drain(struct p *p)
{
	struct gqueue q = {0};
	empty_queue(p, &q);
	global_put_batch(&q);
	timers_move(&p->timers, &sched.ps[0]->timers);
}

bool p_is_surplus(struct p *p)
{
	return p->index >= atomic_load_explicit(&sched.nprocs, memory_order_relaxed);
}

/* p is surplus; m has it, or NULL: nobody. */
void p_retire(struct p *p, struct m *m)
{
	drain(p);
	vai__lock(&sched.lock);
	if (p_is_surplus(p)) {
		p->retired = true;
		if (m)
			m_own(m, NULL);
		atomic_fetch_sub_explicit(&sched.retiring, 1, memory_order_relaxed);
		attention_update();
	} else if (!m) { /* wanted again meanwhile, and no more counted in `retiring` */
		p_release(p);
	}
	vai__unlock(&sched.lock);
	idle_wake_one();
	vai__poll_wake();
}

/* Into q: the goroutines of Ps that were put aside with some (world.c). */
void p_shrink(struct gqueue *q)
{
	int n = atomic_load_explicit(&sched.nprocs, memory_order_relaxed);
	struct p *keep = NULL, *p;
	while ((p = sched.idle_ps) != NULL) {
		sched.idle_ps = p->link;
		p->idle = false;
		atomic_fetch_sub_explicit(&sched.nidle_ps, 1, memory_order_seq_cst);
		if (p->index >= n) {
			p->retired = true;
			empty_queue(p, q);
		}
		p->link = keep;
		keep = p;
	}
	while ((p = keep) != NULL) {
		keep = p->link;
		if (!p->retired)
			p_put_idle(p);
	}
	int owned = 0;
	for (int i = n; i < atomic_load_explicit(&sched.nps, memory_order_relaxed); i++)
		owned += !sched.ps[i]->retired;
	atomic_store_explicit(&sched.retiring, owned, memory_order_seq_cst); /* for sysmon, which p_shrunk pokes */
	attention_update();
}

void p_shrunk(struct gqueue *q)
{
	global_put_batch(q);
	/* Timers of Ps that were idle have no owner to move them. */
	for (int i = 1; i < atomic_load_explicit(&sched.nps, memory_order_relaxed); i++)
		if (p_is_surplus(sched.ps[i]))
			timers_move(&sched.ps[i]->timers, &sched.ps[0]->timers);
	sysmon_poke(); /* for a moment it looked as if all were idle */
	idle_wake_one();
	vai__poll_wake();
}

/* Lock held. Fewer than n where memory is out. */
static int grow(int n)
{
	for (int i = 0; i < n; i++) {
		if (i >= atomic_load_explicit(&sched.nps, memory_order_relaxed)) {
			sched.ps[i] = p_new(i);
			if (!sched.ps[i])
				return i;
			sched.ps[i]->retired = true;
			atomic_store_explicit(&sched.nps, i + 1, memory_order_release);
		}
		if (sched.ps[i]->retired) {
			sched.ps[i]->retired = false;
			p_put_idle(sched.ps[i]);
		}
	}
	return n;
}

int vai__maxprocs(vai_g *self, int n)
{
	int old = atomic_load_explicit(&sched.nprocs, memory_order_relaxed);
	(void)self;
	if (n <= 0 || n == old)
		return old;
	if (n > MAX_PROCS)
		n = MAX_PROCS;
	struct gqueue q = {0};
	vai__lock(&sched.lock);
	n = grow(n);
	atomic_store_explicit(&sched.nprocs, n, memory_order_relaxed);
	p_shrink(&q);
	vai__unlock(&sched.lock);
	p_shrunk(&q);
	return old;
}

static uint64_t get(_Atomic(uint64_t) *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void p_each_counter(struct vai__sched_stats *out)
{
	for (int i = 0; i < atomic_load_explicit(&sched.nps, memory_order_acquire); i++) {
		struct counters *c = &sched.ps[i]->count;
		out->spawned += get(&c->spawned);
		out->ended += get(&c->ended);
		out->parks += get(&c->parks);
		out->steals += get(&c->steals);
		out->stolen += get(&c->stolen);
		out->handoffs += get(&c->handoffs);
		out->wakeups += get(&c->wakeups);
		out->global_gets += get(&c->global_gets);
		out->overflows += get(&c->overflows);
		vai__lock(&sched.ps[i]->timers.lock);
		out->timers_fired += sched.ps[i]->timers.fired;
		vai__unlock(&sched.ps[i]->timers.lock);
	}
}
