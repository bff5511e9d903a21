/* SPDX-License-Identifier: MIT */
/* What the layers above may ask of the scheduler. Its private parts are in rt.h.
 *
 * Where a comment says nothing else: `self`, or the `g` of a call that needs no other, is the goroutine that calls;
 * deadlines are absolute, in ns of vai__clock_now(), and VAI_FOREVER is none; a function neither parks nor fails.
 * "Any goroutine" means code on an M; such a call may yield, if the M has lost its P. "Any thread" needs no M.
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
	void *vm;                         /* the Lua state that it runs (struct vai_vm of state/, for main too) */
	void *task;                       /* its struct vai_task (sync/); NULL for main */
	void *held;                       /* one reference (struct vai_obj) that is given back if g is abandoned (bind/) */
	uint64_t id;                      /* 1 is the first main; never reused. Set by the scheduler. */
	_Atomic(struct vai__home *) home; /* where it belongs; see vai__g_home. Set by the scheduler */
	void *_Atomic running;            /* the lua_State in which it runs Lua code, for preemption; else NULL (bind/) */
	_Atomic(int64_t) cpu_limit;       /* ns of processor time that it may use; 0: no limit. Set before its start */
	void *life;       /* its struct vai__life (bind/goroutine.h); NULL: it can neither be ended nor is it bounded */
	void *waits;      /* while it waits in channels: the first of its waiters (sync/waitq.h); else NULL */
	const char *site; /* where it was created: "file.lua:12", a string that is never freed; NULL: unknown */
	atomic_int end;   /* not 0: it is to end, and why (enum vai_end); see vai__g_end */
	int nwaits;       /* how many waiters `waits` are */
	void *dropping;   /* while a message is dropped: messages that wait for the same (transfer/message.c); else NULL */
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
	/* From here to VAI_WAIT_CLOSE: for a socket or the like; obj is an object of net/, or NULL. */
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
	VAI_WAKE_LONG = 9,        /* the wait has lasted for seconds, and vai__wait_renews had asked for that */
	VAI_WAKE_USER = 16
};
typedef uint32_t vai_ticket;

/* ---- life of the runtime (host thread only) ---- */

struct vai__sched_opts {
	int maxprocs;       /* Ps; 0: VAI_MAXPROCS in the environment, else the CPUs this process may use */
	size_t stack_size;  /* bytes reserved for each goroutine's C stack; 0: VAI_STACK in the environment, else the */
	size_t least_stack; /* larger of this and 640 KiB */
	const struct vai_options *host; /* what the host wishes (vai.h), or NULL */
};
/* Makes the calling thread M0 and what it runs the main goroutine; copies what it needs of *opts. VAI_EINVAL: the
 * runtime runs already, or an option of the host makes no sense. VAI_ESYS, VAI_ENOMEM: the system refused. */
int vai__sched_start(const struct vai__sched_opts *opts);
/* After VAI_ESYS: a sentence that names the call that the system refused, and the reason. It stays until the next
 * start. */
const char *vai__sched_refusal(void);
/* Ends the runtime and abandons the goroutines that have not ended. Called on main's thread or, if that does nothing
 * else, on another; blocks the thread. An M whose goroutine sleeps in a C call has `grace` ns to reach the scheduler,
 * one that computes half a second if that is longer. Once all Ms have stopped, a thread of its own releases what
 * abandoned goroutines hold; it has half a second, or `grace` if that is longer. True: all of that is done. False: an
 * M or that thread has not come to its end; call again. */
bool vai__sched_stop(int64_t grace);
/* The first half of vai__sched_stop, for a process that is about to end: nothing is released. */
void vai__sched_halt(int64_t grace);
/* Whether it was started and not stopped. Any thread. */
bool vai__sched_running(void);

/* Called in a child of fork, where only the calling thread exists: it is no M any more, and nothing runs. */
void vai__sched_forked(void);
/* Whether threads of the runtime may live, so that a fork would lose them. */
bool vai__sched_alive(void);

/* Returns the number of Ps in use; n > 0 then sets it, to 1024 at most, or to fewer if memory is out. Any goroutine. */
int vai__maxprocs(vai_g *g, int n);
/* How many CPUs the process may use. Any thread. */
int vai__numcpu(void);

/* ---- goroutines ---- */

/* The goroutine that the calling thread runs; NULL: none, or the thread is no M. A goroutine always gets itself, on
 * whatever thread it runs. */
vai_g *vai__g_self(void);
/* The main goroutine of the home that was opened first, of those that are open; NULL: there is none. */
vai_g *vai__g_main(void);

/* Makes a goroutine that will run entry(g, arg) on a stack of its own. It is not runnable yet, so that vm, task and
 * site can be set, and has no stack and no Lua state until it first runs. The caller then calls vai__g_start or
 * vai__g_discard. NULL: out of memory, or the caller's home closes. Any goroutine. */
vai_g *vai__g_new(void (*entry)(vai_g *g, void *arg), void *arg);
/* The same for a goroutine of another home than the caller's. */
vai_g *vai__g_new_in(struct vai__home *home, void (*entry)(vai_g *g, void *arg), void *arg);
/* Where g was created, or "". Any thread. */
static inline const char *vai__g_site(const vai_g *g)
{
	return g->site ? g->site : "";
}
/* Makes g, which is NEW, runnable and wakes an M for it when a P is idle. self: the caller, which yields once the
 * run queue is full; NULL: a timer's callback, which cannot. */
void vai__g_start(vai_g *self, vai_g *g);
/* Makes and starts a goroutine that belongs to no home. Any thread; one that is no M calls it between the next two.
 * False: out of memory. */
bool vai__g_post(void (*entry)(vai_g *g, void *arg), void *arg);
/* A thread that may be no M begins to use what goroutines use. False: the runtime does not run, and there is nothing
 * to leave. The end of the runtime spins until every such thread has left, so it must not wait for anything between. */
bool vai__outside_enter(void);
void vai__outside_leave(void);
/* Gives back a goroutine that was never started. Any goroutine. */
void vai__g_discard(vai_g *g);
/* As vai__g_new, but tied to main's thread: it runs only on M0, only while main waits, and so may use main's Lua
 * state. Any goroutine. */
vai_g *vai__g_new_on_main(void (*entry)(vai_g *g, void *arg), void *arg);
/* Whether vai__g_new_on_main made g. Any thread. */
bool vai__g_on_main(const vai_g *g);

/* ---- frames: the host's thread runs goroutines only within vai__frame_poll (frame.c) ---- */

/* Main waits for at most ns while its thread runs other goroutines, or until that has nothing to do. VAI_OK; or a
 * result of vai__wake_result, if something else than the frame's end has ended the wait. Main only. */
int vai__frame_poll(vai_g *main, int64_t ns);
/* A descriptor that can be read while goroutines wait that only main's thread may run; vai's, so the caller neither
 * reads nor closes it. VAI_ESYS (errno). Main only. */
int vai__frame_fd(vai_g *main);

/* ---- serial phases: main runs alone (serial.c) ---- */

/* From VAI_OK on no goroutine of main's home runs but main itself, until vai__serial_end. Blocks main's thread until
 * then, or until `until` (vai__clock_real). VAI_ETIMEOUT: some goroutine still ran then; all go on. VAI_EINVAL: main is
 * in a serial phase. Main only. */
int vai__serial_begin(vai_g *main, int64_t until);
/* Ends the phase. False: there was none. Main, or the thread that closes main's home. */
bool vai__serial_end(vai_g *main);

/* Puts g behind the goroutines that are ready on its P, and returns when its turn has come. */
void vai__yield(vai_g *g);
/* The same where a goroutine that g has made ready is to be the next on its P; otherwise g goes on. */
void vai__yield_to_next(vai_g *g);
/* As vai__yield, to the end of the global queue, for a g that was interrupted; it goes on if it was queued since. */
void vai__yield_late(vai_g *g);
/* How many goroutines are alive, mains included. Any thread. */
int64_t vai__g_count(void);

enum vai_g_state { VAI_G_NEW, VAI_G_RUNNABLE, VAI_G_RUNNING, VAI_G_WAITING, VAI_G_DEAD };

/* ---- blocking ---- */

/* Opens a wait of the calling goroutine and returns its ticket. All its older tickets become invalid. */
vai_ticket vai__wait_begin(vai_g *self);
/* Parks until somebody fires the ticket of the wait that is open, or `deadline` passes. Returns the code that has ended
 * it (enum vai_wake). reason and obj are what dumps say of it. */
int vai__wait(vai_g *self, enum vai_wait_reason reason, const void *obj, int64_t deadline);
/* vai__wait calls wait() of a goroutine's bound instead of parking: so the bound may do something before and after the
 * wait. wait() has to call vai__wait_parked exactly once, which parks as vai__wait does, and to return its code. */
struct vai__bound {
	int (*wait)(struct vai__bound *bound, vai_g *self, vai_ticket ticket, int64_t deadline);
};
int vai__wait_parked(vai_g *self, int64_t deadline);

/* A goroutine may shed its stack while it waits, so that others use it meanwhile:
 *
 * 1. It opens a wait, and says what for by vai__park_shed_begin.
 * 2. It returns from all its functions to its first one. What it and others need of the wait lies in memory elsewhere.
 * 3. It calls vai__park_shed, which returns only if the wait is over already. Otherwise `entry` takes the place of its
 * first function: it is called with `arg`, on another stack, once the wait has been fired.
 * 4. vai__park_shed_end gives the code. */
#ifdef VAI_HARD
enum { VAI__SHED_FROM = 0 };
#else
enum { VAI__SHED_FROM = 256 }; /* while fewer stacks are in use, no goroutine sheds its own */
#endif
enum { VAI_SHEDS = 1 }; /* a function returns this when it has opened such a wait, and is to be returned from */
struct vai__timeout;    /* the timer that ends the wait at its deadline */
/* Sets *timeout to NULL for VAI_FOREVER, else to what vai__park_shed_end or vai__park_shed_drop frees. Without memory
 * for it the wait ends at once, with VAI_WAKE_NOMEM. */
void vai__park_shed_begin(
	vai_g *self, enum vai_wait_reason reason, const void *obj, int64_t deadline, struct vai__timeout **timeout);
void vai__park_shed(vai_g *self, void (*entry)(vai_g *g, void *arg), void *arg);
/* Frees *timeout, and returns the code that has ended the wait. */
int vai__park_shed_end(vai_g *self, struct vai__timeout **timeout);
/* Frees the timeout, or NULL, of a goroutine that is abandoned in its wait: no M is left. */
void vai__park_shed_drop(struct vai__timeout *timeout);
/* Whether self can shed its stack in its next wait, and that pays. Asked where vai__park_shed_idle is false. */
bool vai__park_shed_pays(const vai_g *self);
/* A cheap first look: so few stacks are in use that shedding one is not worth its time for any goroutine. */
static inline bool vai__park_shed_idle(void)
{
	return VAI_LIKELY(atomic_load_relaxed(&vai__stack_taken) < VAI__SHED_FROM);
}

/* yes: VAI_WAKE_LONG may end the wait that self begins now (renew.c). self takes that back after the wait. */
void vai__wait_renews(vai_g *self, bool yes);

/* Ends g's wait with this code, if it still has that ticket. True: this call has ended it, and g is on its way to a run
 * queue. Any thread, also under locks of lower rank than VAI_RANK_SCHED. */
bool vai__fire(vai_g *g, vai_ticket ticket, int code);
/* The same for a caller that holds a lock which the woken goroutine will want: no thread is woken if that can be
 * avoided, since waking one is a system call, after which the kernel may well run it in the caller's place. *owed: the
 * caller has to call vai__sched_fired as soon as it has released its locks. */
bool vai__fire_quietly(vai_g *g, vai_ticket ticket, int code, bool *owed);
/* Wakes the thread that vai__fire_quietly did not. On an M. */
void vai__sched_fired(void);
/* self goes on and on while another one waits on its P: a P with nothing to do takes that one. On an M. */
void vai__sched_offer(vai_g *self);
/* A number that most probably changes when another goroutine runs on self's P, or self on another P. */
uint8_t vai__sched_round(vai_g *self);
/* Fires whatever wait g is in, for cancel and deadlock. False: g is in none. Any thread. */
bool vai__fire_any(vai_g *g, int code);
/* Parks until the deadline. VAI_OK: it has passed; otherwise as vai__wake_result. */
int vai__sleep(vai_g *self, int64_t deadline);
/* The same for a goroutine that sheds its stack (vai__park_shed): begins the wait, and returns the result. */
void vai__sleep_begin(vai_g *self, int64_t deadline, struct vai__timeout **timeout);
int vai__sleep_end(vai_g *self, struct vai__timeout **timeout);
/* The result (VAI_ETIMEOUT, VAI_ECANCELED, ...) for a code below VAI_WAKE_USER. */
int vai__wake_result(int code);

/* A recent vai__clock_now(), without asking the system: while goroutines run it is some milliseconds old at most. */
int64_t vai__sched_coarse_now(void);

/* ---- hooks that the layers above install before vai__sched_start ---- */

struct vai__sched_hooks {
	/* The next three release what goroutines hold that never ended, once every M has stopped, on a thread that is no
	 * M. Each is called for all goroutines before the next one is. unwait: the messages of g's wait, which had come as
	 * far as `code` says. abandon: its vm and task. bury: what is left of it in queues. */
	void (*unwait)(vai_g *g, int code);
	void (*abandon)(vai_g *g);
	void (*bury)(vai_g *g);
	/* Makes g leave its Lua code soon: to yield, or to end if g->end says so. The calling thread runs g or is about
	 * to. It may be called without need, in a signal handler or on the scheduler's stack. NULL: goroutines run until
	 * they wait. */
	void (*interrupt)(vai_g *g);
	/* All goroutines wait and nothing can wake one. None runs until this returns; then every main's wait ends with
	 * VAI_WAKE_DEADLOCK. Called on any M and on sysmon's thread. May be NULL. */
	void (*deadlock)(void);
	/* Returns the debug hook that is set in main's Lua state, or NULL. Called in a signal handler and on any thread.
	 * If the function is NULL, signals end no waits. */
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
	const void *obj; /* what it waits for: its address only, the object may be gone */
	bool timed;      /* its wait has a deadline */
	int64_t since;   /* when it began to wait or, in_c, to run, to some milliseconds (coarse clock); 0: unknown */
};
/* Calls f for every goroutine alive, in the order of ids. f must not park or start goroutines. Others may run and end
 * meanwhile, unless the world is stopped or in a deadlock. Any thread. Out of memory: calls it for none. */
void vai__g_each(void (*f)(vai_g *g, const struct vai_g_info *info, void *arg), void *arg);

/* ---- signals ---- */

/* Called with true before other code in vai installs a handler of its own for SIGINT, and with false after that is
 * gone: the scheduler removes its own handler (sigint.c) meanwhile. Any thread. */
void vai__sigint_set_aside(bool aside);
/* Ends a wait of a home's main with VAI_WAKE_INTERRUPTED: the one that it is in, or the next. If main runs Lua code
 * meanwhile, it is interrupted (hooks.interrupt), and vai__sched_interrupted tells it once that this is why. id: the
 * home's; 0: that of the home which was opened first. False: there is none. Any thread. */
bool vai__sched_interrupt(uint64_t id);
/* Whether g, the caller, is a main that vai__sched_interrupt was called for since it last asked. */
bool vai__sched_interrupted(vai_g *g);

/* ---- counters: totals since the process began, and numbers of this moment ---- */

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
/* Whether goroutines that begin now have to look at that flag. It may become true later, when the system refuses
 * signals, or in a seeded run. */
extern atomic_bool vai__preempt_counts;
/* The look at the flag, which resets it: whether self is to be interrupted. */
bool vai__g_asked(vai_g *self);
/* self has noticed that it was interrupted, so it may be asked again. */
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
/* Puts the end of self off, for a wait that it must do although it is to end. vai__g_restore_end takes what
 * vai__g_hold_end has returned, and lets the end go on unless another one was asked for meanwhile. */
int vai__g_hold_end(vai_g *self);
void vai__g_restore_end(vai_g *self, int end);
/* The processor time in ns that self, which has a cpu_limit, has used. */
int64_t vai__g_cpu(vai_g *self);
/* Bounds the processor time, in ns, of all goroutines of the home together that have a cpu_limit, from now on; 0: no
 * bound. Called by main while the home has no other goroutine. */
void vai__preempt_bound_cpu(struct vai__home *home, int64_t ns);
/* Whether that bound is exceeded. Any thread. */
bool vai__preempt_cpu_exceeded(const struct vai__home *home);
/* Sets self's cpu_limit: it may use ns more of processor time from now on. */
void vai__g_limit_cpu(vai_g *self, int64_t ns);

/* Ties self to its thread until vai__g_unlock_thread; no other goroutine runs there meanwhile. Does not nest. Main is
 * tied to its thread in any case; locked, it has the thread to itself. May park. VAI_OK; VAI_ESYS: for a second there
 * was no thread but main's; other results: as of vai__sleep. */
int vai__g_lock_thread(vai_g *self);
void vai__g_unlock_thread(vai_g *self);
/* Says that self may stay in C calls for long from now on, because it has opened a file or got a foreign C function.
 * Unless it is main it leaves main's thread for good, since main could not run there meanwhile. Goroutines that never
 * say so leave it when sysmon takes their P. May park. */
void vai__g_leave_main(vai_g *self);
/* Whether self is not main, runs on main's thread and could leave it. */
bool vai__g_holds_main(vai_g *self);
/* Called before and after a C call that is known to take long: self gives its P away before the call, and leaves main's
 * thread. (Without that, sysmon takes the P when it sees that the thread sleeps.) Both may park. */
void vai__g_block_begin(vai_g *self);
void vai__g_block_end(vai_g *self);

/* Stops all goroutines but the caller's: from true on none of them runs Lua code or is in vai, but those in a C call
 * (info.in_c) may come back from it at any moment. False: another thread has stopped the world, or `timeout` ns have
 * passed; nothing is stopped then. Blocks the thread. self: the caller; NULL on a thread that is no M. */
bool vai__world_stop(vai_g *self, int64_t timeout);
/* Lets goroutines run again after vai__world_stop. */
void vai__world_start(void);

/* For a process that is about to end: stops the thread on which g runs a C call, for ever, in a signal handler. False:
 * g runs none, or the thread has not come into the handler within `timeout` ns. Blocks the thread. Called on a thread
 * that is no M, while the world is stopped. */
bool vai__g_freeze(vai_g *g, int64_t timeout);

#include "sched/home.h"
#include "sched/timer.h"

#endif
