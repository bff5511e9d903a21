/* SPDX-License-Identifier: MIT */
/* What makes a stock state of one that lua_newstate has made; see prepare.h. */
#include "runtime/prepare.h"
#include <stdio.h>
#include <string.h>
#include "base/atomic.h"
#include "base/fatal.h"
#include "runtime/setup.h"
#include "sched/sched.h"
#include "stdlib/lazy.h"
#include "stdlib/sandbox.h"

static bool full; /* all libraries are opened at once */

static int panicked(lua_State *L)
{
	const char *msg = lua_tostring(L, -1);
	vai__fatal("unprotected error in a goroutine's state (%s)", msg ? msg : "error object is not a string");
}

static void warn_off(void *ud, const char *msg, int more);
static void warn_more(void *ud, const char *msg, int more);

/* Handles msg if it is a control message, which begins with "@". False: it is none. */
static bool warn_control(lua_State *L, const char *msg, int more)
{
	if (more || *msg != '@')
		return false;
	if (strcmp(msg, "@off") == 0)
		lua_setwarnf(L, warn_off, L);
	return true;
}

static void warn_on(void *ud, const char *msg, int more)
{
	if (strcmp(msg, "@on") == 0 || warn_control(ud, msg, more))
		return;
	fputs("Lua warning: ", stderr);
	warn_more(ud, msg, more);
}

static void warn_more(void *ud, const char *msg, int more)
{
	fputs(msg, stderr);
	if (!more) {
		fputc('\n', stderr);
		fflush(stderr);
	}
	lua_setwarnf(ud, more ? warn_more : warn_on, ud);
}

static void warn_off(void *ud, const char *msg, int more)
{
	if (!more && strcmp(msg, "@on") == 0)
		lua_setwarnf(ud, warn_on, ud);
}

/* Handles the first warning of a state that has not turned warnings on or off itself. The state may be a copy of a
 * template from before the host turned them on, so it asks now whether they are on. */
static void warn_first(void *ud, const char *msg, int more)
{
	bool on = atomic_load_relaxed(&vai__home_self()->warns);
	lua_setwarnf(ud, on ? warn_on : warn_off, ud);
	(on ? warn_on : warn_off)(ud, msg, more);
	if (!more && *msg != '@')
		lua_setwarnf(ud, warn_first, ud);
}

void vai__prepare_warn(bool on)
{
	atomic_store_relaxed(&vai__home_self()->warns, on);
}

void vai__prepare_full(bool on)
{
	full = on;
}

static void run_init(lua_State *L, struct vai_vm *vm, const struct vai__setup *setup)
{
	vm->needs_close |= setup->finalizers;
	lua_pushcfunction(L, setup->init);
	lua_call(L, 0, 0);
}

int vai__prepare(lua_State *L)
{
	struct vai_vm *vm = vai__state_of(L);
	const struct vai__setup *setup = vai__home_self()->setup;
	vm->sandbox = vai__sandbox_self();
	lua_atpanic(L, panicked);
	lua_setwarnf(L, warn_first, L);
	if (full)
		vai__lazy_prepare_full(L, vm);
	else
		vai__lazy_prepare(L, vm);
	vai__sandbox_settle(vm);
	if (setup && setup->init)
		run_init(L, vm, setup);
	return 0;
}
