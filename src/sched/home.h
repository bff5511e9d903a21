/* SPDX-License-Identifier: MIT */
/* Homes: what each of several Lua states of a process has for itself. Included by sched.h. */
#ifndef VAI_HOME_H
#define VAI_HOME_H

#include "sched/sched.h"

/* Where goroutines belong: to one Lua state of the host's, or to C code that has called vai_start. Its main goroutine
 * is the host's thread. A goroutine belongs where its starter does, so all of them can be ended when the state closes.
 * Records are never unmapped. The first fields belong to the layers above, which set them on main's thread. */
struct vai__budget;
struct vai__main;
struct vai__sandbox;
struct vai__setup;
struct vai__home {
	struct vai__main *bind;  /* bind/main_state.h; stays with the record */
	void *paths;             /* require/paths.c; under its lock */
	void *names;             /* transfer/names.c; main only */
	_Atomic(unsigned) lacks; /* stdlib/only_libs.h */
	atomic_bool warns;       /* warnings are on (runtime/prepare.h) */
	_Atomic(unsigned)
		changed_libs;       /* a bit for each library in which the script has changed something (require/paths.c) */
	atomic_bool types_seen; /* a metatable of a whole type of the host's may not be stock's (transfer/encode_types.c) */
	const char *preloading; /* transfer/codec.h; main only */
	bool only_modules;      /* transfer/codec.h; constant while goroutines run, as the next four */
	const struct vai__sandbox *sandbox;  /* stdlib/sandbox.h; NULL: none */
	const struct vai__setup *setup;      /* runtime/setup.h; NULL: what states are without the host's doing */
	uint64_t setup_id;                   /* the number of that setup; 0: it is NULL */
	struct vai__budget *budget;          /* base/memory_budget.h; NULL: no bound */
	_Atomic(int64_t) cpu_most, cpu_used; /* ns; vai__preempt_bound_cpu in sched.h */
	atomic_bool cpu_exceeded;
	vai_g *main;          /* stays with the record; NULL: it has none (vai__home_of_nobody) */
	_Atomic(uint64_t) id; /* a number that no other opening of a home has; 0: it is closed */
	atomic_int closing;   /* enum vai__closing */
};
/* ENDS: its goroutines are asked to end, and may clean up. FORCES: they are asked again while they clean up. */
enum vai__closing { VAI_HOME_STAYS, VAI_HOME_ENDS, VAI_HOME_FORCES };
/* The home of g, never NULL. Any thread; but unless g calls, its record may be another goroutine's by now. */
static inline struct vai__home *vai__g_home(const vai_g *g)
{
	return atomic_load_relaxed(&g->home);
}

/* Whether g is the main goroutine of its home. */
static inline bool vai__g_is_main(const vai_g *g)
{
	return vai__g_home(g)->main == g;
}

/* The home of the calling goroutine, or vai__home_of_nobody. Any thread. */
struct vai__home *vai__home_self(void);
/* The home of goroutines that were started by threads which are no Ms (vai__g_post). It ends with the runtime. */
extern struct vai__home *const vai__home_of_nobody;
/* Makes the calling thread, which is no M, the host's thread of another home while the runtime runs. NULL: the
 * system refused *call (errno). */
struct vai__home *vai__home_open(const char **call);
/* Homes begin and end one after the other: a thread that opens or closes one locks this gate (in) and unlocks it.
 * Blocks the thread. */
void vai__home_gate(bool in);
/* How many homes are open. Any thread. */
int vai__home_count(void);
/* Asks all goroutines of the home but main to end, and waits until they have: for `grace` ns with time to clean up, and
 * then as long again without. self: main, which parks meanwhile; NULL: another thread closes for it, and blocks. False:
 * some have not ended, because they stay in C calls; they end when they come back. */
bool vai__home_end(struct vai__home *home, vai_g *self, int64_t grace);
/* Closes a home after vai__home_end: main's thread is no M any more. Not for the last home, which ends with the runtime
 * (vai__sched_stop). The thread that called vai__home_end. */
void vai__home_close(struct vai__home *home);
/* Whether the home still is the one that had that id. Any thread. */
static inline bool vai__home_is(const struct vai__home *home, uint64_t id)
{
	return atomic_load_acquire(&home->id) == id && atomic_load_relaxed(&home->closing) == VAI_HOME_STAYS;
}
/* Whether some home has that id. Any thread, and the child of a fork. */
bool vai__home_id_is_open(uint64_t id);
/* Calls f for every open home. For hooks.deadlock, while nothing runs. */
void vai__home_each(void (*f)(struct vai__home *home));

#endif
