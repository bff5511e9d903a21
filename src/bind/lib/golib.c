/* SPDX-License-Identifier: MIT */
/* go, async, the functions that ask the scheduler, and tasks. */
#include <string.h>
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"
#include "bind/life/life.h"
#include "bind/life/spawn.h"
#include "sync/task.h"
#include "transfer/codec.h"
#include "runtime/start.h"

/* How long a canceled goroutine waits at the end of a block for a task that it cancels there. That is longer than the
 * task's to-be-closed variables may take. */
#define LEAVE_TIME INT64_C(11000000000)

int vai__lib_go(lua_State *L)
{
	static const struct vai__callname name = {"go", 1, "go: argument"};
	vai_g *g = vai__bind_self(L);
	return vai__call_go_for_lua(L, g, vai__call_new(L, g, 1, &name, VAI_FATE_PANIC));
}

int vai__lib_async(lua_State *L)
{
	static const struct vai__callname name = {"async", 1, "async: argument"};
	vai_g *g = vai__bind_self(L);
	return vai__call_go_for_lua(L, g, vai__call_new(L, g, 1, &name, VAI_FATE_KEEP));
}

int vai__lib_yield(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai__note_stack(g, L);
	vai__yield(g);
	if (vai__end_due(g))
		vai__end_raise(L, g);
	return 0;
}

int vai__lib_id(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)vai__bind_self(L)->id);
	return 1;
}

int vai__lib_count(lua_State *L)
{
	vai__bind_self(L);
	lua_pushinteger(L, vai__g_count());
	return 1;
}

int vai__lib_maxprocs(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	int64_t n = 0;
	if (!lua_isnoneornil(L, 1)) {
		n = vai__arg_integer(L, 1, 1, "maxprocs");
		if (n < 1 || n > 1024)
			vai__arg_error(L, 1, "maxprocs", "%lld is not between 1 and 1024", (long long)n);
	}
	lua_pushinteger(L, vai__maxprocs(g, (int)n));
	return 1;
}

int vai__lib_numcpu(lua_State *L)
{
	vai__bind_self(L);
	lua_pushinteger(L, vai__numcpu());
	return 1;
}

static void set_count(lua_State *L, const char *name, uint64_t n)
{
	lua_pushinteger(L, (lua_Integer)n);
	lua_setfield(L, -2, name);
}

int vai__lib_stats(lua_State *L)
{
	struct vai__sched_stats s;
	vai__bind_self(L);
	vai__sched_stats(&s);
	lua_createtable(L, 0, 20);
	set_count(L, "goroutines", (uint64_t)vai__g_count());
	set_count(L, "spawned", s.spawned);
	set_count(L, "ended", s.ended);
	set_count(L, "parks", s.parks);
	set_count(L, "steals", s.steals);
	set_count(L, "stolen", s.stolen);
	set_count(L, "handoffs", s.handoffs);
	set_count(L, "wakeups", s.wakeups);
	set_count(L, "global_gets", s.global_gets);
	set_count(L, "overflows", s.overflows);
	set_count(L, "timers_fired", s.timers_fired);
	set_count(L, "stacks", s.stacks);
	set_count(L, "procs", (uint64_t)s.ps);
	set_count(L, "idle_procs", (uint64_t)s.idle_ps);
	set_count(L, "threads", (uint64_t)s.ms);
	set_count(L, "idle_threads", (uint64_t)s.idle_ms);
	set_count(L, "spinning", (uint64_t)s.spinning);
	set_count(L, "preempted", s.preempted);
	set_count(L, "retaken", s.retaken);
	lua_pushstring(L, vai__runtime_mode());
	lua_setfield(L, -2, "states");
	return 1;
}

/* ---- tasks ---- */

static inline vai_task *self_task(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__task_class, fname);
}

/* A failed task's outcome also has the text for the report, behind the traceback. That is not pushed. */
int vai__lib_push_outcome(lua_State *L, vai_g *g, vai_task *task)
{
	bool done = vai__task_state(task) == VAI_TASK_DONE;
	int base = lua_gettop(L);
	lua_pushboolean(L, done);
	vai__decode(L, vai__bind_vm(g), vai__task_outcome(task));
	if (!done && lua_gettop(L) > base + 3)
		lua_settop(L, base + 3);
	return lua_gettop(L) - base;
}

static int task_join(lua_State *L)
{
	vai_task *task = self_task(L, "join");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "join");
	if (limit.deadline == VAI_FOREVER && !limit.ctx && vai__task_id(task) == g->id)
		return luaL_error(L, "a goroutine cannot join itself");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__task_join(g, task, limit.deadline));
	if (rc != VAI_OK)
		return vai__bind_failed(L, g, rc);
	vai__task_joined(task);
	return vai__lib_push_outcome(L, g, task);
}

/* cancel([reason]). A goroutine that cancels its own task ends here. */
static int task_cancel(lua_State *L)
{
	vai_task *task = self_task(L, "cancel");
	vai_g *g = vai__bind_self(L);
	vai_msg reason;
	if (lua_isnoneornil(L, 2))
		vai__msg_string(&reason, "canceled", strlen("canceled"));
	else
		vai__encode(L, vai__bind_vm(g), 2, &reason, "cancel: argument 1");
	bool alive = vai__task_cancel(task, &reason);
	vai__msg_drop(&reason);
	if (alive && vai__task_id(task) == g->id && vai__end_due(g))
		vai__end_raise(L, g);
	lua_pushboolean(L, alive);
	return 1;
}

static void cancel(void *task)
{
	vai_msg reason;
	vai__msg_string(&reason, "canceled", strlen("canceled"));
	vai__task_cancel(task, &reason);
	vai__msg_drop(&reason);
}

static int join(vai_g *g, void *task, int64_t until)
{
	return vai__task_join(g, task, until);
}

/* Cancels the task and waits for it. If the caller is canceled it still waits; each further cancel of the caller
 * cancels the task again. */
static int cancel_and_join(vai_g *g, vai_task *task)
{
	cancel(task);
	int rc = vai__task_join(g, task, VAI_FOREVER);
	if (rc == VAI_ECANCELED)
		vai__end_wait_on(g, join, cancel, task, LEAVE_TIME);
	return rc;
}

/* local t <close>: cancels the task and joins it. An error of the task itself is reported, as of any task that nobody
 * joins. */
static int task_end(lua_State *L)
{
	vai_task *task = self_task(L, "__close");
	vai_g *g = vai__g_self();
	if (!g || !g->vm || vai__task_id(task) == g->id)
		return 0;
	vai__note_stack(g, L);
	int rc = cancel_and_join(g, task);
	return rc == VAI_OK ? 0 : vai__bind_failed(L, g, rc);
}

/* Gives a channel that is closed when the task has ended. */
static int task_done(lua_State *L)
{
	vai_task *task = self_task(L, "done");
	vai_g *g = vai__bind_self(L);
	vai_chan *ch = vai__task_done(task);
	if (!ch)
		vai__arg_no_memory(L);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)ch, false);
	return 1;
}

static const char *alive_status(vai_task *task)
{
	switch (vai__task_g_state(task)) {
	case VAI_G_NEW:
	case VAI_G_RUNNABLE: return "runnable";
	case VAI_G_WAITING: return "waiting";
	default: return "running"; /* also for a goroutine that has ended and has not finished its task yet */
	}
}

static int task_status(lua_State *L)
{
	vai_task *task = self_task(L, "status");
	const char *alive = alive_status(task);
	switch (vai__task_state(task)) {
	case VAI_TASK_DONE: lua_pushliteral(L, "done"); break;
	case VAI_TASK_FAILED: lua_pushliteral(L, "failed"); break;
	default: lua_pushstring(L, alive); break;
	}
	return 1;
}

static int task_id(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)vai__task_id(self_task(L, "id")));
	return 1;
}

static int task_tostring(lua_State *L)
{
	lua_pushfstring(L, "goroutine %I", (LUAI_UACINT)vai__task_id(self_task(L, "tostring")));
	return 1;
}

const struct vai__handle_type vai__lib_task_type = {&vai__task_class, "vai.task",
	.methods = VAI__METHODS(
		{"join", task_join}, {"cancel", task_cancel}, {"done", task_done}, {"status", task_status}, {"id", task_id}),
	.meta = VAI__METHODS({"__close", task_end}, {"__tostring", task_tostring})};
