/* SPDX-License-Identifier: MIT */
/* What bind/ keeps of a goroutine while it runs Lua code (vai_g.life): how it is
 * interrupted, and how far its end has come. Belongs to the goroutine, but for `hold`,
 * `missed`, `asked` and `lent`, which the signal handler on its thread uses too. */
#ifndef VAI_LIFE_H
#define VAI_LIFE_H

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

/* A coroutine runs in place of `outer`, which resumed it. On the C stack of that call. */
struct vai__turn {
	vai_g *g;
	lua_State *outer; /* NULL: nothing is kept of what runs */
	struct vai__turn *prev;
};

struct vai__life {
	volatile sig_atomic_t hold;   /* hooks are being set: do not touch them */
	volatile sig_atomic_t missed; /* an interruption that came meanwhile */
	volatile sig_atomic_t asked;  /* the state that ran was to be interrupted, and has not been yet */
	uint8_t phase;                /* enum vai__phase */
	uint8_t why;                  /* enum vai_end: what was raised */
	bool forced;                  /* it is raised in closers, too */
	bool bare;                    /* it was raised without its value, which who catches it puts in place */
	bool short_once;              /* it has caught its memory's bound */
	unsigned cancels;             /* of its task, when the end was raised */
	int depth;                    /* of the protected call that will catch it; 0: none in that state */
	lua_State *catcher;           /* its state; may be gone */
	unsigned locks;               /* vai.lock_thread */
	struct vai__turn *turn;       /* the innermost, for dumps */
	struct vai__cleanup *cleanup; /* once the end was raised; NULL: no memory for it */
	struct {
		lua_State *L; /* the state whose hook is not ours, and away until ours has run; or NULL */
		lua_Hook hook;
		int mask, count;
	} lent;
};

static inline struct vai__life *vai__life(const vai_g *g)
{
	return (struct vai__life *)g->life;
}

/* ---- hooks (interrupt.c) ---- */

/* What a state that can run from now on has for a hook, if it has none: nothing, but where
 * goroutines look themselves whether they are to be interrupted. */
void vai__hook_prepare(lua_State *L);
/* lua_sethook, with interruptions held off meanwhile. */
void vai__hook_set(lua_State *L, lua_Hook f, int mask, int count);
extern bool vai__hook_counting; /* VAI_PREEMPT=count */

/* ---- the end (end.c) ---- */

/* Somebody wants g, the calling goroutine, to end, or a wait was ended for that. */
_Noreturn void vai__end_raise(lua_State *L, vai_g *g);
static inline bool vai__end_due(vai_g *g)
{
	return VAI_UNLIKELY(atomic_load_relaxed(&g->end) != VAI_END_NO);
}
/* pcall, xpcall or, with the coroutine that has failed, coroutine.resume has caught an error, which
 * is on top. Returns where it may go on with it, true if it had been raised bare: no message
 * handler has seen it. */
bool vai__end_caught(lua_State *L, lua_State *co, int status);
/* coroutine.wrap is about to pass the error of co on: returns unless it is the end. */
void vai__end_pass(lua_State *L, lua_State *co);
/* A script raises the error at idx again. */
void vai__end_rethrow(lua_State *L, int idx);
/* The goroutine's function is through: no end is raised any more. L NULL: it has no state. */
void vai__end_over(vai_g *g);
/* Pushes what was raised. */
void vai__end_push_reason(lua_State *L, vai_g *g);

/* ---- functions that know of it ---- */

int vai__corolib_resume(lua_State *L);
int vai__corolib_wrap(lua_State *L);
int vai__corolib_close(lua_State *L);
int vai__protect_pcall(lua_State *L);
int vai__protect_xpcall(lua_State *L);
int vai__protect_error(lua_State *L);
int vai__protect_assert(lua_State *L);
extern lua_CFunction vai__protect_stock_pcall, vai__protect_stock_xpcall;
extern lua_CFunction vai__protect_stock_error, vai__protect_stock_assert;
int vai__hook_sethook(lua_State *L);
int vai__hook_gethook(lua_State *L);

#endif
