/* SPDX-License-Identifier: MIT */
/* vai_lua.h: what C code does with Lua's values and functions. Called by the goroutine whose state it is, in C
 * functions of that state, or by main. */
#include "base/mem.h"
#include "bind/arg.h"
#include "bind/host/host.h"
#include "bind/host/wishes.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "bind/life/life.h"
#include "bind/life/spawn.h"
#include "capi/capi.h"
#include "state/handle.h"
#include "sync/task.h"
#include "transfer/charge.h"
#include "transfer/codec.h"
#include "transfer/userdata.h"
#include "vai_lua.h"

/* The calling goroutine if L is its state or a coroutine of that; otherwise NULL. */
static vai_g *owner_of(lua_State *L)
{
	vai_g *g = vai__g_self();
	return g && g->vm && vai__bind_vm(g)->L == vai__host_main_thread(L) ? g : NULL;
}

static vai_g *need_owner(lua_State *L)
{
	vai_g *g = owner_of(L);
	if (!g)
		vai__arg_no_goroutine(L);
	return g;
}

/* Returns the result of a wait in C code. If the goroutine is to end, that is raised at its next Lua instruction. */
static int waited(vai_g *g, int rc)
{
	if (rc == VAI_ECANCELED && vai__end_due(g))
		vai__interrupt_g(g);
	return rc;
}

/* ---- channels ---- */

int vai_lua_pushchan(lua_State *L, vai_chan *ch)
{
	vai_g *g = owner_of(L);
	if (vai__capi_kind(ch) != VAI__CAPI_VALUES || !g)
		return VAI_EINVAL;
	vai__handle_push(L, vai__bind_vm(g), vai_ref(ch), false);
	return VAI_OK;
}

vai_chan *vai_lua_tochan(lua_State *L, int idx)
{
	return (vai_chan *)vai__handle_test(L, idx, &vai__chan_class);
}

static void encode(lua_State *L, vai_g *g, int idx, vai_msg *out, struct vai__account *owner, const char *what)
{
	vai__encode(L, vai__bind_vm(g), idx, out, what);
	if (vai__charge_is_carried(out))
		vai__charge_move(out, vai__bind_vm(g), owner);
}

int vai_lua_send(lua_State *L, vai_chan *ch, int idx, int64_t ns)
{
	vai_g *g = owner_of(L);
	vai_msg msg;
	if (!g)
		return VAI_ETHREAD;
	if (vai__capi_kind(ch) != VAI__CAPI_VALUES || lua_isnoneornil(L, idx))
		return VAI_EINVAL;
	encode(L, g, idx, &msg, vai__chan_owner(ch), "vai_lua_send");
	vai__note_stack(g, L);
	int rc = waited(g, vai_send_value(ch, &msg, ns));
	if (rc != VAI_OK)
		vai__msg_drop(&msg);
	return rc;
}

int vai_lua_recv(lua_State *L, vai_chan *ch, int64_t ns)
{
	vai_g *g = owner_of(L);
	vai_msg msg;
	if (!g)
		return VAI_ETHREAD;
	luaL_checkstack(L, 1, NULL);
	vai__note_stack(g, L);
	int rc = waited(g, vai_recv_value(ch, &msg, ns));
	if (rc == VAI_OK)
		vai__bind_deliver(L, vai__bind_vm(g), &msg);
	return rc;
}

/* ---- values ---- */

void vai_lua_tovalue(lua_State *L, int idx, vai_value *out)
{
	encode(L, need_owner(L), idx, out, NULL, "vai_lua_tovalue");
}

void vai_lua_pushvalue(lua_State *L, vai_value *v)
{
	vai_g *g = need_owner(L);
	vai_msg msg = *v;
	luaL_checkstack(L, 1, NULL);
	*v = (vai_value){{0}};
	vai__bind_deliver(L, vai__bind_vm(g), &msg);
}

/* ---- goroutines ---- */

/* Starts the function with n arguments on top, and puts its task in their place. */
static void start(lua_State *L, int n, const struct vai__callname *name, enum vai__fate fate)
{
	vai_g *g = need_owner(L);
	int idx = lua_gettop(L) - n;
	luaL_checkstack(L, 8, NULL);
	vai__call_go(L, g, vai__call_new(L, g, idx, name, fate));
	lua_replace(L, idx);
	lua_settop(L, idx);
}

void vai_lua_go(lua_State *L, int nargs)
{
	static const struct vai__callname name = {"vai_lua_go", 1, "vai_lua_go: argument"};
	start(L, nargs, &name, VAI_FATE_PANIC);
}

void vai_lua_async(lua_State *L, int nargs)
{
	static const struct vai__callname name = {"vai_lua_async", 1, "vai_lua_async: argument"};
	start(L, nargs, &name, VAI_FATE_KEEP);
}

vai_task *vai_lua_totask(lua_State *L, int idx)
{
	return (vai_task *)vai__handle_test(L, idx, &vai__task_class);
}

int vai_lua_join(lua_State *L, vai_task *task, int64_t ns)
{
	vai_g *g = owner_of(L);
	if (!g)
		return VAI_ETHREAD;
	luaL_checkstack(L, 8, NULL);
	vai__note_stack(g, L);
	int rc = waited(g, vai_join(task, NULL, ns));
	return rc == VAI_OK ? vai__lib_push_outcome(L, g, task) : rc;
}

/* ---- references ---- */

struct reference {
	struct vai_obj obj; /* first */
	void *p;
	void (*drop)(void *p);
};

static void drop_reference(struct vai_obj *o)
{
	struct reference *r = (struct reference *)o;
	if (r->drop)
		r->drop(r->p);
	vai__mem_free(r, sizeof *r);
}

static const struct vai_class reference_class = {"reference", drop_reference};
const struct vai__handle_type vai__host_reference_type = {
	&reference_class, "vai.reference", .meta = VAI__METHODS({"__tostring", vai__bind_tostring})};

void vai_lua_pushref(lua_State *L, void *p, void (*drop)(void *p))
{
	vai_g *g = need_owner(L);
	luaL_checkstack(L, 4, NULL);
	struct reference *r = vai__obj_new(sizeof *r, &reference_class);
	if (r) {
		r->p = p;
		r->drop = drop;
	}
	vai__bind_push_new(L, g, (struct vai_obj *)r);
}

void *vai_lua_toref(lua_State *L, int idx)
{
	const struct reference *r = (void *)vai__handle_test(L, idx, &reference_class);
	return r ? r->p : NULL;
}

/* ---- before the start ---- */

int vai_lua_codec(const char *type, lua_CFunction out, lua_CFunction in)
{
	return type && out && in ? vai__userdata_add(type, out, in) : VAI_EINVAL;
}

int vai_lua_init(lua_CFunction init, unsigned flags)
{
	if (flags & ~(unsigned)VAI_LUA_NO_FINALIZERS)
		return VAI_EINVAL;
	vai__home_gate(true);
	const bool early = atomic_load(&vai__main_count) == 0;
	if (early)
		vai__wishes_init_of_all(init, !(flags & VAI_LUA_NO_FINALIZERS));
	vai__home_gate(false);
	return early ? VAI_OK : VAI_EINVAL;
}

int vai_lua_init_state(lua_State *L, lua_CFunction init, unsigned flags)
{
	if (!lua_checkstack(L, 4))
		return VAI_ENOMEM;
	if (flags & ~(unsigned)VAI_LUA_NO_FINALIZERS || vai__host_of(L))
		return VAI_EINVAL;
	return vai__wishes_init(L, init, !(flags & VAI_LUA_NO_FINALIZERS)) ? VAI_OK : VAI_ENOMEM;
}
