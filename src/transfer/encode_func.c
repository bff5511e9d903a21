/* SPDX-License-Identifier: MIT */
/* The encoder: functions, their upvalues, and the globals that their code names.
 *
 * Upvalues that two functions of one message share are shared in the copy: the second one
 * is written as T_JOIN. An upvalue that holds the state's globals is not: it becomes the
 * destination's globals wherever it stands. */
#include "transfer/encode.h"
#include <string.h>
#include "transfer/known_funcs.h"
#include "transfer/names.h"
#include "sched/sched.h"
#include "state/handle.h"
#include "stdlib/catalog.h"
#include "stdlib/sandbox.h"
#include "transfer/codec.h"
#include "transfer/lost_writes.h"
#include "transfer/userdata.h"

static bool holds_globals(const struct vai__enc *e, int idx)
{
	return lua_istable(e->L, idx) && lua_topointer(e->L, idx) == e->globals;
}

/* ---- captured globals ---- */

/* Where captured names are looked up; stack indices. */
struct capture {
	const struct vai__known_funcs *fs;
	int f;     /* the function */
	int names; /* list of its names */
	int globals;
	int env; /* a table that falls back to globals, or 0 */
};

/* Whether the value is a table as `setmetatable({}, { __index = _G })` makes it. */
static bool falls_back_to_globals(struct vai__enc *e, const struct vai__known_funcs *fs, int idx)
{
	lua_State *L = e->L;
	int top = lua_gettop(L);
	bool result = false;
	if (lua_istable(L, idx) && lua_getmetatable(L, idx)) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, fs->index);
		lua_rawget(L, -2);
		result = holds_globals(e, -1);
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
		if (holds_globals(e, -1) || vai__enc_is_lazy_lib(e, -1, name->name))
			return ENC_YES;
		return is_loaded(e, c, key);
	default: return ENC_NO;
	}
}

static enum vai__enc_result report_name(struct vai__enc *e, const struct capture *c, struct vai__name *name)
{
	if (name->assigned_line) {
		vai__lost_report(e->L, c->f, &name->warned, name->assigned_line, "assigns captured global", name->name, 0);
	} else if (name->written_line && lua_istable(e->L, -1) && !holds_globals(e, -1)) {
		enum vai__enc_result r = vai__enc_is_module(e, -1);
		if (r != ENC_NO)
			return r == ENC_YES ? ENC_OK : r;
		vai__lost_report(
			e->L, c->f, &name->warned, name->written_line, "writes into captured global table", name->name, 0);
	}
	return ENC_OK;
}

/* A library has been written as the value of a variable. whole: the code does not tell what it uses of it. */
static enum vai__enc_result whole_library(struct vai__enc *e, bool whole)
{
	e->library = false;
	return whole ? vai__enc_tell_changes(e) : ENC_OK;
}

/* Begins a captured global, whose name is at key; its value has to follow. ENC_NO: the message has it already. */
static enum vai__enc_result begin_global(struct vai__enc *e, int key)
{
	bool found;
	uint64_t *met = vai__seen_put(&e->seen, lua_tostring(e->L, key), vai__seen_value(SEEN_NAME, 0, 0), &found);
	if (!met)
		return ENC_NOMEM;
	if (found && vai__seen_kind(*met) == SEEN_NAME)
		return ENC_NO;
	*met = vai__seen_value(SEEN_NAME, 0, 0);
	enum vai__enc_result r = vai__enc_tag(e, T_NAME);
	return r == ENC_OK ? vai__enc_string(e, key) : r;
}

/* Writes a captured global, whose value on top of the stack is not nil, and whose name is at key. */
static enum vai__enc_result capture_value(struct vai__enc *e, const struct capture *c, struct vai__name *name, int key)
{
	enum vai__enc_result r = is_stock(e, c, name, key);
	if (r == ENC_YES)
		return name->whole && lua_istable(e->L, -1) ? vai__enc_tell_changes(e) : ENC_OK;
	if (r != ENC_NO)
		return r;
	if (e->call && !name->warned && (r = report_name(e, c, name)) != ENC_OK)
		return r;
	if (!name->read)
		return ENC_OK;
	r = begin_global(e, key);
	if (r != ENC_OK)
		return r == ENC_NO ? ENC_OK : r;
	r = vai__enc_value(e, key + 1, ENC_DIRECT);
	if (r == ENC_OK && VAI_UNLIKELY(e->library))
		r = whole_library(e, name->whole);
	return vai__enc_in_named(e, r, "global", name->name, 0);
}

/* Writes that the script has taken the stock global away whose name is at key; nil is on top. */
static enum vai__enc_result capture_absence(struct vai__enc *e, const struct vai__name *name, int key)
{
	enum vai__enc_result r = name->read ? begin_global(e, key) : ENC_NO;
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
			else if (VAI_UNLIKELY(up->names[k].stock && e->vm->is_host && e->call))
				r = capture_absence(e, &up->names[k], key);
		}
		if (r == ENC_OK)
			lua_settop(L, key - 1);
	}
	return r;
}

static enum vai__enc_result put_captures(struct vai__enc *e, int f, const struct vai_code *code, int names)
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
			bool direct = holds_globals(e, -1);
			c.env = direct ? 0 : top + 3;
			if (direct || falls_back_to_globals(e, c.fs, -1))
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

/* ---- upvalues ---- */

/* Writes T_JOIN if a function met before has the same upvalue. */
static enum vai__enc_result join_upvalue(struct vai__enc *e, int f, int i, size_t at)
{
	bool found;
	uint64_t fresh = vai__seen_value(SEEN_UPVALUE, (unsigned)i, at);
	uint64_t *value = vai__seen_put(&e->seen, lua_upvalueid(e->L, f, i), fresh, &found);
	if (!value || !vai__enc_room(e, 6))
		return ENC_NOMEM;
	if (!found)
		return ENC_NO;
	if (vai__seen_kind(*value) != SEEN_UPVALUE) {
		*value = fresh;
		return ENC_NO;
	}
	uint32_t slot = vai__enc_slot(e, vai__seen_at(*value));
	e->p[0] = T_JOIN;
	vai__store32(e->p + 1, slot);
	e->p[5] = (unsigned char)vai__seen_number(*value);
	e->p += 6;
	return ENC_OK;
}

/* Whether the code of the function whose head is at `at` does not tell what it uses of the table in upvalue i. */
static bool uses_whole(const struct vai__enc *e, int i, size_t at)
{
	if (e->base[at] == T_CCLOSURE || e->base[at] == T_CCLOSURE_LATER)
		return true;
	const struct vai_code *code = (const struct vai_code *)(uintptr_t)vai__load64(e->base + at + FUNC_CODE);
	return !code->analyzed || code->upvals[i - 1].whole;
}

/* Writes upvalue i of the function at f, whose head is at `at`. */
static enum vai__enc_result put_upvalue(struct vai__enc *e, int f, int i, size_t at)
{
	lua_State *L = e->L;
	const char *name = lua_getupvalue(L, f, i);
	enum vai__enc_result r = ENC_NO;
	int top = lua_gettop(L);
	if (holds_globals(e, top)) {
		r = vai__enc_tag(e, T_GLOBALS);
		e->library = uses_whole(e, i, at);
	} else if (!lua_iscfunction(L, f)) {
		r = join_upvalue(e, f, i, at);
	}
	if (r == ENC_NO)
		r = vai__enc_value(e, top, ENC_DIRECT);
	if (VAI_UNLIKELY(e->library) && r == ENC_OK)
		r = whole_library(e, uses_whole(e, i, at));
	if (VAI_UNLIKELY(r != ENC_OK))
		return vai__enc_in_named(e, r, "upvalue", name && *name && *name != '(' ? name : NULL, i);
	lua_settop(L, top - 1);
	return ENC_OK;
}

static int count_upvalues(lua_State *L, int f)
{
	int n = 0;
	while (lua_getupvalue(L, f, n + 1)) {
		lua_pop(L, 1);
		n++;
	}
	return n;
}

/* ---- functions ---- */

/* Whether the goroutine's own function is to be written now: its code has to be there. */
static bool is_body(const struct vai__enc *e)
{
	return e->call && vai__enc_at(e) == 0;
}

/* What the state knows of a Lua function; NULL: it has to be asked under guard. */
static const struct vai__func *find_func(struct vai__enc *e, int f)
{
	if (is_body(e) && e->body && !e->guarded)
		return e->body;
	const struct vai__func *known = vai__known_funcs_hit(e->L, e->vm, f);
	if (!known && e->guarded)
		known = vai__known_funcs_get(e->L, e->vm, f);
	return known;
}

/* Writes what the function at f uses of globals, libraries and modules. */
static enum vai__enc_result put_globals(struct vai__enc *e, int f, size_t at, const struct vai__func *known)
{
	const struct vai_code *code = (const struct vai_code *)(uintptr_t)vai__load64(e->base + at + FUNC_CODE);
	if (code->nnames == 0 && code->nfields == 0)
		return ENC_OK;
	const struct vai__func *func = known ? known : find_func(e, f);
	if (!func)
		return ENC_RETRY;
	int names = func->names;
	enum vai__enc_result r = code->nnames > 0 ? put_captures(e, f, code, names) : ENC_OK;
	return r == ENC_OK ? vai__enc_fields(e, f, code, names) : r;
}

enum vai__enc_result vai__enc_function_body(struct vai__enc *e, int f, size_t at, const struct vai__func *known)
{
	lua_State *L = e->L;
	const bool is_c = lua_iscfunction(L, f);
	const int nups = e->base[at + (is_c ? CCLOSURE_HEAD : FUNC_HEAD) - 1];
	enum vai__enc_result r = ENC_OK;
	if (!lua_checkstack(L, LEVEL_STACK))
		return ENC_NOMEM;
	if (++e->depth > e->deepest)
		e->deepest = e->depth;
	for (int i = 1; i <= nups && r == ENC_OK; i++)
		r = put_upvalue(e, f, i, at);
	if (r == ENC_OK && !is_c)
		r = put_globals(e, f, at, known);
	if (r == ENC_OK && VAI_UNLIKELY(at == 0 && (e->types || e->globals_meta)))
		r = vai__enc_types(e);
	e->depth--;
	return r == ENC_OK ? vai__enc_tag(e, T_END) : r;
}

static enum vai__enc_result put_body(struct vai__enc *e, int f, size_t at, const struct vai__func *known)
{
	if (VAI_UNLIKELY(e->depth >= e->max_depth))
		return e->guarded ? vai__enc_later(e, f, at) : ENC_RETRY;
	return vai__enc_function_body(e, f, at, known);
}

/* Has what the script has changed there for a function that may use modules or libraries in ways its code does not
 * tell. One that is no goroutine's goes where the paths may have been read already. */
static enum vai__enc_result tell_of(struct vai__enc *e, const struct vai_code *code, bool body)
{
	if (!code->uses_require && !code->any_library)
		return body ? ENC_OK : vai__enc_tell_methods(e); /* check_call has asked for the body's */
	if (code->uses_require && !e->call && e->guarded)
		vai__codec_note_paths(e->L, e->vm);
	return code->uses_require ? vai__enc_tell_paths(e) : vai__enc_tell_changes(e);
}

static enum vai__enc_result put_lua_function(struct vai__enc *e, int f)
{
	const struct vai__func *func = find_func(e, f);
	if (!func)
		return ENC_RETRY;
	struct vai_code *code = func->code;
	enum vai__enc_result r = is_body(e) ? ENC_NO : vai__enc_member(e, f);
	if (r == ENC_NO)
		r = vai__enc_met(e, f, lua_topointer(e->L, f));
	if (r == ENC_NO && VAI_UNLIKELY(code->assigns) && e->call && !e->apart && !is_body(e))
		r = vai__enc_lost(e, f, code) == ENC_RETRY ? ENC_RETRY : ENC_NO;
	if (r != ENC_NO)
		return r;
	size_t at = vai__enc_at(e);
	e->p[0] = T_FUNC;
	vai__store32(e->p + AT_SLOT, 0);
	e->p += AT_SLOT + 4;
	vai__enc_reference(e, &code->obj);
	*e->p++ = (unsigned char)(code->analyzed ? code->nups : count_upvalues(e->L, f));
	if (VAI_UNLIKELY(code->uses_require || code->any_library || code->any_method) &&
		(r = tell_of(e, code, e->call && at == 0)) != ENC_OK)
		return r;
	/* Guarded, functions that upvalues hold may be remembered, too, which may move the entry. */
	return put_body(e, f, at, e->guarded ? NULL : func);
}

/* Whether it is neither Lua's nor vai's own, so that a module may have it under a name. */
static bool is_foreign(lua_CFunction c)
{
	const char *name;
	const struct vai__sandbox *s = vai__sandbox_self();
	return !vai__catalog_knows(c) ||
		(VAI_UNLIKELY(s != NULL) && vai__sandbox_judge(s, c, &name) == VAI__SANDBOX_STRANGER);
}

/* Whether a C function that no module has under a name must not be sent. What a preload has captured may be its
 * module's own, what a codec calls is the host's, and the host may have told the sandbox of it. */
static bool is_forbidden(lua_CFunction c)
{
	const char *name;
	if (VAI_LIKELY(!vai__home_self()->only_modules) || vai__userdata_is_in(c))
		return false;
	const char *preloading = vai__home_self()->preloading;
	const struct vai__sandbox *s = vai__sandbox_self();
	if (preloading)
		return !vai__sandbox_allows_module(s, preloading);
	return !s || vai__sandbox_judge(s, c, &name) != VAI__SANDBOX_FREE;
}

/* Writes a C closure that every state has its own of. */
static enum vai__enc_result put_stock_closure(struct vai__enc *e, int number)
{
	const char *lib, *name;
	vai__catalog_closure(number, &lib, &name);
	enum vai__enc_result r = strcmp(name, "require") == 0 ? vai__enc_tell_paths(e) : ENC_OK;
	if (r != ENC_OK)
		return r;
	if (!vai__enc_room(e, 5))
		return ENC_NOMEM;
	e->p[0] = T_CLOSURE;
	vai__store32(e->p + 1, (uint32_t)number);
	e->p += 5;
	return ENC_OK;
}

static enum vai__enc_result put_cclosure(struct vai__enc *e, int f)
{
	lua_CFunction c = lua_tocfunction(e->L, f);
	int number = vai__catalog_closure_out(c);
	if (number >= 0)
		return put_stock_closure(e, number);
	enum vai__enc_result r = is_foreign(c) ? vai__enc_stranger(e, f) : ENC_NO;
	if (r == ENC_NO && is_forbidden(c) && is_foreign(c))
		return vai__enc_homeless(e);
	if (r == ENC_NO)
		r = vai__enc_met(e, f, lua_topointer(e->L, f));
	if (r != ENC_NO)
		return r;
	size_t at = vai__enc_at(e);
	e->p[0] = T_CCLOSURE;
	vai__store32(e->p + AT_SLOT, 0);
	vai__store64(e->p + AT_SLOT + 4, (uintptr_t)vai__catalog_cfunction_out(c));
	e->p[CCLOSURE_HEAD - 1] = (unsigned char)count_upvalues(e->L, f);
	e->p += CCLOSURE_HEAD;
	return put_body(e, f, at, NULL);
}

static enum vai__enc_result put_cfunction(struct vai__enc *e, int f)
{
	lua_CFunction c = lua_tocfunction(e->L, f);
	enum vai__enc_result r = ENC_NO;
	if (is_foreign(c) && (vai__names_any(e->vm) || vai__home_self()->only_modules)) {
		r = vai__enc_stranger(e, f);
		if (r == ENC_NO && is_forbidden(c))
			return vai__enc_homeless(e);
	}
	return r == ENC_NO ? vai__enc_word(e, T_CFUNC, (uintptr_t)vai__catalog_cfunction_out(c)) : r;
}

enum vai__enc_result vai__enc_function(struct vai__enc *e, int f)
{
	lua_State *L = e->L;
	const char *name;
	if (!lua_checkstack(L, LEVEL_STACK))
		return ENC_NOMEM;
	if (!lua_iscfunction(L, f))
		return put_lua_function(e, f);
	const struct vai__sandbox *s = vai__sandbox_self();
	if (VAI_UNLIKELY(s != NULL) && vai__sandbox_judge(s, lua_tocfunction(L, f), &name) == VAI__SANDBOX_BARRED)
		return vai__enc_barred(e, name);
	if (!lua_getupvalue(L, f, 1))
		return put_cfunction(e, f);
	lua_pop(L, 1);
	return put_cclosure(e, f);
}
