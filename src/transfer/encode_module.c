/* SPDX-License-Identifier: MIT */
/* The encoder: tables that are loaded modules, and values whose metatable tells what is to be sent for them. The
 * name of a module is remembered in each state, and checked against package.loaded each time. */
#include <lualib.h>
#include "sched/sched.h"
#include "stdlib/catalog.h"
#include "transfer/encode.h"
#include "transfer/known_funcs.h"
#include "transfer/module_changes.h"
#include "transfer/names.h"
#include "stdlib/lazy.h"
#include "transfer/codec.h"

enum {
	MAX_CALL = 100,
	MAX_CALLS = 16,
	SCANS = 4
}; /* after so many searches of package.loaded `seen` learns all modules */

void (*vai__codec_note_paths)(lua_State *L, struct vai_vm *vm);

/* vm->funcs; NULL: not there yet and not guarded. */
static struct vai__known_funcs *funcs_of(struct vai__enc *e)
{
	if (VAI_UNLIKELY(!e->vm->funcs) && e->guarded)
		return vai__known_funcs_open(e->L, e->vm);
	return e->vm->funcs;
}

/* ---- modules ---- */

enum vai__enc_result vai__enc_need_loaded(struct vai__enc *e)
{
	struct vai_vm *vm = e->vm;
	struct vai__known_funcs *fs = funcs_of(e);
	if (!fs)
		return ENC_RETRY;
	if (VAI_LIKELY(fs->loaded != LUA_NOREF))
		return ENC_YES;
	if (!vm->is_host && !vm->has_loaded)
		return ENC_NO;
	if (!e->guarded)
		return ENC_RETRY;
	if (!vai__lazy_push_loaded(e->L, vm))
		return ENC_NO;
	fs->loaded = luaL_ref(e->L, LUA_REGISTRYINDEX);
	return ENC_YES;
}

/* Pushes the name under which package.loaded holds the table, if it is remembered. */
static bool push_known_name(lua_State *L, const struct vai__known_funcs *fs, const void *table)
{
	int top = lua_gettop(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->modules);
	if (lua_rawgetp(L, -1, table) == LUA_TSTRING) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, fs->loaded);
		lua_pushvalue(L, -2);
		lua_rawget(L, -2);
		if (lua_topointer(L, -1) == table) {
			lua_pushvalue(L, top + 2);
			lua_replace(L, top + 1);
			lua_settop(L, top + 1);
			return true;
		}
	}
	lua_settop(L, top);
	return false;
}

/* Pushes the name that package.loaded has for the table. */
static bool push_found_name(lua_State *L, const struct vai__known_funcs *fs, const void *table)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->loaded);
	int loaded = lua_gettop(L);
	lua_pushnil(L);
	while (lua_next(L, loaded)) {
		if (lua_topointer(L, -1) == table && lua_type(L, -2) == LUA_TSTRING) {
			lua_pop(L, 1);
			lua_replace(L, loaded);
			return true;
		}
		lua_pop(L, 1);
	}
	lua_settop(L, loaded - 1);
	return false;
}

enum vai__enc_result vai__enc_is_module(struct vai__enc *e, int idx)
{
	lua_State *L = e->L;
	const void *table = lua_topointer(L, idx);
	enum vai__enc_result r = vai__enc_need_loaded(e);
	if (r != ENC_YES)
		return r;
	const struct vai__known_funcs *fs = e->vm->funcs;
	bool known = push_known_name(L, fs, table);
	if (!known && !e->all_modules && e->module_scans == SCANS) {
		e->all_modules = true;
		return ENC_RETRY;
	}
	if (!known) {
		e->module_scans += !e->all_modules;
		if (!push_found_name(L, fs, table))
			return ENC_NO;
	}
	lua_pop(L, 1);
	return ENC_YES;
}

bool vai__enc_has_name(struct vai__enc *e, int idx)
{
	lua_State *L = e->L;
	const void *table = lua_topointer(L, idx);
	bool guarded = e->guarded;
	e->guarded = true;
	enum vai__enc_result r = vai__enc_need_loaded(e);
	e->guarded = guarded;
	if (r != ENC_YES)
		return false;
	const struct vai__known_funcs *fs = e->vm->funcs;
	if (!push_known_name(L, fs, table) && !push_found_name(L, fs, table))
		return false;
	lua_pop(L, 1);
	return true;
}

/* The key under which the other names of a module are remembered: an address inside its table, since the address itself
 * is the key of its first name. */
static const void *others_key(const void *table)
{
	return (const char *)table + 1;
}

/* Pushes the module's name, which stays on the stack. ENC_NO: the table is in package.loaded no more. */
static enum vai__enc_result push_name(struct vai__enc *e, const void *table)
{
	lua_State *L = e->L;
	const struct vai__known_funcs *fs = e->vm->funcs;
	if (push_known_name(L, fs, table))
		return ENC_OK;
	if (!e->guarded)
		return ENC_RETRY;
	if (!vai__names_of_module(L, e->vm, table))
		return ENC_NO;
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->modules);
	lua_rotate(L, -2, 1);
	lua_rawsetp(L, -2, others_key(table));
	lua_pushvalue(L, -2);
	lua_rawsetp(L, -2, table);
	lua_pop(L, 1);
	vai__codec_note_paths(L, e->vm);
	return ENC_OK;
}

const char *vai__enc_name_of(struct vai__enc *e, int idx)
{
	if (push_name(e, lua_topointer(e->L, idx)) != ENC_OK)
		return NULL;
	const char *name = lua_tostring(e->L, -1);
	lua_pop(e->L, 1); /* the string stays valid, because package.loaded has it as a key */
	return name;
}

/* Writes the module's names; the first is on top. */
static enum vai__enc_result put_names(struct vai__enc *e, const void *table)
{
	lua_State *L = e->L;
	lua_rawgeti(L, LUA_REGISTRYINDEX, e->vm->funcs->modules);
	bool more = lua_rawgetp(L, -1, others_key(table)) == LUA_TSTRING;
	enum vai__enc_result r = vai__enc_tag(e, more ? T_MODULES : T_MODULE);
	if (r == ENC_OK)
		r = vai__enc_string(e, -3);
	if (r == ENC_OK && more)
		r = vai__enc_string(e, -1);
	lua_pop(L, 2);
	return r;
}

/* The changes go along with what the script has told `require`, and are made to libraries when these are opened. */
enum vai__enc_result vai__enc_tell_changes(struct vai__enc *e)
{
	if (!e->call || e->looked)
		return ENC_OK;
	if (!lua_checkstack(e->L, LEVEL_STACK))
		return ENC_NOMEM;
	if (e->vm->is_host && !vai__module_changes_none(e->L, e->vm)) {
		if (!e->guarded)
			return ENC_RETRY;
		vai__codec_note_paths(e->L, e->vm);
	}
	e->looked = true;
	return ENC_OK;
}

enum vai__enc_result vai__enc_tell_methods(struct vai__enc *e)
{
	if (!e->call || e->looked || e->methods)
		return ENC_OK;
	if (!lua_checkstack(e->L, LEVEL_STACK))
		return ENC_NOMEM;
	if (e->vm->is_host && !vai__module_changes_no_methods(e->L, e->vm))
		return vai__enc_tell_changes(e);
	const unsigned changed = atomic_load_relaxed(&vai__home_self()->changed_libs);
	e->methods = changed && changed >> vai__catalog_lib(LUA_STRLIBNAME) & 1;
	return ENC_OK;
}

enum vai__enc_result vai__enc_tell_paths(struct vai__enc *e)
{
	if (!e->call || e->noted)
		return ENC_OK;
	if (e->vm->is_host && !e->guarded)
		return ENC_RETRY;
	vai__codec_note_paths(e->L, e->vm);
	e->looked = e->noted = true;
	return ENC_OK;
}

/* Writes the module whose name is on top, and pops that. */
static enum vai__enc_result put_module(struct vai__enc *e, const void *table)
{
	e->library = vai__catalog_lib(lua_tostring(e->L, -1)) >= 0;
	enum vai__enc_result r = e->library ? ENC_OK : vai__enc_tell_changes(e);
	if (r == ENC_OK)
		r = put_names(e, table);
	e->flags |= BLOCK_CALLS_OUT;
	lua_pop(e->L, 1);
	return r;
}

enum vai__enc_result vai__enc_module(struct vai__enc *e, int idx)
{
	const void *table = lua_topointer(e->L, idx);
	enum vai__enc_result r = push_name(e, table);
	if (r == ENC_NO) /* impossible unless user code ran: it had a name a moment ago */
		return luaL_error(e->L, "package.loaded was changed while values were sent");
	return r == ENC_OK ? put_module(e, table) : r;
}

/* ---- what modules have ---- */

/* Whether the value on top is the module whose preload is being encoded. */
static bool is_preloading(struct vai__enc *e)
{
	lua_State *L = e->L;
	bool same = false;
	if (lua_rawgeti(L, LUA_REGISTRYINDEX, e->vm->funcs->loaded) == LUA_TTABLE) {
		lua_pushstring(L, vai__home_self()->preloading);
		same = lua_rawget(L, -2) != LUA_TNIL && lua_rawequal(L, -1, -3);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return same;
}

/* Pushes the name of the module on top, of which a member is to be sent. ENC_NO: it cannot be required, for example
 * because the script has unloaded or reloaded it. */
static enum vai__enc_result push_module_name(struct vai__enc *e)
{
	enum vai__enc_result r = vai__enc_need_loaded(e);
	if (r != ENC_YES)
		return r;
	if (VAI_UNLIKELY(e->vm->is_host && vai__home_self()->preloading) && is_preloading(e))
		return ENC_NO;
	return push_name(e, lua_topointer(e->L, -1));
}

/* Writes a member of that type. The stack has from `top` on the n keys that lead to it, the last one first, and the
 * module. */
static enum vai__enc_result put_member(struct vai__enc *e, int top, int n, int type)
{
	lua_State *L = e->L;
	enum vai__enc_result r = push_module_name(e);
	if (r == ENC_OK && !vai__enc_room(e, MEMBER_HEAD))
		r = ENC_NOMEM;
	if (r == ENC_OK) {
		e->p[0] = T_MEMBER;
		vai__store32(e->p + AT_SLOT, 0);
		e->p[MEMBER_HEAD - 2] = (unsigned char)type;
		e->p[MEMBER_HEAD - 1] = (unsigned char)n;
		e->p += MEMBER_HEAD;
		r = put_module(e, lua_topointer(L, top + n + 1));
	}
	for (int i = n; i > 0 && r == ENC_OK; i--)
		r = vai__enc_string(e, top + i);
	return r;
}

enum vai__enc_result vai__enc_member(struct vai__enc *e, int idx)
{
	lua_State *L = e->L;
	const int top = lua_gettop(L), type = lua_type(L, idx);
	if (VAI_UNLIKELY(vai__names_stale(e->vm))) {
		if (!e->guarded)
			return ENC_RETRY;
		vai__names_refresh(L, e->vm);
	}
	int n = vai__names_path(L, e->vm, idx);
	if (VAI_LIKELY(n < 0))
		return ENC_NO;
	enum vai__enc_result r = put_member(e, top, n, type);
	lua_settop(L, top);
	return r;
}

enum vai__enc_result vai__enc_stranger(struct vai__enc *e, int idx)
{
	enum vai__enc_result r = vai__enc_member(e, idx);
	if (r != ENC_NO || vai__names_missed(e->L, e->vm, idx))
		return r;
	if (!e->guarded)
		return ENC_RETRY;
	luaL_checkstack(e->L, LEVEL_STACK, NULL);
	vai__names_search(e->L, e->vm);
	r = vai__enc_member(e, idx);
	if (r == ENC_NO)
		vai__names_miss(e->L, e->vm, idx);
	return r;
}

enum vai__enc_result vai__enc_all_modules(struct vai__enc *e)
{
	lua_State *L = e->L;
	int top = lua_gettop(L);
	enum vai__enc_result r = vai__enc_need_loaded(e);
	if (r != ENC_YES)
		return r == ENC_NO ? ENC_OK : r;
	r = ENC_OK;
	lua_rawgeti(L, LUA_REGISTRYINDEX, e->vm->funcs->loaded);
	lua_pushnil(L);
	while (r == ENC_OK && lua_next(L, top + 1)) {
		bool found;
		if (lua_istable(L, -1) && lua_type(L, -2) == LUA_TSTRING &&
			!vai__seen_put(&e->seen, lua_topointer(L, -1), vai__seen_value(SEEN_MODULE, 0, 0), &found))
			r = ENC_NOMEM;
		lua_pop(L, 1);
	}
	lua_settop(L, top);
	return r;
}

/* ---- tables of fresh states that fill themselves ---- */

static enum vai__enc_result put_module_name(struct vai__enc *e, const char *name)
{
	size_t len = strlen(name);
	if (!vai__enc_room(e, 3 + len))
		return ENC_NOMEM;
	e->p[0] = T_MODULE;
	e->p[1] = T_SHORT;
	e->p[2] = (unsigned char)len;
	memcpy(e->p + 3, name, len);
	e->p += 3 + len;
	e->flags |= BLOCK_CALLS_OUT;
	return ENC_OK;
}

enum vai__enc_result vai__enc_lazy(struct vai__enc *e, int idx)
{
	int which = vai__lazy_which(e->L, e->vm, idx);
	if (which >= VAI__LAZY_LIBS)
		return put_module_name(e, vai__catalog.libs[which - VAI__LAZY_LIBS].name);
	if (which == VAI__LAZY_MODULE)
		return put_module_name(e, vai__catalog_preload_name);
	if (which != VAI__LAZY_LOADED)
		return ENC_NO;
	if (!e->guarded)
		return ENC_RETRY;
	vai__lazy_complete(e->L, e->vm, which, idx);
	return ENC_NO;
}

bool vai__enc_is_lazy_lib(struct vai__enc *e, int idx, const char *name)
{
	lua_State *L = e->L;
	bool hidden = false;
	if (!e->vm->hidden || !lua_getmetatable(L, idx))
		return false;
	hidden = lua_topointer(L, -1) == e->vm->hidden;
	lua_pop(L, 1);
	int which = hidden ? vai__lazy_which(L, e->vm, idx) : -1;
	return which >= VAI__LAZY_LIBS && strcmp(vai__catalog.libs[which - VAI__LAZY_LIBS].name, name) == 0;
}

/* ---- __vai_send ---- */

enum vai__enc_result vai__enc_has_send(struct vai__enc *e)
{
	lua_State *L = e->L;
	const struct vai__known_funcs *fs = funcs_of(e);
	if (!fs)
		return ENC_RETRY;
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->send);
	if (lua_rawget(L, -2) == LUA_TNIL) {
		lua_pop(L, 1);
		return ENC_NO;
	}
	return e->guarded ? ENC_YES : ENC_RETRY;
}

static const char nothing, a_call;

/* Makes one value of the results of __vai_send, from stack index `first` on: the first of them or, if that is nil and
 * more follow, a table of these, marked as a call. */
static void pack_results(lua_State *L, int first)
{
	int n = lua_gettop(L) - first;
	if (n < 1 || !lua_isnil(L, first) || lua_isnil(L, first + 1)) {
		lua_settop(L, first);
		return;
	}
	lua_createtable(L, n, 1);
	lua_replace(L, first);
	for (int i = n; i > 0; i--)
		lua_rawseti(L, first, i);
	lua_pushinteger(L, n);
	lua_rawsetp(L, first, &a_call);
}

/* Pushes what the metamethod at `f` gives for the value at idx; it is called once per value and encoding. A result that
 * is met again as a value of its own is not translated. */
static void push_translation(lua_State *L, int f, int idx)
{
	if (lua_isnil(L, SENDS_SLOT)) {
		lua_newtable(L);
		lua_replace(L, SENDS_SLOT);
	}
	lua_pushvalue(L, idx);
	if (lua_rawget(L, SENDS_SLOT) == LUA_TNIL) {
		lua_pop(L, 1);
		const int first = lua_gettop(L) + 1;
		lua_pushvalue(L, f);
		lua_pushvalue(L, idx);
		lua_call(L, 1, LUA_MULTRET);
		pack_results(L, first);
		bool is_nil = lua_isnil(L, -1);
		if (lua_istable(L, -1)) {
			lua_pushvalue(L, -1);
			lua_pushvalue(L, -1);
			lua_rawset(L, SENDS_SLOT);
		}
		lua_pushvalue(L, idx);
		if (is_nil)
			lua_pushlightuserdata(L, (void *)&nothing);
		else
			lua_pushvalue(L, -2);
		lua_rawset(L, SENDS_SLOT);
	}
	if (lua_touserdata(L, -1) == &nothing)
		lua_pushnil(L);
}

/* If the value on top is marked as a call: how many values (function and arguments) it has. 0: it is no call. */
static int values_of_call(lua_State *L)
{
	if (!lua_istable(L, -1))
		return 0;
	lua_rawgetp(L, -1, &a_call);
	int n = (int)lua_tointeger(L, -1);
	lua_pop(L, 1);
	return n;
}

/* Writes the call on top, of n values, in place of the value at idx. Its arguments have to be complete when the decoder
 * makes the call, so they are not left for later, however deep they lie. */
static enum vai__enc_result put_call(struct vai__enc *e, int idx, int n)
{
	lua_State *L = e->L;
	const int call = lua_gettop(L), depth = e->depth;
	if (lua_rawgeti(L, call, 1) != LUA_TFUNCTION || n > MAX_CALL || e->calls == MAX_CALLS)
		return vai__enc_misfit_call(e, n > MAX_CALL || e->calls == MAX_CALLS);
	lua_pop(L, 1);
	enum vai__enc_result r = vai__enc_met(e, idx, lua_topointer(L, idx));
	if (r != ENC_NO)
		return r;
	r = ENC_OK;
	e->p[0] = T_CALL;
	vai__store32(e->p + AT_SLOT, 0);
	e->p[5] = (unsigned char)(n - 1);
	e->p += 6;
	e->flags |= BLOCK_CALLS_OUT;
	e->calls++;
	e->depth = 0;
	for (int i = 1; i <= n && r == ENC_OK; i++) {
		lua_rawgeti(L, call, i);
		r = vai__enc_value(e, call + 1, 0);
		if (r == ENC_OK)
			lua_settop(L, call);
	}
	e->depth = depth;
	e->calls--;
	return vai__enc_in(e, r, "what __vai_send gave");
}

/* Whether the value on top can be called. */
static bool is_callable(lua_State *L)
{
	if (lua_isfunction(L, -1))
		return true;
	if (!luaL_getmetafield(L, -1, "__call"))
		return false;
	lua_pop(L, 1);
	return true;
}

/* Whether the result on top is one with which the receiver could do nothing. */
static bool is_misfit(lua_State *L, int how)
{
	if (how & ENC_METATABLE)
		return !lua_istable(L, -1) && !lua_isnil(L, -1);
	return how & ENC_KEY && (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && !lua_rawequal(L, -1, -1)));
}

enum vai__enc_result vai__enc_translated(struct vai__enc *e, int idx, int how)
{
	lua_State *L = e->L;
	luaL_checkstack(L, LEVEL_STACK, NULL);
	if (!is_callable(L))
		return vai__enc_misfit_send(e);
	push_translation(L, lua_gettop(L), idx);
	int n = values_of_call(L);
	if (n > 0)
		return put_call(e, idx, n);
	if (is_misfit(L, how))
		return vai__enc_misfit(e, how & ENC_KEY ? "a key" : "a metatable");
	return vai__enc_value(e, lua_gettop(L), ENC_TRANSLATED);
}
