/* SPDX-License-Identifier: MIT */
/* group and its methods. */
#include <string.h>
#include "base/mem.h"
#include "base/obj.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/wait_limit.h"
#include "bind/lib/result.h"
#include "bind/life/life.h"
#include "bind/life/spawn.h"
#include "sync/group.h"
#include "transfer/codec.h"
#include "transfer/message.h"

/* How long a canceled goroutine waits for the children of a group whose block it leaves, ns. */
#define LEAVE_TIME INT64_C(10000000000)

static inline vai_group *self_group(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__group_class, fname);
}

static void canceled(vai_msg *reason)
{
	vai__msg_string(reason, "canceled", strlen("canceled"));
}

/* The error of a task as the cause of a context: the task's outcome is not copied. */
struct failure {
	struct vai_obj obj;
	vai_task *task; /* one reference */
};

static void destroy_failure(struct vai_obj *o)
{
	struct failure *f = VAI_CONTAINER(o, struct failure, obj);
	vai__obj_unref((struct vai_obj *)f->task);
	vai__mem_free(f, sizeof *f);
}

static const struct vai_class failure_class = {"failure", destroy_failure};

/* Makes the error of a task the cause of the context. Without memory the cause stays empty. */
static void failed(vai_task *task, vai_msg *cause)
{
	struct failure *f = vai__mem_alloc(sizeof *f);
	if (!f)
		return;
	vai__obj_init(&f->obj, &failure_class);
	vai__obj_ref((struct vai_obj *)task);
	f->task = task;
	vai__msg_set(cause, M_OBJECT, (uintptr_t)&f->obj);
}

static const struct vai__group_hooks hooks = {canceled, failed, vai__msg_drop};

int vai__lib_group(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	vai_context *parent = (vai_context *)vai__handle_test(L, 1, &vai__context_class);
	if (!parent && !lua_isnoneornil(L, 1))
		vai__arg_type_error(L, 1, 1, "group", "context");
	vai_context *own = parent ? NULL : vai__context_new(vai__msg_drop);
	vai_group *group = parent || own ? vai__group_new(g, parent ? parent : own, &hooks) : NULL;
	if (own)
		vai__obj_unref((struct vai_obj *)own);
	return vai__bind_push_new(L, g, (struct vai_obj *)group);
}

/* ---- children ---- */

static const struct vai__callname go_name = {"go", 1, "go: argument"}, try_name = {"try_go", 1, "try_go: argument"},
								  map_name = {"map", 2, "map: argument 2"};

/* Starts the function at idx with the values above it, and pushes the task. VAI_EAGAIN: the group is full. */
static int start(lua_State *L, vai_group *group, int idx, const struct vai__callname *name, bool waits)
{
	vai_g *g = vai__bind_self(L);
	struct vai__call *call = vai__call_new(L, g, idx, name, VAI_FATE_KEEP);
	vai__note_stack(g, L);
	int rc = vai__group_enter(g, group, waits, &call->member);
	if (rc == VAI_OK) {
		vai__call_go(L, g, call);
		vai__handle_leaves(L, vai__bind_vm(g), -1); /* `wait` may return this task, as the same value */
		return VAI_OK;
	}
	call->member = NULL;
	vai__call_unref(call);
	if (rc == VAI_ECLOSED)
		luaL_error(L, "%s on a group that has ended", name->fname);
	if (rc != VAI_EAGAIN)
		vai__bind_failed(L, g, rc);
	return rc;
}

static int group_go(lua_State *L)
{
	start(L, self_group(L, "go"), 2, &go_name, true);
	return 1;
}

static int group_try_go(lua_State *L)
{
	if (start(L, self_group(L, "try_go"), 2, &try_name, false) != VAI_OK)
		return vai__bind_nil(L, "full");
	return 1;
}

static int group_limit(lua_State *L)
{
	vai_group *group = self_group(L, "limit");
	vai__bind_self(L);
	int64_t n = lua_isnoneornil(L, 2) ? INT64_MAX : vai__arg_integer(L, 2, 1, "limit");
	if (n < 0)
		vai__arg_error(L, 1, "limit", "%lld is negative", (long long)n);
	vai__group_limit(group, n);
	return 0;
}

static int group_context(lua_State *L)
{
	vai_group *group = self_group(L, "context");
	vai_g *g = vai__bind_self(L);
	struct vai_obj *ctx = (struct vai_obj *)vai__group_context(group);
	vai__obj_ref(ctx);
	vai__handle_push(L, vai__bind_vm(g), ctx, false);
	return 1;
}

/* ---- the end ---- */

static void push_outcome(lua_State *L, vai_g *g, vai_task *task)
{
	int top = lua_gettop(L);
	vai__decode(L, vai__bind_vm(g), vai__task_outcome(task));
	lua_settop(L, top + 1);
}

void vai__lib_push_cause(lua_State *L, vai_g *g, vai_context *ctx)
{
	int why = vai__context_err(ctx);
	const vai_msg *cause = vai__context_cause(ctx);
	const struct vai_obj *o = cause ? (struct vai_obj *)(uintptr_t)cause->w[1] : NULL;
	if (!cause)
		lua_pushstring(L, vai__bind_context_text(why));
	else if (vai__msg_tag(cause) == M_OBJECT && o->cls == &failure_class)
		push_outcome(L, g, VAI_CONTAINER(o, const struct failure, obj)->task);
	else
		vai__decode(L, vai__bind_vm(g), cause);
}

/* Pushes the error of the child that failed first. If that was canceled, its error is why the group's context is
 * over. */
static void push_error(lua_State *L, vai_g *g, vai_group *group, vai_task *task)
{
	vai_context *ctx = vai__group_context(group);
	if (vai__task_cancels(task) > 0 && vai__context_err(ctx) != VAI_OK)
		vai__lib_push_cause(L, g, ctx);
	else
		push_outcome(L, g, task);
}

/* Pushes the result once all have ended: true, or nil, error, task. */
static int result(lua_State *L, vai_g *g, vai_group *group)
{
	vai_task *task = vai__group_failed(group);
	if (!task) {
		lua_pushboolean(L, 1);
		return 1;
	}
	vai__group_tell(group);
	lua_pushnil(L);
	push_error(L, g, group, task);
	vai__obj_ref((struct vai_obj *)task);
	vai__handle_push(L, vai__bind_vm(g), (struct vai_obj *)task, false);
	return 3;
}

static int group_wait(lua_State *L)
{
	vai_group *group = self_group(L, "wait");
	vai_g *g = vai__bind_self(L);
	struct vai__limit limit = vai__arg_limit(L, 2, 1, "wait");
	vai__note_stack(g, L);
	int rc = VAI_LIMITED(g, limit, vai__group_wait(g, group, limit.deadline));
	return rc == VAI_OK ? result(L, g, group) : vai__bind_failed(L, g, rc);
}

static int wait_for(vai_g *g, void *group, int64_t until)
{
	return vai__group_wait(g, group, until);
}

static void insist(void *group)
{
	vai__group_insist(group);
}

/* Waits for the children. If the caller is canceled it cancels them and still waits, so that none outlives the block;
 * each further cancel of the caller cancels them again. */
static int wait_all(vai_g *g, vai_group *group)
{
	int rc = vai__group_wait(g, group, VAI_FOREVER);
	if (rc == VAI_ECANCELED) {
		vai__group_cancel(group);
		vai__end_wait_on(g, wait_for, insist, group, LEAVE_TIME);
	}
	return rc;
}

/* Called at the end of a block; argument 2 is the error that ends it, or nil. If the runtime has ended all children
 * have, too. */
static int group_close(lua_State *L)
{
	vai_group *group = self_group(L, "close");
	vai_g *g = vai__g_self();
	bool failing = !lua_isnoneornil(L, 2);
	if (failing || !g)
		vai__group_cancel(group);
	if (!g || !g->vm)
		return 0;
	vai__note_stack(g, L);
	int rc = wait_all(g, group);
	if (rc != VAI_OK)
		return vai__bind_failed(L, g, rc);
	vai_task *task = vai__group_failed(group);
	if (!task || !vai__group_tell(group) || failing)
		return 0;
	push_error(L, g, group, task);
	return lua_error(L);
}

/* ---- map ---- */

/* Starts a child for each element. Stack: group, list, function, tasks. False: a child has failed already. */
static int start_all(lua_State *L, vai_group *group, lua_Integer n)
{
	for (lua_Integer i = 1; i <= n; i++) {
		lua_pushvalue(L, 3);
		lua_geti(L, 2, i);
		lua_pushinteger(L, i);
		start(L, group, 5, &map_name, true);
		lua_rawseti(L, 4, i);
		lua_settop(L, 4);
	}
	return 0;
}

/* Puts the first result of the task on top into results[i] at index 5. False: the task has failed. */
static bool collect(lua_State *L, vai_g *g, lua_Integer i)
{
	vai_task *task = (vai_task *)vai__handle_test(L, -1, &vai__task_class);
	vai__note_stack(g, L);
	int rc = vai__task_join(g, task, VAI_FOREVER);
	if (rc != VAI_OK)
		vai__bind_failed(L, g, rc);
	if (vai__task_state(task) != VAI_TASK_DONE)
		return false;
	int top = lua_gettop(L);
	vai__decode(L, vai__bind_vm(g), vai__task_outcome(task));
	lua_settop(L, top + 1);
	lua_rawseti(L, 5, i);
	return true;
}

static int group_map(lua_State *L)
{
	vai_group *group = self_group(L, "map");
	vai_g *g = vai__bind_self(L);
	if (lua_type(L, 2) != LUA_TTABLE)
		vai__arg_type_error(L, 2, 1, "map", "table");
	if (!lua_isfunction(L, 3))
		vai__arg_type_error(L, 3, 2, "map", "function");
	lua_settop(L, 3);
	lua_Integer n = luaL_len(L, 2);
	lua_createtable(L, n < 1 << 20 ? (int)n : 0, 0);
	start_all(L, group, n);
	lua_createtable(L, n < 1 << 20 ? (int)n : 0, 0);
	bool all = true;
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, 4, i);
		all &= collect(L, g, i);
		lua_settop(L, 5);
	}
	vai_task *task = vai__group_failed(group);
	if (all || !task)
		return 1;
	vai__group_tell(group);
	lua_pushnil(L);
	push_error(L, g, group, task);
	return 2;
}

const struct vai__handle_type vai__lib_group_type = {&vai__group_class, "vai.group",
	.methods = VAI__METHODS({"go", group_go}, {"try_go", group_try_go}, {"limit", group_limit},
		{"context", group_context}, {"wait", group_wait}, {"map", group_map}),
	.meta = VAI__METHODS({"__close", group_close}, {"__tostring", vai__bind_tostring})};
