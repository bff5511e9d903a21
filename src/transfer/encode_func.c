/* SPDX-License-Identifier: MIT */
/* The encoder: functions and their upvalues.
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

/* A library may have been written, or a table that falls back to globals, as the variable that is at idx. whole: the
 * code does not tell what it uses of it. */
static enum vai__enc_result wrote_shared(struct vai__enc *e, int idx, bool whole)
{
	const bool library = e->library;
	if (whole && e->falls_back && e->vm->funcs)
		e->all_globals |= vai__enc_falls_back(e, idx);
	e->library = false;
	return library && whole ? vai__enc_tell_changes(e) : ENC_OK;
}

/* Writes upvalue i of the function at f, whose head is at `at`. */
static enum vai__enc_result put_upvalue(struct vai__enc *e, int f, int i, size_t at)
{
	lua_State *L = e->L;
	const char *name = lua_getupvalue(L, f, i);
	enum vai__enc_result r = ENC_NO;
	int top = lua_gettop(L);
	if (vai__enc_holds_globals(e, top)) {
		r = vai__enc_tag(e, T_GLOBALS);
		e->library = uses_whole(e, i, at);
		e->all_globals |= e->library;
	} else if (!lua_iscfunction(L, f)) {
		r = join_upvalue(e, f, i, at);
	}
	if (r == ENC_NO)
		r = vai__enc_value(e, top, ENC_DIRECT);
	if (VAI_UNLIKELY(e->library || e->falls_back) && r == ENC_OK)
		r = wrote_shared(e, top, uses_whole(e, i, at));
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
	enum vai__enc_result r = code->nnames > 0 ? vai__enc_captures(e, f, code, names) : ENC_OK;
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
	if (r == ENC_OK && VAI_UNLIKELY(e->all_globals) && !e->globals_put)
		r = vai__enc_all_globals(e);
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

/* If the function may use modules or libraries in ways that its code does not tell, the goroutine gets what the script
 * has changed in them. body: it is the goroutine's own function. */
static enum vai__enc_result tell_of(struct vai__enc *e, const struct vai_code *code, bool body)
{
	if (!code->uses_require && !code->any_library)
		return body ? ENC_OK : vai__enc_tell_methods(e); /* for the body check_call has done that */
	e->all_globals |= code->any_global;
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

/* Whether the C function is neither Lua's nor vai's own, so that a module may have it under a name. */
static bool is_foreign(lua_CFunction c)
{
	const char *name;
	const struct vai__sandbox *s = vai__sandbox_self();
	return !vai__catalog_knows(c) ||
		(VAI_UNLIKELY(s != NULL) && vai__sandbox_judge(s, c, &name) == VAI__SANDBOX_STRANGER);
}

/* Whether a C function that no module has under a name must not be sent (only_modules). These may be sent all the same:
 * functions that a preload has captured, which may be its module's own; functions of codecs, which are the host's; and
 * those of which the host has told the sandbox. */
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

/* Writes a C closure of which every state has its own, by its number. */
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
