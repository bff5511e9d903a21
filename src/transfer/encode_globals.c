/* SPDX-License-Identifier: MIT */
/* The encoder: the script's globals that the code of functions uses. Those that it names go along behind the function.
 * Where it uses globals by names of run time (_G[name], pairs(_G), load), all that the script has set go along, behind
 * the first function that is written once this is known; what cannot be sent is left out then, as nobody has named
 * it. */
#include "transfer/encode.h"
#include <string.h>
#include "transfer/known_funcs.h"
#include "transfer/lost_writes.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"

/* Where captured names are looked up; stack indices. */
struct capture {
	const struct vai__known_funcs *fs;
	int f;     /* the function */
	int names; /* list of its names */
	int globals;
	int env; /* a table that falls back to globals, or 0 */
};

bool vai__enc_falls_back(struct vai__enc *e, int idx)
{
	lua_State *L = e->L;
	int top = lua_gettop(L);
	bool result = false;
	if (lua_istable(L, idx) && lua_getmetatable(L, idx)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, e->vm->funcs->index);
		lua_rawget(L, -2);
		result = vai__enc_holds_globals(e, -1);
	}
	lua_settop(L, top);
	return result;
}

/* Whether the table on top of the stack is what package.loaded has under the name at key. */
static enum vai__enc_result is_loaded(struct vai__enc *e, const struct capture *c, int key)
{
	lua_State *L = e->L;
	enum vai__enc_result r = vai__enc_need_loaded(e);
	if (r != ENC_YES)
		return r;
	lua_rawgeti(L, LUA_REGISTRYINDEX, c->fs->loaded);
	lua_pushvalue(L, key);
	lua_rawget(L, -2);
	bool same = lua_topointer(L, -1) == lua_topointer(L, -3);
	lua_pop(L, 2);
	return same ? ENC_YES : ENC_NO;
}

/* Whether the function on top is what every fresh state has as that global. */
static bool is_stock_function(lua_State *L, const char *name)
{
	lua_CFunction f = lua_tocfunction(L, -1);
	int i = f ? vai__catalog_global(name, strlen(name)) : -1;
	return i >= 0 && vai__catalog_is(&vai__catalog.globals.entries[i], f);
}

/* Whether the value on top of the stack is what every fresh state has under that name. */
static enum vai__enc_result is_stock(struct vai__enc *e, const struct capture *c, const struct vai__name *name, int key)
{
	lua_State *L = e->L;
	if (!name->stock)
		return ENC_NO;
	switch (lua_type(L, -1)) {
	case LUA_TFUNCTION: return is_stock_function(L, name->name) ? ENC_YES : ENC_NO;
	case LUA_TSTRING: return strcmp(name->name, "_VERSION") == 0 ? ENC_YES : ENC_NO;
	case LUA_TTABLE:
		if (vai__enc_holds_globals(e, -1) || vai__enc_is_lazy_lib(e, -1, name->name))
			return ENC_YES;
		return is_loaded(e, c, key);
	default: return ENC_NO;
	}
}

static enum vai__enc_result report_name(struct vai__enc *e, const struct capture *c, struct vai__name *name)
{
	if (name->assigned_line) {
		vai__lost_report(e->L, c->f, &name->warned, name->assigned_line, "assigns captured global", name->name, 0);
	} else if (name->written_line && lua_istable(e->L, -1) && !vai__enc_holds_globals(e, -1)) {
		enum vai__enc_result r = vai__enc_is_module(e, -1);
		if (r != ENC_NO)
			return r == ENC_YES ? ENC_OK : r;
		vai__lost_report(
			e->L, c->f, &name->warned, name->written_line, "writes into captured global table", name->name, 0);
	}
	return ENC_OK;
}

/* Begins a captured global, whose name is at key; its value has to follow. ENC_NO: the message has it already. */
static enum vai__enc_result begin_global(struct vai__enc *e, int key)
{
	bool found;
	const uint64_t fresh = vai__seen_value(SEEN_NAME, 0, vai__enc_at(e));
	uint64_t *met = vai__seen_put(&e->seen, lua_tostring(e->L, key), fresh, &found);
	if (!met)
		return ENC_NOMEM;
	if (found && vai__seen_kind(*met) == SEEN_NAME)
		return ENC_NO;
	*met = fresh;
	enum vai__enc_result r = vai__enc_tag(e, T_NAME);
	return r == ENC_OK ? vai__enc_string(e, key) : r;
}

/* Writes a captured global, whose value on top of the stack is not nil, and whose name is at key. */
static enum vai__enc_result capture_value(struct vai__enc *e, const struct capture *c, struct vai__name *name, int key)
{
	enum vai__enc_result r = is_stock(e, c, name, key);
	if (r == ENC_YES && name->whole && lua_istable(e->L, -1)) {
		e->all_globals |= vai__enc_holds_globals(e, -1);
		return vai__enc_tell_changes(e);
	}
	if (r != ENC_NO)
		return r == ENC_YES ? ENC_OK : r;
	if (e->call && !name->warned && (r = report_name(e, c, name)) != ENC_OK)
		return r;
	if (!name->read)
		return ENC_OK;
	r = begin_global(e, key);
	if (r != ENC_OK)
		return r == ENC_NO ? ENC_OK : r;
	if (vai__enc_holds_globals(e, key + 1)) {
		e->all_globals |= name->whole;
		return vai__enc_tag(e, T_GLOBALS);
	}
	r = vai__enc_value(e, key + 1, ENC_DIRECT);
	if (r == ENC_OK && VAI_UNLIKELY(e->library)) {
		e->library = false;
		r = name->whole ? vai__enc_tell_changes(e) : ENC_OK;
	}
	return vai__enc_in_named(e, r, "global", name->name, 0);
}

/* Whether the stock global of that name, which is nil, has been taken away. In a goroutine it may not have been asked
 * for yet. */
static bool was_taken(const struct vai__enc *e, const char *name)
{
	const int k = vai__catalog_global(name, strlen(name));
	return k >= 0 && (e->vm->is_host || !vai__lazy_awaits(e->vm, VAI__LAZY_GLOBALS, k));
}

/* The stock global whose name is at key is nil: writes that it has been taken away, if that is so. */
static enum vai__enc_result capture_absence(struct vai__enc *e, const struct vai__name *name, int key)
{
	if (!was_taken(e, name->name)) {
		e->all_globals |= name->whole && strcmp(name->name, LUA_GNAME) == 0;
		return ENC_OK;
	}
	enum vai__enc_result r = name->read && e->call ? begin_global(e, key) : ENC_NO;
	if (r == ENC_OK)
		return vai__enc_tag(e, T_NIL);
	return r == ENC_NO ? ENC_OK : r;
}

static bool is_in_env(lua_State *L, int env, int key)
{
	lua_pushvalue(L, key);
	bool there = lua_rawget(L, env) != LUA_TNIL;
	lua_pop(L, 1);
	return there;
}

static enum vai__enc_result capture_names(
	struct vai__enc *e, const struct capture *c, const struct vai__upval *up, lua_Integer place)
{
	lua_State *L = e->L;
	enum vai__enc_result r = ENC_OK;
	int key = lua_gettop(L) + 1;
	for (int k = 0; k < up->nnames && r == ENC_OK; k++) {
		lua_rawgeti(L, c->names, place + k + 1);
		if (!c->env || !is_in_env(L, c->env, key)) {
			lua_pushvalue(L, key);
			if (lua_rawget(L, c->globals) != LUA_TNIL)
				r = capture_value(e, c, &up->names[k], key);
			else if (VAI_UNLIKELY(up->names[k].stock))
				r = capture_absence(e, &up->names[k], key);
		}
		if (r == ENC_OK)
			lua_settop(L, key - 1);
	}
	return r;
}

enum vai__enc_result vai__enc_captures(struct vai__enc *e, int f, const struct vai_code *code, int names)
{
	lua_State *L = e->L;
	lua_Integer place = 0;
	enum vai__enc_result r = ENC_OK;
	int top = lua_gettop(L);
	struct capture c = {e->vm->funcs, f, top + 1, top + 2, 0};
	lua_rawgeti(L, LUA_REGISTRYINDEX, names);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	for (int i = 0; i < code->nups && r == ENC_OK; i++) {
		const struct vai__upval *up = &code->upvals[i];
		if (up->nnames > 0) {
			lua_getupvalue(L, f, i + 1);
			bool direct = vai__enc_holds_globals(e, -1);
			c.env = direct ? 0 : top + 3;
			if (direct || vai__enc_falls_back(e, -1))
				r = capture_names(e, &c, up, place);
			if (r == ENC_OK)
				lua_settop(L, top + 2);
		}
		place += up->nnames;
	}
	if (r == ENC_OK)
		lua_settop(L, top);
	return r;
}

/* ---- all of them ---- */

/* How far the encoder was before a global that it may have to leave out. */
struct mark {
	size_t at, last_ref;
	int depth, apart;
	lua_Integer nlater, nmetas;
	uint8_t calls;
};

static struct mark mark(const struct vai__enc *e)
{
	return (struct mark){vai__enc_at(e), e->last_ref, e->depth, e->apart, e->nlater, e->nmetas, e->calls};
}

/* What was met at that place of the stream or behind it was not met. */
static void forget_met(struct vai__object_map *s, size_t at)
{
	struct vai__seen_entry *met = s->cap ? s->table : s->few;
	const size_t n = s->cap ? s->cap : s->n;
	for (size_t i = 0; i < n; i++)
		if (met[i].key && vai__seen_kind(met[i].value) != SEEN_MODULE && vai__seen_at(met[i].value) >= at)
			met[i].value = vai__seen_value(SEEN_NOTHING, 0, 0);
}

/* Gives back what was written since. Numbers of slots and keys stay used up. */
static void take_back(struct vai__enc *e, const struct mark *m)
{
	vai__block_unref_after(e->base, e->last_ref, m->at);
	forget_met(&e->seen, m->at);
	e->p = e->base + m->at;
	e->last_ref = m->last_ref;
	e->depth = m->depth;
	e->apart = m->apart;
	e->nlater = m->nlater;
	e->nmetas = m->nmetas;
	e->calls = m->calls;
	e->key_slots = 0;
	e->library = false;
}

/* Looks whether the metatables that were left for the very end since can be sent, too, as nobody could leave them out
 * there. */
static enum vai__enc_result try_metas(struct vai__enc *e, lua_Integer since)
{
	lua_State *L = e->L;
	const struct mark before = mark(e);
	const int top = lua_gettop(L);
	enum vai__enc_result r = ENC_OK;
	for (lua_Integer i = since; i < before.nmetas && r == ENC_OK; i += 2) {
		lua_rawgeti(L, METAS_SLOT, i + 2);
		r = vai__enc_value(e, top + 1, ENC_DIRECT | ENC_METATABLE);
		if (r == ENC_OK)
			lua_settop(L, top);
	}
	if (r == ENC_OK)
		take_back(e, &before);
	return r;
}

/* Arguments: as of the guarded call, then the name and the value. Returns the lists. */
static int put_softly(lua_State *L)
{
	struct vai__enc *e = lua_touserdata(L, ERROR_SLOT);
	const int key = GUARDED_VALUES;
	const lua_Integer metas = e->nmetas;
	e->result = begin_global(e, key);
	if (e->result == ENC_OK)
		e->result = vai__enc_value(e, key + 1, ENC_DIRECT);
	if (e->result == ENC_OK && e->nmetas > metas)
		e->result = try_metas(e, metas);
	lua_settop(L, METAS_SLOT);
	return METAS_SLOT - ERROR_SLOT;
}

/* Writes the global whose value is on top, above its name; what cannot be sent is left out. Guarded only. */
static enum vai__enc_result put_if_sendable(struct vai__enc *e)
{
	lua_State *L = e->L;
	const int key = lua_gettop(L) - 1;
	const struct mark before = mark(e);
	luaL_checkstack(L, LEVEL_STACK, NULL);
	lua_pushcfunction(L, put_softly);
	lua_pushlightuserdata(L, e);
	for (int slot = SENDS_SLOT; slot <= METAS_SLOT; slot++)
		lua_pushvalue(L, slot);
	lua_pushvalue(L, key);
	lua_pushvalue(L, key + 1);
	e->apart++;
	const int status = lua_pcall(L, METAS_SLOT + 2, METAS_SLOT - ERROR_SLOT, 0);
	if (status == LUA_ERRMEM)
		return ENC_NOMEM;
	if (status != LUA_OK || e->result == ENC_FAIL) {
		take_back(e, &before);
		lua_settop(L, key + 1);
		return ENC_OK;
	}
	e->apart = before.apart;
	for (int slot = METAS_SLOT; slot >= SENDS_SLOT; slot--)
		lua_replace(L, slot);
	return e->result == ENC_NO ? ENC_OK : e->result;
}

/* Writes the global whose value is on top, above its name, if the script has set it. */
static enum vai__enc_result put_set(struct vai__enc *e, const struct capture *c)
{
	lua_State *L = e->L;
	const int key = lua_gettop(L) - 1, type = lua_type(L, -1);
	const char *s = lua_tostring(L, key);
	const struct vai__name name = {.name = s, .stock = vai__catalog_global(s, strlen(s)) >= 0};
	enum vai__enc_result r = is_stock(e, c, &name, key);
	if (r != ENC_NO)
		return r == ENC_YES ? ENC_OK : r;
	if (type >= LUA_TTABLE && !vai__enc_holds_globals(e, -1))
		return put_if_sendable(e);
	r = begin_global(e, key);
	if (r == ENC_OK)
		r = vai__enc_value(e, key + 1, ENC_DIRECT);
	return r == ENC_NO ? ENC_OK : r;
}

/* Writes the stock globals that have been taken away. */
static enum vai__enc_result put_absences(struct vai__enc *e, int globals)
{
	lua_State *L = e->L;
	const struct vai__names *names = &vai__catalog.globals;
	enum vai__enc_result r = ENC_OK;
	for (int i = 0; i < names->n && r == ENC_OK; i++) {
		lua_pushstring(L, names->entries[i].name);
		lua_pushvalue(L, -1);
		if (lua_rawget(L, globals) == LUA_TNIL && was_taken(e, names->entries[i].name) &&
			(r = begin_global(e, globals + 1)) == ENC_OK)
			r = vai__enc_tag(e, T_NIL);
		if (r == ENC_NO)
			r = ENC_OK;
		if (r == ENC_OK)
			lua_settop(L, globals);
	}
	return r;
}

enum vai__enc_result vai__enc_all_globals(struct vai__enc *e)
{
	lua_State *L = e->L;
	const int globals = lua_gettop(L) + 1;
	const struct capture c = {.fs = e->vm->funcs, .globals = globals};
	enum vai__enc_result r = ENC_OK;
	if (!e->guarded)
		return ENC_RETRY;
	luaL_checkstack(L, LEVEL_STACK, NULL);
	e->globals_put = true;
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	for (lua_pushnil(L); r == ENC_OK && lua_next(L, globals);) {
		if (lua_type(L, -2) == LUA_TSTRING)
			r = put_set(e, &c);
		if (r == ENC_OK)
			lua_settop(L, globals + 1);
	}
	if (r != ENC_OK)
		return r;
	lua_settop(L, globals);
	if (e->call)
		r = put_absences(e, globals);
	if (r == ENC_OK)
		lua_settop(L, globals - 1);
	return r;
}
