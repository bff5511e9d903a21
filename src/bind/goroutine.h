/* SPDX-License-Identifier: MIT */
/* What bind/ keeps of a goroutine that runs Lua code (vai_g.life): how it is interrupted, and how far its end has
 * come. The goroutine alone uses it, but for `hold`, `missed`, `asked` and `lent`, which the signal handler on its
 * thread uses, too. */
#ifndef VAI_GOROUTINE_H
#define VAI_GOROUTINE_H

#include <lua.h>
#include <signal.h>
#include "base/base.h"
#include "sched/sched.h"

enum vai__phase {
	VAI_PHASE_LIVE,      /* it has not been ended */
	VAI_PHASE_UNWINDING, /* the end was raised and nothing has caught it: to-be-closed variables run */
	VAI_PHASE_GRACE,     /* the end was caught: the code that follows may clean up, for a short time */
	VAI_PHASE_OVER       /* its function has returned or failed */
};

struct vai__cleanup;
struct vai__rest;

/* A coroutine that runs in place of `outer`, which resumed it. Lies on the C stack of that call. */
struct vai__turn {
	vai_g *g;
	lua_State *outer; /* NULL: g runs no Lua code that can be interrupted, so nothing is noted */
	struct vai__turn *prev;
};

/* A lock that the goroutine holds for reading, without a guard. */
struct vai__read {
	struct vai_obj *lock; /* NULL: this record is free. The goroutine's state holds a reference to the lock */
	uint64_t n;
	struct vai__read *next;
};

struct vai__life {
	volatile sig_atomic_t hold;   /* the goroutine is changing hooks, so the handler must not */
	volatile sig_atomic_t missed; /* the handler came while `hold` was set: the interruption has still to be made */
	volatile sig_atomic_t asked;  /* a hook was set for an interruption, and has not run yet */
	uint8_t phase;                /* enum vai__phase */
	uint8_t why;                  /* enum vai_end: the end that was raised */
	bool forced;                  /* the end is raised even in to-be-closed variables */
	bool bare;                    /* the end was raised without its value; vai__end_caught puts it in place */
	bool yielded;                 /* the body has yielded, which is an error, and the error has still to be raised */
	bool short_once;              /* the script has caught the error of its bound of memory once */
	unsigned cancels;             /* the task's count of cancels when the end was raised */
	int depth;              /* the depth of the protected call that will catch the end; 0: no call in that state does */
	unsigned locks;         /* calls of vai.lock_thread that are not undone */
	lua_State *catcher;     /* the state of that call; only compared, as it may be freed */
	struct vai__turn *turn; /* the innermost running coroutine, for dumps */
	struct vai__read read;  /* the first such lock (bind/report/held.c) */
	struct vai__rest *rest; /* what a wait without a stack needs (shed.h); NULL: all waits keep the stack */
	struct vai__cleanup *cleanup; /* NULL until the end is raised, and if there was no memory for it */
	struct {
		lua_State *L; /* the state whose hook, set by a C module, is replaced until ours has run; or NULL */
		lua_Hook hook;
		int mask, count;
	} lent;
};

/* The record of a goroutine that runs Lua code, while it runs. */
static inline struct vai__life *vai__life(const vai_g *g)
{
	return (struct vai__life *)g->life;
}

#endif
