/* SPDX-License-Identifier: MIT */
/* The host's Lua states, in which main goroutines run: what vai keeps of each, as the other rooms see it. Each field
 * is written by main or in its state; who else may read it is said there. The record of a home is never freed, as
 * signal handlers and abandoned goroutines may look at it. */
#ifndef VAI_MAIN_STATE_H
#define VAI_MAIN_STATE_H

#include "base/buffer.h"
#include "base/lock.h"
#include "bind/goroutine.h"
#include "sched/sched.h"
#include "state/state.h"
#include "stdlib/sandbox.h"

struct vai__panic;

/* What an uncaught error does: it ends the process, it goes to on_panic's function, or it is ignored as main has
 * ended. */
enum vai__panic_mode { VAI_PANIC_DIE, VAI_PANIC_HANDLE, VAI_PANIC_IGNORE };

struct vai__main {
	struct vai__home *home;
	struct vai_vm *vm; /* of the host's state; NULL: the state is closed. Goroutines of the home read this field */
	const struct vai_vm *last; /* the vm that was here last; only compared, as it may be freed */
	_Atomic(lua_State *) L;    /* the state, or NULL; any thread may read it, also in a signal handler */
	const void *sentinel;      /* the sentinel that closes the state; those of openings that failed do nothing */
	struct vai__life life;     /* of the main goroutine */
	lua_State *maker;          /* a Lua thread that makes the threads for visits (bind/host/visit.c) */
	atomic_int guests;         /* goroutines that run in the state at present for vai_lua_on_host */
	/* bind/life/sandbox_bounds.c: what the state's goroutines may use */
	struct vai__sandbox_bounds bounds;
	_Atomic(int64_t) alive;
	char shortage[160];
	/* bind/report/panic.c */
	_Atomic(lua_State *) panic_thread; /* the Lua thread of panic handlers, which the registry keeps; or NULL */
	_Atomic(vai_g *) runner;           /* the goroutine on main's thread that runs panic handlers at present, or NULL */
	struct vai_lock lock;
	struct vai__panic *first, **end; /* the queue of errors that wait for the handler; under the lock */
	bool busy;                       /* a goroutine that runs handlers exists; under the lock */
	_Atomic enum vai__panic_mode mode;
	/* bind/report/host_log.c: lines for the host's log. Any goroutine of the home writes both */
	_Atomic(int64_t) log_full;     /* when as many may come at once again as ever */
	_Atomic(uint64_t) log_dropped; /* those that were dropped and not told of yet */
	/* The report of a deadlock (deadlock.c). The thread that finds it writes it while all others sleep, then wakes
	 * main, which reads it. */
	struct vai__buffer deadlock;
};

/* The record of g's home; NULL: the home has only goroutines of C code. */
static inline struct vai__main *vai__main_of(const vai_g *g)
{
	return vai__g_home(g)->bind;
}

/* Makes the record of a home, if it has none. NULL: out of memory. */
struct vai__main *vai__main_open(struct vai__home *home);
/* Sets the vm of the state; NULL: it has none any more. Called when the state is opened or closed. */
void vai__main_set_vm(struct vai__main *main, struct vai_vm *vm);
/* The Lua thread in which main is. The vm's `at` is another one while panic handlers run. */
lua_State *vai__main_at(const struct vai__main *main);
/* The text of the error for memory that is out: it names the bounds of the calling goroutine's state, if there are
 * any. */
const char *vai__main_shortage(void);
/* The number of open states; changed under the gate of sched/home.c. */
extern atomic_int vai__main_count;
/* The first open state, or NULL. May be called in signal handlers. */
lua_State *vai__main_first_L(void);

#endif
