/* SPDX-License-Identifier: MIT */
/* vai_lua_on_host: a goroutine has a function run in the host's state, on the host's thread.
 *
 * There the call is a goroutine of its own (a visit) that only M0 runs, on a Lua thread of the host's state. So it
 * runs while main waits, and main may go on while a visit waits. A visit is not interrupted, so functions of the host
 * interleave only where they wait. Its Lua thread is made in a thread that does nothing else (the maker), as main's
 * thread is in the middle of some call. */
#include "bind/host/visit.h"
#include <string.h>
#include "base/mem.h"
#include "bind/arg.h"
#include "bind/goroutine.h"
#include "bind/lib/result.h"
#include "bind/main_state.h"
#include "bind/report/panic.h"
#include "sync/task.h"
#include "transfer/codec.h"
#include "vai_lua.h"

struct visit {
	struct vai_obj obj; /* first; the goroutine's g->held */
	vai_msg call;       /* the function, or its name in the host's state, and the arguments */
};

/* What a running visit needs. It lies on the visit's stack. */
struct running_visit {
	struct visit *visit;
	vai_msg outcome;
	struct vai__life life;
};

static const char makers_key;

void vai__visit_prepare(lua_State *L, struct vai__main *main)
{
	main->maker = lua_newthread(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &makers_key);
}

static void destroy(struct vai_obj *o)
{
	struct visit *v = (struct visit *)o;
	vai__msg_drop(&v->call);
	vai__mem_free(v, sizeof *v);
}

static const struct vai_class visit_class = {"visit", destroy};

/* ---- on the host's thread ---- */

/* Pushes the value of the dotted name at idx, looked up in the host's globals. */
static void push_named(lua_State *L, int idx)
{
	const char *name = lua_tostring(L, idx), *dot;
	lua_pushglobaltable(L);
	do {
		dot = name + strcspn(name, ".");
		lua_pushlstring(L, name, (size_t)(dot - name));
		if (!lua_istable(L, -2))
			luaL_error(L, "the host has no function '%s'", lua_tostring(L, idx));
		lua_gettable(L, -2);
		lua_remove(L, -2);
		name = dot + 1;
	} while (*dot);
	if (lua_isnil(L, -1))
		luaL_error(L, "the host has no function '%s'", lua_tostring(L, idx));
}

/* Calls the value at idx, which is a function or the name of one of the host's, with all values above it. The results
 * replace all of these. */
static void call_at(lua_State *L, int idx)
{
	if (lua_type(L, idx) == LUA_TSTRING) {
		push_named(L, idx);
		lua_replace(L, idx);
	}
	lua_call(L, lua_gettop(L) - idx, LUA_MULTRET);
}

/* Makes the call in the host's state. Argument: struct running_visit. */
static int make_call(lua_State *L)
{
	struct running_visit *s = lua_touserdata(L, 1);
	vai__decode_take(L, vai__bind_vm(vai__g_self()), &s->visit->call);
	call_at(L, 2);
	vai__encode_values(L, vai__bind_vm(vai__g_self()), 2, lua_gettop(L) - 1, &s->outcome, "result");
	return 0;
}

/* Encodes the error of the call. Arguments: struct running_visit, the error. */
static int encode_error(lua_State *L)
{
	struct running_visit *s = lua_touserdata(L, 1);
	vai__report_describe(L);
	vai__encode_values(L, vai__bind_vm(vai__g_self()), 2, 1, &s->outcome, "error");
	return 0;
}

static int encode_text(lua_State *L)
{
	struct running_visit *s = lua_touserdata(L, 1);
	vai__report_describe(L);
	vai__encode_values(L, vai__bind_vm(vai__g_self()), 3, 1, &s->outcome, "error");
	return 0;
}

static bool encode_by(lua_State *L, struct running_visit *s, lua_CFunction how)
{
	lua_pushcfunction(L, how);
	lua_pushlightuserdata(L, s);
	lua_pushvalue(L, 1);
	return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

/* Runs the visit on a Lua thread of the host's state. True: it has succeeded. */
static bool run_visit(lua_State *L, struct running_visit *s)
{
	lua_pushcfunction(L, make_call);
	lua_pushlightuserdata(L, s);
	if (lua_pcall(L, 1, 0, 0) == LUA_OK)
		return true;
	if (!encode_by(L, s, encode_error) && !encode_by(L, s, encode_text))
		vai__msg_string(&s->outcome, "not enough memory", 17);
	return false;
}

static int new_thread(lua_State *L)
{
	lua_State *thread = lua_newthread(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, thread);
	lua_pushlightuserdata(L, thread);
	return 1;
}

static int drop_thread(lua_State *L)
{
	lua_pushnil(L);
	lua_rawsetp(L, LUA_REGISTRYINDEX, lua_touserdata(L, 1));
	return 0;
}

static lua_State *open_thread(lua_State *maker)
{
	lua_State *L = NULL;
	lua_pushcfunction(maker, new_thread);
	if (lua_pcall(maker, 0, 1, 0) == LUA_OK)
		L = lua_touserdata(maker, -1);
	lua_settop(maker, 0);
	return L;
}

static void close_thread(lua_State *maker, lua_State *L)
{
	lua_pushcfunction(maker, drop_thread);
	lua_pushlightuserdata(maker, L);
	lua_pcall(maker, 1, 0, 0); /* the slot exists already, so this cannot run out of memory */
	lua_settop(maker, 0);
}

static void entry(vai_g *g, void *arg)
{
	struct running_visit s = {.visit = arg, .life = {.hold = 1}}; /* a visit is never interrupted */
	vai_task *task = g->task;
	struct vai__main *main = vai__main_of(g);
	g->vm = main->vm;
	g->life = &s.life;
	lua_State *L = open_thread(main->maker);
	atomic_store_relaxed(&g->running, L);
	atomic_fetch_add(&main->guests, 1);
	bool done = L && run_visit(L, &s);
	if (!L)
		vai__msg_string(&s.outcome, "not enough memory", 17);
	else
		close_thread(main->maker, L);
	atomic_fetch_sub(&main->guests, 1);
	atomic_store_relaxed(&g->running, NULL);
	main->vm->at = vai__main_at(main);
	g->vm = g->held = g->task = g->life = NULL;
	vai__task_finish(task, done ? VAI_TASK_DONE : VAI_TASK_FAILED, &s.outcome);
	vai__obj_unref((struct vai_obj *)task);
	vai__obj_unref(&s.visit->obj);
}

/* ---- in the goroutine ---- */

/* Starts the visit. Takes over *msg. NULL: out of memory. */
static vai_task *start_visit(vai_g *self, vai_msg *msg)
{
	struct visit *v = vai__obj_new(sizeof *v, &visit_class);
	vai_g *g = v ? vai__g_new_on_main(entry, v) : NULL;
	vai_task *task = g ? vai__task_new(g, vai__msg_drop, NULL) : NULL;
	if (!task) {
		vai__msg_drop(msg);
		if (g)
			vai__g_discard(g);
		if (v)
			vai__obj_unref(&v->obj);
		return NULL;
	}
	v->call = *msg;
	g->held = v;
	g->task = vai_ref(task);
	vai__g_start(self, g);
	return task;
}

int vai_lua_on_host(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_msg msg;
	if (lua_type(L, 1) != LUA_TSTRING && !lua_isfunction(L, 1))
		vai__arg_type_error(L, 1, 1, "on_host", "function, or the name of one");
	if (vai__bind_vm(g)->is_host) {
		call_at(L, 1);
		return lua_gettop(L);
	}
	vai__encode_values(L, vai__bind_vm(g), 1, lua_gettop(L), &msg, "on_host: argument");
	vai_task *task = start_visit(g, &msg);
	if (!task)
		vai__arg_no_memory(L);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)task, true);
	lua_replace(L, 1);
	lua_settop(L, 1);
	vai__note_stack(g, L);
	int rc = vai__task_join(g, task, VAI_FOREVER);
	if (rc != VAI_OK)
		return vai__bind_failed(L, g, rc);
	vai__task_joined(task);
	vai__decode(L, vai__bind_vm(g), vai__task_outcome(task));
	if (vai__task_state(task) != VAI_TASK_DONE)
		return lua_error(L);
	return lua_gettop(L) - 1;
}
