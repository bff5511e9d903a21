/* SPDX-License-Identifier: MIT */
/* The encoder: most calls are plain (vai__enc_plain_call) and written in one go. The stream is what encode.c and
 * encode_func.c would write. Nothing is noted as met, because only objects can be met twice here, and these need no
 * slot. */
#include "state/handle.h"
#include "transfer/encode.h"
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

static bool put_object(struct vai__enc *e, int idx)
{
	struct vai_obj *o = vai__handle_any(e->L, idx);
	if (!o || !((const struct vai__handle *)lua_touserdata(e->L, idx))->cached)
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
