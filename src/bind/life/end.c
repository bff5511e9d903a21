/* SPDX-License-Identifier: MIT */
/* How a goroutine is ended: an error is raised in it, at a Lua instruction (interrupt.c) or where it waits
 * (result.c), and raised again if it is caught.
 *
 * LIVE -- raised --> UNWINDING -- caught --> GRACE -- time is over --> UNWINDING ...
 *
 * UNWINDING: to-be-closed variables run, undisturbed: vai_g.end is 0 again, so that waits park. They have
 * CLEANUP_TIME, of which CLEANUP_CPU is processor time. After that, or when the goroutine is canceled once more, the
 * end is forced: vai_g.end stays set, and the error is raised at every instruction and wait.
 *
 * GRACE: pcall, xpcall or coroutine.resume has caught the error. What follows has GRACE_TIME in all, of processor
 * time or of waiting. Then the error is raised again, and from then on whatever catches it passes it on at once.
 * Raising the caught error again (`error(err)`) goes back to UNWINDING.
 *
 * Code that catches errors without our knowing (lua_pcall in C modules, `load`) stays in UNWINDING and is bounded by
 * that. In a finalizer Lua runs no hooks and reports errors as warnings: there the end is raised without a change of
 * phase, and comes again after the finalizer.
 *
 * A message handler that is called for an error raised in a hook runs without hooks, for as long as it likes. So if
 * the innermost protected call is an xpcall with a handler in Lua, the error is raised bare: as Lua's own "not
 * enough memory", which calls no handler. xpcall then puts the value in place and calls the handler itself.
 *
 * life->phase is the goroutine's own. The timer below sets vai_g.end from another thread, and is stopped before that
 * is set back. */
#include "base/clock.h"
#include "base/mem.h"
#include "bind/arg.h"
#include "bind/life/life.h"
#include "bind/life/spawn_opts.h"
#include "bind/report/trace.h"
#include "sync/task.h"
#include "transfer/codec.h"
#include "code/probe_lua.h"

#define GRACE_TIME INT64_C(20000000)
#define CLEANUP_TIME INT64_C(10000000000)
#define CLEANUP_CPU INT64_C(1000000000)
#define CLEANUP_CPU_SHORT INT64_C(100000000) /* for a goroutine that has used up its processor time */
#define RECHECK INT64_C(5000000)

enum { MAX_WALK = 1000 };

/* Times in ns. Read by the timer's function while the timer is pending. */
struct vai__cleanup {
	struct vai__timer timer;
	vai_g *g;
	bool in_grace;
	int64_t until, cpu_until;           /* when CLEANUP_TIME and CLEANUP_CPU are over */
	int64_t grace, grace_cpu;           /* what is left of GRACE_TIME: by the clock, and of processor time */
	int64_t grace_from, grace_cpu_from; /* when GRACE began */
};

static const char reason_key;
static const char no_memory[] = "not enough memory";

/* ---- time ---- */

/* The timer's function. In GRACE a goroutine that runs is bounded by its processor time. */
static int64_t time_is_over(struct vai__timer *t, int64_t now)
{
	struct vai__cleanup *c = VAI_CONTAINER(t, struct vai__cleanup, timer);
	if (c->in_grace && vai__g_state(c->g) != VAI_G_WAITING)
		return now + RECHECK;
	vai__g_end(c->g, (enum vai_end)vai__life(c->g)->why);
	return VAI_FOREVER;
}

/* Starts the timer. While it is pending, g->end is set only by it and by a caller that wants the end forced. */
static void set_timer(vai_g *g, struct vai__cleanup *c, int64_t when)
{
	if (c)
		vai__timer_start(g, &c->timer, when);
}

static struct vai__cleanup *new_cleanup(vai_g *g, enum vai_end why)
{
	struct vai__cleanup *c = vai__mem_zalloc(sizeof *c);
	vai__g_limit_cpu(g, why == VAI_END_CPU ? CLEANUP_CPU_SHORT : CLEANUP_CPU);
	if (!c)
		return NULL;
	c->timer.fn = time_is_over;
	c->g = g;
	c->until = vai__clock_now() + CLEANUP_TIME;
	c->cpu_until = atomic_load_relaxed(&g->cpu_limit);
	c->grace = c->grace_cpu = why == VAI_END_MEMORY ? 0 : GRACE_TIME;
	return c;
}

static void set_cpu_limit(vai_g *g, int64_t limit)
{
	atomic_store_relaxed(&g->cpu_limit, limit);
}

/* ---- phases ---- */

static bool is_canceled_again(const vai_g *g, const struct vai__life *life)
{
	return g->task && vai__task_cancels(g->task) > life->cancels;
}

static void force(vai_g *g, struct vai__life *life)
{
	life->forced = true;
	atomic_store(&g->end, (int)life->why);
}

/* Begins UNWINDING. A canceler first counts and then sets g->end; here the order is reversed, so that no cancel is
 * lost. */
static void enter_unwinding(vai_g *g, struct vai__life *life)
{
	life->phase = VAI_PHASE_UNWINDING;
	atomic_store(&g->end, VAI_END_NO);
	if (is_canceled_again(g, life))
		force(g, life);
	else
		set_timer(g, life->cleanup, life->cleanup ? life->cleanup->until : 0);
}

static void begin(vai_g *g, struct vai__life *life)
{
	life->why = (uint8_t)atomic_load(&g->end);
	life->cancels = g->task ? vai__task_cancels(g->task) : 0;
	life->cleanup = new_cleanup(g, (enum vai_end)life->why);
	enter_unwinding(g, life);
}

static void stop_timer(struct vai__life *life)
{
	if (life->cleanup)
		vai__timer_stop(&life->cleanup->timer);
}

static void leave_grace(vai_g *g, struct vai__life *life)
{
	struct vai__cleanup *c = life->cleanup;
	stop_timer(life);
	c->in_grace = false;
	c->grace -= vai__clock_now() - c->grace_from;
	c->grace_cpu -= vai__g_cpu(g) - c->grace_cpu_from;
	set_cpu_limit(g, c->cpu_until);
	enter_unwinding(g, life);
}

/* Begins GRACE. False: none of its time is left. */
static bool enter_grace(vai_g *g, struct vai__life *life)
{
	struct vai__cleanup *c = life->cleanup;
	if (life->forced || !c || c->grace_cpu <= 0)
		return false;
	stop_timer(life);
	life->phase = VAI_PHASE_GRACE;
	c->in_grace = true;
	c->grace_from = vai__clock_now();
	c->grace_cpu_from = vai__g_cpu(g);
	int64_t cpu = c->grace_cpu_from + c->grace_cpu;
	set_cpu_limit(g, cpu < c->cpu_until ? cpu : c->cpu_until);
	set_timer(g, c, c->grace_from + c->grace);
	return true;
}

void vai__end_over(vai_g *g)
{
	struct vai__life *life = vai__life(g);
	life->phase = VAI_PHASE_OVER;
	if (VAI_LIKELY(!life->why))
		return;
	stop_timer(life);
	if (life->cleanup)
		vai__mem_free(life->cleanup, sizeof *life->cleanup);
	life->cleanup = NULL;
	atomic_store(&g->end, (int)life->why); /* makes waits of finalizers fail */
}

/* ---- the error ---- */

const char vai__end_closed_text[] = "the Lua state closes to which this goroutine belongs";

const char *vai__end_cpu_text(const vai_g *g)
{
	return vai__preempt_cpu_exceeded(vai__g_home(g)) ? "cpu time of the sandbox exceeded" : "cpu time exceeded";
}

void vai__end_push_reason(lua_State *L, vai_g *g)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &reason_key) != LUA_TNIL)
		return;
	lua_pop(L, 1);
	switch (vai__life(g)->why) {
	case VAI_END_CPU: lua_pushstring(L, vai__end_cpu_text(g)); break;
	case VAI_END_MEMORY: lua_pushlstring(L, no_memory, sizeof no_memory - 1); break;
	case VAI_END_CLOSED: lua_pushstring(L, vai__end_closed_text); break;
	default: vai__decode(L, vai__bind_vm(g), vai__task_reason(g->task)); break;
	}
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &reason_key);
}

static bool has_lua_handler(lua_State *L, lua_Debug *xpcall)
{
	bool has = lua_getlocal(L, xpcall, 2) && !lua_iscfunction(L, -1);
	lua_pop(L, 1);
	return has;
}

/* Finds what will catch an error that is raised here: the innermost pcall or xpcall of L, or nothing in L. True: its
 * message handler is a Lua function. The first level is the function that raises. */
static bool find_catcher(lua_State *L, struct vai__life *life)
{
	lua_Debug ar;
	int levels = vai__trace_levels(L);
	life->catcher = L;
	for (int level = 1; level < levels && level < MAX_WALK; level++) {
		lua_getstack(L, level, &ar);
		lua_getinfo(L, "f", &ar);
		lua_CFunction f = lua_tocfunction(L, -1);
		lua_pop(L, 1);
		if (f == vai__protect_pcall || f == vai__protect_xpcall) {
			life->depth = levels - level;
			return f == vai__protect_xpcall && has_lua_handler(L, &ar);
		}
	}
	life->depth = levels > MAX_WALK ? levels - MAX_WALK : 0;
	return levels > MAX_WALK;
}

static _Noreturn void throw_reason(lua_State *L, vai_g *g)
{
	struct vai__life *life = vai__life(g);
	luaL_checkstack(L, 8, NULL);
	vai__end_push_reason(L, g);
	life->bare = find_catcher(L, life);
	if (life->forced)
		vai__interrupt_g(g); /* interrupts at the next instruction, if one comes before the error is caught */
	if (life->bare)
		lua_pushlstring(L, no_memory, sizeof no_memory - 1);
	lua_error(L);
	__builtin_unreachable();
}

/* Whether a finalizer runs. Since Lua 5.4.4 the collector tells that; before, it seems to be stopped then. */
static bool in_finalizer(lua_State *L)
{
	int running = lua_gc(L, LUA_GCISRUNNING);
	return running < 0 || (running == 0 && !vai__probe_gc_tells());
}

/* Raises the end after the goroutine's function has returned: in metamethods of its error, and in finalizers.
 * Metamethods are left for good, by an error at every instruction. */
static _Noreturn void raise_late(lua_State *L, vai_g *g, struct vai__life *life)
{
	if (!in_finalizer(L)) {
		bool bare = find_catcher(L, life);
		vai__interrupt_g(g);
		if (bare) {
			lua_pushlstring(L, no_memory, sizeof no_memory - 1);
			lua_error(L);
		}
	}
	luaL_error(L, atomic_load_relaxed(&g->end) == VAI_END_CPU ? vai__end_cpu_text(g) : "canceled");
	__builtin_unreachable();
}

void vai__end_raise(lua_State *L, vai_g *g)
{
	struct vai__life *life = vai__life(g);
	if (life && life->phase == VAI_PHASE_OVER)
		raise_late(L, g, life);
	bool can = life && (g->task || atomic_load_relaxed(&g->end) == VAI_END_CLOSED);
	if (!can || in_finalizer(L)) {
		luaL_error(L, "canceled");
		__builtin_unreachable();
	}
	switch (life->phase) {
	case VAI_PHASE_LIVE: begin(g, life); break;
	case VAI_PHASE_GRACE:
		leave_grace(g, life);
		life->cleanup->grace_cpu = 0;
		break;
	default: force(g, life);
	}
	throw_reason(L, g);
}

/* ---- catching it ---- */

/* Called when the error of the bound on memory was caught, which may happen once: the code that handles it gets some
 * more memory, but not a second time. */
static void caught_short(lua_State *L, vai_g *g, struct vai__life *life)
{
	struct vai_vm *vm = vai__bind_vm(g);
	if (!vai__memory_is_limited(vm))
		return;
	if (!life->short_once) {
		life->short_once = true;
		vai__memory_limit_widen(vm);
		return;
	}
	atomic_store(&g->end, VAI_END_MEMORY);
	begin(g, life);
	throw_reason(L, g);
}

/* Whether the error that was caught is the end, and not another one that a to-be-closed variable deals with. co: the
 * coroutine that has failed; NULL: a protected call of L has. */
static bool is_the_end(lua_State *L, lua_State *co, const struct vai__life *life)
{
	if (life->phase != VAI_PHASE_UNWINDING)
		return false;
	return co ? co == life->catcher : L == life->catcher && vai__trace_levels(L) <= life->depth;
}

static struct vai__life *own_life(vai_g **g)
{
	*g = vai__g_self();
	return *g && (*g)->vm ? vai__life(*g) : NULL;
}

bool vai__end_caught(lua_State *L, lua_State *co, int status)
{
	vai_g *g;
	struct vai__life *life = own_life(&g);
	if (!life)
		return false;
	if (VAI_LIKELY(!is_the_end(L, co, life))) {
		if (VAI_UNLIKELY(status == LUA_ERRMEM && life->phase == VAI_PHASE_LIVE))
			caught_short(L, g, life);
		return false;
	}
	bool bare = life->bare;
	life->bare = false;
	if (!enter_grace(g, life))
		throw_reason(L, g);
	if (bare) {
		lua_pop(L, 1);
		vai__end_push_reason(L, g);
	}
	return bare;
}

void vai__end_pass(lua_State *L, lua_State *co)
{
	vai_g *g;
	struct vai__life *life = own_life(&g);
	if (life && is_the_end(L, co, life))
		throw_reason(L, g);
}

void vai__end_rethrow(lua_State *L, int idx)
{
	vai_g *g;
	struct vai__life *life = own_life(&g);
	if (VAI_LIKELY(!life || life->phase != VAI_PHASE_GRACE))
		return;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &reason_key);
	bool same = lua_rawequal(L, -1, idx);
	lua_pop(L, 1);
	if (!same)
		return;
	leave_grace(g, life);
	find_catcher(L, life);
}

void vai__end_wait_on(
	vai_g *g, int (*wait)(vai_g *g, void *what, int64_t until), void (*again)(void *what), void *what, int64_t most)
{
	const int64_t until = vai__clock_now() + most;
	int end = vai__g_hold_end(g);
	while (wait(g, what, until) == VAI_ECANCELED) {
		again(what);
		vai__g_hold_end(g);
	}
	vai__g_restore_end(g, end);
}
