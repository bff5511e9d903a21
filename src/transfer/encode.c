/* SPDX-License-Identifier: MIT */
/* The encoder: a list of values, one after the other, and the buffer to which they go. Invariants: the stream's chain
 * of references owns one reference of each, and nothing else in the stream is owned. Each level of the Lua stack is
 * left as it was found, except after a result other than ENC_OK, when the caller cuts it. */
#include "transfer/encode.h"
#include "base/mem.h"
#include "state/handle.h"
#include "transfer/userdata.h"

/* ---- the buffer ---- */

VAI_NOINLINE bool vai__enc_grow(struct vai__enc *e, size_t n)
{
	size_t used = vai__enc_at(e), cap = (size_t)(e->end - e->base) * 2;
	if (n > SIZE_MAX / 4 - used)
		return false;
	while (cap - used < n)
		cap *= 2;
	struct vai__block *b = vai__block_new(cap);
	if (!b)
		return false;
	memcpy(b->data, e->base, used);
	if (e->heap)
		vai__mem_free(e->heap, e->heap->size);
	e->heap = b;
	e->base = b->data;
	e->p = b->data + used;
	e->end = b->data + cap;
	return true;
}

enum vai__enc_result vai__enc_word(struct vai__enc *e, enum vai__tag tag, uint64_t word)
{
	if (!vai__enc_room(e, 9))
		return ENC_NOMEM;
	*e->p = (unsigned char)tag;
	vai__store64(e->p + 1, word);
	e->p += 9;
	return ENC_OK;
}

void vai__enc_reference(struct vai__enc *e, struct vai_obj *o)
{
	size_t at = vai__enc_at(e);
	vai__obj_ref(o);
	vai__store64(e->p, (uintptr_t)o);
	vai__store64(e->p + 8, e->last_ref);
	e->last_ref = at;
	e->p += REF_SIZE;
}

enum vai__enc_result vai__enc_string(struct vai__enc *e, int idx)
{
	size_t len;
	const char *s = lua_tolstring(e->L, idx, &len);
	if (len > SIZE_MAX / 4 || !vai__enc_room(e, len + 9))
		return ENC_NOMEM;
	unsigned char *p = e->p;
	if (len <= UINT8_MAX) {
		p[0] = T_SHORT;
		p[1] = (unsigned char)len;
		p += 2;
	} else {
		p[0] = T_LONG;
		vai__store64(p + 1, len);
		p += 9;
	}
	memcpy(p, s, len);
	e->p = p + len;
	return ENC_OK;
}

static enum vai__enc_result put_number(struct vai__enc *e, int idx)
{
	uint64_t word;
	if (lua_isinteger(e->L, idx))
		return vai__enc_word(e, T_INT, (uint64_t)lua_tointeger(e->L, idx));
	lua_Number n = lua_tonumber(e->L, idx);
	memcpy(&word, &n, sizeof word);
	return vai__enc_word(e, T_FLOAT, word);
}

/* ---- identity ---- */

uint32_t vai__enc_slot(struct vai__enc *e, size_t at)
{
	unsigned char *p = e->base + at + AT_SLOT;
	uint32_t slot = vai__load32(p);
	if (!slot) {
		slot = ++e->nslots;
		vai__store32(p, slot);
	}
	return slot;
}

/* If the address was noted as another kind of thing, that was the address of a value which is gone: this is possible
 * when user code runs during the encoding. */
enum vai__enc_result vai__enc_met(struct vai__enc *e, int idx, const void *object)
{
	bool found;
	uint64_t fresh = vai__seen_value(SEEN_OBJECT, 0, vai__enc_at(e));
	uint64_t *value = vai__seen_put(&e->seen, object, fresh, &found);
	if (VAI_UNLIKELY(!value || !vai__enc_room(e, FUNC_HEAD)))
		return ENC_NOMEM;
	if (!found)
		return ENC_NO;
	if (vai__seen_kind(*value) == SEEN_OBJECT) {
		uint32_t slot = vai__enc_slot(e, vai__seen_at(*value));
		*e->p = T_REF;
		vai__store32(e->p + 1, slot);
		e->p += 5;
		return ENC_OK;
	}
	if (vai__seen_kind(*value) == SEEN_MODULE)
		return vai__enc_module(e, idx);
	*value = fresh;
	return ENC_NO;
}

/* Pushes the list in a slot of the guarded call, made on first use. */
static void push_list(lua_State *L, int slot)
{
	if (lua_isnil(L, slot)) {
		lua_newtable(L);
		lua_replace(L, slot);
	}
	lua_pushvalue(L, slot);
}

enum vai__enc_result vai__enc_later(struct vai__enc *e, int idx, size_t at)
{
	idx = lua_absindex(e->L, idx);
	vai__enc_slot(e, at);
	e->base[at] = (unsigned char)(e->base[at] + 1); /* T_..._LATER */
	push_list(e->L, LATER_SLOT);
	lua_pushinteger(e->L, (lua_Integer)at);
	lua_rawseti(e->L, -2, ++e->nlater);
	lua_pushvalue(e->L, idx);
	lua_rawseti(e->L, -2, ++e->nlater);
	lua_pop(e->L, 1);
	return ENC_OK;
}

enum vai__enc_result vai__enc_late_meta(struct vai__enc *e, int mt, size_t at)
{
	if (!e->guarded)
		return ENC_RETRY;
	push_list(e->L, METAS_SLOT);
	lua_pushinteger(e->L, vai__enc_slot(e, at));
	lua_rawseti(e->L, -2, ++e->nmetas);
	lua_pushvalue(e->L, mt);
	lua_rawseti(e->L, -2, ++e->nmetas);
	lua_pop(e->L, 1);
	return vai__enc_tag(e, T_END);
}

/* ---- values ---- */

static enum vai__enc_result put_object(struct vai__enc *e, int idx, struct vai_obj *o)
{
	const struct vai__handle *h = lua_touserdata(e->L, idx);
	if (!h->cached) {
		if (!e->guarded)
			return ENC_RETRY;
		vai__handle_leaves(e->L, e->vm, idx);
	}
	if (!vai__enc_room(e, 1 + REF_SIZE))
		return ENC_NOMEM;
	*e->p++ = T_OBJECT;
	vai__enc_reference(e, o);
	return ENC_OK;
}

/* Whether a codec (userdata.h) does for the metatable on top what __vai_send would; its function takes the metatable's
 * place then. */
static enum vai__enc_result has_codec(struct vai__enc *e)
{
	if (!vai__userdata_any())
		return ENC_NO;
	if (!e->guarded)
		return ENC_RETRY;
	return vai__userdata_push_send(e->L) ? ENC_YES : ENC_NO;
}

static VAI_NOINLINE enum vai__enc_result put_userdata(struct vai__enc *e, int idx, int how)
{
	lua_State *L = e->L;
	enum vai__enc_result r = ENC_NO;
	int top = lua_gettop(L);
	struct vai_obj *o = vai__handle_any(L, idx);
	if (o)
		return put_object(e, idx, o);
	if (!lua_checkstack(L, LEVEL_STACK))
		return ENC_NOMEM;
	if (!(how & ENC_TRANSLATED) && lua_getmetatable(L, idx) && (r = vai__enc_has_send(e)) == ENC_NO)
		r = has_codec(e);
	if (r == ENC_YES)
		r = vai__enc_translated(e, idx, how);
	else if (r == ENC_NO && (r = vai__enc_stranger(e, idx)) == ENC_NO)
		r = vai__enc_unsendable(e, idx);
	if (r == ENC_OK)
		lua_settop(L, top);
	return r;
}

enum vai__enc_result vai__enc_typed(struct vai__enc *e, int idx, int type, int how)
{
	lua_State *L = e->L;
	switch (type) {
	case LUA_TNIL: return vai__enc_tag(e, T_NIL);
	case LUA_TBOOLEAN: return vai__enc_tag(e, lua_toboolean(L, idx) ? T_TRUE : T_FALSE);
	case LUA_TNUMBER: return put_number(e, idx);
	case LUA_TSTRING: return vai__enc_string(e, idx);
	case LUA_TTABLE: return vai__enc_table(e, idx, how);
	case LUA_TLIGHTUSERDATA: return vai__enc_word(e, T_LIGHT, (uintptr_t)lua_touserdata(L, idx));
	case LUA_TFUNCTION: return vai__enc_function(e, idx);
	case LUA_TUSERDATA: return put_userdata(e, idx, how);
	default: return vai__enc_unsendable(e, idx);
	}
}

/* ---- sections ---- */

/* Writes the contents of a value that was left for later, on top of the stack. */
static enum vai__enc_result put_section(struct vai__enc *e, size_t at)
{
	int idx = lua_gettop(e->L);
	size_t fill = vai__enc_at(e);
	if (!vai__enc_room(e, FILL_HEAD))
		return ENC_NOMEM;
	*e->p = S_FILL;
	vai__store32(e->p + AT_SLOT, vai__load32(e->base + at + AT_SLOT));
	e->p += FILL_HEAD;
	if (lua_isfunction(e->L, idx)) {
		vai__store32(e->p - 4, e->base[at + (lua_iscfunction(e->L, idx) ? CCLOSURE_HEAD : FUNC_HEAD) - 1]);
		return vai__enc_function_body(e, idx, at, NULL);
	}
	int mt = lua_getmetatable(e->L, idx) ? idx + 1 : 0;
	enum vai__enc_result r = vai__enc_table_body(e, idx, mt, at, e->all_modules);
	vai__store32(e->base + fill + AT_NARR, vai__load32(e->base + at + AT_NARR));
	return r;
}

/* Puts the place before an error in contents that were left for later: in which of the values they lie is not known. */
static enum vai__enc_result in_values(struct vai__enc *e, enum vai__enc_result r, const char *where)
{
	r = vai__enc_in(e, r, where);
	return e->what ? vai__enc_in(e, r, e->what) : r;
}

static enum vai__enc_result put_sections(struct vai__enc *e, lua_Integer done)
{
	lua_State *L = e->L;
	enum vai__enc_result r = ENC_OK;
	int top = lua_gettop(L);
	e->apart = 1; /* as far as is known */
	for (; done < e->nlater && r == ENC_OK; done += 2) {
		lua_rawgeti(L, LATER_SLOT, done + 1);
		size_t at = (size_t)lua_tointeger(L, -1);
		lua_rawgeti(L, LATER_SLOT, done + 2);
		e->depth = 0;
		r = put_section(e, at);
		if (r != ENC_OK)
			return in_values(e, r, "...");
		lua_settop(L, top);
	}
	return r;
}

static enum vai__enc_result put_metas(struct vai__enc *e)
{
	lua_State *L = e->L;
	enum vai__enc_result r = ENC_OK;
	for (lua_Integer i = 0; i < e->nmetas && r == ENC_OK; i += 2) {
		lua_Integer done = e->nlater;
		lua_rawgeti(L, METAS_SLOT, i + 1);
		lua_rawgeti(L, METAS_SLOT, i + 2);
		if (!vai__enc_room(e, 5))
			return ENC_NOMEM;
		*e->p = S_META;
		vai__store32(e->p + 1, (uint32_t)lua_tointeger(L, -2));
		e->p += 5;
		e->depth = 0;
		r = vai__enc_value(e, lua_gettop(L), ENC_DIRECT | ENC_METATABLE);
		if (r == ENC_OK)
			r = put_sections(e, done);
		else
			r = in_values(e, r, "...: metatable");
		lua_pop(L, 2);
	}
	return r;
}

enum vai__enc_result vai__enc_all(struct vai__enc *e)
{
	enum vai__enc_result r = e->all_modules ? vai__enc_all_modules(e) : ENC_OK;
	for (int i = 0; i < e->n && r == ENC_OK; i++) {
		e->apart = i > 0;
		r = vai__enc_value(e, e->first + i, e->call ? ENC_DIRECT : 0);
		if (VAI_UNLIKELY(r != ENC_OK))
			r = vai__enc_in_argument(e, r, i);
	}
	if (r == ENC_OK && e->nlater)
		r = put_sections(e, 0);
	if (r == ENC_OK && e->nmetas)
		r = put_metas(e);
	return r == ENC_OK ? vai__enc_tag(e, S_STOP) : r;
}
