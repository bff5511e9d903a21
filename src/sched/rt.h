/* SPDX-License-Identifier: MIT */
/* Private to sched/: what G, M and P are made of. The model is Go's (runtime2.go, proc.go). Every shared field names
 * its lock or its owner; "owner" is the thread of the M that has it. A "host's M" is one whose thread belongs to a Lua
 * state or C host that has opened vai (home.h); M0 is the first of them.
 *
 * In the declarations below: "lock held" is sched.lock; an argument m is the calling thread's M unless it says "any
 * thread"; nothing parks unless it says so.
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
	SLAB = 64,               /* goroutine records that are allocated at once */
	MAX_MS = 10000,          /* threads, as in Go */
	GLOBAL_TICK = 61,        /* rounds of a P's loop after which the global queue comes first, as in Go */
	TIMER_TICK = 8,          /* rounds after which timers are looked at; when idle they are in any case */
	RUNNEXT_STREAK = 256,    /* rounds in a row in which runnext comes before the ring */
	POLL_PAUSE = 200000,     /* ns after which an M that always has work looks into the poller */
	SLICE_TICK = 16,         /* a slice is measured over so many rounds, or until there is no work */
	SLICE_UNKNOWN = 1000000, /* ns */
	WAKE_COST = 15000,       /* ns: work that will wait longer is worth waking an M for */
	STEAL_COST = 3000,       /* ns: work that will wait longer is worth moving to an M that is awake */
	STEAL_MANY = 8,          /* so many goroutines are worth moving in any case */
	ID_BATCH = 16,           /* goroutine ids that a P takes at once */
	HURRY = 100000000,       /* ns for which slices are short after a goroutine was asked to end */
	SLICE_MAX = 10000000     /* ns that a goroutine may run while others wait */
};

struct m;
struct p;
struct home;

struct g {
	vai_g pub;      /* first: a vai_g * is a struct g * */
	struct g *link; /* in the queue or free list that holds it */
	void (*entry)(vai_g *g, void *arg);
	void *arg;
	_Atomic(uint8_t) state;  /* enum vai_g_state; only for looking at, it decides nothing */
	atomic_bool told;        /* it was asked to end because its home closes; written by its M, or by its waker */
	bool asked_outside;      /* it was last interrupted because it had no P; its M's */
	_Atomic(uint8_t) reason; /* enum vai_wait_reason; valid while it is WAITING, as `timed`, `obj` and `since` */
	atomic_bool blocks;      /* it is between vai__g_block_begin and _end; `since` is valid then, too */
	atomic_bool timed;       /* its wait has a deadline */
	atomic_bool renews;      /* VAI_WAKE_LONG may end its wait (renew.c) */
	_Atomic(uint32_t) turn;  /* its number in a seeded run (replay.c); 0: it is in none */
	int64_t cpu_used;        /* with a cpu_limit: ns that it had used when it last began to run; its M's */
	/* The fields up to here are written when a goroutine is made: the fewer cache lines they take, the fewer travel
	 * from the maker's CPU to the one that runs it. */
	_Atomic(int64_t) since;    /* when its wait or block began, by coarse_now */
	_Atomic(const void *) obj; /* what it waits for; for dumps */
	struct vai__ctx ctx;       /* its registers while it does not run; its M's */
	_Atomic(uint64_t) wait;    /* ticket << 32 | code: see park.c */
	_Atomic(struct m *) m;     /* the M that runs it, while RUNNING; its M writes */
	struct m *locked_m; /* the only M that it runs on, OFF_MAIN or OFF_FRAME; set before its start, or by its M */
	char *stack;        /* top of its stack; NULL: it has none, before its first run, when it has shed it, for main */
};

/* Why a goroutine switches to its M's loop. */
enum op {
	OP_PARK,      /* it waits */
	OP_SHED,      /* it waits, and gives its stack back; loop.c compares with it */
	OP_YIELD,     /* others go first */
	OP_PREEMPTED, /* the same, after it was interrupted: it goes to the global queue */
	OP_EXIT,      /* it has ended */
	OP_TURN       /* its turn in a seeded run is over */
};

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
	/* The queue: runq.c says how owner and thieves share it. */
	_Alignas(VAI_CACHELINE) atomic_uint head; /* thieves and owner advance it */
	_Alignas(VAI_CACHELINE) atomic_uint tail; /* owner writes */
	_Atomic(struct g *) runnext; /* the next to run, before the ring; owner fills it, thieves and owner empty it */
	atomic_bool taking;          /* owner writes: it is about to take runnext */
	atomic_int thieves;          /* how many thieves are about to take runnext */
	atomic_bool offers;          /* its queue is worth stealing from at once: vai__sched_offer */
	_Atomic(uint32_t) tick;      /* owner writes: rounds of the scheduler */
	uint32_t due;                /* owner: the next round in which it looks at more than its queue (loop.c) */
	uint32_t streak;             /* owner: rounds in a row in which runnext ran */
	_Atomic(int64_t) slice;      /* owner writes: ns that a goroutine has run before the next one, on average, lately */
	int64_t slice_at;            /* owner: when the measurement of `slice` began; 0: not begun */
	uint32_t slice_tick;         /* owner: the round in which it began */
	uint32_t locked_tick;        /* owner: the last round of a goroutine that only its M may run (handoff.c) */
	uint32_t rand;               /* owner: state of the random generator */
	_Atomic(int) where;          /* owner writes: the CPU that its M ran on lately; -1: not known, or no owner */
	_Atomic(struct g *) ring[RUNQ_SIZE];
	/* Caches of the owner: dead goroutines, stacks, ids that are not given out yet. */
	struct g *gfree;
	int ngfree;
	unsigned nstacks;
	char *stacks[STACKS_MAX];
	uint64_t id_next, id_end;
	struct counters count; /* owner writes */
	struct timers timers;  /* its own lock */
	int index;
	struct p *link; /* sched.idle_ps, under sched.lock */
	bool idle;      /* under sched.lock */
	bool retired;   /* beyond nprocs and owned by nobody; under sched.lock */
};

struct m {
	/* Owner: the M's own thread. */
	struct vai__ctx ctx;        /* its scheduler loop (g0 in Go) */
	_Atomic(struct g *) curg;   /* the goroutine that it runs; owner writes */
	_Atomic(struct p *) p;      /* its P; written by the owner, and by who takes it (handoff.c) */
	enum op op;                 /* owner: why curg switched to the loop */
	uint64_t words;             /* owner: the floating point control words of its loop */
	bool spinning, leaving;     /* owner: it looks for work; the thread is to end */
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
	uint32_t rand;       /* owner: state of the random generator */
	int tid;             /* the system's number of its thread */
	atomic_bool preempt; /* vai has sent SIGURG to it, and its handler has not taken note yet */
	bool blocked;        /* SIGURG was blocked before this thread became an M */
	struct home *home;   /* the M is the host's thread of this home; NULL: it is vai's own. Constant while it lives */
	/* What sysmon_watch.c has seen, under sched.lock: a round of the M's P and when it first saw that; the processor
	 * time of the thread, in ns, and when it last asked for that; whether the thread slept at the last look. */
	struct p *seen_p;
	uint32_t seen_tick;
	int64_t seen_at, seen_cpu, seen_cpu_at;
	bool seen_asleep;
	bool evicted; /* main has got its P while its goroutine computed; sched.lock */
	/* What preempt.c has seen, under sched.lock; processor times in ns. */
	struct {
		struct g *g;     /* the goroutine that it ran */
		uint32_t tick;   /* the round of its P */
		uint64_t sleeps; /* how often the thread had slept */
		bool asleep;     /* whether it slept */
		/* What the thread had used, and of that outside of the kernel, when g was first seen, or last woke. */
		int64_t cpu, user;
		int64_t seen;                  /* what it had used just before the last look */
		int64_t urged_cpu, urged_user; /* as cpu and user, at an earlier look of vai__preempt_urge */
	} look;
	/* preempt.c; written under sched.lock, but for `asked`, which the owner resets. */
	atomic_bool asked;            /* a signal was sent that its goroutine has not answered */
	int64_t asked_at;             /* when */
	_Atomic(uint32_t) asked_tick; /* the round of its P that the timer is for */
	int64_t unsure_at;            /* since when it should be asked but might be in a system call; 0: it should not */
	enum { TIMER_NONE, TIMER_MADE, TIMER_REFUSED } has_timer;
	timer_t timer;          /* mach/thread.h; the value that its signal carries is &m->timer */
	bool polling;           /* owner: it is in the poller. What that makes ready goes to `polled` if it has no P, */
	bool behind;            /* owner: or if this is set */
	struct gqueue polled;   /* owner */
	atomic_bool has_polled; /* owner writes: something has come into `polled` since it went to sleep */
	atomic_uint wake;       /* futex: 1 when woken */
	struct p *nextp;        /* the P that its waker gives it; written before `wake`, under sched.lock */
	struct m *link;         /* sched.idle_ms, under sched.lock */
	char *loop_stack;       /* a host's M only: the top of its loop's own stack */
	bool lost;              /* a host's M only: another thread has ended its home, so the record is never used again */
	struct gqueue locked;   /* goroutines that are ready and that only this M may run; sched.lock */
	_Atomic(int64_t) nlocked; /* mirror of locked.count */
};

struct sched {
	struct vai_lock lock;        /* "lock" below */
	struct gqueue global;        /* the global run queue; lock */
	_Atomic(int64_t) nglobal;    /* mirror of global.count */
	struct p *idle_ps;           /* lock */
	struct m *idle_ms;           /* lock; hosts' are taken first */
	struct m *all_ms;            /* lock; those whose threads live (preempt.c) */
	int nms, nidle_ms;           /* lock */
	uint64_t nawake;             /* lock: how often an M has awoken or begun */
	atomic_int nidle_ps;         /* length of idle_ps; written under lock */
	atomic_int nspinning;        /* Ms that look for work, or are woken to do so (idle.c) */
	atomic_int nprocs;           /* Ps in use; written under lock */
	atomic_int ncpus;            /* CPUs that the process may use, by the last look */
	bool procs_chosen;           /* lock: nprocs does not follow ncpus */
	_Atomic(struct m *) poller;  /* the M asleep in the poller, or POLLING (seat.c) */
	_Atomic(int64_t) polled_at;  /* when a thread last looked into the poller */
	_Atomic(int64_t) poll_until; /* when the M in the poller wakes by itself; 0: there is none */
	atomic_bool attention; /* loops look once a round: one of the next three, `retiring` or a due frame is there */
	atomic_bool stopping;  /* the runtime ends; set under lock */
	struct m *wanting;     /* lock: Ms that sleep, have a locked goroutine that is ready, and found no idle P */
	struct m *to_wake;     /* lock: the M that is woken when the lock is let go (vai__idle_unlock) */
	bool world_stopped;    /* lock: no P is to be had */
	uint64_t nretaken;     /* lock: Ps that were taken from goroutines outside of vai */
	_Atomic(uint64_t) npreempted; /* goroutines that were interrupted */
	atomic_int retiring;          /* Ps beyond nprocs that an M still owns */
	atomic_bool running;          /* written on the host's thread */
	_Atomic(struct home *) homes; /* those that are open, the latest first; changed under lock */
	atomic_int nhomes;            /* length of that list */
	/* Homes that close, have goroutines left or are in a serial phase. Unless it is 0, an M asks home.c and serial.c
	 * before it runs a goroutine, and when one waits or ends. */
	atomic_int nwatched;
	_Atomic(struct m *) m0;       /* that of the first home, and its main; lock */
	struct m off_main, off_frame; /* OFF_MAIN, OFF_FRAME: marks, no threads */
	_Atomic(struct g *) main;     /* the first home's main */
	struct p *ps[MAX_PROCS];      /* made on demand, never freed */
	atomic_int nps;               /* made so far; written under lock */
	_Atomic(uint64_t) next_id;    /* goroutines' ids from here on are free */
	struct gqueue starved;        /* lock: new goroutines for which there was no stack */
	_Atomic(int64_t) nstarved;    /* mirror of starved.count */
	struct gqueue gfree;          /* lock: dead goroutines beyond what Ps cache */
	_Atomic(int64_t) ngfree;      /* mirror of gfree.count */
	atomic_uint live_ms;          /* threads of vai's that have not ended; futex */
	_Atomic(int64_t) hurry_until; /* slices are short until then */
	_Atomic(int64_t) coarse_now;  /* a recent vai__clock_real() */
	bool hosted;                  /* what happens outside of vai may wake goroutines: no wait is a deadlock. Constant */
	bool no_signals;              /* no handlers are installed. Constant while it runs */
	_Atomic(uint64_t) posted;     /* goroutines that vai__g_post has made */
	_Atomic(int64_t) outside;     /* threads between vai__outside_enter and vai__outside_leave */
	atomic_int nframes;           /* mains that are in a frame, or want a P for one */
};
extern struct sched vai__sched;
/* As locked_m of a goroutine: it runs on any M but a host's. */
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
/* The calling thread's M; NULL: it is none. */
struct m *vai__m_self(void);
/* Makes the calling thread a host's M, with a stack for its loop. NULL: the system refused *call (errno). */
struct m *vai__m_new_main(const char **call);
/* The calling thread, in the child of a fork, is no M any more. */
void vai__m_forget_self(void);
/* m, a host's, is no M any more: no signal is sent to it. Any thread. */
void vai__m_retire_main(struct m *m);
/* Gives m back after that, when no thread looks at it any more. Any thread. */
void vai__m_free_main(struct m *m);
/* Starts a thread of vai's own that owns p. spinning: the caller has counted it in nspinning. False: the system
 * refused, and p is still the caller's. Any thread. */
bool vai__m_new(struct p *p, bool spinning);
/* Blocks m's thread until vai__m_wake, until the poller has something, or for as long as m may sleep. */
void vai__m_sleep(struct m *m);
/* Wakes m, which is out of sched.idle_ms and has its nextp. Any thread, with and without the lock. */
void vai__m_wake(struct m *m);

/* p.c: processors */
/* NULL: out of memory. */
struct p *vai__p_new(int index);
/* Takes an idle P; NULL: there is none, or the world is stopped. Lock held. */
struct p *vai__p_get_idle(void);
/* p, which has no owner, becomes idle. Lock held. */
void vai__p_put_idle(struct p *p);
/* Whether p is beyond nprocs. */
bool vai__p_is_surplus(struct p *p);
/* Takes p, which is surplus, out of use, and gives its goroutines and timers to others. m owns p; NULL: no M does. */
void vai__p_retire(struct p *p, struct m *m);
/* After nprocs was changed: takes idle Ps beyond it out of use, and puts their goroutines into *q. Ms give up the other
 * ones when they come to their loop. Lock held. Then vai__p_shrunk(q), without the lock. */
void vai__p_shrink(struct gqueue *q);
void vai__p_shrunk(struct gqueue *q);
/* The process may use n CPUs from now on: so many Ps are used, unless the user has set their number. sysmon. */
void vai__p_follow_cpus(int n);
/* Adds up the counters of all Ps in *out. Any thread. */
void vai__p_sum_counters(struct vai__sched_stats *out);
static inline struct p *m_p(struct m *m)
{
	return atomic_load_relaxed(&m->p);
}

/* loop.c: the loop */
/* Runs goroutines; returns when m's thread has to end. */
void vai__loop_schedule(struct m *m);
/* Begins to measure a slice of p anew. Owner of p. */
void vai__loop_slice_begin(struct p *p);
/* Makes g, which is in no queue, runnable: at the head (next) or tail of the calling M's queue. Any thread. */
void vai__loop_ready(struct g *g, bool next);
/* The same at the head, without waking an M. True: the caller has to call vai__sched_fired. Any thread. */
bool vai__loop_ready_quietly(struct g *g);
/* Makes g, which is tied to another M than the caller's, runnable. Any thread, without the lock. */
void vai__loop_ready_locked(struct g *g);
/* Sets sched.attention by what there is. Lock held. */
void vai__loop_attention_update(void);
/* Does what sched.attention asks for. m may have no P after it. */
void vai__loop_pay_attention(struct m *m);
/* The oldest of the goroutines that only m may run; NULL: none is ready. */
struct g *vai__loop_take_locked(struct m *m);

/* timer.c; any thread */
void vai__timers_init(struct timers *ts);
/* Calls those that are due. */
void vai__timers_run(struct timers *ts, int64_t now);
/* Moves all of `from` to `to`; without memory they stay. */
void vai__timers_move(struct timers *from, struct timers *to);
/* Forgets all: nothing that they could wake runs any more. */
void vai__timers_clear(struct timers *ts);
/* When the first timer of any P is due; VAI_FOREVER: there is none. */
int64_t vai__timers_next_of_all(void);
/* Whether there is one. */
bool vai__timers_any(void);
/* Whether some goroutine may wake when they fire. */
bool vai__timers_may_wake(void);

/* park.c */
/* Commits g's wait, in its M's loop. False: it is over already, and g goes on. */
bool vai__park_commit(struct g *g);
/* Makes every ticket of g, which never runs again, invalid. Returns the code that its last wait had come to. */
int vai__park_forget(struct g *g);
/* Switches from g, which calls, to its M's loop. Returns when g runs again, maybe on another M. */
void vai__park_switch(struct g *g, enum op op);

/* Adds to a counter that only the caller writes. */
static inline void count_add(_Atomic(uint64_t) *c, uint64_t n)
{
	atomic_store_relaxed(c, atomic_load_relaxed(c) + n);
}

/* Asks the clock, and notes the answer for those that need no exact time. */
static inline int64_t clock_note(void)
{
	int64_t now = vai__clock_real();
	atomic_store_relaxed(&vai__sched.coarse_now, now);
	return now;
}

#include "sched/frame.h"
#include "sched/g.h"
#include "sched/handoff.h"
#include "sched/home_private.h"
#include "sched/idle.h"
#include "sched/runq.h"
#include "sched/sysmon.h"
#include "sched/signals.h"
#endif
