/* SPDX-License-Identifier: MIT */
/* What bind/ keeps of a goroutine while it runs Lua code (vai_g.life): how it is interrupted, and how far its end
 * has come. It belongs to the goroutine, but the signal handler on its thread uses `hold`, `missed`, `asked` and
 * `lent`, too. */
#ifndef VAI_GOROUTINE_H
#define VAI_GOROUTINE_H

#include <lua.h>
#include <signal.h>
#include "base/base.h"
#include "sched/sched.h"

enum vai__phase {
	VAI_PHASE_LIVE,      /* it has not been ended */
	VAI_PHASE_UNWINDING, /* the end was raised and nobody has caught it: closers run */
	VAI_PHASE_GRACE,     /* it was caught: what follows may clean up, for a moment */
	VAI_PHASE_OVER       /* its function has returned or failed */
};

struct vai__cleanup;
struct vai__rest;

/* A coroutine that runs in place of `outer`, which resumed it. Lies on the C stack of that call. */
struct vai__turn {
	vai_g *g;
	lua_State *outer; /* NULL: it is not known what runs */
	struct vai__turn *prev;
};

/* A lock that the goroutine holds for reading, without a guard. */
struct vai__read {
	struct vai_obj *lock; /* NULL: none. Its state has a reference */
	uint64_t n;
	struct vai__read *next;
};

struct vai__life {
	volatile sig_atomic_t hold;   /* hooks are being set: do not touch them */
	volatile sig_atomic_t missed; /* an interruption that came meanwhile */
	volatile sig_atomic_t asked;  /* the state that ran has to be interrupted, and has not been yet */
	uint8_t phase;                /* enum vai__phase */
	uint8_t why;                  /* enum vai_end: what was raised */
	bool forced;                  /* the end is raised in to-be-closed variables, too */
	bool bare;                    /* the end was raised without its value, which whoever catches it puts in place */
	bool yielded;                 /* it has yielded out of its body: an error is due */
	bool short_once;              /* the goroutine has caught the error of its memory's bound once */
	unsigned cancels;             /* how often its task had been canceled when the end was raised */
	int depth;                    /* the depth of the protected call that will catch the end; 0: none in that state */
	unsigned locks;               /* vai.lock_thread */
	lua_State *catcher;           /* the state of that call; it may be gone */
	struct vai__turn *turn;       /* the innermost coroutine, for dumps */
	struct vai__read read;        /* bind/report/held.c */
	struct vai__rest *rest;       /* for waits without a stack; NULL: it has none of these (shed.h) */
	struct vai__cleanup *cleanup; /* NULL until the end is raised, and where there is no memory for it */
	struct {
		lua_State *L; /* the state whose hook was not ours and is away until ours has run; or NULL */
		lua_Hook hook;
		int mask, count;
	} lent;
};

/* That of a goroutine of Lua's, while it runs. */
static inline struct vai__life *vai__life(const vai_g *g)
{
	return (struct vai__life *)g->life;
}

#endif
