/* SPDX-License-Identifier: MIT */
/* What the layers above may ask of the scheduler. Private parts are in rt.h.
 *
 * One way to block, after libdill's waitfor/wait/trigger: a goroutine opens a wait
 * (vai__wait_begin gives its ticket), leaves the ticket where wakers will look (a
 * channel's queue, a timer), and parks (vai__wait). Any number of wakers may race to
 * vai__fire(g, ticket, code); exactly one wins, its code is what vai__wait returns.
 * Firing before the goroutine has parked is fine: then it does not park. Tickets never
 * repeat, so a late waker loses and harms nothing; a struct vai_g is never unmapped.
 * After waking the goroutine takes its ticket back from wherever it left it. */
#ifndef VAI_SCHED_H
#define VAI_SCHED_H

#include <stdatomic.h>
#include "base/base.h"

/* A goroutine. These first fields belong to the layers above; the scheduler zeroes
 * them when the goroutine is made and does not look at them again. */
typedef struct vai_g {
	void *vm;                   /* the Lua state it runs (struct vai_vm of vm/, for main too) */
	void *task;                 /* its struct vai_task (sync/), NULL for main */
	void *held;                 /* one reference (struct vai_obj) that it gives back if it is abandoned (bind/) */
	uint64_t id;                /* 1 is main; never reused. Set by the scheduler. */
	void *_Atomic running;      /* the lua_State in which it runs Lua code, for preemption; else NULL (bind/) */
	atomic_int end;             /* not 0: it is to end, and why (enum vai_end); see vai__g_end */
	_Atomic(int64_t) cpu_limit; /* ns of processor time that it may use; 0: no limit. Set before its start */
	void *bounds;               /* what else bind/ keeps of goroutines that can be ended or are bounded; or NULL */
	char site[64];              /* where it was created: "file.lua:12"; "" if unknown */
	void *dropping;             /* messages that wait to be dropped (vm/block.c); NULL outside of that */
	void *waits;                /* while it waits in channels: its waiters (sync/); else NULL */
	int nwaits;
} vai_g;

enum vai_wait_reason {
	VAI_WAIT_NONE,
	VAI_WAIT_CHAN_SEND,
	VAI_WAIT_CHAN_RECV,
	VAI_WAIT_SELECT,
	VAI_WAIT_SELECT_NONE, /* a select without any channel */
	VAI_WAIT_WAITGROUP,
	VAI_WAIT_JOIN,
	VAI_WAIT_SLEEP,
	VAI_WAIT_MUTEX,
	VAI_WAIT_COND,
	VAI_WAIT_SEMAPHORE,
	VAI_WAIT_ONCE,
	VAI_WAIT_IO,
	VAI_WAIT_REASONS
};
/* "chan receive", "select", ... as in Go's dumps. */
const char *vai__wait_reason_name(enum vai_wait_reason r);

/* Codes that end a wait. Wakers of the sync layer choose their own, VAI_WAKE_USER + n. */
enum vai_wake {
	VAI_WAKE_PREPARING = 0, /* internal */
	VAI_WAKE_PARKED = 1,    /* internal */
	VAI_WAKE_TIMEOUT = 2,
	VAI_WAKE_CANCELED = 3,
	VAI_WAKE_DEADLOCK = 4,
	VAI_WAKE_NOMEM = 5, /* the deadline could not be kept for want of memory */
	VAI_WAKE_USER = 8
};
typedef uint32_t vai_ticket;

/* ---- life of the runtime (host thread only) ---- */

struct vai__sched_opts {
	int maxprocs;      /* Ps; 0: VAI_MAXPROCS in the environment, else the CPUs this process may use */
	size_t stack_size; /* bytes reserved for each goroutine's C stack; 0: VAI_STACK in the environment, else 640 KiB */
};
/* Makes the calling thread M0 and what it runs the main goroutine. VAI_EINVAL: the
 * runtime runs already. VAI_ESYS, VAI_ENOMEM: the system refused. */
int vai__sched_start(const struct vai__sched_opts *opts);
/* Ends it; main's thread or, where that does nothing else, another. Goroutines that have
 * not ended are abandoned: idle Ms stop, an M whose goroutine sleeps in a C call is given
 * `grace` nanoseconds to reach the scheduler, one that computes half a second if that is
 * more, and is left behind then, never to return to Lua code where the platform lets us
 * stop it. Once all have stopped, what goroutines hold is released on a thread of its own,
 * which has half a second, too.
 * True if all that is over; else it can be called again. */
bool vai__sched_stop(int64_t grace);
/* The first half of it, for a process that is about to end: nothing is released. */
void vai__sched_halt(int64_t grace);
bool vai__sched_running(void);
/* In a child of fork, where the calling thread is the only one: it is no M any more, and the
 * runtime does not run. */
void vai__sched_forked(void);
/* Whether threads of the runtime may live, so that a fork would lose them. */
bool vai__sched_alive(void);

/* Ps in use; n > 0 sets (clamped to 1..1024) and returns the old. Main or any goroutine. */
int vai__maxprocs(vai_g *g, int n);
int vai__numcpu(void);

/* ---- goroutines ---- */

/* The goroutine that the calling thread runs; NULL on a thread that is not an M. Never
 * cached across a call that may park on behalf of a different goroutine: within one
 * goroutine the answer is constant. */
vai_g *vai__g_self(void);
vai_g *vai__g_main(void);

/* A goroutine that will run entry(g, arg) on a stack of its own, not yet runnable, so
 * that vm, task and site can be set. NULL when out of memory. Costs no stack and no
 * Lua state until it first runs. Caller: any goroutine. */
vai_g *vai__g_new(void (*entry)(vai_g *g, void *arg), void *arg);
/* Makes it runnable and, when a P is idle, wakes an M for it. `self` is the caller, who
 * yields once the run queue is full; NULL: a timer's callback, which cannot. */
void vai__g_start(vai_g *self, vai_g *g);
/* Instead of vai__g_start: unmakes one that never ran. */
void vai__g_discard(vai_g *g);
/* As vai__g_new, but tied to main's thread: it runs only on M0, only while main waits,
 * and so may use main's Lua state. May be called by any goroutine. */
vai_g *vai__g_new_on_main(void (*entry)(vai_g *g, void *arg), void *arg);
bool vai__g_on_main(const vai_g *g); /* it is such a one */

/* A goroutine that parks after a few frames leaves more than half of its stack's first
 * page unused; pages being what memory is counted in, this part of it is for the layers
 * above. VAI_G_ROOM bytes, aligned to 16, from g's first instruction to its last; NULL for
 * main and before g has run. */
enum { VAI_G_ROOM = 1536 };
void *vai__g_room(vai_g *g);

/* Lets others run. */
void vai__yield(vai_g *g);
/* The same for who was interrupted: others have waited for long. */
void vai__yield_late(vai_g *g);
/* Goroutines alive, main included. */
int64_t vai__g_count(void);

enum vai_g_state { VAI_G_NEW, VAI_G_RUNNABLE, VAI_G_RUNNING, VAI_G_WAITING, VAI_G_DEAD };

/* ---- blocking ---- */

/* Opens a wait of the calling goroutine, invalidating all its older tickets. */
vai_ticket vai__wait_begin(vai_g *self);
/* Parks until somebody fires the ticket or `deadline` passes; returns the code. */
int vai__wait(vai_g *self, enum vai_wait_reason reason, const void *obj, int64_t deadline);
/* True if this call ended the wait; the goroutine is then on its way to a run queue.
 * Caller: any M, also under locks of lower rank than VAI_RANK_SCHED. */
bool vai__fire(vai_g *g, vai_ticket ticket, int code);
/* Fires whatever wait g is in; false if it is in none. For cancel and deadlock. */
bool vai__fire_any(vai_g *g, int code);
/* VAI_OK or VAI_ECANCELED, VAI_EDEADLOCK. */
int vai__sleep(vai_g *self, int64_t deadline);
/* VAI_ETIMEOUT, VAI_ECANCELED or VAI_EDEADLOCK for the codes below VAI_WAKE_USER. */
int vai__wake_result(int code);

/* ---- timers ---- */

/* Lives wherever the caller likes (a stack, an object). Zero-initialise, set fn. fn runs on
 * some M under the lock of the heap that the timer is in (rank VAI_RANK_TIMERS): it
 * may fire tickets and take locks of higher rank, must not start or stop timers, and
 * returns the next absolute time, or VAI_FOREVER to be done. */
struct vai__timer {
	int64_t when;
	int64_t (*fn)(struct vai__timer *t, int64_t now);
	bool (*idle)(struct vai__timer *t); /* under that lock too: firing now would wake nobody. NULL: it might */
	_Atomic(void *) heap;               /* the heap it is in, or NULL */
	uint32_t index;                     /* its place there */
};
/* The timer must not be started already. VAI_OK or VAI_ENOMEM. */
int vai__timer_start(vai_g *self, struct vai__timer *t, int64_t when);
/* True if it was pending and now never fires. After the return fn does not run. Any M. */
bool vai__timer_stop(struct vai__timer *t);

/* ---- hooks that the layers above install before vai__sched_start ---- */

struct vai__sched_hooks {
	/* After every M has stopped, on a thread that is none: g never ended and never will. First, for all,
	 * the messages of its wait, of which `code` tells how far it had come; then its vm and task. */
	void (*unwait)(vai_g *g, int code);
	void (*abandon)(vai_g *g);
	/* g, which the calling thread runs or is about to run, is to leave its Lua code soon: to yield,
	 * or to end if g->end says so. May be called without need. In a signal handler, or on the
	 * scheduler's stack. NULL: goroutines run until they wait. */
	void (*interrupt)(vai_g *g);
	/* All goroutines wait and nothing can wake one; main's wait ends after it with VAI_WAKE_DEADLOCK.
	 * Nothing runs until it returns. On any M, or NULL. */
	void (*deadlock)(void);
	/* SIGQUIT has come: dump all goroutines, end the process. On sysmon's thread, or NULL. */
	void (*quit)(void);
};
extern struct vai__sched_hooks vai__sched_hooks;

#include "sched/inspect.h"
#include "sched/interrupt.h"

#endif
