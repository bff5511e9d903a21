/* SPDX-License-Identifier: MIT */
/* Goroutines: their records, stacks and lists.
 *
 * Records come in slabs that are never freed, so a stale pointer to one is harmless (its
 * ticket has moved on). A dead G keeps no stack, nor does one that has shed it (park.c).
 * Free Gs and stacks are cached per P, whose owner alone touches the caches. */
#include <stdlib.h>
#include <string.h>
#include "base/fatal.h"
#include "mach/stack.h"
#include "sched/turns.h"

enum {
	BATCH = 32,      /* free records that a P takes from sched.gfree at once */
	STACK_LINK = 16, /* mach/stack links free stacks through so many bytes at their top */
	COLOURS = 8      /* with more, a goroutine that parks within one page could need a second one */
};

/* Where the goroutine's own part of a stack ends. The tops of all stacks lie at the same place in their pages, so
 * the frames below them would compete for the same few sets of the first-level cache. Hence neighbouring stacks are
 * shifted by some cache lines (measured: a ring of 503 goroutines, 290 to 248 ns a hop). */
static char *usable_top(char *top)
{
	size_t colour = (uintptr_t)top / vai__stack_size() % COLOURS;
	return top - STACK_LINK - colour * VAI_CACHELINE;
}

struct slab {
	struct g gs[SLAB];
};

static struct {
	struct vai_lock lock;
	struct slab **slabs; /* grows under lock */
	int64_t n, cap;
} all = {.lock = {
#ifdef VAI_DEBUG_LOCKS
			 .rank = VAI_RANK_ALLG
#endif
		 }};

/* Adds s to the list of all slabs. False: out of memory. */
static bool note_slab(struct slab *s)
{
	vai__lock(&all.lock);
	if (all.n == all.cap) {
		int64_t cap = all.cap ? all.cap * 2 : 64;
		struct slab **grown = realloc(all.slabs, (size_t)cap * sizeof(struct slab *));
		if (!grown) {
			vai__unlock(&all.lock);
			return false;
		}
		all.slabs = grown;
		all.cap = cap;
	}
	all.slabs[all.n++] = s;
	vai__unlock(&all.lock);
	return true;
}

/* Makes a slab and returns its goroutines as a list; NULL: out of memory. */
static struct g *new_slab(void)
{
	struct slab *s = aligned_alloc(VAI_CACHELINE, sizeof(struct slab));
	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < SLAB; i++) {
		atomic_init(&s->gs[i].state, VAI_G_DEAD);
		atomic_init(&s->gs[i].wait, VAI_WAKE_USER); /* in no wait */
		s->gs[i].link = i + 1 < SLAB ? &s->gs[i + 1] : NULL;
	}
	if (!note_slab(s)) {
		free(s);
		return NULL;
	}
	return s->gs;
}

/* Fills p's empty cache of free records. */
static struct g *refill(struct p *p)
{
	if (atomic_load_relaxed(&vai__sched.ngfree) > 0) {
		vai__lock(&vai__sched.lock);
		for (int i = 0; i < BATCH; i++) {
			struct g *g = vai__gqueue_pop(&vai__sched.gfree);
			if (!g)
				break;
			g->link = p->gfree;
			p->gfree = g;
			p->ngfree++;
		}
		atomic_store_relaxed(&vai__sched.ngfree, vai__sched.gfree.count);
		vai__unlock(&vai__sched.lock);
	}
	if (!p->gfree) {
		p->gfree = new_slab();
		p->ngfree = p->gfree ? SLAB : 0;
	}
	return p->gfree;
}

struct g *vai__g_alloc(struct p *p)
{
	struct g *g = p->gfree ? p->gfree : refill(p);
	if (!g)
		return NULL;
	p->gfree = g->link;
	p->ngfree--;
	if (p->id_next == p->id_end) {
		p->id_next = atomic_fetch_add_relaxed(&vai__sched.next_id, ID_BATCH);
		p->id_end = p->id_next + ID_BATCH;
	}
	g->pub.id = p->id_next++;
	g->link = NULL;
	return g;
}

/* Moves free records from p's cache to sched.gfree until `keep` are left. */
static void spill(struct p *p, int keep)
{
	struct gqueue q = {0};
	while (p->ngfree > keep) {
		struct g *g = p->gfree;
		p->gfree = g->link;
		p->ngfree--;
		vai__gqueue_push(&q, g);
	}
	if (!q.head)
		return;
	vai__lock(&vai__sched.lock);
	vai__gqueue_append(&vai__sched.gfree, &q);
	atomic_store_relaxed(&vai__sched.ngfree, vai__sched.gfree.count);
	vai__unlock(&vai__sched.lock);
}

void vai__g_free(struct m *m, struct g *g)
{
	struct p *p = m_p(m);
	atomic_store_release(&g->state, VAI_G_DEAD);
	g->locked_m = NULL;
	g->link = p->gfree;
	p->gfree = g;
	if (++p->ngfree > GFREE_MAX)
		spill(p, GFREE_MAX / 2);
}

/* Gets a P for g, which has come to its end outside of vai. It is a function of its own, not inlined, because the frame
 * of `enter` is never left: no variable whose address is taken may lie there. */
static VAI_NOINLINE void come_in(struct g *g)
{
	struct m *m = g_m(g);
	bool was;
	vai__m_need_p(&m, &was);
}

/* The first function on a goroutine's stack; never returns. */
static void enter(void *arg)
{
	struct g *g = arg;
	vai__ctx_entered();
	g->entry(&g->pub, g->arg);
	come_in(g);
	vai__park_switch(g, OP_EXIT);
	vai__fatal("a dead goroutine was run");
}

static void begin_on(struct g *g, char *top)
{
	g->stack = top;
	vai__ctx_make(&g->ctx, vai__stack_low(top), usable_top(top), enter, g);
}

bool vai__g_give_stack(struct m *m, struct g *g)
{
	struct p *p = m_p(m);
	char *top = p->nstacks ? p->stacks[--p->nstacks] : vai__stack_alloc();
	if (!top)
		return false;
	begin_on(g, top);
	return true;
}

/* Puts the stack into the cache of m's P, or frees it, and lets a goroutine go on that waits for a stack. */
static void recycle(struct m *m, char *top)
{
	struct p *p = m_p(m);
	vai__stack_trim(top);
	if (p && p->nstacks < STACKS_MAX && !vai__stack_short())
		p->stacks[p->nstacks++] = top;
	else
		vai__stack_free(top);
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__sched.nstarved) > 0))
		vai__g_feed();
}

void vai__g_take_stack(struct m *m, struct g *g)
{
	char *top = g->stack;
	g->stack = NULL;
	recycle(m, top);
}

/* Once the wait is committed another M may run g, on another stack. So g->stack is NULL before the commit. */
bool vai__g_shed_stack(struct m *m, struct g *g)
{
	char *top = g->stack;
	if (!VAI_BUG(shed_late))
		g->stack = NULL;
	if (!vai__park_commit(g) && !VAI_BUG(shed_blind)) {
		vai__stack_trim(top); /* AddressSanitizer still knows the frames there, which are never left */
		begin_on(g, top);
		return false;
	}
	VAI_BUG_DO(shed_late, g->stack = NULL);
	recycle(m, top);
	return true;
}

/* While goroutines are queued here, vai__g_new fails, so that goroutines which spawn more learn of it. */
void vai__g_starve(struct g *g)
{
	vai__lock(&vai__sched.lock);
	vai__gqueue_push(&vai__sched.starved, g);
	atomic_store_relaxed(&vai__sched.nstarved, vai__sched.starved.count);
	vai__unlock(&vai__sched.lock);
	if (!vai__stack_short()) /* a stack was freed meanwhile */
		vai__g_feed();
}

void vai__g_feed(void)
{
	vai__lock(&vai__sched.lock);
	struct g *g = vai__gqueue_pop(&vai__sched.starved);
	atomic_store_relaxed(&vai__sched.nstarved, vai__sched.starved.count);
	vai__unlock(&vai__sched.lock);
	if (g)
		vai__loop_ready(g, false);
}

void vai__g_flush_stacks(struct p *p)
{
	while (p->nstacks > 0)
		vai__stack_free(p->stacks[--p->nstacks]);
}

void vai__g_begin_new(struct g *g, void (*entry)(vai_g *g, void *arg), void *arg, struct vai__home *home)
{
	atomic_store_relaxed(&g->pub.home, home);
	atomic_store_relaxed(&g->told, false);
	atomic_store_relaxed(&g->since, 0);
	atomic_store_relaxed(&g->pub.running, NULL);
	atomic_store_relaxed(&g->pub.end, VAI_END_NO);
	g->pub.vm = g->pub.task = g->pub.held = g->pub.life = g->pub.waits = NULL;
	g->cpu_used = 0;
	atomic_store_relaxed(&g->pub.cpu_limit, 0);
	g->pub.site = NULL;
	g->entry = entry;
	g->arg = arg;
	atomic_store_relaxed(&g->turn, 0);
	atomic_store_relaxed(&g->state, VAI_G_NEW);
}

vai_g *vai__g_new(void (*entry)(vai_g *g, void *arg), void *arg)
{
	return vai__g_new_in(vai__home_self(), entry, arg);
}

vai_g *vai__g_new_in(struct vai__home *home, void (*entry)(vai_g *g, void *arg), void *arg)
{
	struct m *m = vai__m_self();
	bool was;
	if (vai__stack_short() || VAI_UNLIKELY(atomic_load_relaxed(&home->closing) != VAI_HOME_STAYS))
		return NULL;
	struct g *g = vai__g_alloc(vai__m_need_p(&m, &was));
	m_leave(m, was);
	if (!g)
		return NULL;
	vai__g_begin_new(g, entry, arg, home);
	return &g->pub;
}

struct g *vai__g_alloc_outside(void)
{
	vai__lock(&vai__sched.lock);
	struct g *g = vai__gqueue_pop(&vai__sched.gfree);
	atomic_store_relaxed(&vai__sched.ngfree, vai__sched.gfree.count);
	vai__unlock(&vai__sched.lock);
	if (g)
		return g;
	struct gqueue rest = {0};
	struct g *next = new_slab();
	while ((g = next) != NULL && (next = g->link) != NULL)
		vai__gqueue_push(&rest, g);
	vai__lock(&vai__sched.lock);
	if (rest.head)
		vai__gqueue_append(&vai__sched.gfree, &rest);
	atomic_store_relaxed(&vai__sched.ngfree, vai__sched.gfree.count);
	vai__unlock(&vai__sched.lock);
	return g;
}

bool vai__g_post(void (*entry)(vai_g *g, void *arg), void *arg)
{
	struct g *g = vai__stack_short() ? NULL : vai__g_alloc_outside();
	if (!g)
		return false;
	g->pub.id = atomic_fetch_add_relaxed(&vai__sched.next_id, 1);
	g->link = NULL;
	vai__g_begin_new(g, entry, arg, vai__home_of_nobody);
	atomic_fetch_add_relaxed(&vai__sched.posted, 1);
	vai__loop_ready(g, true);
	return true;
}

vai_g *vai__g_new_on_main(void (*entry)(vai_g *g, void *arg), void *arg)
{
	vai_g *g = vai__g_new(entry, arg);
	if (g)
		g_of(g)->locked_m = vai__home_m(vai__g_home(g));
	return g;
}

bool vai__g_on_main(const vai_g *g)
{
	const struct g *priv = (const struct g *)(const void *)g;
	return is_hosts(priv->locked_m) && !vai__g_is_main(g);
}

/* A goroutine that fills its P's queue with children yields and queues up behind them. So the children run while
 * what was made for them is still in the cache, and a loop that spawns a million goroutines has a few hundred of
 * them alive at once, unless they park. */
void vai__g_start(vai_g *self, vai_g *pub)
{
	struct m *m = vai__m_self();
	bool was;
	struct p *p = vai__m_need_p(&m, &was);
	count_add(&p->count.spawned, 1);
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__replay_on)))
		vai__replay_adopt(self ? g_of(self) : NULL, g_of(pub));
	vai__loop_ready(g_of(pub), true);
	unsigned len = vai__runq_len(p);
	m_leave(m, was);
	if (len > 1 && atomic_load_relaxed(&vai__sched.nidle_ps) > 0)
		vai__idle_wake_one(); /* another P may take some of them: how long they will run is not known */
	if (self && len >= RUNQ_SIZE && turn_of(g_of(self)) == 0)
		vai__yield(self);
}

void vai__g_discard(vai_g *g)
{
	struct m *m = vai__m_self();
	bool was;
	vai__m_need_p(&m, &was);
	vai__g_free(m, g_of(g));
	m_leave(m, was);
}

enum vai_g_state vai__g_state(vai_g *g)
{
	return (enum vai_g_state)atomic_load_acquire(&g_of(g)->state);
}

/* A goroutine inside a C call that was declared (vai__g_block_begin) stands still, too: it cannot come back while
 * the world is stopped. */
static void info_of_running(struct g *g, struct vai_g_info *info)
{
	vai__lock(&vai__sched.lock);
	struct m *m = g_m(g);
	bool here = m && m_curg(m) == g;
	bool blocks = atomic_load_acquire(&g->blocks);
	info->in_c = here && !m_p(m);
	info->still = here && (blocks || m == vai__m_self());
	if (info->in_c)
		info->since = blocks ? atomic_load_relaxed(&g->since) : m->seen_at;
	vai__unlock(&vai__sched.lock);
}

void vai__g_info(struct g *g, struct vai_g_info *info)
{
	info->state = vai__g_state(&g->pub);
	bool waits = info->state == VAI_G_WAITING;
	info->reason = VAI_WAIT_NONE;
	if (waits)
		info->reason = (enum vai_wait_reason)atomic_load_relaxed(&g->reason);
	info->obj = waits ? atomic_load_relaxed(&g->obj) : NULL;
	info->since = waits ? atomic_load_relaxed(&g->since) : 0;
	info->timed = waits && atomic_load_relaxed(&g->timed);
	info->in_c = info->still = false;
	if (info->state == VAI_G_RUNNING)
		info_of_running(g, info);
	else
		info->still = info->state != VAI_G_NEW;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = (*(struct g *const *)a)->pub.id, y = (*(struct g *const *)b)->pub.id;
	return (x > y) - (x < y);
}

/* Returns the goroutines that are alive now, sorted by id, and sets *n to their number. NULL: out of memory, or
 * there are none. */
static struct g **collect(int64_t *n)
{
	vai__lock(&all.lock);
	struct g **gs = malloc((size_t)(all.n * SLAB + 1) * sizeof(struct g *));
	*n = 0;
	for (int64_t i = 0; gs && i < all.n * SLAB; i++) {
		struct g *g = &all.slabs[i / SLAB]->gs[i % SLAB];
		if (atomic_load_acquire(&g->state) != VAI_G_DEAD)
			gs[(*n)++] = g;
	}
	vai__unlock(&all.lock);
	if (gs)
		qsort(gs, (size_t)*n, sizeof(struct g *), by_id);
	return gs;
}

void vai__g_each(void (*f)(vai_g *g, const struct vai_g_info *info, void *arg), void *arg)
{
	int64_t n;
	struct g **gs = collect(&n);
	for (int64_t i = 0; gs && i < n; i++) {
		struct vai_g_info info;
		vai__g_info(gs[i], &info);
		if (info.state != VAI_G_DEAD)
			f(&gs[i]->pub, &info, arg);
	}
	free(gs);
}

/* Calls f for every goroutine that has not ended, mains excepted. No M runs. */
static void each_left(void (*f)(struct g *g))
{
	for (int64_t i = 0; i < all.n * SLAB; i++) {
		struct g *g = &all.slabs[i / SLAB]->gs[i % SLAB];
		if (atomic_load_relaxed(&g->state) != VAI_G_DEAD && !vai__g_is_main(&g->pub))
			f(g);
	}
}

struct g *vai__g_slab(int64_t i)
{
	vai__lock(&all.lock);
	struct g *gs = i < all.n ? all.slabs[i]->gs : NULL;
	vai__unlock(&all.lock);
	return gs;
}

static void unwait(struct g *g)
{
	int code = vai__park_forget(g);
	if (vai__sched_hooks.unwait)
		vai__sched_hooks.unwait(&g->pub, code);
}

static void abandon(struct g *g)
{
	if (vai__sched_hooks.abandon)
		vai__sched_hooks.abandon(&g->pub);
}

/* Frees g's record. The fields that g would have reset itself after its wait are reset here, for the record's next
 * goroutine. */
static void bury(struct g *g)
{
	if (vai__sched_hooks.bury)
		vai__sched_hooks.bury(&g->pub);
	g->pub.bound = NULL;
	g->pub.dropping = NULL;
	atomic_store_relaxed(&g->renews, false);
	atomic_store_relaxed(&g->timed, false);
	atomic_store_relaxed(&g->blocks, false);
	if (g->stack)
		vai__stack_free(g->stack);
	g->stack = NULL;
	g->locked_m = NULL;
	atomic_store_relaxed(&g->state, VAI_G_DEAD);
	count_add(&vai__sched.ps[0]->count.ended, 1);
	vai__gqueue_push(&vai__sched.gfree, g);
}

/* Finalizers run in here, and must wake no goroutine. A goroutine's waiter may be linked to one on another goroutine's
 * stack, so no stack is freed before all have been dealt with. */
void vai__g_abandon_all(void)
{
	each_left(unwait);
	each_left(abandon);
	each_left(bury);
	atomic_store_relaxed(&vai__sched.ngfree, vai__sched.gfree.count);
}
