/* SPDX-License-Identifier: MIT */
/* The life of the host's states: vai__host_open begins that of one, and with the first the runtime. A sentinel in the
 * state's registry ends it when the state closes, and with the last state the runtime. */
#include "bind/host/host.h"
#include <lauxlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/fork.h"
#include "base/memory_budget.h"
#include "bind/arg.h"
#include "bind/host/wishes.h"
#include "bind/life/life.h"
#include "bind/life/watch_lost_writes.h"
#include "bind/main_state.h"
#include "bind/report/leaks.h"
#include "bind/report/panic.h"
#include "capi/capi.h"
#include "code/probe_lua.h"
#include "proc/signal.h"
#include "proc/tty.h"
#include "require/paths.h"
#include "runtime/prepare.h"
#include "runtime/setup.h"
#include "runtime/start.h"
#include "runtime/vm.h"
#include "transfer/names.h"

/* How long a machine gets to leave its goroutine when the runtime ends. */
#define GRACE_NS INT64_C(20000000)
/* The same if the next runtime is about to begin. */
#define RESTART_GRACE_NS INT64_C(2000000000)

enum { C_LEVEL = 3072 }; /* bytes of stack for each nested C call: what the deepest functions of the libraries take */

/* Under the gate of sched/home.c. */
static struct {
	bool has_begun;  /* what the states share has been made (runtime/start.c) */
	bool unfinished; /* the last runtime has left machines behind */
} host;

/* In the registry of a state that has opened vai; its finalizer ends the state for vai. */
struct sentinel {
	struct vai__main *main; /* NULL: opening has failed */
	uint64_t id;            /* of main's home */
};
static const char sentinel_key;

lua_State *vai__host_main_thread(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
	lua_State *main = lua_tothread(L, -1);
	lua_pop(L, 1);
	return main;
}

/* The record of the state to which s belongs, while it is open; otherwise NULL. */
static struct vai__main *open_main(const struct sentinel *s)
{
	struct vai__main *main = s ? s->main : NULL;
	return main && main->sentinel == s && atomic_load(&main->home->id) == s->id && atomic_load(&main->L) ? main : NULL;
}

struct vai__main *vai__host_of(lua_State *L)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, &sentinel_key);
	struct vai__main *main = open_main(lua_touserdata(L, -1));
	lua_pop(L, 1);
	return main;
}

static void end_shared(void)
{
	if (host.has_begun)
		vai__runtime_stop();
	host.has_begun = false;
	vai__memory_budget_end();
}

/* Frees what the states share, once no machine can use it any more; otherwise the next start of a runtime tries
 * again. */
static bool finish_stop(int64_t grace)
{
	if (!host.unfinished)
		return true;
	if (!vai__sched_stop(grace))
		return false;
	end_shared();
	host.unfinished = false;
	return true;
}

/* Whether the program was called as `lua5.4 -W script`, for a Lua in which the state cannot tell whether warnings are
 * on. May raise. */
static bool was_called_with_warnings(lua_State *L)
{
	bool on = false;
	int top = lua_gettop(L);
	if (lua_getglobal(L, "arg") == LUA_TTABLE)
		for (int i = -1; !on && i > -32 && lua_rawgeti(L, top + 1, i) == LUA_TSTRING; i--)
			on = strcmp(lua_tostring(L, -1), "-W") == 0;
	lua_settop(L, top);
	return on;
}

/* Makes what all states share, unless it is there. */
static int begin_shared(lua_State *L)
{
	if (host.has_begun && !vai__sched_running())
		end_shared(); /* the host's C code has ended the runtime in between */
	if (host.has_begun)
		return VAI_OK;
	int rc = vai__runtime_start(L);
	if (rc != VAI_OK)
		return rc;
	vai__watch_start();
	vai__leaks_start();
	host.has_begun = true;
	return VAI_OK;
}

/* Begins the calling thread's home, unless the host has called vai_start here. NULL: *rc says why. */
static struct vai__home *open_home(int *rc, const char **call)
{
	struct vai__sched_opts opts = {.least_stack = (size_t)vai__probe_c_levels() * C_LEVEL};
	vai_g *g = vai__g_self();
	*rc = VAI_OK;
	if (g)
		return vai__g_home(g);
	if (!vai__sched_running())
		*rc = vai__sched_start(&opts);
	else
		return vai__home_open(call);
	return *rc == VAI_OK ? vai__g_home(vai__g_main()) : NULL;
}

/* Ends what open_home has begun. */
static void undo_home(struct vai__home *home, bool begun)
{
	if (!begun)
		return;
	if (vai__home_count() > 1)
		vai__home_close(home);
	else
		vai__sched_stop(VAI_FOREVER);
}

static int attach(lua_State *L, struct vai__home *home, bool warns)
{
	struct vai__main *main = vai__main_open(home);
	lua_State *thread = vai__host_main_thread(L);
	struct vai_vm *vm = main ? vai__vm_attach(thread) : NULL;
	if (!vm)
		return VAI_ENOMEM;
	vai_g *g = home->main;
	if (vai__paths_start(L) != VAI_OK) {
		vai__vm_detach(vm);
		return VAI_ENOMEM;
	}
	vai__report_start(main);
	vai__main_set_vm(main, vm);
	vai__prepare_warn(warns || vai__probe_warns(thread));
	g->vm = vm;
	main->life = (struct vai__life){0};
	g->life = &main->life;
	vai__hook_prepare(thread);
	if (vai__leaks_on && !lua_gethook(thread))
		vai__hook_set(thread, vai__leaks_at_return, LUA_MASKRET, 0);
	atomic_store_relaxed(&g->running, thread);
	atomic_fetch_add(&vai__main_count, 1);
	return VAI_OK;
}

/* Ends the state for vai. */
static void detach(struct vai__main *main)
{
	vai_g *g = main->home->main;
	struct vai_vm *vm = main->vm;
	atomic_store_relaxed(&g->running, NULL);
	atomic_store(&main->home->id, 0); /* handles in the state are not valid any more */
	vai__names_uninstall(main->home);
	vai__main_set_vm(main, NULL);
	vai__vm_detach(vm);
	g->vm = NULL;
	atomic_store_relaxed(&main->panic_thread, NULL);
	vai__paths_drop(main->home);
	atomic_fetch_sub(&vai__main_count, 1);
}

/* Starts the runtime and attaches the state. VAI_OK; after an error nothing has changed. Must not raise, as the gate is
 * held. */
static int start(lua_State *L, struct sentinel *s, bool warns, const char **call)
{
	int rc = VAI_OK;
	const vai_g *g = vai__g_self();
	if (!finish_stop(RESTART_GRACE_NS))
		return VAI_EAGAIN;
	rc = begin_shared(L);
	if (rc != VAI_OK) {
		vai__paths_drop(vai__home_self());
		return rc;
	}
	struct vai__home *home = open_home(&rc, call);
	if (!home)
		rc = rc == VAI_OK ? VAI_ESYS : rc;
	else if ((rc = attach(L, home, warns)) == VAI_OK && (rc = vai__wishes_grant(L, home)) != VAI_OK)
		detach(home->bind);
	if (home && rc == VAI_OK) {
		home->bind->sentinel = s;
		s->main = home->bind;
		s->id = atomic_load(&home->id);
		return VAI_OK;
	}
	if (home) {
		vai__paths_drop(home);
		undo_home(home, !g);
	}
	if (atomic_load(&vai__main_count) == 0)
		end_shared();
	return rc;
}

/* Frees what the host has set for the state. */
static void drop_wishes(struct vai__home *home)
{
	vai__memory_budget_close(home->budget);
	home->budget = NULL;
	vai__setup_close(home);
}

/* Ends the goroutines of a state that is not the last one, and enters the gate. True: all have ended. False: the state
 * is the last one by now, or some goroutines stay in C calls. */
static bool end_goroutines(struct vai__home *home, bool exits)
{
	vai_g *g = vai__g_self();
	bool all = false;
	for (bool ended = exits;;) {
		if (!ended && vai__home_count() > 1) {
			all = vai__home_end(home, g == home->main ? g : NULL, GRACE_NS);
			ended = true;
		}
		vai__home_gate(true);
		if (ended || vai__home_count() == 1)
			return all;
		vai__home_gate(false);
	}
}

void vai__host_stop(lua_State *L, bool exits)
{
	struct vai__main *main = vai__forked ? NULL : vai__host_of(L);
	if (!main)
		return;
	struct vai__home *home = main->home;
	vai__serial_end(home->main); /* panic handlers are goroutines, too, and have to run */
	if (vai__home_count() == 1)
		vai__report_flush(L, main);
	bool ended = end_goroutines(home, exits);
	vai__report_flush(L, main);
	if (atomic_load(&vai__main_count) == 1) {
		vai__signal_reset(0);
		vai__tty_restore();
	}
	detach(main);
	if (exits) {
		host.unfinished = true;
		vai__sched_halt(GRACE_NS);
	} else if (vai__home_count() > 1) {
		if (ended)
			drop_wishes(home); /* otherwise goroutines may still read them: they stay until the runtime ends */
		vai__home_close(home);
	} else {
		host.unfinished = true;
		finish_stop(GRACE_NS);
	}
	vai__home_gate(false);
}

/* For vai_stop, called by that main goroutine. False: it has no state. */
static bool stop_state(vai_g *g)
{
	struct vai__main *main = vai__main_of(g);
	lua_State *L = main ? atomic_load(&main->L) : NULL;
	if (L)
		vai__host_stop(L, false);
	return L != NULL;
}

/* Runs in lua_close: on main's thread, or on another to which the host has passed the state. */
static int sentinel_gc(lua_State *L)
{
	const vai_g *g = vai__g_self();
	const struct vai__main *main = open_main(lua_touserdata(L, 1));
	if (main && main->vm->L == vai__host_main_thread(L) && (!g || vai__g_is_main(g)))
		vai__host_stop(L, false);
	return 0;
}

static struct sentinel *plant_sentinel(lua_State *L)
{
	struct sentinel *s = lua_newuserdatauv(L, sizeof *s, 1);
	*s = (struct sentinel){NULL, 0};
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, sentinel_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &sentinel_key);
	return s;
}

static const char *why_not(int rc)
{
	switch (rc) {
	case VAI_ENOMEM: return "not enough memory";
	case VAI_ERANGE: return "the sandbox does not know the libraries of this Lua";
	case VAI_EAGAIN: return "a goroutine of the runtime before still runs";
	case VAI_EINVAL: return vai__setup_error();
	default: return vai__sched_refusal();
	}
}

static const char *cannot_open(lua_State *L)
{
	const vai_g *g = vai__g_self();
	if (vai__host_of(L))
		return "the Lua state is in use by another thread";
	return g && (g->vm || !vai__g_is_main(g)) ? "this thread has another Lua state that has opened vai" : NULL;
}

int vai__host_open(lua_State *L, const char **why)
{
	const vai_g *g = vai__g_self();
	const char *call = NULL;
	if (vai__forked || (g && g->vm && ((struct vai_vm *)g->vm)->L == vai__host_main_thread(L)))
		return VAI_EAGAIN;
	*why = cannot_open(L);
	if (*why)
		return VAI_EINVAL;
	struct sentinel *s = plant_sentinel(L);
	bool warns = was_called_with_warnings(L);
	vai__home_gate(true);
	if (!vai__capi_detach)
		vai__capi_detach = stop_state;
	int rc = start(L, s, warns, &call);
	vai__home_gate(false);
	if (rc != VAI_OK)
		*why = why_not(rc);
	return rc == VAI_OK ? VAI_OK : VAI_EINVAL;
}
