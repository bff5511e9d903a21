/* SPDX-License-Identifier: MIT */
/* The life of the runtime: vai__host_open in the host's state begins it, a sentinel in that state's registry ends
 * it when the state closes. */
#include "bind/host/host.h"
#include <lauxlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/fork.h"
#include "bind/arg.h"
#include "bind/life/sandbox_bounds.h"
#include "bind/life/life.h"
#include "bind/life/watch_lost_writes.h"
#include "bind/main_state.h"
#include "bind/report/panic.h"
#include "capi/capi.h"
#include "code/probe_lua.h"
#include "proc/signal.h"
#include "proc/tty.h"
#include "runtime/prepare.h"
#include "runtime/start.h"
#include "runtime/vm.h"
#include "transfer/names.h"

/* Nanoseconds that a machine gets to leave its goroutine when the runtime ends. */
#define GRACE_NS INT64_C(20000000)
/* The same when the next runtime is to begin. */
#define RESTART_GRACE_NS INT64_C(2000000000)

enum { C_LEVEL = 3072 }; /* of the stack, for each C call in another: those of the deepest functions of the libraries */

enum phase { CLOSED, CHANGING, OPEN };

static struct {
	_Atomic enum phase phase;
	lua_State *L;          /* main thread of the host's state */
	const void *sentinel;  /* of the state's, if vai was tried several times */
	struct vai__life life; /* main's */
	bool unfinished;       /* the last runtime left machines behind */
} host;

static const char sentinel_key;

lua_State *vai__host_state(void)
{
	return host.L;
}

lua_State *vai__host_main_thread(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
	lua_State *main = lua_tothread(L, -1);
	lua_pop(L, 1);
	return main;
}

/* What the states share goes when no machine can use it any more; else the next start of a
 * runtime tries again. */
static bool finish_stop(int64_t grace)
{
	if (!host.unfinished)
		return true;
	if (!vai__sched_stop(grace))
		return false;
	vai__runtime_stop();
	host.unfinished = false;
	return true;
}

/* `lua5.4 -W script`. What a host has done by lua_warning nobody can ask for. */
static bool starts_with_warnings(lua_State *L)
{
	bool on = false;
	int top = lua_gettop(L);
	if (lua_getglobal(L, "arg") == LUA_TTABLE)
		for (int i = -1; !on && i > -32 && lua_rawgeti(L, top + 1, i) == LUA_TSTRING; i--)
			on = strcmp(lua_tostring(L, -1), "-W") == 0;
	lua_settop(L, top);
	return on;
}

/* VAI_OK with the runtime running and the state attached, or nothing changed. The host may have started the runtime
 * itself (vai_start). */
static int start(lua_State *L)
{
	struct vai__sched_opts opts = {0};
	if (vai__sched_running() && vai__g_self() != vai__g_main())
		return VAI_ETHREAD;
	if (!finish_stop(RESTART_GRACE_NS))
		return VAI_EAGAIN;
	int rc = vai__runtime_start(L);
	if (rc != VAI_OK)
		return rc;
	vai__report_start();
	vai__watch_start();
	host.L = vai__host_main_thread(L);
	struct vai_vm *vm = vai__vm_attach(host.L);
	vai__main_set_vm(vm);
	opts.least_stack = (size_t)vai__probe_c_levels() * C_LEVEL;
	vai__prepare_warn(starts_with_warnings(L));
	rc = !vm ? VAI_ENOMEM : vai__sched_running() ? VAI_OK : vai__sched_start(&opts);
	if (rc == VAI_OK) {
		vai__g_main()->vm = vm;
		host.life = (struct vai__life){0};
		vai__g_main()->life = &host.life;
		vai__hook_prepare(host.L);
		atomic_store_relaxed(&vai__g_main()->running, host.L);
		return VAI_OK;
	}
	if (vm)
		vai__vm_detach(vm);
	vai__main_set_vm(NULL);
	host.L = NULL;
	vai__runtime_stop();
	return rc;
}

void vai__host_stop(lua_State *L, bool exits)
{
	enum phase open = OPEN;
	if (vai__forked || !atomic_compare_exchange_strong(&host.phase, &open, CHANGING))
		return;
	vai__report_flush(L);
	vai__signal_reset(0);
	vai__tty_restore();
	atomic_store_relaxed(&vai__g_main()->running, NULL);
	vai__names_uninstall();
	vai__sandbox_bounds_stop();
	vai__vm_detach(vai__main_vm());
	vai__g_main()->vm = NULL;
	vai__main_set_vm(NULL);
	vai__main_set_panic_thread(NULL);
	host.L = NULL;
	host.unfinished = true;
	if (exits)
		vai__sched_halt(GRACE_NS);
	else
		finish_stop(GRACE_NS);
	atomic_store(&host.phase, CLOSED);
}

/* For vai_stop. */
static bool detach(void)
{
	lua_State *L = host.L;
	if (L)
		vai__host_stop(L, false);
	return L != NULL;
}

/* In lua_close: by main's thread, or by another to which the host has passed its state. */
static int sentinel_gc(lua_State *L)
{
	vai_g *g = vai__g_self();
	if (host.sentinel == lua_touserdata(L, 1) && host.L == vai__host_main_thread(L) && (!g || g == vai__g_main()))
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

static const char *why_not(int rc)
{
	switch (rc) {
	case VAI_ENOMEM: return "not enough memory";
	case VAI_ETHREAD: return "another thread has called vai_start";
	case VAI_ERANGE: return "the sandbox does not know the libraries of this Lua";
	case VAI_EAGAIN: return "a goroutine of the runtime before still runs";
	case VAI_EINVAL: return vai__runtime_init_error();
	default: return vai__sched_refusal();
	}
}

int vai__host_open(lua_State *L, const char **why)
{
	enum phase closed = CLOSED;
	if (vai__forked || !atomic_compare_exchange_strong(&host.phase, &closed, CHANGING))
		return VAI_EAGAIN;
	vai__capi_detach = detach;
	plant_sentinel(L);
	int rc = start(L);
	atomic_store(&host.phase, rc == VAI_OK ? OPEN : CLOSED);
	if (rc == VAI_OK)
		return VAI_OK;
	*why = why_not(rc);
	return VAI_EINVAL;
}
