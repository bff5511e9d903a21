/* SPDX-License-Identifier: MIT */
/* The encoder: most calls are plain (vai__enc_plain_call) and written in one go. The stream is what encode.c and
 * encode_func.c would write. Nothing is noted as met, because only objects can be met twice here, and these need no
 * slot.
 *
 * The next plain call of the same function mostly differs in objects and numbers alone. So the state keeps the stream
 * as a plan, with the places of these, and writes a call whose values are of the same kinds by copying it. What else
 * decides how a call is written are the function's code, which is the plan's, and metatables of types and of _G, which
 * are asked for each time. */
#include "base/mem.h"
#include "state/handle.h"
#include "stdlib/sandbox.h"
#include "transfer/encode.h"
#include "transfer/encode_types.h"
#include "transfer/known_funcs.h"

enum { VALUE_MAX = 9 + REF_SIZE, STRING_MAX = 64 };

static bool put_string(struct vai__enc *e, int idx)
{
	size_t len;
	const char *s = lua_tolstring(e->L, idx, &len);
	if (len > STRING_MAX || (size_t)(e->end - e->p) < len + 2)
		return false;
	e->p[0] = T_SHORT;
	e->p[1] = (unsigned char)len;
	memcpy(e->p + 2, s, len);
	e->p += 2 + len;
	return true;
}

/* The object at idx if it is a handle that is found again when its object comes back; or NULL. */
static struct vai_obj *object_at(lua_State *L, int idx)
{
	struct vai_obj *o = vai__handle_any(L, idx);
	return o && ((const struct vai__handle *)lua_touserdata(L, idx))->cached ? o : NULL;
}

static bool put_object(struct vai__enc *e, int idx)
{
	struct vai_obj *o = object_at(e->L, idx);
	if (!o)
		return false;
	*e->p++ = T_OBJECT;
	vai__enc_reference(e, o);
	return true;
}

/* Writes the value at idx. False: it is no scalar and no object, or there is not enough room. */
static bool put_plain(struct vai__enc *e, int idx)
{
	int type = lua_type(e->L, idx);
	if ((size_t)(e->end - e->p) < VALUE_MAX)
		return false;
	switch (type) {
	case LUA_TNIL:
	case LUA_TBOOLEAN:
	case LUA_TNUMBER: return vai__enc_typed(e, idx, type, ENC_DIRECT) == ENC_OK;
	case LUA_TSTRING: return put_string(e, idx);
	case LUA_TUSERDATA: return put_object(e, idx);
	default: return false;
	}
}

/* Whether the code may use more than methods of the objects that it has captured; `objects` has a bit for each upvalue
 * that is one. */
static bool uses_fields(const struct vai_code *code, uint64_t objects)
{
	for (int i = 0; i < code->nfields; i++) {
		int on = code->fields[i].on;
		if (on < 0 || on > 63 || !(objects >> on & 1))
			return true;
	}
	return false;
}

enum vai__enc_result vai__enc_plain_call(struct vai__enc *e)
{
	lua_State *L = e->L;
	struct vai_code *code = e->body->code;
	const int top = lua_gettop(L);
	uint64_t objects = 0;
	if (!code->analyzed || code->nnames > 0)
		return ENC_NO;
	e->p[0] = T_FUNC;
	vai__store32(e->p + AT_SLOT, 0);
	e->p += AT_SLOT + 4;
	vai__enc_reference(e, &code->obj);
	*e->p++ = (unsigned char)code->nups;
	for (int i = 0; i < code->nups; i++) {
		const unsigned char *at = e->p;
		if (!lua_getupvalue(L, e->first, i + 1) || !put_plain(e, top + 1))
			return ENC_NO;
		if (*at == T_OBJECT && i < 64)
			objects |= UINT64_C(1) << i;
		lua_settop(L, top);
	}
	if (e->p == e->end || uses_fields(code, objects))
		return ENC_NO;
	*e->p++ = T_END;
	for (int i = 1; i < e->n; i++)
		if (!put_plain(e, e->first + i))
			return ENC_NO;
	e->deepest = 1;
	return vai__enc_tag(e, S_STOP);
}

/* ---- plans ---- */

static unsigned char *stream_of(const struct vai__plan *plan)
{
	return (unsigned char *)(uintptr_t)&plan->at[plan->nups + plan->nargs];
}

/* Notes the places of n values from p on. Returns what follows them; NULL: one is no object and no number. */
static const unsigned char *note_places(const unsigned char *p, const unsigned char *stream, uint16_t *at, int n)
{
	for (int i = 0; i < n; i++) {
		at[i] = (uint16_t)(p - stream);
		switch (*p) {
		case T_OBJECT: p += 1 + REF_SIZE; break;
		case T_INT:
		case T_FLOAT: p += 9; break;
		default: return NULL;
		}
	}
	return p;
}

void vai__enc_plan_make(const struct vai__enc *e)
{
	const struct vai_code *code = e->body->code;
	const unsigned nups = (unsigned)code->nups, nargs = (unsigned)e->n - 1;
	const size_t len = vai__enc_at(e), size = sizeof(struct vai__plan) + (nups + nargs) * sizeof(uint16_t) + len;
	if (code->uses_require || code->any_library || code->any_method || code->assigns || e->base != e->small)
		return;
	struct vai__plan *plan = vai__mem_alloc(size);
	if (!plan)
		return;
	plan->size = (unsigned)size;
	plan->len = (unsigned)len;
	plan->nups = (uint16_t)nups;
	plan->nargs = (uint16_t)nargs;
	const unsigned char *p = note_places(e->base + FUNC_HEAD, e->base, plan->at, code->nups);
	if (p && note_places(p + 1, e->base, plan->at + nups, e->n - 1)) {
		memcpy(stream_of(plan), e->base, len);
	} else {
		vai__mem_free(plan, size);
		plan = NULL;
	}
	vai__known_funcs_plan(e->vm->funcs, e->body, plan);
}

/* Puts the value at idx into the block at its place. False: it is not of the same kind. */
static bool put_again(lua_State *L, int idx, struct vai__block *b, unsigned at)
{
	unsigned char *p = b->data + at;
	if (*p == T_OBJECT) {
		struct vai_obj *o = object_at(L, idx);
		if (!o)
			return false;
		vai__obj_ref(o);
		vai__store64(p + 1, (uintptr_t)o);
		b->last_ref = at + 1;
		return true;
	}
	uint64_t word;
	if (lua_type(L, idx) != LUA_TNUMBER || (*p == T_INT) != lua_isinteger(L, idx))
		return false;
	if (*p == T_INT) {
		word = (uint64_t)lua_tointeger(L, idx);
	} else {
		lua_Number n = lua_tonumber(L, idx);
		memcpy(&word, &n, sizeof word);
	}
	vai__store64(p + 1, word);
	return true;
}

static bool put_all_again(lua_State *L, int f, const struct vai__plan *plan, struct vai__block *b)
{
	const int top = lua_gettop(L);
	const uint16_t *at = plan->at;
	bool all = true;
	for (int i = 1; i <= plan->nups && all; i++) {
		all = lua_getupvalue(L, f, i) && put_again(L, -1, b, *at++);
		lua_settop(L, top);
	}
	for (int i = 1; i <= plan->nargs && all; i++)
		all = put_again(L, f + i, b, *at++);
	return all;
}

static bool globals_have_metatable(lua_State *L, const struct vai_vm *vm)
{
	const int top = lua_gettop(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	const bool has = vai__enc_has_metatable(L, vm);
	lua_settop(L, top);
	return has;
}

struct vai__block *vai__enc_plan_write(lua_State *L, struct vai_vm *vm, int f, int nargs)
{
	const struct vai__func *known = lua_iscfunction(L, f) ? NULL : vai__known_funcs_hit(L, vm, f);
	const struct vai__plan *plan = known ? known->plan : NULL;
	if (!plan || plan->nargs != nargs || !lua_checkstack(L, 2) || vai__encode_types_seen(vm) ||
		globals_have_metatable(L, vm))
		return NULL;
	struct vai__block *b = vai__block_new(plan->len);
	if (!b)
		return NULL;
	memcpy(b->data, stream_of(plan), plan->len);
	vai__obj_ref(&known->code->obj);
	b->last_ref = FUNC_CODE;
	if (!put_all_again(L, f, plan, b)) {
		vai__block_free(b);
		return NULL;
	}
	b->nvalues = 1 + (uint32_t)nargs;
	b->sandbox = vai__sandbox_id();
	b->depth = 1;
	return b;
}
