/* SPDX-License-Identifier: MIT */
/* The encoder: a new goroutine's function may have captured functions that assign locals which other functions share.
 * In the goroutine such an assignment would change its own copy alone, so it is refused, as are assignments of the
 * goroutine's function itself (lost_writes.c).
 *
 * A local that still lives on a stack is shared with the function whose local it is. For one that has left its block
 * Lua does not tell which closures refer to it: so all functions that the sender can reach are looked at, up to a
 * bound, first those in the locals of the functions that run. A function whose locals are its own alone is
 * remembered. */
#include "transfer/encode.h"
#include <stdlib.h>
#include <string.h>
#include "code/probe_lua.h"
#include "state/state.h"
#include "transfer/known_funcs.h"
#include "transfer/lost_writes.h"

/* The bound of a search: VALUES, halved after each SEARCHES searches in a state, HALVINGS times at most. */
enum { VALUES = 20000, SEARCHES = 16, HALVINGS = 8 };

struct search {
	lua_State *L;
	const void *upvalue;
	const void *own[2]; /* functions that do not count: the one that assigns, and the goroutine's */
	int seen, queue;    /* stack indices of tables: values that were looked at, and those to look into */
	lua_Integer nqueued;
	int left; /* values to look at */
};

/* Takes the value on top off the stack; what may lead to functions is queued. */
static void look_at(struct search *s)
{
	lua_State *L = s->L;
	const int top = lua_gettop(L) - 1;
	const void *p = lua_type(L, -1) >= LUA_TTABLE ? lua_topointer(L, -1) : NULL;
	s->left--;
	if (p && p != s->own[0] && p != s->own[1] && lua_rawgetp(L, s->seen, p) == LUA_TNIL) {
		lua_pushboolean(L, 1);
		lua_rawsetp(L, s->seen, p);
		lua_settop(L, top + 1);
		lua_rawseti(L, s->queue, ++s->nqueued);
	}
	lua_settop(L, top);
}

/* ---- where the search begins ---- */

/* Looks at a Lua function that runs, and at its named locals. */
static void look_at_frame(struct search *s, lua_State *L1, lua_Debug *ar)
{
	const char *name;
	for (int i = 1; (name = lua_getlocal(L1, ar, i)) != NULL; i++) {
		if (*name == '(')
			lua_pop(L1, 1);
		else {
			lua_xmove(L1, s->L, 1);
			look_at(s);
		}
	}
	lua_getinfo(L1, "f", ar);
	lua_xmove(L1, s->L, 1);
	look_at(s);
}

static void look_at_frames(struct search *s, lua_State *L1)
{
	lua_Debug ar;
	if (L1 != s->L && !lua_checkstack(L1, 2))
		return;
	for (int level = 0; s->left > 0 && lua_getstack(L1, level, &ar); level++) {
		lua_getinfo(L1, "S", &ar);
		if (*ar.what != 'C')
			look_at_frame(s, L1, &ar);
	}
}

static void look_at_roots(struct search *s, const struct vai_vm *vm)
{
	look_at_frames(s, s->L);
	if (vm->L != s->L)
		look_at_frames(s, vm->L);
	lua_rawgeti(s->L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	look_at(s);
	lua_getfield(s->L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	look_at(s);
}

/* ---- where it leads ---- */

static void follow_table(struct search *s, int t)
{
	lua_State *L = s->L;
	if (lua_getmetatable(L, t))
		look_at(s);
	lua_pushnil(L);
	while (s->left > 0 && lua_next(L, t)) {
		look_at(s);
		lua_pushvalue(L, -1);
		look_at(s);
	}
}

/* True: the function has the upvalue. */
static bool follow_function(struct search *s, int f)
{
	lua_State *L = s->L;
	bool is_lua = !lua_iscfunction(L, f);
	for (int i = 1; lua_getupvalue(L, f, i); i++) {
		look_at(s);
		if (is_lua && lua_upvalueid(L, f, i) == s->upvalue)
			return true;
	}
	return false;
}

static void follow_userdata(struct search *s, int u)
{
	if (lua_getmetatable(s->L, u))
		look_at(s);
	lua_getiuservalue(s->L, u, 1);
	look_at(s);
}

/* True: the value on top is a function that has the upvalue. */
static bool follow(struct search *s)
{
	const int top = lua_gettop(s->L);
	switch (lua_type(s->L, top)) {
	case LUA_TFUNCTION: return follow_function(s, top);
	case LUA_TTABLE: follow_table(s, top); return false;
	case LUA_TUSERDATA: follow_userdata(s, top); return false;
	case LUA_TTHREAD: look_at_frames(s, lua_tothread(s->L, top)); return false;
	default: return false;
	}
}

/* Whether another function that can be reached shares upvalue i of the function at f. May raise for want of memory. */
static bool is_shared(struct vai__enc *e, int f, int i)
{
	lua_State *L = e->L;
	const int top = lua_gettop(L);
	unsigned searches = e->vm->funcs->searches++ / SEARCHES;
	struct search s = {.L = L,
		.upvalue = lua_upvalueid(L, f, i),
		.own = {lua_topointer(L, f), lua_topointer(L, e->first)},
		.left = VALUES >> (searches < HALVINGS ? searches : HALVINGS)};
	bool found = false;
	luaL_checkstack(L, LEVEL_STACK, NULL);
	lua_newtable(L);
	lua_newtable(L);
	s.seen = top + 1;
	s.queue = top + 2;
	look_at_roots(&s, e->vm);
	for (lua_Integer k = 1; k <= s.nqueued && s.left > 0 && !found; k++) {
		lua_rawgeti(L, s.queue, k);
		found = follow(&s);
		lua_settop(L, s.queue);
	}
	lua_settop(L, top);
	return found;
}

/* ---- the check ---- */

/* Whether the function at f assigns upvalue i in a way that others would miss. Its _ENV does not count: assigning that
 * only changes where names are looked up. */
static bool assigns(const struct vai__enc *e, int f, const struct vai__upval *up, int i)
{
	lua_State *L = e->L;
	if (VAI_LIKELY(!up->assigned_line) || (up->name && strcmp(up->name, "_ENV") == 0))
		return false;
	if (!lua_getupvalue(L, f, i))
		return false;
	bool env = lua_topointer(L, -1) == e->globals;
	lua_pop(L, 1);
	return !env;
}

/* The weak table of functions whose assigned upvalues are theirs alone. */
static void push_private(lua_State *L, struct vai__known_funcs *fs)
{
	if (fs->private != LUA_NOREF) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, fs->private);
		return;
	}
	vai__state_push_weak(L, 0, "k");
	lua_pushvalue(L, -1);
	fs->private = luaL_ref(L, LUA_REGISTRYINDEX);
}

static bool is_private(lua_State *L, const struct vai__known_funcs *fs, int f)
{
	if (fs->private == LUA_NOREF)
		return false;
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->private);
	lua_pushvalue(L, f);
	bool known = lua_rawget(L, -2) != LUA_TNIL;
	lua_pop(L, 2);
	return known;
}

enum vai__enc_result vai__enc_lost(struct vai__enc *e, int f, const struct vai_code *code)
{
	lua_State *L = e->L;
	if (is_private(L, e->vm->funcs, f))
		return ENC_OK;
	if (!e->guarded)
		return ENC_RETRY;
	for (int i = 1; i <= code->nups; i++) {
		if (!assigns(e, f, &code->upvals[i - 1], i))
			continue;
		if (vai__probe_is_open(lua_upvalueid(L, f, i)) || is_shared(e, f, i))
			vai__lost_raise(L, f, &code->upvals[i - 1], i);
	}
	push_private(L, e->vm->funcs);
	lua_pushvalue(L, f);
	lua_pushboolean(L, 1);
	lua_rawset(L, -3);
	lua_pop(L, 1);
	return ENC_OK;
}
