/* SPDX-License-Identifier: MIT */
/* The module's table and luaopen_vai, and the only place that knows all rooms: it sets the hooks by which lower rooms
 * call higher ones. Goroutines get the module as an empty table that fills itself on use, as every parked goroutine
 * would pay for a full one. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vai_lua.h"
#include <dlfcn.h>
#include <lualib.h>
#include <pthread.h>
#include <string.h>
#include "base/fatal.h"
#include "base/fork.h"
#include "bind/arg.h"
#include "bind/life/spawn.h"
#include "bind/host/host.h"
#include "bind/host/os_exit.h"
#include "bind/host/sandbox_policy.h"
#include "bind/host/visit.h"
#include "bind/lib/lib.h"
#include "bind/life/hook.h"
#include "bind/life/life.h"
#include "bind/main_state.h"
#include "bind/report/deadlock.h"
#include "bind/report/dump_fatal.h"
#include "bind/report/dump_quit.h"
#include "bind/report/exit.h"
#include "bind/report/held.h"
#include "bind/report/panic.h"
#include "bind/replaced/replaced.h"
#include "sched/sched.h"
#include "sync/waitq.h"
#include "runtime/vm.h"
#include "stdlib/only_libs.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"
#include "transfer/codec.h"
#include "transfer/names.h"
#include "transfer/encode_types.h"

#define VERSION "vai 0.1.0"

/* The module in goroutines: its table fills itself. */
static int open_lazy(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	if (!vm)
		return luaL_error(L, "vai: to be opened by luaopen_vai");
	vai__lazy_module(L, vm, vai__sandbox_policy_functions(vm));
	lua_pushliteral(L, VERSION);
	lua_setfield(L, -2, "_VERSION");
	return 1;
}

static const char module_key;

/* Keeps the library loaded for ever, as threads of the runtime may be left in blocking calls. */
static void pin_library(void)
{
	Dl_info info;
	if (dladdr((void *)(uintptr_t)luaopen_vai, &info) && info.dli_fname)
		dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

/* Ends a goroutine that the end of the runtime has caught in a wait: of its state only to-be-closed variables and
 * finalizers still run. They find no goroutine, and so no call of vai's in which they could wait. */
static void abandon(vai_g *g)
{
	struct vai_vm *vm = g->vm;
	struct vai_obj *task = g->task;
	struct vai_obj *held = g->held;
	g->vm = g->task = g->held = NULL;
	const struct vai__main *main = vai__main_of(g);
	if (vm && !(main && vm == main->last)) /* in the host's state it has no state of its own to end */
		vai__vm_abandon(vm);
	if (held)
		vai__obj_unref(held);
	if (task)
		vai__obj_unref(task);
}

static void bury(vai_g *g)
{
	vai__waitq_bury(g);
	vai__spawn_bury(g);
}

static void forked(void)
{
	vai__sched_forked();
	vai__exit_forked();
}

static pthread_once_t registered = PTHREAD_ONCE_INIT;

/* The types of all handles that users get. */
static const struct vai__handle_type *const types[] = {&vai__lib_chan_type, &vai__lib_task_type,
	&vai__lib_waitgroup_type, &vai__lib_timer_type, &vai__lib_ticker_type, &vai__lib_guard_type, &vai__lib_mutex_type,
	&vai__lib_context_type, &vai__lib_after_type, &vai__lib_rwmutex_type, &vai__lib_cond_type, &vai__lib_once_type,
	&vai__lib_semaphore_type, &vai__lib_atomic_type, &vai__lib_map_type, &vai__lib_snapshot_type, &vai__lib_buffer_type,
	&vai__lib_view_type, &vai__lib_frozen_type, &vai__lib_group_type, &vai__lib_conn_type, &vai__lib_listener_type,
	&vai__lib_packet_type, &vai__lib_server_type, &vai__lib_file_type, &vai__lib_process_type, &vai__lib_tty_type,
	&vai__host_reference_type, NULL};

static void set_hooks(void)
{
	vai__sched_hooks.unwait = vai__waitq_unwait;
	vai__sched_hooks.abandon = abandon;
	vai__sched_hooks.bury = bury;
	vai__sched_hooks.interrupt = vai__interrupt_g;
	vai__sched_hooks.main_hook = vai__interrupt_hook;
	vai__sched_hooks.deadlock = vai__deadlock_note;
	vai__sched_hooks.quit = vai__dump_quit;
	vai__fatal_hook = vai__dump_fatal;
	vai__fatal_exit = vai__exit_now;
	vai__hook_select = vai__lib_select;
}

static void register_once(void)
{
	pin_library();
	vai__exit_prepare();
	vai__catalog_preload("vai", open_lazy);
	for (const struct vai__handle_type *const *t = types; *t; t++)
		vai__handle_register(*t);
	vai__lib_frozen_install();
	vai__held_install();
	vai__replaced_register(vai__os_exit);
	vai__fork_watch(vai__sched_alive, forked);
	set_hooks();
}

/* Reads from the host's registry what it says of C functions that belong to no module: API.md, "C functions". */
static void read_c_functions(lua_State *L)
{
	static const char key[] = "vai.c_functions";
	bool there = lua_getfield(L, LUA_REGISTRYINDEX, key) != LUA_TNIL;
	const char *wish = there ? lua_tostring(L, -1) : "any";
	vai__home_self()->only_modules = wish && strcmp(wish, "modules") == 0;
	if (!wish || (!vai__home_self()->only_modules && strcmp(wish, "any") != 0))
		luaL_error(L, "the registry's '%s' is neither \"any\" nor \"modules\"", key);
	lua_pop(L, 1);
}

/* Opens vai in the host's state. Called protected: an error ends the runtime again. */
static int open_host(lua_State *L)
{
	struct vai__home *home = vai__home_self();
	struct vai_vm *vm = home->bind->vm;
	read_c_functions(L);
	vai__visit_prepare(L, home->bind);
	vai__replaced_install(L);
	vai__only_libs_host(L, home);
	vai__encode_types_install(L);
	vai__names_install(L, vm);
	vai__sandbox_policy_open(L);
	vai__lazy_module(L, vm, vai__sandbox_policy_functions(vm));
	lua_pushliteral(L, VERSION);
	lua_setfield(L, -2, "_VERSION");
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
	return 1;
}

/* For the second and later calls in the same state, and in goroutines' states. */
static int open_again(lua_State *L)
{
	vai_g *g = vai__g_self();
	lua_State *main = vai__host_main_thread(L);
	if (vai__forked)
		vai__arg_no_goroutine(L);
	if (g && g->vm && vai__bind_vm(g)->L == main && !vai__bind_vm(g)->is_host)
		return open_lazy(L);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key);
	return 1;
}

/* Returns which Lua this is if it is not 5.4, told by functions that only some releases have: elsewhere even
 * lua_version has another signature. */
static const char *other_lua(lua_State *L)
{
	if (lua_setwarnf)
		return lua_version(L) == LUA_VERSION_NUM ? NULL : "a later Lua";
	if (!lua_callk)
		return "Lua 5.1";
	return lua_isinteger ? "Lua 5.3" : "Lua 5.2";
}

static void check_lua(lua_State *L)
{
	const char *other = other_lua(L);
	if (other)
		luaL_error(L, "vai needs Lua 5.4, and this is %s", other);
	if (!luaL_openlibs || !luaopen_coroutine || !luaopen_table || !luaopen_io || !luaopen_os || !luaopen_string ||
		!luaopen_utf8 || !luaopen_math || !luaopen_debug || !luaopen_package)
		luaL_error(L, "vai needs all standard libraries of Lua, and this program is linked without some");
}

int luaopen_vai(lua_State *L)
{
	const char *why = NULL;
	check_lua(L);
	luaL_checkversion(L);
	lua_settop(L, 0);
	luaL_checkstack(L, 10, NULL);
	pthread_once(&registered, register_once);
	int rc = vai__host_open(L, &why);
	if (rc == VAI_EAGAIN)
		return open_again(L);
	if (rc != VAI_OK)
		return luaL_error(L, "vai cannot start: %s", why);
	lua_pushcfunction(L, open_host);
	if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
		vai__host_stop(L, false);
		return lua_error(L);
	}
	return 1;
}
