/* SPDX-License-Identifier: MIT */
/* What the layers above may ask of the scheduler. Its private parts are in rt.h.
 *
 * There is one way to block, after libdill's waitfor/wait/trigger. A goroutine opens a wait (vai__wait_begin gives
 * its ticket), leaves the ticket where wakers will look (a channel's queue, a timer), and parks (vai__wait). Any
 * number of wakers may race to vai__fire(g, ticket, code): exactly one wins, and its code is what vai__wait returns.
 * If the ticket is fired before the goroutine has parked, it does not park at all. Tickets never repeat, so a late
 * waker loses and harms nothing; a struct vai_g is never unmapped. After waking, the goroutine takes its ticket back
 * from wherever it left it. */
#ifndef VAI_SCHED_H
#define VAI_SCHED_H

#include "base/atomic.h"
#include "base/base.h"
#include "mach/stack.h"

/* A goroutine. These first fields belong to the layers above; the scheduler zeroes
 * them when the goroutine is made and does not look at them again. */
typedef struct vai_g {
	void *vm;                         /* the Lua state it runs (struct vai_vm of vm/, for main too) */
	void *task;                       /* its struct vai_task (sync/), NULL for main */
	void *held;                       /* one reference (struct vai_obj) that it gives back if it is abandoned (bind/) */
	uint64_t id;                      /* 1 is the first main; never reused. Set by the scheduler. */
	_Atomic(struct vai__home *) home; /* where it belongs; see vai__g_home. Set by the scheduler */
	void *_Atomic running;            /* the lua_State in which it runs Lua code, for preemption; else NULL (bind/) */
	_Atomic(int64_t) cpu_limit;       /* ns of processor time that it may use; 0: no limit. Set before its start */
	void *life;       /* what else bind/ keeps of goroutines that can be ended or are bounded; or NULL */
	void *waits;      /* while it waits in channels: its waiters (sync/); else NULL */
	const char *site; /* where it was created: "file.lua:12", which stays; NULL: unknown */
	atomic_int end;   /* not 0: it is to end, and why (enum vai_end); see vai__g_end */
	int nwaits;
	void *dropping;           /* messages that wait to be dropped (transfer/message.c); NULL outside of that */
	struct vai__bound *bound; /* what ends its waits besides their deadlines (a context of sync/), or NULL */
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
	VAI_WAIT_GROUP,
	VAI_WAIT_GROUP_GO,
	VAI_WAIT_IO,
	/* What it waits for is in a socket or the like; obj is an object of net/, or NULL. */
	VAI_WAIT_READ,
	VAI_WAIT_WRITE,
	VAI_WAIT_ACCEPT,
	VAI_WAIT_CONNECT,
	VAI_WAIT_LOOKUP,
	VAI_WAIT_SERVE,
	VAI_WAIT_CLOSE,
	VAI_WAIT_FRAME,   /* main, in a frame of the host's (frame.c) */
	VAI_WAIT_PROCESS, /* obj is an object of proc/ */
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
	VAI_WAKE_NOMEM = 5,   /* the deadline could not be kept for want of memory */
	VAI_WAKE_CONTEXT = 6, /* by vai_g.bound: VAI_ECONTEXT, and the next VAI_ECONTEXT_DEADLINE */
	VAI_WAKE_CONTEXT_DEADLINE = 7,
	VAI_WAKE_INTERRUPTED = 8, /* main only */
	VAI_WAKE_LONG = 9,        /* the wait has lasted long, and the goroutine wishes to know (vai__wait_renews) */
	VAI_WAKE_USER = 16
};
typedef uint32_t vai_ticket;

/* ---- life of the runtime (host thread only) ---- */

struct vai__sched_opts {
	int maxprocs;       /* Ps; 0: VAI_MAXPROCS in the environment, else the CPUs this process may use */
	size_t least_stack; /* the least that it is by default */
	size_t stack_size;  /* bytes reserved for each goroutine's C stack; 0: VAI_STACK in the environment, else 640 KiB */
	const struct vai_options *host; /* what the host wishes (vai.h), or NULL */
};
/* Makes the calling thread M0 and what it runs the main goroutine. VAI_EINVAL: the
 * runtime runs already. VAI_ESYS, VAI_ENOMEM: the system refused. */
int vai__sched_start(const struct vai__sched_opts *opts);
/* After VAI_ESYS: the call that the system refused, and the reason. */
const char *vai__sched_refusal(void);
/* Ends the runtime. Called on main's thread or, if that does nothing else, on another. Goroutines that have not
 * ended are abandoned. Idle Ms stop. An M whose goroutine sleeps in a C call is given `grace` nanoseconds to reach
 * the scheduler, one that computes half a second if that is longer. An M that does not come is left behind, never to
 * return to Lua code where the platform lets us stop it. Once all have stopped, what goroutines hold is released on
 * a thread of its own, which is given half a second. True: all of that is done. False: it can be called again. */
bool vai__sched_stop(int64_t grace);
/* The first half of vai__sched_stop, for a process that is about to end: nothing is released. */
void vai__sched_halt(int64_t grace);
/* Whether it was started and not stopped. Any thread. */
bool vai__sched_running(void);

/* Called in a child of fork, where only the calling thread exists: it is no M any more, and the runtime does not
 * run. */
void vai__sched_forked(void);
/* Whether threads of the runtime may live, so that a fork would lose them. */
bool vai__sched_alive(void);

/* The number of Ps in use; n > 0 sets it (clamped to 1..1024) and returns the old number. Called by main or any
 * goroutine. */
int vai__maxprocs(vai_g *g, int n);
/* How many CPUs the process may use. Any thread. */
int vai__numcpu(void);

/* ---- goroutines ---- */

/* The goroutine that the calling thread runs; NULL on a thread that is not an M. Within one goroutine the answer is
 * constant; it must not be kept across a call that may park on behalf of another goroutine. */
vai_g *vai__g_self(void);
/* The main goroutine of the home that was opened first, of those that are open; NULL: there is none. */
vai_g *vai__g_main(void);

/* Makes a goroutine that will run entry(g, arg) on a stack of its own. It is not runnable yet, so that vm, task and
 * site can be set, and has no stack and no Lua state until it first runs. NULL: out of memory. Called by any
 * goroutine. */
vai_g *vai__g_new(void (*entry)(vai_g *g, void *arg), void *arg);
/* The same, belonging to another home than the caller's. */
vai_g *vai__g_new_in(struct vai__home *home, void (*entry)(vai_g *g, void *arg), void *arg);
/* Where g was created, or "". Any thread. */
static inline const char *vai__g_site(const vai_g *g)
{
	return g->site ? g->site : "";
}
/* Makes it runnable and, when a P is idle, wakes an M for it. `self` is the caller, who
 * yields once the run queue is full; NULL: a timer's callback, which cannot. */
void vai__g_start(vai_g *self, vai_g *g);
/* Makes and starts one, on any thread, also on one that is no M; that has to be between the next two. False: out of
 * memory. */
bool vai__g_post(void (*entry)(vai_g *g, void *arg), void *arg);
/* A thread that may be no M comes to use what goroutines use. False: the runtime does not run. The end of the runtime
 * waits for the leave. */
bool vai__outside_enter(void);
void vai__outside_leave(void);
/* Unmakes a goroutine that was never started. */
void vai__g_discard(vai_g *g);
/* As vai__g_new, but tied to main's thread: it runs only on M0, only while main waits,
 * and so may use main's Lua state. May be called by any goroutine. */
vai_g *vai__g_new_on_main(void (*entry)(vai_g *g, void *arg), void *arg);
bool vai__g_on_main(const vai_g *g); /* whether g was made so */

/* ---- frames: the host's thread is the host's own, but for calls of the first (frame.c) ---- */

/* Main runs other goroutines here for at most ns, or until there is nothing to do on this thread. VAI_OK, or as of
 * vai__wait for codes other than its own. Main only. */
int vai__frame_poll(vai_g *main, int64_t ns);
/* A descriptor that can be read while goroutines wait for its M; VAI_ESYS. Main only. */
int vai__frame_fd(vai_g *main);

/* ---- serial phases: main runs alone (serial.c) ---- */

/* From VAI_OK on no goroutine of main's home runs but main itself, until vai__serial_end. VAI_ETIMEOUT: some still ran
 * at `until`, and go on. VAI_EINVAL: there is such a phase. Main only. */
int vai__serial_begin(vai_g *main, int64_t until);
/* False: there was none. Main, or who closes its home. */
bool vai__serial_end(vai_g *main);

/* Lets other goroutines run. */
void vai__yield(vai_g *g);
/* The same for a goroutine that was interrupted: others have waited for long. */
void vai__yield_late(vai_g *g);
/* Goroutines alive, main included. */
int64_t vai__g_count(void);

enum vai_g_state { VAI_G_NEW, VAI_G_RUNNABLE, VAI_G_RUNNING, VAI_G_WAITING, VAI_G_DEAD };

/* ---- blocking ---- */

/* Opens a wait of the calling goroutine, invalidating all its older tickets. */
vai_ticket vai__wait_begin(vai_g *self);
/* Parks until somebody fires the ticket or `deadline` passes; returns the code. */
int vai__wait(vai_g *self, enum vai_wait_reason reason, const void *obj, int64_t deadline);
/* Takes the place of vai__wait for a goroutine that has a bound: wait() may do something before and after the wait.
 * It has to call vai__wait_parked exactly once, which parks as vai__wait does, and has to return its code. */
struct vai__bound {
	int (*wait)(struct vai__bound *bound, vai_g *self, vai_ticket ticket, int64_t deadline);
};
int vai__wait_parked(vai_g *self, int64_t deadline);

/* A goroutine may wait without its stack, which others use meanwhile: it sheds it. It opens a wait, says by the first
 * of these what for, and returns from all its functions to its first one, with what it and others need of the wait in
 * memory elsewhere. Then it calls vai__park_shed, which returns only if the wait is over already. Otherwise `entry`
 * takes the place of its first function: it is called with `arg`, on another stack, once the wait has been fired. */
#ifdef VAI_HARD
enum { VAI__SHED_FROM = 0 };
#else
enum { VAI__SHED_FROM = 256 }; /* so many stacks are in use before anybody sheds his */
#endif
enum { VAI_SHEDS = 1 }; /* what a function answers that has opened such a wait */
struct vai__timeout;    /* what ends it at its deadline */
/* *timeout becomes NULL for VAI_FOREVER, else it is the wait's until the end. */
void vai__park_shed_begin(
	vai_g *self, enum vai_wait_reason reason, const void *obj, int64_t deadline, struct vai__timeout **timeout);
void vai__park_shed(vai_g *self, void (*entry)(vai_g *g, void *arg), void *arg);
/* The code that has ended the wait. */
int vai__park_shed_end(vai_g *self, struct vai__timeout **timeout);
/* Of a wait that never ends, when no M is left. NULL is fine. */
void vai__park_shed_drop(struct vai__timeout *timeout);
/* Whether that is possible, and worth its time for self, in the wait that it may be about to begin: asked where many
 * stacks are in use. */
bool vai__park_shed_pays(const vai_g *self);
/* A cheap first look: few stacks are in use, so that it is not worth its time for anybody. */
static inline bool vai__park_shed_idle(void)
{
	return VAI_LIKELY(atomic_load_relaxed(&vai__stack_taken) < VAI__SHED_FROM);
}

/* Whether VAI_WAKE_LONG may end the wait that self begins now, after some seconds. Taken back by self after it. */
void vai__wait_renews(vai_g *self, bool yes);

/* True if this call ended the wait; the goroutine is then on its way to a run queue.
 * Caller: any M, also under locks of lower rank than VAI_RANK_SCHED. */
bool vai__fire(vai_g *g, vai_ticket ticket, int code);
/* The same for who holds a lock that the woken goroutine will want: it wakes no thread if it can help it, as that is
 * a system call, after which the kernel may well run the woken thread in the caller's place. *owed: the caller calls
 * vai__sched_fired as soon as it has let go of its locks. */
bool vai__fire_quietly(vai_g *g, vai_ticket ticket, int code, bool *owed);
void vai__sched_fired(void);
/* A number that most probably changes when another goroutine runs on self's P, or self on another P; self calls. */
uint8_t vai__sched_round(vai_g *self);
/* Fires whatever wait g is in; false: it is in none. For cancel and deadlock. */
bool vai__fire_any(vai_g *g, int code);
/* VAI_OK or VAI_ECANCELED, VAI_EDEADLOCK. */
int vai__sleep(vai_g *self, int64_t deadline);
/* The same without a stack: begins it, and gives the result. */
void vai__sleep_begin(vai_g *self, int64_t deadline, struct vai__timeout **timeout);
int vai__sleep_end(vai_g *self, struct vai__timeout **timeout);
/* VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK and so on for the codes below VAI_WAKE_USER. */
int vai__wake_result(int code);

/* A recent vai__clock_now(), without asking the system: while goroutines run it is some milliseconds old at most. */
int64_t vai__sched_coarse_now(void);

/* ---- timers ---- */

/* A timer lies wherever the caller likes (on a stack, in an object). It is zero-initialised, and fn is set. fn runs
 * on some M under the lock of the heap that the timer is in (rank VAI_RANK_TIMERS). It may fire tickets and take
 * locks of higher rank, must not start or stop timers, and returns the next absolute time, or VAI_FOREVER when it is
 * done. */
struct vai__timer {
	int64_t when;
	int64_t (*fn)(struct vai__timer *t, int64_t now);
	bool (*idle)(struct vai__timer
			*t);          /* under that lock too: whether firing now would wake nobody. NULL: it might wake somebody */
	_Atomic(void *) heap; /* the heap it is in, or NULL */
	uint32_t index;       /* its place there */
};
/* The timer must not be started already. VAI_OK or VAI_ENOMEM. */
int vai__timer_start(vai_g *self, struct vai__timer *t, int64_t when);
/* True if it was pending and now never fires. After the return fn does not run. Any M. */
bool vai__timer_stop(struct vai__timer *t);

/* ---- hooks that the layers above install before vai__sched_start ---- */

struct vai__sched_hooks {
	/* For goroutines that never end, once every M has stopped, on a thread that is no M; each for all before the next:
	 * releases the messages of g's wait, which had come as far as code says; its vm and task; what queues held. */
	void (*unwait)(vai_g *g, int code);
	void (*abandon)(vai_g *g);
	void (*bury)(vai_g *g);
	/* Asks that g leave its Lua code soon: to yield, or to end if g->end says so. The calling thread runs g or is
	 * about to. May be called without need, in a signal handler or on the scheduler's stack. NULL: goroutines run
	 * until they wait. */
	void (*interrupt)(vai_g *g);
	/* All goroutines wait and nothing can wake one. Nothing runs until it returns; then main's wait ends with
	 * VAI_WAKE_DEADLOCK. Called on any M. May be NULL. */
	void (*deadlock)(void);
	/* Returns the hook of main's Lua state, or NULL. Called in a signal handler and on any thread. If the function
	 * is NULL, signals end no waits. */
	const void *(*main_hook)(void);
	/* SIGQUIT has come: dumps all goroutines and ends the process. Called on sysmon's thread. May be NULL. */
	void (*quit)(void);
};
extern struct vai__sched_hooks vai__sched_hooks;

/* ---- looking at goroutines, for dumps ---- */

/* The state of g at this moment; g may have ended and be another goroutine by now. Any thread. */
enum vai_g_state vai__g_state(vai_g *g);

/* A snapshot of one goroutine, for dumps and deadlock reports. */
struct vai_g_info {
	enum vai_g_state state;
	enum vai_wait_reason reason;
	bool in_c;       /* it runs, but has been in a C call for so long that others have its P */
	bool still;      /* its stack does not change as long as the world is stopped */
	const void *obj; /* what it waits for: identity only, do not follow */
	bool timed;      /* it waits until some time at the latest */
	int64_t since;   /* vai__clock_now() when it began to wait or, in_c, to run; coarse; 0: unknown */
};
/* Calls f for every goroutine alive, main first then by age. f must not park or start
 * goroutines. Others may run and end meanwhile, except during a deadlock. */
void vai__g_each(void (*f)(vai_g *g, const struct vai_g_info *info, void *arg), void *arg);

/* ---- signals ---- */

/* Whoever installs a handler of its own for SIGINT says so before and after: the scheduler takes its own one, which
 * ends main's wait for a hook of the host's, away meanwhile. Any thread. */
void vai__sigint_set_aside(bool aside);
/* The wait of a home's main ends with VAI_WAKE_INTERRUPTED: the one that it is in, or the next. If it runs Lua code
 * meanwhile, it is interrupted (hooks.interrupt), and vai__sched_interrupted tells it once that this is why. id: the
 * home's; 0: that of the first. False: there is none. Any thread. */
bool vai__sched_interrupt(uint64_t id);
/* Whether g, the caller, is a main and was interrupted so. */
bool vai__sched_interrupted(vai_g *g);

/* ---- counters ---- */

struct vai__sched_stats {
	uint64_t spawned, ended, parks, steals, stolen, handoffs, wakeups, global_gets, overflows, timers_fired, stacks;
	uint64_t preempted, retaken; /* goroutines that were interrupted for their slice, and Ps taken from C calls */
	int ps, idle_ps, ms, idle_ms, spinning;
};
/* Fills *out; each counter for itself is exact, all together are of no one moment. Any thread. */
void vai__sched_stats(struct vai__sched_stats *out);

/* ---- goroutines that are interrupted, ended, tied to a thread, blocked in C calls, or stopped all together ---- */

/* How goroutines that run Lua code are interrupted, as VAI_PREEMPT in the environment says (off, signal, count): not
 * at all; by a signal to their thread, whose handler calls hooks.interrupt; or by a flag that they have to look at
 * now and then themselves. */
enum vai_preempt_mode { VAI_PREEMPT_OFF, VAI_PREEMPT_SIGNAL, VAI_PREEMPT_COUNT };
enum vai_preempt_mode vai__preempt_mode(void);
/* Whether goroutines that begin now have to look. It may become true later, when the system refuses signals. */
extern atomic_bool vai__preempt_counts;
/* With VAI_PREEMPT_COUNT: whether the calling goroutine is to be interrupted. It is told once. */
bool vai__g_asked(vai_g *self);
/* The calling goroutine has noticed that it was interrupted. */
void vai__g_answered(vai_g *self);

/* Why a goroutine is to end. CLOSED: the Lua state closes to which it belongs. */
enum vai_end { VAI_END_NO, VAI_END_CANCELED, VAI_END_CPU, VAI_END_MEMORY, VAI_END_CLOSED };

/* Asks g to end: sets g->end unless it is set already, fires the wait that g is in with VAI_WAKE_CANCELED, and has g
 * interrupted (hooks.interrupt) while it runs, again and again as long as g->end is not 0. While it is set, g's
 * waits give VAI_ECANCELED; g itself may set it back to 0, to clean up. Any thread may call, for a g that cannot end
 * meanwhile: the caller holds the lock of g's task, which is alive. */
void vai__g_end(vai_g *g, enum vai_end why);
/* Whether g is to end. What was handed to a goroutine that finds this true when it wakes has to go on to the next. */
static inline bool vai__g_ending(const vai_g *g)
{
	return atomic_load_relaxed(&g->end) != VAI_END_NO;
}
/* Puts the end of the calling goroutine off, for a wait that it must do although it is to end. vai__g_restore_end
 * takes what vai__g_hold_end has returned, and lets the end go on unless another one was asked for meanwhile. */
int vai__g_hold_end(vai_g *self);
void vai__g_restore_end(vai_g *self, int end);
/* Processor time in ns that the calling goroutine, which has a cpu_limit, has used. */
int64_t vai__g_cpu(vai_g *self);
/* Bounds the processor time of all goroutines of the home that have a cpu_limit together, from now on; 0: no bound.
 * While the home has no goroutine but main. */
void vai__preempt_bound_cpu(struct vai__home *home, int64_t ns);
/* Whether that bound is exceeded. Any thread. */
bool vai__preempt_cpu_exceeded(const struct vai__home *home);
/* The calling goroutine may use so many ns of processor time from now on. */
void vai__g_limit_cpu(vai_g *self, int64_t ns);

/* Ties the calling goroutine to its thread until vai__g_unlock_thread; no other goroutine runs there meanwhile. Does
 * not nest. Main is tied to its thread in any case; locked, it has the thread to itself. May park. VAI_ESYS: for a
 * second already main's thread has been the only one to be had. Other results: as of vai__sleep. */
int vai__g_lock_thread(vai_g *self);
void vai__g_unlock_thread(vai_g *self);
/* Says that the calling goroutine may stay in C calls for long from now on, because it has opened a file or got a
 * foreign C function. Unless it is main it leaves main's thread for good, since main could not run there meanwhile.
 * Goroutines that never say so leave it when sysmon takes their P. */
void vai__g_leave_main(vai_g *self);
/* Whether the calling goroutine is not main, runs on main's thread and could leave it. */
bool vai__g_holds_main(vai_g *self);
/* Called before and after a C call that is known to take long: the goroutine gives its P away before the call, and
 * leaves main's thread. (Without that, sysmon takes the P when it sees that the thread sleeps.) Both may park. */
void vai__g_block_begin(vai_g *self);
void vai__g_block_end(vai_g *self);

/* Stops all goroutines but the caller's: when it returns true none of them runs Lua code or
 * is in vai, save those that have not come back from a C call (info.in_c) and may at any
 * moment. False: somebody else has stopped the world or `timeout` ns have passed; nothing is
 * stopped then. self: the caller, NULL on a thread that is no M. vai__world_start ends it. */
bool vai__world_stop(vai_g *self, int64_t timeout);
void vai__world_start(void);

/* For a process that is about to end: true if g runs a C call on a thread which has come into a
 * signal handler, within `timeout` ns, that it never leaves. Off the Ms, world stopped. */
bool vai__g_freeze(vai_g *g, int64_t timeout);

#include "sched/home.h"

#endif
