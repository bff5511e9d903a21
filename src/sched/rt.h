/* SPDX-License-Identifier: MIT */
/* Private to sched/: what G, M and P are made of. The model is Go's (runtime2.go,
 * proc.go). Every shared field names its lock or its owner.
 *
 * G: NEW (made, not started) -> RUNNABLE -> RUNNING <-> WAITING ... -> DEAD (in a free
 *    list). Who may touch a G: its maker while NEW; whoever took it from a run queue;
 *    its M while RUNNING; nobody while WAITING but the winner of vai__fire.
 * P: IDLE (in sched.idle_ps) or owned by exactly one M.
 * M: running with a P; spinning (with a P, looking for work, counted in
 *    sched.nspinning); or idle (without a P, in sched.idle_ms, asleep). */
#ifndef VAI_RT_H
#define VAI_RT_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/base.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/san.h"
#include "mach/ctx.h"
#include "sched/sched.h"

#if defined(VAI_SIM) /* spec/sim: so small that all orders of steps can be tried */
enum { RUNQ_SIZE = 4, GFREE_MAX = 4, STACKS_MAX = 4, MAX_PROCS = 4 };
#elif defined(VAI_HARD)
enum { RUNQ_SIZE = 4, GFREE_MAX = 1, STACKS_MAX = 1, MAX_PROCS = 1024 };
#else
enum { RUNQ_SIZE = 256, GFREE_MAX = 128, STACKS_MAX = 128, MAX_PROCS = 1024 };
#endif
enum {
	MAX_MS = 10000,          /* as in Go */
	GLOBAL_TICK = 61,        /* the global queue is looked at every so many rounds */
	TIMER_TICK = 8,          /* timers are looked at every so many rounds, and when idle */
	RUNNEXT_STREAK = 256,    /* rounds that runnext may inherit the slice */
	SLICE_TICK = 16,         /* a slice is measured over so many rounds, or until there is no work */
	SLICE_UNKNOWN = 1000000, /* ns */
	WAKE_COST = 15000,       /* ns: work that will wait longer is worth waking an M for */
	STEAL_COST = 3000,       /* ns: work that will wait longer is worth moving to an M that is awake */
	STEAL_MANY = 8,          /* so many are worth moving in any case */
	ID_BATCH = 16,
	HURRY = 100000000,   /* ns for which turns are short after a goroutine was asked to end */
	SLICE_MAX = 10000000 /* ns that a goroutine may run while others wait */
};

struct m;
struct p;

struct g {
	vai_g pub; /* first: a vai_g * is a struct g * */
	struct vai__ctx ctx;
	_Atomic(uint64_t) wait; /* ticket << 32 | code */
	_Atomic(uint8_t) state; /* enum vai_g_state; for others to look at, decides nothing */
	/* While WAITING, `since` while it blocks too; atomic, for a dump may look at any moment. */
	atomic_bool blocks; /* it is between vai__g_block_begin and vai__g_block_end */
	_Atomic(uint8_t) reason;
	_Atomic(const void *) obj;
	_Atomic(int64_t) since;
	_Atomic(struct m *) m; /* while RUNNING; its M writes */
	struct m *locked_m;    /* runs on this M only, or OFF_MAIN; set before its start or by itself */
	struct g *link;        /* in the queue or free list that holds it */
	int64_t cpu_used;      /* ns before cpu_from, where it has a limit */
	int64_t cpu_from;      /* the thread's processor time when it began to run */
	char *stack;           /* top; NULL before the first run and for main */
	void (*entry)(vai_g *g, void *arg);
	void *arg;
};

enum op { OP_PARK, OP_YIELD, OP_PREEMPTED, OP_EXIT };

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
	_Atomic(uint32_t) tick; /* owner writes: rounds of the scheduler */
	uint32_t streak;        /* owner: rounds since something else than runnext ran */
	_Atomic(int64_t) slice; /* owner writes: ns that a goroutine runs before the next one, lately */
	int64_t slice_at;       /* owner: when its measurement began; 0: not begun */
	uint32_t slice_tick;    /* owner: the round of that */
	uint32_t locked_tick;   /* owner: the last round of one that only its M may run (handoff.c) */
	uint32_t rand;          /* owner */
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
	struct vai__ctx ctx;      /* its scheduler loop (g0 in Go) */
	_Atomic(struct g *) curg; /* owner writes */
	_Atomic(struct p *) p;    /* owner */
	enum op op;               /* why curg switched to the loop */
	bool spinning;            /* owner */
	_Atomic(bool) busy;       /* owner writes: it may touch its P (handoff.c) */
	atomic_bool retake;       /* written under sched.lock: somebody wants its P, or has taken it */
	bool idle;                /* asleep without a P; under sched.lock */
	bool listed;              /* in sched.idle_ms; under sched.lock */
	bool wants;               /* in sched.wanting; under sched.lock */
	bool leaving;             /* owner: the thread is to end */
	struct g *lockedg;        /* owner: the goroutine that has this thread for itself */
	struct m *next_wanting;
	uint32_t rand;       /* owner */
	int tid;             /* the system's number of it */
	atomic_bool preempt; /* the next SIGURG is ours */
	bool blocked;        /* SIGURG was, before this thread became an M */
	struct m *next_m;    /* sched.all_ms, under sched.lock */
	/* sysmon's: the round it saw last and when it first saw it */
	struct p *seen_p;
	uint32_t seen_tick;
	int64_t seen_at;
	bool seen_asleep;
	atomic_uint wake;     /* futex: 1 when woken */
	struct p *nextp;      /* given by the waker, with wake */
	struct m *link;       /* sched.idle_ms, under sched.lock */
	char *loop_stack;     /* M0 only: its loop has a stack of its own */
	bool lost;            /* M0 only: its runtime was ended by another thread */
	struct gqueue locked; /* goroutines that only this M runs and others made ready; sched.lock */
	_Atomic(int64_t) nlocked;
};

struct sched {
	struct vai_lock lock;
	struct gqueue global;     /* lock */
	_Atomic(int64_t) nglobal; /* mirror of global.count */
	struct p *idle_ps;        /* lock */
	struct m *idle_ms;        /* lock; M0 is taken first */
	struct m *all_ms;         /* lock; preempt.c */
	int nms, nidle_ms;        /* lock */
	uint64_t nawake;          /* lock: how often an M has awoken or begun */
	atomic_int nidle_ps, nspinning;
	atomic_int nprocs;
	_Atomic(struct m *) poller;  /* the M asleep in the poller, or POLLING */
	_Atomic(int64_t) polled_at;  /* when somebody looked into it last */
	_Atomic(int64_t) poll_until; /* when it wakes by itself */
	atomic_bool attention;       /* some of the next three: checked once a round */
	atomic_bool stopping;
	struct m *wanting;  /* lock: those that sleep, have a locked goroutine, and found no P idle */
	bool world_stopped; /* lock: no P is to be had */
	uint64_t nretaken;  /* lock */
	_Atomic(uint64_t) npreempted;
	atomic_int retiring; /* Ps beyond nprocs that an M still owns */
	atomic_bool running; /* host thread */
	struct m *m0;
	struct m off_main; /* OFF_MAIN */
	struct g *main;
	struct p *ps[MAX_PROCS]; /* made on demand, never freed */
	atomic_int nps;          /* made so far; written under lock */
	_Atomic(uint64_t) next_id;
	struct gqueue starved;        /* lock: new goroutines for which there was no stack */
	_Atomic(int64_t) nstarved;    /* mirror of starved.count */
	struct gqueue gfree;          /* lock */
	_Atomic(int64_t) ngfree;      /* mirror of gfree.count */
	atomic_uint live_ms;          /* threads that have not left; futex */
	_Atomic(int64_t) hurry_until; /* until then turns are short */
	_Atomic(int64_t) coarse_now;  /* a recent vai__clock_now() */
};
extern struct sched sched;
/* As a g's locked_m: it runs on any M but M0. */
#define OFF_MAIN (&sched.off_main)

#include "sched/rtcalls.h"

#endif
