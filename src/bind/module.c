/* SPDX-License-Identifier: MIT */
/* The module's table and the life of the runtime: luaopen_vai in the host's state begins it, a
 * sentinel in that state's registry ends it when the state closes.
 *
 * One host state at a time in a process. Goroutines get the module as an empty table that
 * fills itself by need: every parked one would pay for a full one. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vai_lua.h"
#include <dlfcn.h>
#include <string.h>
#include "base/atomic.h"
#include "base/fork.h"
#include "base/fatal.h"
#include "bind/bind.h"
#include "bind/report/dump.h"
#include "bind/report/held.h"
#include "bind/host.h"
#include "bind/life/life.h"
#include "sync/waitq.h"

#define VERSION "vai 0.1.0"

/* Nanoseconds that a machine gets to leave its goroutine when the runtime ends. */
#define GRACE INT64_C(20000000)
/* The same when the next runtime is to begin. */
#define PATIENCE INT64_C(2000000000)

static const luaL_Reg functions[] = {
	{"go", vai__lib_go},
	{"async", vai__lib_async},
	{"spawn", vai__lib_spawn},
	{"chan", vai__lib_chan},
	{"select", vai__lib_select},
	{"waitgroup", vai__lib_waitgroup},
	{"mutex", vai__lib_mutex},
	{"yield", vai__lib_yield},
	{"sleep", vai__lib_sleep},
	{"now", vai__lib_now},
	{"after", vai__lib_after},
	{"timer", vai__lib_timer},
	{"ticker", vai__lib_ticker},
	{"id", vai__lib_id},
	{"count", vai__lib_count},
	{"maxprocs", vai__lib_maxprocs},
	{"numcpu", vai__lib_numcpu},
	{"lock_thread", vai__lib_lock_thread},
	{"unlock_thread", vai__lib_unlock_thread},
	{"on_panic", vai__lib_on_panic},
	{"stats", vai__lib_stats},
	{"dump", vai__lib_dump},
	{NULL, NULL},
};

/* In goroutines: fills itself by need. */
static int open_lazy(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	if (!vm)
		return luaL_error(L, "vai is in use by another Lua state of this process");
	vai__lazy_module(L, vm, functions);
	lua_pushliteral(L, VERSION);
	lua_setfield(L, -2, "_VERSION");
	return 1;
}

/* ---- the host ---- */

enum phase { CLOSED, CHANGING, OPEN };

static struct {
	_Atomic enum phase phase;
	lua_State *L; /* main thread of the host's state */
	struct vai_vm *vm;
	_Atomic(lua_State *) panic_thread; /* goroutines read it while the runtime ends, too */
	const void *sentinel;              /* of the state's, if vai was tried several times */
	struct vai__life life;             /* main's */
	bool unfinished;                   /* the last runtime left machines behind */
} host;

static const char sentinel_key, module_key;

struct vai_vm *vai__host_vm(void)
{
	return host.vm;
}

lua_State *vai__host_panic_thread(void)
{
	return atomic_load_relaxed(&host.panic_thread);
}

void vai__host_set_panic_thread(lua_State *L)
{
	atomic_store_relaxed(&host.panic_thread, L);
}

static lua_State *main_thread(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
	lua_State *main = lua_tothread(L, -1);
	lua_pop(L, 1);
	return main;
}

/* Threads of the runtime may be left in blocking calls: the code must stay. */
static void pin_library(void)
{
	Dl_info info;
	if (dladdr((void *)(uintptr_t)luaopen_vai, &info) && info.dli_fname)
		dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

/* A goroutine that the end of the runtime has caught: nothing of its state runs any more but
 * its to-be-closed variables and finalizers, which find no goroutine and so nothing of vai's
 * that they could wait for. */
static void abandon(vai_g *g)
{
	struct vai_vm *vm = g->vm;
	struct vai_obj *task = g->task;
	struct vai_obj *held = g->held;
	g->vm = g->task = g->held = NULL;
	if (vm && g != vai__report_runner()) /* whose state is the host's */
		vai__state_abandon(vm);
	if (held)
		vai__obj_unref(held);
	if (task)
		vai__obj_unref(task);
}

static void forked(void)
{
	vai__sched_forked();
	vai__exit_forked();
}

static void register_once(void)
{
	static bool done;
	if (done)
		return;
	done = true;
	pin_library();
	vai__state_preload("vai", open_lazy);
	vai__handle_register(&vai__lib_chan_type);
	vai__handle_register(&vai__lib_task_type);
	vai__handle_register(&vai__lib_waitgroup_type);
	vai__handle_register(&vai__lib_timer_type);
	vai__handle_register(&vai__lib_ticker_type);
	vai__handle_register(&vai__lib_guard_type);
	vai__handle_register(&vai__lib_mutex_type);
	vai__held_install();
	vai__base_register();
	vai__fork_watch(vai__sched_alive, forked);
	vai__sched_hooks.unwait = vai__waitq_unwait;
	vai__sched_hooks.abandon = abandon;
	vai__sched_hooks.interrupt = vai__interrupt_g;
	vai__sched_hooks.deadlock = vai__deadlock_note;
	vai__sched_hooks.quit = vai__dump_quit;
	vai__fatal_hook = vai__dump_fatal;
}

/* What the states share goes when no machine can use it any more; else the next start of a
 * runtime tries again. */
static bool finish_stop(int64_t grace)
{
	if (!host.unfinished)
		return true;
	if (!vai__sched_stop(grace))
		return false;
	vai__state_stop();
	host.unfinished = false;
	return true;
}

/* VAI_OK with the runtime running and the state attached, or nothing changed. */
static int start(lua_State *L)
{
	struct vai__sched_opts opts = {0, 0};
	if (!finish_stop(PATIENCE))
		return VAI_EAGAIN;
	int rc = vai__state_start(L);
	if (rc != VAI_OK)
		return rc;
	vai__report_start();
	host.L = main_thread(L);
	host.vm = vai__state_attach(host.L);
	rc = host.vm ? vai__sched_start(&opts) : VAI_ENOMEM;
	if (rc == VAI_OK) {
		vai__g_main()->vm = host.vm;
		host.life = (struct vai__life){0};
		vai__g_main()->life = &host.life;
		vai__hook_counting = vai__preempt_mode() == VAI_PREEMPT_COUNT;
		vai__hook_prepare(host.L);
		atomic_store_relaxed(&vai__g_main()->running, host.L);
		return VAI_OK;
	}
	if (host.vm)
		vai__state_detach(host.vm);
	host.vm = NULL;
	vai__state_stop();
	return rc;
}

void vai__host_stop(lua_State *L, bool exits)
{
	enum phase open = OPEN;
	if (vai__forked || !atomic_compare_exchange_strong(&host.phase, &open, CHANGING))
		return;
	vai__report_flush(L);
	atomic_store_relaxed(&vai__g_main()->running, NULL);
	vai__state_detach(host.vm);
	vai__g_main()->vm = NULL;
	host.vm = NULL;
	vai__host_set_panic_thread(NULL);
	host.L = NULL;
	host.unfinished = true;
	if (exits)
		vai__sched_halt(GRACE);
	else
		finish_stop(GRACE);
	atomic_store(&host.phase, CLOSED);
}

/* In lua_close: by main's thread, or by another to which the host has passed its state. */
static int sentinel_gc(lua_State *L)
{
	vai_g *g = vai__g_self();
	if (host.sentinel == lua_touserdata(L, 1) && host.L == main_thread(L) && (!g || g == vai__g_main()))
		vai__host_stop(L, false);
	return 0;
}

static void plant_sentinel(lua_State *L)
{
	host.sentinel = lua_newuserdatauv(L, 1, 0);
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, sentinel_gc);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &sentinel_key);
}

/* Protected: what raises here ends the runtime again. */
static int open_host(lua_State *L)
{
	vai__base_install(L);
	vai__limits_host(L);
	luaL_newlib(L, functions);
	lua_pushliteral(L, VERSION);
	lua_setfield(L, -2, "_VERSION");
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
	return 1;
}

static const char *why(int rc)
{
	switch (rc) {
	case VAI_ENOMEM: return "not enough memory";
	case VAI_EAGAIN: return "a goroutine of the runtime before still runs";
	default: return "the system refused a thread, a file or memory";
	}
}

/* The second and later calls in the same state, or in a goroutine's. */
static int open_again(lua_State *L)
{
	vai_g *g = vai__g_self();
	if (vai__forked)
		vai__arg_no_goroutine(L);
	if (g && g->vm && vai__bind_vm(g)->L == main_thread(L) && !vai__bind_vm(g)->is_host)
		return open_lazy(L);
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) == LUA_TTABLE && host.L == main_thread(L))
		return 1;
	return luaL_error(L, "vai is in use by another Lua state of this process");
}

int luaopen_vai(lua_State *L)
{
	enum phase closed = CLOSED;
	luaL_checkversion(L);
	lua_settop(L, 0);
	luaL_checkstack(L, 10, NULL);
	if (vai__forked || !atomic_compare_exchange_strong(&host.phase, &closed, CHANGING))
		return open_again(L);
	register_once();
	plant_sentinel(L);
	int rc = start(L);
	atomic_store(&host.phase, rc == VAI_OK ? OPEN : CLOSED);
	if (rc != VAI_OK)
		return luaL_error(L, "vai cannot start: %s", why(rc));
	lua_pushcfunction(L, open_host);
	if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
		vai__host_stop(L, false);
		return lua_error(L);
	}
	return 1;
}
