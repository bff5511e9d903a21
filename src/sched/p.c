/* SPDX-License-Identifier: MIT */
/* Processors: made on demand, never freed, owned by one M or idle or retired. */
#include <stdlib.h>
#include <string.h>
#include "sched/poll.h"
#include "sched/rt.h"

struct p *vai__p_new(int index)
{
	struct p *p = aligned_alloc(VAI_CACHELINE, sizeof(struct p));
	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->index = index;
	p->rand = (uint32_t)index * 2654435761u + 1;
	atomic_init(&p->slice, SLICE_UNKNOWN);
	atomic_init(&p->thieves, vai__barrier_by_kernel ? 0 : 1); /* runq.c */
	vai__timers_init(&p->timers);
	return p;
}

struct p *vai__p_get_idle(void)
{
	struct p *p = vai__sched.idle_ps;
	if (!p || vai__sched.world_stopped)
		return NULL;
	vai__sched.idle_ps = p->link;
	p->idle = false;
	if (atomic_fetch_sub_seq_cst(&vai__sched.nidle_ps, 1) == atomic_load_relaxed(&vai__sched.nprocs))
		vai__sysmon_poke();
	return p;
}

void vai__p_put_idle(struct p *p)
{
	p->link = vai__sched.idle_ps;
	vai__sched.idle_ps = p;
	p->idle = true;
	atomic_store_relaxed(&p->where, -1);
	atomic_fetch_add_seq_cst(&vai__sched.nidle_ps, 1);
}

/* Moves p's goroutines into q. The caller owns p, or nobody does and sched.lock is held. */
static void empty_queue(struct p *p, struct gqueue *q)
{
	struct g *g;
	while ((g = vai__runq_get(p)) != NULL)
		vai__gqueue_push(q, g);
}

/* Moves p's goroutines to the global queue and its timers to P 0. Called by p's owner. */
static void drain(struct p *p)
{
	struct gqueue q = {0};
	empty_queue(p, &q);
	vai__global_put_batch(&q);
	vai__timers_move(&p->timers, &vai__sched.ps[0]->timers);
}

bool vai__p_is_surplus(struct p *p)
{
	return p->index >= atomic_load_relaxed(&vai__sched.nprocs);
}

void vai__p_retire(struct p *p, struct m *m)
{
	drain(p);
	vai__lock(&vai__sched.lock);
	if (vai__p_is_surplus(p)) {
		p->retired = true;
		if (m)
			vai__m_own(m, NULL);
		atomic_fetch_sub_relaxed(&vai__sched.retiring, 1);
		vai__loop_attention_update();
	} else if (!m) { /* nprocs has grown again meanwhile, and p is no longer counted in `retiring` */
		vai__p_release(p);
	}
	vai__idle_unlock();
	vai__idle_wake_one();
	vai__poll_wake();
}

/* Idle Ps have goroutines only if they were put aside while the world was stopped (stop_world.c). */
void vai__p_shrink(struct gqueue *q)
{
	int n = atomic_load_relaxed(&vai__sched.nprocs);
	struct p *keep = NULL, *p;
	while ((p = vai__sched.idle_ps) != NULL) {
		vai__sched.idle_ps = p->link;
		p->idle = false;
		atomic_fetch_sub_seq_cst(&vai__sched.nidle_ps, 1);
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
			vai__p_put_idle(p);
	}
	int owned = 0;
	for (int i = n; i < atomic_load_relaxed(&vai__sched.nps); i++)
		owned += !vai__sched.ps[i]->retired;
	atomic_store_seq_cst(&vai__sched.retiring, owned); /* for sysmon, which vai__p_shrunk pokes */
	vai__loop_attention_update();
}

void vai__p_shrunk(struct gqueue *q)
{
	vai__global_put_batch(q);
	/* Timers of Ps that were idle have no owner to move them. */
	for (int i = 1; i < atomic_load_relaxed(&vai__sched.nps); i++)
		if (vai__p_is_surplus(vai__sched.ps[i]))
			vai__timers_move(&vai__sched.ps[i]->timers, &vai__sched.ps[0]->timers);
	vai__sysmon_poke(); /* for a moment all Ps looked idle, and sysmon may have gone to sleep */
	vai__idle_wake_one();
	vai__poll_wake();
}

/* Makes Ps until there are n, or fewer when memory is out. Under sched.lock. */
static int grow(int n)
{
	for (int i = 0; i < n; i++) {
		if (i >= atomic_load_relaxed(&vai__sched.nps)) {
			vai__sched.ps[i] = vai__p_new(i);
			if (!vai__sched.ps[i])
				return i;
			vai__sched.ps[i]->retired = true;
			atomic_store_release(&vai__sched.nps, i + 1);
		}
		if (vai__sched.ps[i]->retired) {
			vai__sched.ps[i]->retired = false;
			vai__p_put_idle(vai__sched.ps[i]);
		}
	}
	return n;
}

/* Uses n Ps from now on. Lock held; the caller then calls vai__p_shrunk(q) without it. */
static void set_procs(int n, struct gqueue *q)
{
	n = grow(n < MAX_PROCS ? n : MAX_PROCS);
	atomic_store_relaxed(&vai__sched.nprocs, n);
	vai__p_shrink(q);
}

int vai__maxprocs(vai_g *self, int n)
{
	struct gqueue q = {0};
	(void)self;
	vai__lock(&vai__sched.lock);
	int old = atomic_load_relaxed(&vai__sched.nprocs);
	bool changes = n > 0 && n != old;
	vai__sched.procs_chosen |= n > 0;
	if (changes)
		set_procs(n, &q);
	vai__unlock(&vai__sched.lock);
	if (changes)
		vai__p_shrunk(&q);
	return old;
}

void vai__p_follow_cpus(int n)
{
	struct gqueue q = {0};
	atomic_store_relaxed(&vai__sched.ncpus, n);
	vai__lock(&vai__sched.lock);
	bool changes = !vai__sched.procs_chosen && n != atomic_load_relaxed(&vai__sched.nprocs) &&
		!vai__sched.world_stopped && !atomic_load_relaxed(&vai__sched.stopping);
	if (changes)
		set_procs(n, &q);
	vai__unlock(&vai__sched.lock);
	if (changes)
		vai__p_shrunk(&q);
}

static uint64_t get(_Atomic(uint64_t) *c)
{
	return atomic_load_relaxed(c);
}

void vai__p_sum_counters(struct vai__sched_stats *out)
{
	out->spawned = get(&vai__sched.posted);
	for (int i = 0; i < atomic_load_acquire(&vai__sched.nps); i++) {
		struct counters *c = &vai__sched.ps[i]->count;
		out->spawned += get(&c->spawned);
		out->ended += get(&c->ended);
		out->parks += get(&c->parks);
		out->steals += get(&c->steals);
		out->stolen += get(&c->stolen);
		out->handoffs += get(&c->handoffs);
		out->wakeups += get(&c->wakeups);
		out->global_gets += get(&c->global_gets);
		out->overflows += get(&c->overflows);
		vai__lock(&vai__sched.ps[i]->timers.lock);
		out->timers_fired += vai__sched.ps[i]->timers.fired;
		vai__unlock(&vai__sched.ps[i]->timers.lock);
	}
}
