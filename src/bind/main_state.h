/* SPDX-License-Identifier: MIT */
/* The host's Lua states, in which main goroutines run: what vai keeps of each of them, as the other rooms see it. Each
 * field is written by main, or in its state, and may be read where it says. The record of a home is never freed, since
 * signal handlers and goroutines that are left behind may look at it. */
#ifndef VAI_MAIN_STATE_H
#define VAI_MAIN_STATE_H

#include "base/buffer.h"
#include "base/lock.h"
#include "bind/goroutine.h"
#include "sched/sched.h"
#include "state/state.h"
#include "stdlib/sandbox.h"

struct vai__panic;

/* What an uncaught error does: it ends the process, it goes to on_panic's function, or it does nothing any more
 * because main has ended. */
enum vai__panic_mode { VAI_PANIC_DIE, VAI_PANIC_HANDLE, VAI_PANIC_IGNORE };

struct vai__main {
	struct vai__home *home;
	struct vai_vm *vm; /* of the host's state; NULL: it has none, or none any more. Goroutines of the home read it */
	const struct vai_vm *last; /* the last one that there was, for a comparison: it may be gone */
	_Atomic(lua_State *) L;    /* its state, or NULL; any thread, and signal handlers */
	const void *sentinel;      /* which of the state's, if vai was tried several times */
	struct vai__life life;     /* main's */
	lua_State *maker;          /* makes Lua threads for visits (bind/host/visit.c) */
	atomic_int guests;         /* goroutines that run in the state for calls of vai_lua_on_host */
	/* bind/life/sandbox_bounds.c: what the state's goroutines may use, how many there are, and vai__main_shortage */
	struct vai__sandbox_bounds bounds;
	_Atomic(int64_t) alive;
	char shortage[160];
	/* bind/report/panic.c */
	_Atomic(lua_State *) panic_thread; /* the Lua thread on which panic handlers run, kept by the registry; or NULL */
	_Atomic(vai_g *) runner;           /* the goroutine on main's thread that runs panic handlers at present, or NULL */
	struct vai_lock lock;
	struct vai__panic *first, **end; /* errors that wait for the handler; under lock */
	bool busy;                       /* a goroutine that runs handlers exists; under lock */
	_Atomic enum vai__panic_mode mode;
	/* Written by the only thread that is awake, and read by main, which that thread then wakes (deadlock.c). */
	struct vai__buffer deadlock;
};

/* That of g's home; NULL: goroutines of C code alone. */
static inline struct vai__main *vai__main_of(const vai_g *g)
{
	return vai__g_home(g)->bind;
}

/* Makes the record of a home, if it has none. NULL: out of memory. */
struct vai__main *vai__main_open(struct vai__home *home);
/* vm: what vai keeps of its state from now on; NULL: it has none any more. By whoever opens or closes it. */
void vai__main_set_vm(struct vai__main *main, struct vai_vm *vm);
/* The Lua thread in which main stopped. The vm's `at` is another one while panic handlers run. */
lua_State *vai__main_at(const struct vai__main *main);
/* The error of who has run out of memory: names the bounds of the calling goroutine's state, if there are any. */
const char *vai__main_shortage(void);
/* How many states are open; changed under the gate of sched/home.c. */
extern atomic_int vai__main_count;
/* The first of the states that are open, or NULL. May be called in signal handlers. */
lua_State *vai__main_first_L(void);

#endif
