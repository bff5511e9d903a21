/* SPDX-License-Identifier: MIT */
/* Private to sched/: what its files call of each other, file by file. Included by rt.h. */
#ifndef VAI_RTCALLS_H
#define VAI_RTCALLS_H

#include "mach/barrier.h"
#include "sched/rt.h"

static inline struct g *g_of(vai_g *g)
{
	return (struct g *)(void *)g;
}

static inline struct m *g_m(struct g *g)
{
	return atomic_load_explicit(&g->m, memory_order_relaxed);
}

static inline struct g *m_curg(struct m *m)
{
	return atomic_load_explicit(&m->curg, memory_order_relaxed);
}

static inline void m_set_curg(struct m *m, struct g *g)
{
	atomic_store_explicit(&m->curg, g, memory_order_release); /* sysmon looks into it */
}

/* m.c: threads */
struct m *m_self(void); /* NULL off the Ms */
struct m *m_new_main(void);
void m_forget_self(void);
void m_retire_main(struct m *m);
void m_free_main(struct m *m);
bool m_new(struct p *p, bool spinning); /* a thread that runs p; false: the system refused */
void m_sleep(struct m *m);              /* until m_wake or what the poller waits for */
bool poll_once(void);                   /* without waiting; false: nothing is pending, or somebody polls already */
void m_wake(struct m *m);               /* m is out of sched.idle_ms and its nextp is set */
/* p.c: processors */
struct p *p_new(int index);
struct p *p_get_idle(void);     /* sched.lock held; NULL: none */
void p_put_idle(struct p *p);   /* sched.lock held */
bool p_is_surplus(struct p *p); /* beyond nprocs */
void p_retire(struct p *p, struct m *m);
void p_shrink(struct gqueue *q); /* sched.lock held: idle Ps beyond nprocs go out of use; others do by themselves */
void p_shrunk(struct gqueue *q); /* after it, without the lock */
void p_each_counter(struct vai__sched_stats *out);
static inline struct p *m_p(struct m *m)
{
	return atomic_load_explicit(&m->p, memory_order_relaxed);
}
/* runq.c: the lock-free queue of a P */
void runq_put(struct p *p, struct g *g, bool next);
struct g *runq_get(struct p *p, bool *inherit);
bool runq_take_back(struct p *p, struct g *g); /* g, which is p's runnext, leaves the queue; owner */
struct g *runq_steal(struct p *p, struct p *victim, bool take_next);
bool runq_empty(struct p *p);
unsigned runq_len(struct p *p);
/* How long the last of p's queue will wait for p itself, in ns; any thread. */
static inline int64_t runq_wait(struct p *p)
{
	return (int64_t)runq_len(p) * atomic_load_explicit(&p->slice, memory_order_relaxed);
}
/* global.c: queues that need a lock */
void gqueue_push(struct gqueue *q, struct g *g);
void gqueue_append(struct gqueue *q, const struct gqueue *more);
struct g *gqueue_pop(struct gqueue *q);
void global_put(struct g *g);
void global_put_batch(struct gqueue *q);
struct g *global_get(struct p *p);
/* idle.c: who sleeps, who looks for work */
void idle_wake_one(void);                  /* there is work in some queue: an idle P may want it */
void idle_got_work(struct m *m);           /* a spinning M found some */
struct g *idle_find_or_sleep(struct m *m); /* NULL: look again from the top */
void idle_wake_locked_m(struct m *m);      /* m->locked has grown */
struct m *idle_take_m(struct m * not );
void idle_enlist(struct m *m, bool listed);
void idle_check(void);
void idle_check_timers(void); /* sysmon */
void idle_delist(struct m *m);
void idle_stop_spinning(struct m *m);
void idle_wake_all(void);
/* sched.c: the loop */
void schedule(struct m *m);
void slice_begin(struct p *p);
void ready(struct g *g, bool next);
void ready_locked(struct g *g);
void attention_update(void);
void pay_attention(struct m *m);
struct g *take_locked(struct m *m);
/* handoff.c: Ps change hands */
void m_enter_slowly(struct m *m);
/* m's thread comes into vai: until m_leave, which gets the result, nobody takes its P; it may have none. Nests. */
static inline bool m_enter(struct m *m)
{
	bool was = atomic_load_explicit(&m->busy, memory_order_relaxed);
	atomic_store_explicit(&m->busy, true, memory_order_relaxed);
	vai__barrier_light();
	if (VAI_UNLIKELY(atomic_load_explicit(&m->retake, memory_order_relaxed)))
		m_enter_slowly(m);
	return was;
}
static inline void m_leave(struct m *m, bool was)
{
	atomic_store_explicit(&m->busy, was, memory_order_release);
}
struct p *m_need_p(struct m **m, bool *was); /* m_enter, until there is one; may park */
void m_own(struct m *m, struct p *p);        /* sched.lock held */
void m_hand_off(struct m *m);
bool m0_leave_to_others(struct m *m, struct g *g);
void p_release(struct p *p);                 /* sched.lock held */
void p_hand_off(struct p *p);                /* its M has lost it: to one that works on */
bool p_owes_turn(const struct p *p);         /* ... to the queues; who may touch p */
void want(struct m *m), unwant(struct m *m); /* sched.lock held, as for the next one */
struct p *retake(struct m *m);
/* locked.c: threads of one goroutine */
struct g *locked_next(struct m *m);
/* watch.c: sysmon's look at the Ms */
bool m_is_asleep(struct m *m); /* sched.lock held */
bool watch_ms(int64_t now);
bool watch_needed(void);
bool watch_hurries(int64_t now);
/* g.c: goroutines */
struct g *g_alloc(struct p *p);
void g_free(struct m *m, struct g *g);
bool g_give_stack(struct m *m, struct g *g);
void g_starve(struct g *g);       /* it waits until a stack is free */
void g_feed(void);                /* a stack is free: somebody who starves may run */
void g_flush_stacks(struct p *p); /* the cache of a P that the caller may touch */
void g_take_stack(struct m *m, struct g *g);
void g_abandon_all(void);
/* timer.c */
void timers_init(struct timers *ts);
void timers_run(struct timers *ts, int64_t now);
void timers_move(struct timers *from, struct timers *to);
void timers_clear(struct timers *ts); /* nothing in it runs any more */
int64_t timers_next_of_all(void);
bool timers_any(void);
bool timers_may_wake(void); /* somebody, when they fire */
/* park.c */
bool park_commit(struct g *g);
int wait_forget(struct g *g); /* the code that its last wait had come to */
void switch_to_loop(struct g *g, enum op op);
/* preempt.c: goroutines that run for too long */
void preempt_install(void);
void preempt_add(struct m *m);    /* by its thread */
void preempt_remove(struct m *m); /* by its thread, but for a host's that may be gone */
void preempt_send(struct m *m);   /* sched.lock held: interrupts what m runs */
void preempt_all(void);
int64_t thread_cpu(void); /* ns that the calling thread has computed */
static inline bool has_cpu_limit(struct g *g)
{
	return atomic_load_explicit(&g->pub.cpu_limit, memory_order_relaxed) != 0;
}
void interrupt(struct g *g); /* g runs on this thread, or is about to */
void cpu_begin(struct g *g); /* g, which has a limit, is about to run on this thread */
void cpu_end(struct g *g);   /* and has run */
/* quit.c: SIGQUIT; host thread, but for the last two */
void quit_install(void);
void quit_remove(void);
void quit_check(void); /* sysmon */
/* schedtrace.c: VAI_DEBUG */
void schedtrace_start(void);   /* host thread, before sysmon */
int64_t schedtrace_next(void); /* sysmon: when it is to call the next; VAI_FOREVER: never */
void schedtrace_tick(int64_t now);
/* sysmon.c */
int sysmon_start(void);
void sysmon_stop(void);
void sysmon_poke(void);  /* not all Ps are idle any more */
void sysmon_hurry(void); /* let it look now */
bool sysmon_tick(void);  /* one look at everything; sysmon's own and tests' */
/* scavenge.c: idle memory goes back; sysmon's */
void scavenge_start(void);
void scavenge_tick(int64_t now, bool idle);
void scavenge_awake(int64_t now); /* sysmon was woken: it may get busy again */
int64_t scavenge_next(void);      /* when sysmon has to call the next tick, also if all is idle */
void scavenge_stop(void);

static inline void count_add(_Atomic(uint64_t) *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint32_t next_rand(uint32_t *state)
{
	uint32_t x = *state; /* xorshift32, Marsaglia 2003 */
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

static inline int64_t clock_note(void)
{
	int64_t now = vai__clock_now();
	atomic_store_explicit(&sched.coarse_now, now, memory_order_relaxed);
	return now;
}

#endif
