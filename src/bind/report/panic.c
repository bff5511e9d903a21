/* SPDX-License-Identifier: MIT */
/* What becomes of an error that nothing catches: a report like that of Go's panic and the end of the process; or a
 * call of vai.on_panic's function on main; or, for the error of a task that nobody has joined, a line on stderr.
 *
 * Handlers run one at a time, on main's thread and in its state, on a Lua thread that on_panic makes for them. While
 * main waits they run as a goroutine that is tied to main's thread. Handlers that are still due when the runtime ends
 * run then. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf */
#endif
#include "bind/report/panic.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/atomic.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/memory_budget.h"
#include "bind/arg.h"
#include "bind/main_state.h"
#include "bind/report/deadlock.h"
#include "bind/report/exit.h"
#include "bind/report/host_log.h"
#include "bind/report/trace.h"
#include "bind/site.h"
#include "sched/replay.h"
#include "stdlib/sandbox.h"
#include "sync/task.h"
#include "transfer/codec.h"
#include "runtime/vm.h"

/* ---- describing an error ---- */

/* Keys in the registry of the state that failed. */
static const char traceback_key, site_key;

/* Notes where the goroutine's function begins: it is the outermost but one, as below it is the C function that calls
 * it. */
static void note_site(lua_State *L)
{
	lua_Debug ar;
	int level = vai__trace_levels(L) - 2;
	char site[80] = "";
	if (level > 0 && lua_getstack(L, level, &ar) && lua_getinfo(L, "S", &ar) && ar.linedefined >= 0)
		vai__site_format(site, sizeof site, ar.short_src, ar.linedefined);
	lua_pushstring(L, site);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &site_key);
}

int vai__report_handler(lua_State *L)
{
	lua_settop(L, 1);
	luaL_traceback(L, L, NULL, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
	note_site(L);
	return 1;
}

/* The text that lua.c would print for the error at idx. */
static void push_text(lua_State *L, int idx)
{
	if (lua_isstring(L, idx)) {
		lua_pushvalue(L, idx);
		lua_tostring(L, -1);
		return;
	}
	if (luaL_getmetafield(L, idx, "__tostring") != LUA_TNIL) {
		lua_pushvalue(L, idx);
		if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING)
			return;
		lua_pop(L, 1);
	}
	lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, idx));
}

void vai__report_describe(lua_State *L)
{
	push_text(L, lua_gettop(L));
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key) != LUA_TSTRING) {
		lua_pop(L, 1);
		lua_pushliteral(L, "");
	}
}

/* ---- panic ---- */

/* Makes the report in memory from malloc. NULL: out of memory. site and traceback may be "". A sandbox's bound does
 * not count this memory, so the report of a sandboxed script's error is cut. */
static char *compose(const vai_g *g, const char *site, const char *text, const char *traceback)
{
	enum { MOST = 65536 };
	const int most = vai__g_home(g)->sandbox ? MOST : INT_MAX;
	char *report;
	int n = asprintf(&report, "vai: goroutine %llu%s%s%s: %.*s%s%.*s%s%s\n", (unsigned long long)vai__replay_name(g),
		*site ? " [" : "", site, *site ? "]" : "", most, text, *traceback ? "\n" : "", most, traceback,
		g->site ? "\ncreated at " : "", vai__g_site(g));
	return n < 0 ? NULL : report;
}

/* Writes the report of a sandboxed goroutine's error, which does not end the process. Frees the report. */
static void tell(char *report)
{
	static const char prefix[] = "vai: "; /* vai__host_log adds it again */
	if (!report) {
		vai__host_log("a goroutine failed, and its report: not enough memory");
		return;
	}
	report[strlen(report) - 1] = '\0'; /* without the newline */
	vai__host_log("%s", report + sizeof prefix - 1);
	free(report);
}

static _Noreturn void die(const char *report)
{
	vai__exit_begin();
	fputs(report ? report : "vai: a goroutine failed, and its report: not enough memory\n", stderr);
	vai__exit_now(2);
}

struct vai__panic {
	struct vai__panic *next;
	vai_msg msg;  /* error, traceback, id */
	char *report; /* written if the handler cannot be called, or fails itself */
};

static const char handler_key, thread_key;

static struct vai__panic *next_panic(struct vai__main *main, bool runner)
{
	vai__lock(&main->lock);
	struct vai__panic *p = main->first;
	if (p && !(main->first = p->next))
		main->end = &main->first;
	if (!p && runner)
		main->busy = false;
	vai__unlock(&main->lock);
	return p;
}

static void free_panic(struct vai__panic *p)
{
	vai__msg_drop(&p->msg);
	free(p->report);
	vai__mem_free(p, sizeof *p);
}

/* Calls the handler. Argument: struct vai__panic. */
static int call_handler(lua_State *L)
{
	struct vai__panic *p = lua_touserdata(L, 1);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key);
	vai__decode_take(L, vai__main_of(vai__g_self())->vm, &p->msg);
	lua_call(L, lua_gettop(L) - 2, 0);
	return 0;
}

/* The message handler of panic handlers. */
static int text_handler(lua_State *L)
{
	push_text(L, 1);
	luaL_traceback(L, L, lua_tostring(L, -1), 1);
	return 1;
}

/* Runs the handlers. Nothing here raises, as a runner has no caller that could catch it. */
static void run_handlers(lua_State *L, vai_g *g, bool runner)
{
	struct vai__main *main = vai__main_of(g);
	struct vai__panic *p;
	while ((p = next_panic(main, runner)) != NULL) {
		lua_pushcfunction(L, text_handler);
		lua_pushcfunction(L, call_handler);
		lua_pushlightuserdata(L, p);
		if (lua_pcall(L, 1, 0, -3) != LUA_OK) {
			const char *text = lua_tostring(L, -1);
			vai__exit_begin();
			fputs(p->report, stderr);
			die(compose(g, "vai.on_panic's function", text ? text : "(error object is not a string)", ""));
		}
		lua_pop(L, 1);
		free_panic(p);
	}
}

static void runner_entry(vai_g *g, void *arg)
{
	struct vai__main *main = vai__main_of(g);
	vai_g *self = g;
	g->vm = main->vm;
	run_handlers(arg, g, true);
	if (vai__forked)
		vai__exit_now(0);
	atomic_compare_exchange_strong(&main->runner, &self, NULL); /* a next runner may have taken its place already */
	g->vm = NULL;
	main->vm->at = vai__main_at(main);
}

void vai__report_start(struct vai__main *main)
{
	struct vai__panic *p;
	while ((p = next_panic(main, true)) != NULL) /* errors of a state that was closed before they were handled */
		free_panic(p);
	atomic_store(&main->runner, NULL);
	atomic_store(&main->mode, VAI_PANIC_DIE);
}

void vai__report_flush(lua_State *L, struct vai__main *main)
{
	if (atomic_exchange(&main->mode, VAI_PANIC_IGNORE) == VAI_PANIC_HANDLE)
		run_handlers(L, main->home->main, false);
	vai__host_log_end(main);
}

/* Takes p out of the queue again, as there is no memory for a goroutine that would handle it. False: main has taken
 * it already, and handles it. */
static bool give_up(struct vai__main *main, struct vai__panic *p)
{
	vai__lock(&main->lock);
	struct vai__panic **at = &main->first;
	while (*at && *at != p)
		at = &(*at)->next;
	bool found = *at != NULL;
	if (found && !(*at = p->next))
		main->end = at;
	main->busy = false;
	vai__unlock(&main->lock);
	return found;
}

/* Called when no handler can be called for want of memory. An error of a sandboxed script is reported, and ends its
 * goroutine only; another one ends the process. Frees the report. */
static void tell_unhandled(const vai_g *g, char *report)
{
	if (vai__g_home(g)->sandbox) {
		tell(report);
		return;
	}
	vai__exit_begin();
	if (report)
		fputs(report, stderr);
	die("vai: vai.on_panic's function could not be called: not enough memory\n");
}

/* Queues p, which it takes over. */
static void queue_panic(struct vai__main *main, struct vai__panic *p)
{
	vai__lock(&main->lock);
	p->next = NULL;
	*main->end = p;
	main->end = &p->next;
	bool start = !main->busy;
	main->busy = true;
	vai__unlock(&main->lock);
	if (!start)
		return;
	vai_g *g = vai__g_new_on_main(runner_entry, atomic_load_relaxed(&main->panic_thread));
	if (g) {
		atomic_store(&main->runner, g);
		vai__g_start(vai__g_self(), g);
		return;
	}
	if (atomic_load_relaxed(&main->home->closing) != VAI_HOME_STAYS)
		return; /* the state closes: main handles p when all its goroutines have ended */
	if (!give_up(main, p))
		return;
	tell_unhandled(vai__g_self(), p->report);
	p->report = NULL;
	free_panic(p);
}

static int encode_panic(lua_State *L)
{
	struct vai__panic *p = lua_touserdata(L, 1);
	vai__encode_values(L, vai__bind_vm(vai__g_self()), 2, 3, &p->msg, "error");
	return 0;
}

/* Calls encode_panic for the error at idx. */
static int try_encode(lua_State *L, vai_g *g, struct vai__panic *p, int idx, int traceback)
{
	lua_pushcfunction(L, encode_panic);
	lua_pushlightuserdata(L, p);
	lua_pushvalue(L, idx);
	lua_pushvalue(L, traceback);
	lua_pushinteger(L, (lua_Integer)g->id);
	return lua_pcall(L, 4, 0, 0);
}

/* What an uncaught error of g does now. In the child of a fork it ends the process, as there is no main to handle
 * it. */
static enum vai__panic_mode mode_now(const vai_g *g)
{
	const struct vai__home *home = vai__g_home(g);
	if (vai__forked)
		return VAI_PANIC_DIE;
	/* While a state closes, the objects that its goroutines use are closed, too, and errors that come of that are no
	 * news. */
	return atomic_load_relaxed(&home->closing) != VAI_HOME_STAYS ? VAI_PANIC_IGNORE : atomic_load(&home->bind->mode);
}

/* A sandbox's bound on memory may be exceeded by so many bytes while an error for the handler is encoded. */
enum { ROOM = 65536 };

static struct vai__panic *new_panic(char *report)
{
	struct vai__panic *p = report ? vai__mem_zalloc(sizeof *p) : NULL;
	if (p)
		p->report = report;
	return p;
}

/* Queues p for the handler if its message is complete; otherwise reports the error at once and frees p, which may be
 * NULL. */
static void settle(vai_g *g, struct vai__panic *p, bool complete, char *report)
{
	if (complete) {
		queue_panic(vai__main_of(g), p);
		return;
	}
	tell_unhandled(g, report);
	if (p)
		vai__mem_free(p, sizeof *p);
}

/* Has the handler called for the error at err. Takes report over. */
static void handle_panic(vai_g *g, lua_State *L, int err, char *report)
{
	bool text = vai__sandbox_self() != NULL; /* of a sandboxed script the handler gets the error's text, no value */
	vai__memory_budget_widen(ROOM);
	struct vai__panic *p = new_panic(report);
	bool complete = p &&
		((!text && try_encode(L, g, p, err, err + 2) == LUA_OK) || try_encode(L, g, p, err + 1, err + 2) == LUA_OK);
	vai__memory_budget_widen(-ROOM);
	settle(g, p, complete, report);
}

/* If this is a seeded run, makes it fail, and returns true. */
static bool fail_run(const vai_g *g, const char *text, const char *traceback)
{
	if (VAI_LIKELY(vai__replay_number(g) == 0))
		return false;
	char *report = compose(g, "", text, traceback);
	vai__deadlock_replace(report ? report + strlen("vai: ") : NULL);
	free(report);
	vai__replay_break();
	return true;
}

void vai__report_panic(vai_g *g, lua_State *L, bool goes_on)
{
	int err = lua_gettop(L) - 2;
	if (fail_run(g, lua_tostring(L, err + 1), lua_tostring(L, err + 2)))
		return;
	enum vai__panic_mode mode = mode_now(g);
	if (mode == VAI_PANIC_HANDLE)
		handle_panic(g, L, err, compose(g, "", lua_tostring(L, err + 1), lua_tostring(L, err + 2)));
	lua_settop(L, err + 2);
	if (mode != VAI_PANIC_DIE)
		return;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &site_key);
	const char *site = lua_tostring(L, -1);
	char *report = compose(g, site ? site : "", lua_tostring(L, err + 1), lua_tostring(L, err + 2));
	if (!goes_on && !vai__sandbox_self())
		die(report);
	tell(report);
	lua_settop(L, err + 2);
}

/* As handle_panic, for an error of which there is only a text. Takes report over. */
static void handle_plain(vai_g *g, const char *text, char *report)
{
	vai__memory_budget_widen(ROOM);
	struct vai__panic *p = new_panic(report);
	bool complete = p && vai__msg_string(&p->msg, text, strlen(text)) == VAI_OK;
	vai__memory_budget_widen(-ROOM);
	settle(g, p, complete, report);
}

void vai__report_panic_plain(vai_g *g, const char *text, bool goes_on)
{
	enum vai__panic_mode mode = mode_now(g);
	if (fail_run(g, text, ""))
		return;
	if (mode == VAI_PANIC_IGNORE)
		return;
	char *report = compose(g, "", text, "");
	if (mode == VAI_PANIC_HANDLE)
		handle_plain(g, text, report);
	else if (goes_on || vai__g_home(g)->sandbox)
		tell(report);
	else
		die(report);
}

/* on_panic(f): f(err, traceback, id) is called on main instead of ending the program; nil: the program ends, as
 * before. */
int vai__lib_on_panic(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	if (!lua_isnoneornil(L, 1) && !lua_isfunction(L, 1))
		vai__arg_type_error(L, 1, 1, "on_panic", "function or nil");
	if (!vai__bind_vm(g)->is_host)
		return luaL_error(L, "vai.on_panic: to be called in the main goroutine");
	struct vai__main *main = vai__main_of(g);
	lua_settop(L, 1);
	if (atomic_load(&main->mode) == VAI_PANIC_HANDLE)
		run_handlers(L, g, false); /* earlier errors go to the function that was set then */
	bool set = !lua_isnil(L, 1);
	if (set && lua_rawgetp(L, LUA_REGISTRYINDEX, &thread_key) != LUA_TTHREAD) {
		atomic_store_relaxed(&main->panic_thread, lua_newthread(L));
		lua_rawsetp(L, LUA_REGISTRYINDEX, &thread_key);
	}
	lua_settop(L, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &handler_key);
	atomic_store(&main->mode, set ? VAI_PANIC_HANDLE : VAI_PANIC_DIE);
	return 0;
}

/* ---- errors of tasks that were not joined ---- */

struct orphan {
	vai_task *task;
	struct vai_vm *vm;
	char who[VAI_TASK_NAME + 40];
};

static int print_orphan(lua_State *L)
{
	struct orphan *o = lua_touserdata(L, 1);
	lua_settop(L, 0);
	vai__decode(L, o->vm, vai__task_outcome(o->task));
	const char *text = lua_tostring(L, -1), *trace = lua_gettop(L) == 3 ? lua_tostring(L, 2) : NULL;
	vai__host_log("%s failed and nobody joined it: %s%s%s", o->who, text ? text : "(no message)",
		trace && *trace ? "\n" : "", trace ? trace : "");
	return 0;
}

/* Called when the last reference to a task is given back, mostly in a finalizer; so it decodes the error in a state
 * of its own. */
void vai__report_orphan(vai_task *task)
{
	bool loaded = false;
	vai_g *self = vai__g_self();
	struct orphan o = {.task = task, .vm = vai__vm_new(NULL, &loaded)};
	void *outer = self ? self->vm : NULL;
	vai__task_title(task, o.who, sizeof o.who);
	if (self && o.vm)
		self->vm = o.vm;
	if (o.vm) {
		lua_pushcfunction(o.vm->L, print_orphan);
		lua_pushlightuserdata(o.vm->L, &o);
	}
	if (!o.vm || lua_pcall(o.vm->L, 1, 0, 0) != LUA_OK)
		vai__host_log("%s failed and nobody joined it", o.who);
	if (o.vm)
		vai__vm_free(o.vm);
	if (self)
		self->vm = outer;
}
