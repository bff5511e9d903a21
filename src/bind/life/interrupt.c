/* SPDX-License-Identifier: MIT */
/* How a Lua state is interrupted: the signal handler, on the thread that runs the state, sets a count hook of one
 * instruction (lua_sethook may be called there). The hook removes itself, and yields or raises the end of its
 * goroutine.
 *
 * States with a hook of debug.sethook's, and all states with VAI_PREEMPT=count, have one of our hooks all the time,
 * which finds out every VAI__HOOK_TICK instructions whether an interruption was asked for. If a C module has set a
 * hook, ours replaces it until ours has run, and forwards other events to it; the module's count begins anew after
 * that.
 *
 * vai_g.running always is a state that is alive, since the handler uses it at any time. Hooks of the running state
 * are changed with life->hold set, so that the handler does not change them at the same time. */
#include "bind/arg.h"
#include "bind/life/hook.h"
#include "bind/life/life.h"
#include "bind/main_state.h"
#include "bind/report/deadlock.h"
#include "sched/replay.h"

void vai__hook_set(lua_State *L, lua_Hook f, int mask, int count)
{
	vai_g *g = vai__g_self();
	struct vai__life *life = g ? vai__life(g) : NULL;
	if (!life) {
		lua_sethook(L, f, mask, count);
		return;
	}
	life->hold = 1;
	atomic_signal_fence(memory_order_seq_cst);
	lua_sethook(L, f, mask, count);
	if (life->lent.L == L)
		life->lent.L = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	life->hold = 0;
	atomic_signal_fence(memory_order_seq_cst);
	if (life->missed) {
		life->missed = 0;
		vai__interrupt_g(g);
	}
}

int vai__hook_points(void)
{
	const vai_g *g = vai__g_self();
	return g && vai__replay_number(g) ? LUA_MASKCALL : 0;
}

void vai__hook_prepare(lua_State *L)
{
	if (VAI_UNLIKELY(atomic_load_relaxed(&vai__preempt_counts)) && !lua_gethook(L))
		vai__hook_set(L, vai__hook_tick, LUA_MASKCOUNT | vai__hook_points(), VAI__HOOK_TICK);
}

void vai__interrupt_yield(vai_g *g)
{
	vai__life(g)->yielded = true;
	vai__interrupt_g(g);
}

/* Yields, or raises the end. Called in the goroutine's own hook. */
static void yield_or_end(lua_State *L, vai_g *g)
{
	struct vai__life *life = vai__life(g);
	if (VAI_UNLIKELY(life->yielded)) {
		life->yielded = false;
		luaL_error(L, "attempt to yield from outside a coroutine");
	}
	if (vai__sched_interrupted(g))
		vai__interrupt_main(L);
	if (!vai__end_due(g)) {
		vai__note_stack(g, L);
		vai__yield_late(g);
	}
	if (vai__end_due(g))
		vai__end_raise(L, g);
}

/* The goroutine that runs L, if it can be interrupted. */
static vai_g *owner(void)
{
	vai_g *g = vai__g_self();
	return g && g->vm && vai__life(g) && atomic_load_relaxed(&g->running) ? g : NULL;
}

/* ---- armed by the signal handler ---- */

static void on_count(lua_State *L, lua_Debug *ar)
{
	vai_g *g = vai__g_self();
	struct vai__life *life = g ? vai__life(g) : NULL;
	lua_Hook hook = NULL;
	int mask = 0, count = 0;
	if (life && life->lent.L == L) {
		hook = life->lent.hook;
		mask = life->lent.mask;
		count = life->lent.count;
	}
	if (ar->event != LUA_HOOKCOUNT) {
		if (hook)
			hook(L, ar);
		return;
	}
	vai__hook_set(L, hook, mask, count);
	if (life)
		life->asked = 0;
	if (g)
		vai__g_answered(g);
	g = owner();
	if (g)
		yield_or_end(L, g);
}

static bool must_look_always(const struct vai__life *life)
{
	return life->forced || life->phase == VAI_PHASE_OVER;
}

bool vai__hook_looks_always(void)
{
	const vai_g *g = vai__g_self();
	const struct vai__life *life = g ? vai__life(g) : NULL;
	return life && must_look_always(life);
}

static void arm(lua_State *L, vai_g *g, struct vai__life *life)
{
	lua_Hook hook = lua_gethook(L);
	life->asked = 1;
	if (hook == vai__hook_tick) {
		/* A hook that has to run at every instruction has a count of 1, as one with a larger count might come to the
		 * same place each time. It also has a count of 1 if an end is due, so that the goroutine does not run on. */
		if (must_look_always(life) || vai__end_due(g) || life->yielded)
			lua_sethook(L, hook, lua_gethookmask(L) | LUA_MASKCOUNT, 1);
		return;
	}
	if (!hook) {
		if (life->lent.L == L)
			life->lent.L = NULL;
		lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
	} else if (hook != on_count && (!life->lent.L || life->lent.L == L)) {
		life->lent.L = L;
		life->lent.hook = hook;
		life->lent.mask = lua_gethookmask(L);
		life->lent.count = lua_gethookcount(L);
		lua_sethook(L, on_count, life->lent.mask | LUA_MASKCOUNT, 1);
	}
}

void vai__interrupt_g(vai_g *g)
{
	lua_State *L = atomic_load_relaxed(&g->running);
	struct vai__life *life = vai__life(g);
	if (!L || !life)
		return;
	if (life->hold) {
		life->missed = 1;
		return;
	}
	life->hold = 1; /* the goroutine itself may be the caller, and the handler may interrupt it here */
	atomic_signal_fence(memory_order_seq_cst);
	arm(L, g, life);
	atomic_signal_fence(memory_order_seq_cst);
	life->hold = 0;
}

/* ---- hooks that are there all the time ---- */

/* A point of a seeded run, at which the plan may give the turn to another goroutine. */
static void come_to_point(lua_State *L, vai_g *g, bool slice)
{
	vai__note_stack(g, L);
	vai__replay_point(g, slice);
	if (VAI_UNLIKELY(vai__replay_gives_up(g)))
		vai__report_deadlock(L);
	if (vai__end_due(g))
		vai__end_raise(L, g);
}

lua_CFunction vai__hook_select;

void vai__hook_event(lua_State *L, lua_Debug *ar)
{
	vai_g *g = owner();
	if (!g || vai__replay_number(g) == 0)
		return;
	/* A seeded run raises the end here, at the same place each time, and not where a signal comes. */
	if (vai__end_due(g))
		vai__end_raise(L, g);
	if (ar->event == LUA_HOOKCOUNT) {
		come_to_point(L, g, true);
		return;
	}
	if (ar->event != LUA_HOOKCALL && ar->event != LUA_HOOKTAILCALL)
		return;
	lua_getinfo(L, "f", ar);
	lua_CFunction f = lua_tocfunction(L, -1);
	lua_pop(L, 1);
	if (f && (f == vai__hook_select || vai__handle_any(L, 1)))
		come_to_point(L, g, false);
}

void vai__hook_look(lua_State *L)
{
	vai_g *g = owner();
	if (!g)
		return;
	struct vai__life *life = vai__life(g);
	bool asked = life->asked;
	life->asked = 0;
	if (atomic_load_relaxed(&vai__preempt_counts) && vai__g_asked(g))
		asked = true;
	if (asked)
		vai__g_answered(g);
	if (asked)
		yield_or_end(L, g);
}

bool vai__hook_lent(lua_State *L, lua_Hook *hook, int *mask, int *count)
{
	const vai_g *g = vai__g_self();
	const struct vai__life *life = g ? vai__life(g) : NULL;
	*hook = lua_gethook(L);
	*mask = lua_gethookmask(L);
	*count = lua_gethookcount(L);
	if (*hook != on_count)
		return false;
	bool lent = life && life->lent.L == L;
	*hook = lent ? life->lent.hook : NULL;
	*mask = lent ? life->lent.mask : 0;
	*count = lent ? life->lent.count : 0;
	return true;
}

/* ---- Ctrl-C ---- */

const void *vai__interrupt_hook(void)
{
	lua_State *L = vai__main_first_L();
	return L ? (const void *)(uintptr_t)lua_gethook(L) : NULL;
}

/* Calls the hook of main's state, as Lua would do at main's next instruction; that of the `lua` program raises
 * "interrupted!". The caller is main. If main is in a coroutine, the hook raises there, and it is taken away so that
 * it does not raise once more in main. */
void vai__interrupt_main(lua_State *L)
{
	const struct vai__main *of = vai__main_of(vai__g_self());
	lua_State *main = of ? atomic_load_relaxed(&of->L) : NULL;
	lua_Hook hook = main ? lua_gethook(main) : NULL;
	lua_Debug ar = {0};
	if (main)
		vai__hook_set(main, NULL, 0, 0);
	if (main)
		vai__hook_prepare(main);
	if (hook && hook != on_count && hook != vai__hook_tick && lua_getstack(L, 0, &ar)) {
		ar.event = LUA_HOOKCOUNT;
		ar.currentline = -1;
		hook(L, &ar);
	}
	luaL_error(L, "interrupted!");
	__builtin_unreachable();
}
