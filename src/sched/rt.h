/* SPDX-License-Identifier: MIT */
/* Private to sched/: what G, M and P are made of. The model is Go's (runtime2.go, proc.go). Every shared field names
 * its lock or its owner.
 *
 * G: NEW (made, not started) -> RUNNABLE -> RUNNING <-> WAITING ... -> DEAD (in a free list). A G may be touched by
 * its maker while it is NEW, by the M that took it from a run queue, by its M while RUNNING, and while WAITING by
 * nobody but the winner of vai__fire.
 *
 * P: IDLE (in sched.idle_ps) or owned by exactly one M.
 *
 * M: running with a P; spinning (with a P, looking for work, counted in sched.nspinning); or idle (without a P, in
 * sched.idle_ms, asleep). */
#ifndef VAI_RT_H
#define VAI_RT_H

#include <pthread.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/random.h"
#include "base/san.h"
#include "mach/barrier.h"
#include "mach/ctx.h"
#include "sched/sched.h"
#include "sched/seat.h"

#if defined(VAI_SIM) /* for spec/sim: so small that all orders of steps can be tried */
enum { RUNQ_SIZE = 4, GFREE_MAX = 4, STACKS_MAX = 4, MAX_PROCS = 4 };
#elif defined(VAI_HARD)
enum { RUNQ_SIZE = 4, GFREE_MAX = 1, STACKS_MAX = 1, MAX_PROCS = 1024 };
#else
enum { RUNQ_SIZE = 256, GFREE_MAX = 128, STACKS_MAX = 128, MAX_PROCS = 1024 };
#endif
enum {
	SLAB = 64,               /* goroutines that are made at once */
	MAX_MS = 10000,          /* as in Go */
	GLOBAL_TICK = 61,        /* after so many rounds the global queue is looked at */
	TIMER_TICK = 8,          /* after so many rounds timers are looked at, and when idle */
	RUNNEXT_STREAK = 256,    /* rounds that runnext may inherit the slice */
	POLL_PAUSE = 200000,     /* ns after which an M that always has work looks into the poller */
	SLICE_TICK = 16,         /* a slice is measured over so many rounds, or until there is no work */
	SLICE_UNKNOWN = 1000000, /* ns */
	WAKE_COST = 15000,       /* ns: work that will wait longer is worth waking an M for */
	STEAL_COST = 3000,       /* ns: work that will wait longer is worth moving to an M that is awake */
	STEAL_MANY = 8,          /* so many goroutines are worth moving in any case */
	ID_BATCH = 16,
	HURRY = 100000000,   /* ns for which turns are short after a goroutine was asked to end */
	SLICE_MAX = 10000000 /* ns that a goroutine may run while others wait */
};

struct m;
struct p;
struct home;

struct g {
	vai_g pub;      /* first: a vai_g * is a struct g * */
	struct g *link; /* in the queue or free list that holds it */
	void (*entry)(vai_g *g, void *arg);
	void *arg;
	_Atomic(uint8_t) state;            /* enum vai_g_state; only for looking at, it decides nothing */
	atomic_bool told;                  /* it was asked to end because its home closes; its M's, or the waker's */
	bool asked_outside;                /* it was last interrupted because it had no P; its M's */
	_Atomic(uint8_t) reason;           /* while WAITING, as `timed` and `obj`; `since` also while it blocks */
	atomic_bool blocks, timed, renews; /* it is in vai__g_block_begin to _end; a timer ends its wait; renew.c may */
	_Atomic(uint32_t) turn;            /* its number in a seeded run (replay.c); 0: it is in none */
	int64_t cpu_used;                  /* with a limit: ns used before it began to run */
	_Atomic(int64_t) since;            /* down to here who makes a goroutine writes: lines that go to its M and back */
	_Atomic(const void *) obj;
	struct vai__ctx ctx;
	_Atomic(uint64_t) wait; /* ticket << 32 | code */
	_Atomic(struct m *) m;  /* while RUNNING; its M writes */
	struct m *locked_m;     /* the only M that it runs on, or OFF_MAIN; set before its start, or by itself */
	char *stack;            /* top; NULL before the first run and for main */
};

enum op { OP_PARK, OP_YIELD, OP_PREEMPTED, OP_EXIT, OP_SHED, OP_TURN /* its turn in a seeded run is over */ };

struct gqueue {
	struct g *head, *tail;
	int64_t count;
};

struct timers {
	struct vai_lock lock;
	struct vai__timer **heap; /* under lock: 4-ary, by when */
	uint32_t len, cap;        /* under lock */
	_Atomic(int64_t) next;    /* when of heap[0], VAI_FOREVER if empty; written under lock */
	uint64_t fired;           /* under lock */
};

/* Counters that the owner of a P writes and anybody reads. */
struct counters {
	_Atomic(uint64_t) spawned, ended, parks, steals, stolen, handoffs, wakeups, global_gets, overflows;
};

struct p {
	_Alignas(VAI_CACHELINE) atomic_uint head; /* thieves and owner advance */
	_Alignas(VAI_CACHELINE) atomic_uint tail; /* owner writes */
	_Atomic(struct g *) runnext;
	atomic_bool taking;     /* owner writes: it is about to take runnext */
	atomic_int thieves;     /* those that are about to */
	_Atomic(uint32_t) tick; /* owner writes: rounds of the scheduler */
	uint32_t streak;        /* owner: rounds since another goroutine than runnext ran */
	_Atomic(int64_t) slice; /* owner writes: ns that a goroutine runs before the next one, lately */
	int64_t slice_at;       /* owner: when its measurement began; 0: not begun */
	uint32_t slice_tick;    /* owner: the round of that */
	uint32_t locked_tick;   /* owner: the last round of a goroutine that only its M may run (handoff.c) */
	uint32_t rand;          /* owner */
	_Atomic(int) where;     /* owner writes: the CPU that its M ran on lately; -1: not known, or without an owner */
	_Atomic(struct g *) ring[RUNQ_SIZE];
	/* owner's caches */
	struct g *gfree;
	int ngfree;
	unsigned nstacks;
	char *stacks[STACKS_MAX];
	uint64_t id_next, id_end;
	struct counters count;
	struct timers timers;
	int index;
	struct p *link; /* sched.idle_ps, under sched.lock */
	bool idle;      /* under sched.lock */
	bool retired;   /* beyond nprocs and owned by nobody; under sched.lock */
};

struct m {
	struct vai__ctx ctx;        /* its scheduler loop (g0 in Go) */
	_Atomic(struct g *) curg;   /* owner writes */
	_Atomic(struct p *) p;      /* owner */
	enum op op;                 /* why curg switched to the loop */
	uint64_t words;             /* the floating point control words of its loop */
	bool spinning, leaving;     /* owner; the thread is to end */
	struct vai__seat seat;      /* owner */
	_Atomic(bool) busy;         /* owner writes: it may touch its P (handoff.c) */
	atomic_bool retake;         /* written under sched.lock: another thread wants its P, or has taken it */
	bool idle, listed, wants;   /* asleep without a P; in sched.idle_ms; in sched.wanting: under sched.lock */
	_Atomic(int64_t) nap_until; /* when it wakes by itself for a P that main gives back; 0: never. Under sched.lock */
	int64_t cpu_from;           /* owner: the thread's time when curg, which has a limit, began to run */
	struct g *lockedg;          /* owner: the goroutine that has this thread for itself */
	struct m *next_wanting, *next_m; /* in sched.wanting and sched.all_ms, under sched.lock */
	/* Under sched.lock. A host's: since when it wants a P. The processor time used when the runtime began to end. */
	int64_t wants_at, end_cpu;
	uint32_t rand;       /* owner */
	int tid;             /* the system's number of its thread */
	atomic_bool preempt; /* the next SIGURG comes from vai */
	bool blocked;        /* SIGURG was blocked before this thread became an M */
	struct home *home;   /* the M is the host's thread of it; NULL: it is a thread of vai's. Constant while it lives */
	/* Used by sysmon only: the round that it saw last, and when it first saw it. */
	struct p *seen_p;
	uint32_t seen_tick;
	int64_t seen_at, seen_cpu, seen_cpu_at; /* the last two: what the thread had used when that was last asked */
	bool seen_asleep;
	bool evicted; /* main has got its P while its goroutine computed; sched.lock */
	struct {
		struct g *g;   /* the goroutine that it ran when it was last looked at */
		uint32_t tick; /* the round of its P then */
		uint64_t sleeps;
		int64_t cpu, user; /* what the thread had used when that goroutine was first seen, or when it last woke */
		bool asleep;       /* whether it was found asleep */
		int64_t seen, urged_cpu, urged_user; /* used just before it was looked at; the last two: for a frame */
	} look;                                  /* sched.lock; preempt.c, as the next six */
	atomic_bool asked; /* a signal was sent that its goroutine has not answered; set under sched.lock */
	int64_t asked_at;
	_Atomic(uint32_t) asked_tick; /* the round of its P that the timer is for */
	int64_t unsure_at;            /* since when it should be asked but might be in a system call; 0: not */
	enum { TIMER_NONE, TIMER_MADE, TIMER_REFUSED } has_timer;
	timer_t timer;          /* mach/thread.h; the value is &m->timer */
	bool polling;           /* owner: it is in the poller, and what that makes ready goes to `polled`, */
	bool behind;            /* owner: even if it has a P */
	struct gqueue polled;   /* owner */
	atomic_bool has_polled; /* owner writes: there was something in it since it went to sleep */
	atomic_uint wake;       /* futex: 1 when woken */
	struct p *nextp;        /* given by the waker, with wake */
	struct m *link;         /* sched.idle_ms, under sched.lock */
	char *loop_stack;       /* a host's only: its loop has a stack of its own */
	bool lost;              /* a host's only: its home was ended by another thread */
	struct gqueue locked;   /* goroutines that only this M runs and others made ready; sched.lock */
	_Atomic(int64_t) nlocked;
};

struct sched {
	struct vai_lock lock;
	struct gqueue global;     /* lock */
	_Atomic(int64_t) nglobal; /* mirror of global.count */
	struct p *idle_ps;        /* lock */
	struct m *idle_ms;        /* lock; hosts' are taken first */
	struct m *all_ms;         /* lock; preempt.c */
	int nms, nidle_ms;        /* lock */
	uint64_t nawake;          /* lock: how often an M has awoken or begun */
	atomic_int nidle_ps, nspinning;
	atomic_int nprocs;
	atomic_int ncpus;            /* CPUs that the process may use, by the last look */
	bool procs_chosen;           /* lock: nprocs does not follow ncpus */
	_Atomic(struct m *) poller;  /* the M asleep in the poller, or POLLING */
	_Atomic(int64_t) polled_at;  /* when a thread last looked into the poller */
	_Atomic(int64_t) poll_until; /* when the M in the poller wakes by itself */
	atomic_bool attention;       /* one of the next three is set: checked once a round */
	atomic_bool stopping;
	struct m *wanting;  /* lock: Ms that sleep, have a locked goroutine that is ready, and found no idle P */
	bool world_stopped; /* lock: no P is to be had */
	uint64_t nretaken;  /* lock */
	_Atomic(uint64_t) npreempted;
	atomic_int retiring;          /* Ps beyond nprocs that an M still owns */
	atomic_bool running;          /* host thread */
	_Atomic(struct home *) homes; /* changed under lock; the latest first */
	atomic_int nhomes;
	atomic_int nwatched; /* homes that close, have goroutines left or are in a serial phase: who runs or ends looks */
	_Atomic(struct m *) m0;       /* that of the first home, and its main; lock */
	struct m off_main, off_frame; /* OFF_MAIN, OFF_FRAME */
	_Atomic(struct g *) main;
	struct p *ps[MAX_PROCS]; /* made on demand, never freed */
	atomic_int nps;          /* made so far; written under lock */
	_Atomic(uint64_t) next_id;
	struct gqueue starved;        /* lock: new goroutines for which there was no stack */
	_Atomic(int64_t) nstarved;    /* mirror of starved.count */
	struct gqueue gfree;          /* lock */
	_Atomic(int64_t) ngfree;      /* mirror of gfree.count */
	atomic_uint live_ms;          /* threads that have not left; futex */
	_Atomic(int64_t) hurry_until; /* slices are short until then */
	_Atomic(int64_t) coarse_now;  /* a recent vai__clock_real() */
	bool hosted;                  /* what happens outside of vai may wake goroutines: no wait is a deadlock. Constant */
	bool no_signals;              /* no handlers are installed. Constant while it runs */
	_Atomic(uint64_t) posted;     /* goroutines that vai__g_post has made */
	_Atomic(int64_t) outside;     /* threads between vai__outside_enter and leave */
	atomic_int nframes;           /* mains that are in a frame, or want a P for one */
};
extern struct sched vai__sched;
/* As locked_m of a goroutine: it runs on any M but M0. */
#define OFF_MAIN (&vai__sched.off_main)

/* ---- what the files call of each other, file by file ---- */

static inline struct g *g_of(vai_g *g)
{
	return (struct g *)(void *)g;
}

static inline struct m *g_m(struct g *g)
{
	return atomic_load_relaxed(&g->m);
}

static inline struct g *m_curg(struct m *m)
{
	return atomic_load_relaxed(&m->curg);
}

static inline void m_set_curg(struct m *m, struct g *g)
{
	atomic_store_release(&m->curg, g); /* sysmon looks into it */
}

/* m.c: threads */
struct m *vai__m_self(void);                  /* NULL off the Ms */
struct m *vai__m_new_main(const char **call); /* the calling thread; NULL: the system refused *call (errno) */
void vai__m_forget_self(void);                /* the calling thread, in the child of a fork, is no M */
void vai__m_retire_main(struct m *m);         /* a host's thread is no M any more; on any thread */
void vai__m_free_main(struct m *m);           /* after that, when the runtime has stopped */
bool vai__m_new(struct p *p, bool spinning);  /* a thread that runs p; false: the system refused */
void vai__m_sleep(struct m *m);               /* until vai__m_wake or what the poller waits for */
void vai__m_wake(struct m *m);                /* m is out of sched.idle_ms and its nextp is set */
/* p.c: processors */
struct p *vai__p_new(int index);              /* NULL: out of memory */
struct p *vai__p_get_idle(void);              /* sched.lock held; NULL: none */
void vai__p_put_idle(struct p *p);            /* sched.lock held */
bool vai__p_is_surplus(struct p *p);          /* beyond nprocs */
void vai__p_retire(struct p *p, struct m *m); /* takes a surplus P out of use; m owns it, or NULL: nobody */
void vai__p_shrink(struct gqueue *q); /* sched.lock held: takes idle Ps beyond nprocs out of use; others go later */
void vai__p_shrunk(struct gqueue *q); /* after it, without the lock */
void vai__p_follow_cpus(int n);       /* sysmon: the process may use so many CPUs from now on */
void vai__p_each_counter(struct vai__sched_stats *out); /* sums */
static inline struct p *m_p(struct m *m)
{
	return atomic_load_relaxed(&m->p);
}
/* runq.c: the lock-free queue of a P */
void vai__runq_put(struct p *p, struct g *g, bool next); /* owner; next: to runnext, else to the tail */
struct g *vai__runq_get(struct p *p, bool *inherit);     /* owner; *inherit: it shares the slice of who readied it */
bool vai__runq_take_back(struct p *p, struct g *g);      /* g, which is p's runnext, leaves the queue; owner */
struct g *vai__runq_steal(struct p *p, struct p *victim, bool take_next); /* owner of p: half of the ring, or runnext */
bool vai__runq_empty(struct p *p);   /* any thread; true only if it was so at one moment */
unsigned vai__runq_len(struct p *p); /* any thread; a guess for others than the owner */
/* How long the last goroutine of p's queue will wait for p itself, in ns. Any thread. */
static inline int64_t runq_wait(struct p *p)
{
	return (int64_t)vai__runq_len(p) * atomic_load_relaxed(&p->slice);
}
/* global_queue.c: queues that need a lock */
void vai__gqueue_push(struct gqueue *q, struct g *g);
void vai__gqueue_append(struct gqueue *q, const struct gqueue *more); /* `more` is not empty, and not used again */
struct g *vai__gqueue_pop(struct gqueue *q);                          /* the oldest; NULL: it is empty */
void vai__global_put(struct g *g);            /* takes sched.lock, as the next two; wakes nobody */
void vai__global_put_batch(struct gqueue *q); /* may be empty */
struct g *vai__global_get(struct p *p);       /* owner: one, and more of p's share into its ring; NULL: none */
/* idle.c: who sleeps, who looks for work */
void vai__idle_wake_one(void);                  /* there is work in some queue, for which an idle P may be woken */
void vai__idle_got_work(struct m *m);           /* a spinning M found some */
struct g *vai__idle_find_or_sleep(struct m *m); /* NULL: look again from the top */
void vai__idle_wake_locked_m(struct m *m);      /* m->locked has grown */
struct m *vai__idle_take_m(bool hosts); /* sched.lock held: out of the idle ones; hosts: a host's, too, and first */
void vai__idle_enlist(struct m *m, bool listed); /* sched.lock held: m counts as idle; listed: for any work */
void vai__idle_delist(struct m *m);              /* m, which has awoken, counts as awake, and has a P if one was had */
void vai__idle_take_polled(struct m *m);         /* makes what it has made ready in the poller runnable */
void vai__idle_stop_spinning(struct m *m);       /* m, which spins, counts as one that does not */
void vai__idle_stop_one(void);      /* the runtime stops: wakes an idle M, which leaves and does the same */
bool vai__idle_retire(struct m *m); /* it has slept for long; true: its thread has to end, because there are enough */
bool vai__idle_work_anywhere(bool exact); /* in any queue; else only such as is worth a wake-up */
bool vai__idle_feed_from_caches(void);    /* sched.lock held */
/* deadlock.c: how one is found */
bool vai__deadlock_is(int awake);        /* sched.lock held; so many Ms are awake */
void vai__deadlock_tell_sysmon(void);    /* sched.lock held */
void vai__deadlock_tell_main(void);      /* every main; nothing else runs */
void vai__deadlock_check(void);          /* an M went idle or ended without having looked */
void vai__deadlock_check_sleepers(void); /* sysmon */
/* loop.c: the loop */
void vai__loop_schedule(struct m *m);         /* returns when the runtime stops */
void vai__loop_slice_begin(struct p *p);      /* p's goroutine has a whole slice from now on */
void vai__loop_ready(struct g *g, bool next); /* on an M: g, which no queue has, goes to runnext or the tail */
bool vai__loop_ready_quietly(struct g *g);    /* true: vai__sched_fired is to be called */
void vai__loop_ready_locked(struct g *g);     /* g is tied to an M, not the caller's */
void vai__loop_attention_update(void);        /* sched.lock held: whether loops have to look at more than queues */
void vai__loop_pay_attention(struct m *m);    /* they do; m may have no P after it */
struct g *vai__loop_take_locked(struct m *m); /* the oldest of those that are tied to m; NULL: none */
/* handoff.c: Ps change hands */
void vai__m_enter_slowly(struct m *m);
/* m's thread enters vai: until m_leave, which gets the result, no other thread takes its P. m may have none. Nests. */
static inline bool m_enter(struct m *m)
{
	bool was = atomic_load_relaxed(&m->busy);
	atomic_store_relaxed(&m->busy, true);
	vai__barrier_light();
	if (VAI_UNLIKELY(atomic_load_relaxed(&m->retake)))
		vai__m_enter_slowly(m);
	return was;
}
static inline void m_leave(struct m *m, bool was)
{
	atomic_store_release(&m->busy, was);
}
struct p *vai__m_need_p(struct m **m, bool *was);       /* m_enter, until there is one; may park */
void vai__m_own(struct m *m, struct p *p);              /* sched.lock held */
void vai__m_hand_off(struct m *m);                      /* gives its P, if it has one, to another M */
bool vai__m0_leave_to_others(struct m *m, struct g *g); /* gives g and the P to another M; false: there is none */
void vai__p_release(struct p *p);                       /* sched.lock held */
void vai__p_hand_off(struct p *p);                      /* its M has lost it: hands it to an M that goes on with it */
bool vai__p_owes_turn(const struct p *p);               /* its next round is the queues'; the caller may touch p */
void vai__handoff_want(struct m *m), vai__handoff_unwant(struct m *m); /* sched.lock held, as for the next one */
struct p *vai__handoff_retake(struct m *m); /* sysmon: m's P, if its goroutine is in no call of vai; or NULL */
/* locked_thread.c: threads of one goroutine */
struct g *vai__locked_next(struct m *m); /* sleeps until m's goroutine is ready; NULL: the runtime stops */
/* sysmon_watch.c: sysmon's look at the Ms */
bool vai__m_is_asleep(struct m *m);   /* sched.lock held */
bool vai__watch_ms(int64_t now);      /* one look; true: another should follow soon */
bool vai__watch_needed(void);         /* at the last look some goroutine had a bound, or was to end */
bool vai__watch_hurries(int64_t now); /* slices are short, so that a goroutine which is to end has its turn sooner */
void vai__watch_for_main(void);       /* sched.lock held: main wants a P and none is idle */
/* g.c: goroutines */
struct g *vai__g_alloc(struct p *p);              /* owner; NULL: out of memory */
void vai__g_free(struct m *m, struct g *g);       /* g is dead; m has a P */
bool vai__g_give_stack(struct m *m, struct g *g); /* m has a P; false: there is no memory */
void vai__g_starve(struct g *g);                  /* g waits until a stack is free */
void vai__g_feed(void);                           /* a stack is free: a goroutine that waits for one may run */
void vai__g_flush_stacks(struct p *p);            /* the cache of a P that the caller may touch */
void vai__g_take_stack(struct m *m, struct g *g); /* m has a P; g is not on its stack */
bool vai__g_shed_stack(struct m *m, struct g *g); /* the same for OP_SHED; false: its wait is over, it begins anew */
void vai__g_abandon_all(void);                    /* no M is left: what goroutines hold that never ended is released */
/* timer.c */
void vai__timers_init(struct timers *ts);
void vai__timers_run(struct timers *ts, int64_t now);          /* those that are due; any M */
void vai__timers_move(struct timers *from, struct timers *to); /* of Ps; without memory they stay */
void vai__timers_clear(struct timers *ts);                     /* nothing in it runs any more */
int64_t vai__timers_next_of_all(void);                         /* when the first is due; VAI_FOREVER: there is none */
bool vai__timers_any(void);
bool vai__timers_may_wake(void); /* whether some goroutine, when they fire */
/* park.c */
bool vai__park_commit(struct g *g);
int vai__park_forget(struct g *g);              /* returns the code that its last wait had come to */
void vai__park_switch(struct g *g, enum op op); /* by g itself, to the loop; returns when it runs again */
/* schedtrace.c: VAI_DEBUG */
void vai__schedtrace_start(void);       /* host thread, before sysmon */
int64_t vai__schedtrace_next(void);     /* sysmon: when it is to call the next; VAI_FOREVER: never */
void vai__schedtrace_tick(int64_t now); /* writes, if it is time */
static inline void count_add(_Atomic(uint64_t) *c, uint64_t n)
{
	atomic_store_relaxed(c, atomic_load_relaxed(c) + n);
}

static inline int64_t clock_note(void)
{
	int64_t now = vai__clock_real();
	atomic_store_relaxed(&vai__sched.coarse_now, now);
	return now;
}

#include "sched/frame.h"
#include "sched/home_private.h"
#include "sched/sysmon.h"
#include "sched/signals.h"
#endif
