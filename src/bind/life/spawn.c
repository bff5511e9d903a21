/* SPDX-License-Identifier: MIT */
/* From a Lua call to a goroutine, and what the goroutine does from its first to its last instruction.
 *
 * The order at the end: the state is freed (its finalizers run), then the task is finished (goroutines that
 * join it wake), then the wait group counts down. A task has one reference for the handle that go()
 * returns and one for the goroutine. If the goroutine's reference is the last one it does not encode its results. If
 * the script ignores the result of go() there is no handle, and mostly no task. */
#include "bind/life/spawn.h"
#include <string.h>
#include "base/memory_budget.h"
#include "base/fork.h"
#include "base/mem.h"
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/life/sandbox_bounds.h"
#include "bind/life/life.h"
#include "bind/life/shed.h"
#include "bind/life/spawn_opts.h"
#include "bind/life/watch_lost_writes.h"
#include "bind/report/leaks.h"
#include "bind/report/exit.h"
#include "bind/report/panic.h"
#include "bind/site.h"
#include "sched/replay.h"
#include "sync/task.h"
#include "sync/waitgroup.h"
#include "transfer/charge.h"
#include "code/probe_lua.h"
#include "transfer/codec.h"
#include "runtime/vm.h"
#include "stdlib/only_libs.h"

/* What spawn.c keeps of a goroutine while it runs. The record does not lie on the goroutine's stack, as the goroutine
 * gives its stack up in some waits (shed.h). */
struct running {
	/* g->task is NULL if a timer has started the goroutine, or the script ignores the task. g->held is the call; once
	 * the call is decoded it is the wait group or the group's member. */
	vai_g *g;
	struct vai__call *call; /* NULL once it is decoded */
	vai_waitgroup *wg;
	vai_member *member;
	int status;         /* of the goroutine's function, once that has ended: LUA_OK or an error's */
	uint8_t fate;       /* enum vai__fate */
	bool returned;      /* the function has returned without an error; encoding its results may still have failed */
	bool out_of_memory; /* a sandbox's goroutine has ended because its memory was out */
	bool outcome_lost;  /* encoding the outcome failed for want of memory; once the state is freed it is a text */
	vai_msg outcome;
	const struct vai__call_pattern *pattern; /* describes the values that the state's template had already; or NULL */
	struct vai__rest rest;
	struct vai__life life;
};

/* ---- the call ---- */

static void destroy_call(struct vai_obj *o)
{
	struct vai__call *call = VAI_CONTAINER(o, struct vai__call, obj);
	vai__msg_drop(&call->msg);
	if (call->wg)
		vai__obj_unref((struct vai_obj *)call->wg);
	if (call->member)
		vai__obj_unref((struct vai_obj *)call->member);
	if (call->opts)
		vai__mem_free(call->opts, sizeof *call->opts);
	if (call->extra)
		vai__obj_unref(call->extra);
	if (call->base)
		vai__obj_unref(&call->base->obj);
	vai__mem_free(call, sizeof *call);
}

static const struct vai_class call_class = {"call", destroy_call};

struct vai__call *vai__call_new(
	lua_State *L, vai_g *self, int idx, const struct vai__callname *name, enum vai__fate fate)
{
	vai_msg msg;
	struct vai_code *code = NULL;
	if (VAI_UNLIKELY(!lua_isfunction(L, idx)))
		vai__arg_type_error(L, idx, name->arg, name->fname, "function");
	if (VAI_UNLIKELY(vai__only_libs_lacking(vai__g_home(self))) && vai__g_is_main(self))
		vai__only_libs_host(L, vai__g_home(self)); /* the host may have opened more libraries since */
	vai__encode_call(L, vai__bind_vm(self), idx, lua_gettop(L) - idx, &msg, &code, name->what);
	struct vai__call *call = vai__mem_alloc(sizeof *call);
	if (VAI_UNLIKELY(!call)) {
		vai__msg_drop(&msg);
		vai__arg_no_memory(L);
	}
	vai__obj_init(&call->obj, &call_class);
	call->msg = msg;
	call->code = code;
	call->wg = NULL;
	call->member = NULL;
	call->opts = NULL;
	call->base = NULL;
	call->extra = NULL;
	call->fate = fate;
	call->home = vai__g_home(self);
	call->home_id = atomic_load_relaxed(&call->home->id);
	call->site = vai__site_text_here(L);
	return call;
}

int vai__call_limit(struct vai__call *call, const struct vai__spawn_opts *opts)
{
	call->opts = vai__mem_alloc(sizeof *opts);
	if (!call->opts)
		return VAI_ENOMEM;
	*call->opts = *opts;
	return VAI_OK;
}

void vai__call_unref(struct vai__call *call)
{
	vai__obj_unref(&call->obj);
}

/* ---- the goroutine's life ---- */

static struct running *run_of(const vai_g *g)
{
	return VAI_CONTAINER(vai__life(g), struct running, life);
}

/* Gives the call back once it is decoded. Its wait group or member stays with r. A call that timers share has
 * neither, so goroutines never write to a shared call. */
static void release_call(struct running *r)
{
	struct vai__call *call = r->call;
	r->call = NULL;
	r->g->held = r->wg ? (void *)r->wg : r->member;
	if (r->wg)
		call->wg = NULL;
	if (r->member)
		call->member = NULL;
	vai__call_unref(call);
}

static void push_extra(lua_State *L, struct vai_vm *vm, struct vai__call *call)
{
	struct vai_obj *o = call->extra;
	call->extra = NULL;
	vai__handle_push(L, vm, o, false);
}

static const vai_msg *message_of(const struct vai__call *call)
{
	return call->base ? &call->base->msg : &call->msg;
}

/* Whether nobody else may read the call's message: timers share theirs. */
static bool is_own(const struct vai__call *call)
{
	return !call->base && atomic_load_acquire(&call->obj.refs) == 1;
}

/* The continuation of the goroutine's function: encodes its results, which lie above the message handler, as the
 * outcome. If the function has failed its error is on top and is returned. */
static int function_returned(lua_State *L, int status, lua_KContext ctx)
{
	struct running *r = (struct running *)ctx;
	if (VAI_UNLIKELY(status != LUA_OK && status != LUA_YIELD)) {
		r->status = status;
		return 1;
	}
	r->returned = true;
	if (VAI_UNLIKELY(vai__forked))
		vai__exit_now(0); /* a child of fork has only this thread: the process ends with the goroutine */
	const struct vai_obj *task = r->g->task;
	if (task && atomic_load_acquire(&task->refs) > 1)
		vai__encode_values(L, vai__bind_vm(r->g), 2, lua_gettop(L) - 1, &r->outcome, "result");
	return 0;
}

/* The goroutine's first function. Arguments: the message handler and, if they came with the state, the helpers of the
 * function and the function. */
static int body(lua_State *L)
{
	struct running *r = run_of(vai__g_self());
	struct vai_vm *vm = vai__bind_vm(r->g);
	struct vai__call *call = r->call;
	if (r->pattern)
		vai__decode_rest(L, vm, message_of(call), r->pattern);
	else
		vai__decode_call(L, vm, message_of(call), call->code, lua_gettop(L) - 1);
	if (call->extra)
		push_extra(L, vm, call);
	release_call(r);
	int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, (lua_KContext)r, function_returned);
	return function_returned(L, status, (lua_KContext)r);
}

/* Encodes the outcome of a failed task: the error, its traceback and, for the report of a task that nobody joins, its
 * message. An error that cannot be sent is replaced by its text and the reason. */
static int encode_error(lua_State *L)
{
	struct running *r = lua_touserdata(L, 1);
	vai__encode_values(L, vai__bind_vm(r->g), 2, 3, &r->outcome, "error");
	return 0;
}

/* Encodes the outcome. Arguments: struct running, the error, its text, its traceback, and the error to send on top. */
static int send_error(lua_State *L)
{
	lua_pushcfunction(L, encode_error);
	lua_insert(L, -2);
	lua_pushvalue(L, 1);
	lua_insert(L, -2);
	lua_pushvalue(L, 4);
	lua_pushvalue(L, 3);
	return lua_pcall(L, 4, 0, 0);
}

/* Whether the function's error is to be reported now, as no task keeps it. */
static bool is_uncaught(const struct running *r)
{
	return r->fate != VAI_FATE_KEEP && !r->returned && r->life.why != VAI_END_CLOSED;
}

/* Reports an error of which there is only this text. */
static void report_plain(const struct running *r, const char *text)
{
	if (is_uncaught(r))
		vai__report_panic_plain(r->g, text, r->fate == VAI_FATE_TELL);
}

/* Reports the error or makes it the outcome. Arguments: struct running, the error. */
static int settle_error(lua_State *L)
{
	struct running *r = lua_touserdata(L, 1);
	if (VAI_UNLIKELY(r->out_of_memory)) {
		lua_pushstring(L, vai__main_shortage());
		lua_replace(L, 2);
	}
	vai__report_describe(L);
	if (VAI_UNLIKELY(vai__forked))
		r->fate = VAI_FATE_PANIC; /* in the child of a fork no goroutine is left to join it */
	if (is_uncaught(r))
		vai__report_panic(r->g, L, r->fate == VAI_FATE_TELL);
	lua_pushvalue(L, 2);
	if (send_error(L) == LUA_OK)
		return 0;
	lua_pushfstring(L, "%s (%s)", lua_tostring(L, 3), lua_tostring(L, -1));
	return send_error(L) == LUA_OK ? 0 : lua_error(L);
}

/* Does so for the error on top of the stack, which is popped. */
static VAI_NOINLINE void settle_failure(struct running *r, lua_State *L)
{
	lua_pushcfunction(L, settle_error);
	lua_insert(L, -2);
	lua_pushlightuserdata(L, r);
	lua_insert(L, -2);
	if (lua_pcall(L, 2, 0, 0) == LUA_OK)
		return;
	report_plain(r, vai__main_shortage());
	r->outcome_lost = true;
}

/* Settles the error on top of the stack when the function has failed, or was ended. Of a canceled goroutine the
 * outcome is the reason given to `cancel`, so the error does not matter. Metamethods of the error may run;
 * they are interrupted as the function was, and have its bounds. */
static VAI_NOINLINE void settle_end(struct running *r, struct vai_vm *vm, int status)
{
	r->out_of_memory = vai__sandbox_self() && r->life.why != VAI_END_CPU &&
		(r->life.why == VAI_END_MEMORY || vai__state_is_out_of_memory(vm->L, status));
	if (vai__memory_is_limited(vm))
		vai__memory_limit_widen(vm);
	if (r->life.why == VAI_END_CANCELED)
		return;
	if (r->life.why) {
		lua_pop(vm->L, 1);
		vai__end_push_reason(vm->L, r->g);
	}
	atomic_store_relaxed(&r->g->running, vm->L);
	settle_failure(r, vm->L);
	atomic_store_relaxed(&r->g->running, NULL);
}

/* Calls the message handler for an error that was raised before or after the function, and so outside of its
 * protected call. */
static VAI_NOINLINE int failed_outside(lua_State *L, int status)
{
	lua_checkstack(L, LUA_MINSTACK);
	if (status == LUA_ERRMEM)
		return status;
	lua_pushcfunction(L, vai__report_handler);
	lua_insert(L, -2);
	int failed = lua_pcall(L, 1, 1, 0);
	return failed ? failed : status;
}

/* For a Lua in which the main thread of a state must not be resumed. Here all waits keep the stack. */
static VAI_NOINLINE int run_at_once(struct running *r, lua_State *L, int n)
{
	int status = lua_pcall(L, n, LUA_MULTRET, 0);
	return status == LUA_OK ? r->status : failed_outside(L, status);
}

static void resume_on_new_stack(vai_g *g, void *arg);

/* Runs the Lua code, with n arguments for its first function, until it returns. If the goroutine gives up its stack in
 * a wait, it goes on in `resume_on_new_stack`. */
static int run_lua(struct running *r, lua_State *L, int n)
{
	int status, results;
	if (VAI_UNLIKELY(!vai__probe_resumes()))
		return run_at_once(r, L, n);
	for (; (status = lua_resume(L, NULL, n, &results)) == LUA_YIELD; n = 0) {
		if (VAI_LIKELY(r->rest.sheds)) {
			r->rest.sheds = false;
			vai__park_shed(r->g, resume_on_new_stack, r);
		} else {
			lua_pop(L, results);
			vai__interrupt_yield(r->g);
		}
	}
	return VAI_LIKELY(status == LUA_OK) ? r->status : failed_outside(L, status);
}

/* Makes the new state ready to run. Returns the number of arguments for its first function. */
static int prepare(const struct running *r, struct vai_vm *vm)
{
	lua_State *L = vm->L;
	const int came = lua_gettop(L);
	vm->at = L;
	vai__hook_prepare(L);
	vai__watch_state(L);
	lua_pushcfunction(L, body);
	lua_pushcfunction(L, vai__report_handler);
	if (came)
		lua_rotate(L, -2 - came, 2); /* moves the two functions below the values that came with the state */
	atomic_store_relaxed(&r->g->running, L);
	return 1 + came;
}

/* Runs the Lua code from its first function with n arguments, or from the wait that it was left in. */
static int run_in_state(struct running *r, struct vai_vm *vm, int n)
{
	lua_State *L = vm->L;
	int status = run_lua(r, L, n);
	atomic_store_relaxed(&r->g->running, NULL);
	vai__end_over(r->g);
	if (VAI_UNLIKELY(status != LUA_OK))
		settle_end(r, vm, status);
	return status;
}

/* Makes the text the outcome. The sandbox's bound is exceeded a little for that, since messages may have used it up. */
static void give_text(struct running *r, const char *text)
{
	enum { ROOM = 4096 };
	vai__memory_budget_widen(ROOM);
	vai__msg_string(&r->outcome, text, strlen(text));
	vai__memory_budget_widen(-ROOM);
}

static VAI_NOINLINE int no_state(struct running *r)
{
	report_plain(r, vai__main_shortage());
	give_text(r, vai__main_shortage());
	return LUA_ERRMEM;
}

static void finish_task(struct running *r, int status)
{
	vai_task *task = r->g->task;
	if (task) {
		vai__charge_move(&r->outcome, NULL, vai__task_owner(task));
		/* In a home that closes those that could join it end, too, so its error is not reported as unjoined. */
		if (VAI_UNLIKELY(atomic_load_relaxed(&vai__g_home(r->g)->closing) != VAI_HOME_STAYS))
			vai__task_joined(task);
		if (VAI_UNLIKELY(status != LUA_OK && r->life.why == VAI_END_CANCELED))
			vai__task_finish_canceled(task);
		else
			vai__task_finish(task, status == LUA_OK ? VAI_TASK_DONE : VAI_TASK_FAILED, &r->outcome);
		r->g->task = NULL;
		vai__obj_unref((struct vai_obj *)task);
	} else {
		vai__msg_drop(&r->outcome); /* an error was encoded all the same */
	}
	if (r->member) {
		r->g->held = NULL;
		vai__member_end(r->member, status != LUA_OK);
	}
	if (r->wg) {
		r->g->held = NULL;
		vai__waitgroup_add(r->wg, -1);
		vai__obj_unref((struct vai_obj *)r->wg);
	}
}

/* Makes the goroutine's state. A state with all libraries is copied from a template of the code; others are not. */
static struct vai_vm *new_state(vai_g *g, const struct vai__call *call, struct vai__ready *ready)
{
	const struct vai__spawn_opts *b = call->opts;
	const bool whole = !vai__only_libs_lacking(vai__g_home(g));
	struct vai_code *code = whole && !(b && b->has_libs) ? call->code : NULL;
	struct vai_vm *vm = vai__vm_new_for(code, message_of(call), is_own(call), ready);
	if (VAI_LIKELY(!vm || (!b && whole && !vai__sandbox_self())))
		return vm;
	int rc = whole ? VAI_OK : vai__only_libs_keep(vm, ~0u);
	if (rc == VAI_OK && b)
		rc = vai__spawn_opts_apply(b, vm);
	vai__sandbox_bounds_apply(vai__g_home(g), vm);
	if (rc == VAI_OK)
		return vm;
	vai__vm_free(vm);
	return NULL;
}

/* Settles the outcome of a goroutine that was ended before its function began: it was canceled, its state closes, or
 * the sandbox's processor time is used up. */
static VAI_NOINLINE void end_early(struct running *r)
{
	r->life.why = (uint8_t)atomic_load(&r->g->end);
	if (r->life.why == VAI_END_CANCELED)
		return;
	const char *text = r->life.why == VAI_END_CLOSED ? vai__end_closed_text : vai__end_cpu_text(r->g);
	report_plain(r, text);
	give_text(r, text);
}

/* Ends a goroutine whose function has returned or did not begin. */
static void end_goroutine(struct running *r, int status)
{
	vai_g *g = r->g;
	if (VAI_UNLIKELY(r->call != NULL))
		release_call(r);
	vai__sandbox_bounds_leave(vai__g_home(g)); /* first, as a goroutine that joins this one may then start another */
	finish_task(r, status);
	g->life = NULL;
	if (VAI_LIKELY(r->life.rest != NULL))
		vai__mem_free(r, sizeof *r);
}

static void run_goroutine(struct running *r, struct vai_vm *vm, int n)
{
	int status = run_in_state(r, vm, n);
	vai__vm_free(vm);
	r->g->vm = NULL;
	if (VAI_UNLIKELY(r->outcome_lost))
		give_text(r, vai__main_shortage());
	end_goroutine(r, status);
}

/* The goroutine's first C function on its new stack, after a wait in which it had none. */
static void resume_on_new_stack(vai_g *g, void *arg)
{
	run_goroutine(arg, vai__bind_vm(g), 0);
}

static void entry(vai_g *g, void *arg)
{
	struct vai__call *call = arg;
	struct running own, *r = vai__mem_zalloc(sizeof *r);
	if (VAI_LIKELY(r != NULL)) {
		r->life.rest = &r->rest;
	} else {
		own = (struct running){0};
		r = &own; /* on the stack, so the goroutine keeps its stack in all waits */
	}
	r->g = g;
	r->call = call;
	r->wg = call->wg;
	r->member = call->member;
	r->fate = (uint8_t)call->fate;
	g->life = &r->life;
	if (VAI_UNLIKELY(vai__end_due(g))) {
		end_early(r);
		end_goroutine(r, LUA_ERRRUN);
		return;
	}
	struct vai__ready ready = {0};
	g->vm = new_state(g, call, &ready);
	r->pattern = ready.pattern;
	if (VAI_UNLIKELY(!g->vm))
		end_goroutine(r, no_state(r));
	else
		run_goroutine(r, vai__bind_vm(g), prepare(r, vai__bind_vm(g)));
}

void vai__spawn_bury(vai_g *g)
{
	struct vai__life *life = vai__life(g);
	g->life = NULL;
	if (!life || !life->rest)
		return;
	vai__park_shed_drop(life->rest->timeout);
	vai__mem_free(VAI_CONTAINER(life, struct running, life), sizeof(struct running));
}

/* ---- starting one ---- */

static vai_task *new_task(vai_g *g, enum vai__fate fate)
{
	vai_task *task = vai__task_new(g, vai__msg_drop, fate == VAI_FATE_KEEP ? vai__report_orphan : NULL);
	if (VAI_UNLIKELY(!task)) {
		vai__sandbox_bounds_leave(vai__g_home(g));
		vai__g_discard(g);
		return NULL;
	}
	vai__obj_ref((struct vai_obj *)task);
	g->task = task;
	return task;
}

/* Gives up a call for which no goroutine is made. */
static void give_up(struct vai__call *call)
{
	if (call->wg)
		vai__waitgroup_add(call->wg, -1);
	if (call->member)
		vai__member_end(call->member, false);
	call->member = NULL;
	vai__call_unref(call);
}

/* Makes a goroutine for the call, which vai__sandbox_bounds_enter has counted. NULL: out of memory, and the count is
 * taken back. */
static vai_g *new_g(struct vai__call *call)
{
	vai_g *g = vai__g_new_in(call->home, entry, call);
	if (VAI_UNLIKELY(!g)) {
		vai__sandbox_bounds_leave(call->home);
		return NULL;
	}
	g->held = call;
	g->site = call->site;
	atomic_store_relaxed(&g->cpu_limit, vai__sandbox_bounds_cpu(call->home, call->opts ? call->opts->cpu : 0));
	return g;
}

/* Whether a goroutine that starts now may be ended by others than the holder of its task: in a sandbox or a seeded
 * run. */
static inline bool may_be_ended(void)
{
	return atomic_load_relaxed(&vai__sandbox_count) != 0 || vai__replay_is_on();
}

/* Whether the goroutine needs a task even if the script ignores it: because it may be ended by others, or because its
 * end is reported to others. */
static bool needs_task(const struct vai__call *call)
{
	return call->fate != VAI_FATE_PANIC || call->opts || call->member || may_be_ended();
}

static VAI_NOINLINE int cannot_go(lua_State *L, vai_g *self, struct vai__call *call, bool counted)
{
	struct vai__home *home = call->home;
	give_up(call);
	if (!counted)
		vai__sandbox_bounds_error(L, home);
	if (atomic_load_relaxed(&vai__g_home(self)->closing) != VAI_HOME_STAYS)
		return luaL_error(L, "%s", vai__end_closed_text);
	vai__arg_no_memory(L);
}

/* Starts the goroutine. Returns its task with a reference for the caller; NULL: none was `wanted`, and the goroutine
 * needs none. */
static inline vai_task *start_goroutine(lua_State *L, vai_g *self, struct vai__call *call, bool wanted)
{
	const bool counted = vai__sandbox_bounds_enter(call->home);
	const bool tasked = wanted || needs_task(call);
	vai_g *g = VAI_LIKELY(counted) ? new_g(call) : NULL;
	vai_task *task = g && tasked ? new_task(g, call->fate) : NULL;
	if (VAI_UNLIKELY(!g || (tasked && !task)))
		cannot_go(L, self, call, counted);
	if (task)
		vai__task_set_owner(task, vai__charge_account(vai__bind_vm(self)));
	if (VAI_UNLIKELY(call->opts != NULL))
		vai__task_set_name(task, call->opts->name);
	if (call->member)
		vai__member_begin(call->member, task);
	vai__note_stack(self, L);
	vai__g_start(self, g);
	if (task)
		vai__leaks_note((struct vai_obj *)task);
	return task;
}

int vai__call_go(lua_State *L, vai_g *self, struct vai__call *call)
{
	vai__handle_push(L, vai__bind_vm(self), (struct vai_obj *)start_goroutine(L, self, call, true), true);
	return 1;
}

int vai__call_go_for_lua(lua_State *L, vai_g *self, struct vai__call *call)
{
	if (!vai__probe_discards(L))
		return vai__call_go(L, self, call);
	vai_task *task = start_goroutine(L, self, call, false);
	if (task)
		vai__obj_unref((struct vai_obj *)task);
	return 0;
}

/* Gives the goroutine a task, by which it can be ended from outside. False: out of memory, and g is gone. */
static bool give_task(vai_g *g, const struct vai__call *call)
{
	if (VAI_LIKELY(!may_be_ended()))
		return true;
	vai_task *task = new_task(g, call->fate);
	if (!task)
		return false;
	vai__obj_unref((struct vai_obj *)task);
	return true;
}

bool vai__call_fire(struct vai__call *call)
{
	if (VAI_UNLIKELY(!vai__home_is(call->home, call->home_id)))
		return true; /* the state that made the call has closed, so there is nothing to start */
	vai_g *g = vai__sandbox_bounds_enter(call->home) ? new_g(call) : NULL;
	if (!g || !give_task(g, call))
		return false;
	vai__obj_ref(&call->obj);
	vai__g_start(NULL, g);
	return true;
}

bool vai__call_fire_with(vai_g *self, struct vai__call *call, struct vai_obj *o)
{
	struct vai__call *own = vai__mem_zalloc(sizeof *own);
	if (own)
		own->home = vai__g_home(self);
	vai_g *g = own && vai__sandbox_bounds_enter(own->home) ? new_g(own) : NULL;
	if (!g || !give_task(g, call)) {
		vai__mem_free(own, sizeof *own);
		return false;
	}
	vai__obj_init(&own->obj, &call_class);
	own->fate = call->fate;
	own->code = call->code;
	own->base = call;
	vai__obj_ref(&call->obj);
	own->extra = o;
	own->site = g->site = call->site;
	vai__g_start(self, g);
	return true;
}
