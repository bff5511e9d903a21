/* SPDX-License-Identifier: MIT */
/* The encoder: values, tables, and the buffer to which they go. Invariants: the stream's chain of references owns
 * one reference of each, and nothing else in the stream is owned. Each level of the Lua stack is left as it was
 * found, except after a result other than ENC_OK, when the caller cuts it. */
#include "transfer/encode.h"
#include "base/mem.h"
#include "state/handle.h"

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

/* See encode.h. An address that was noted as something else was that of a value which is gone: that can be where
 * user code runs meanwhile. */
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

/* ---- tables ---- */

/* The place of the key in the stream, or 0. It is looked for in two places, and noted in the free one of them, or in
 * the first. */
static unsigned char *met_key(struct vai__enc *e, const char *s, size_t len)
{
	unsigned h = (unsigned)((uintptr_t)s >> 4 ^ (uintptr_t)s >> 9) % KEY_SLOTS;
	for (unsigned i = h;; i = h ^ 1) {
		if (!(e->key_slots & 1u << i)) {
			h = i;
			break;
		}
		unsigned char *first = e->base + e->key_at[i];
		if (e->keys[i] == s && first[1] == len && memcmp(first + 3, s, len) == 0)
			return first;
		if (i != h)
			break;
	}
	if (vai__enc_at(e) <= UINT32_MAX) {
		e->key_slots |= (uint16_t)(1u << h);
		e->keys[h] = s;
		e->key_at[h] = (uint32_t)vai__enc_at(e);
	}
	return NULL;
}

/* Writes a short key; one that came before is written as a number, for records of one kind in a list. */
static enum vai__enc_result put_short_key(struct vai__enc *e, const char *s, size_t len)
{
	unsigned char *first = met_key(e, s, len);
	if (first && !first[2] && e->nkeys < KEYS_MAX)
		first[2] = ++e->nkeys;
	if (first && first[2]) {
		e->p[0] = T_AGAIN;
		e->p[1] = first[2];
		e->p += 2;
		return ENC_OK;
	}
	e->p[0] = T_KEY;
	e->p[1] = (unsigned char)len;
	e->p[2] = 0;
	memcpy(e->p + 3, s, len);
	e->p += 3 + len;
	return ENC_OK;
}

static enum vai__enc_result put_key(struct vai__enc *e, int idx)
{
	size_t len;
	if (VAI_UNLIKELY(lua_type(e->L, idx) != LUA_TSTRING))
		return vai__enc_value(e, idx, ENC_KEY);
	const char *s = lua_tolstring(e->L, idx, &len);
	if (VAI_UNLIKELY(s[0] == '_' && s[1] == '_') && !e->classes) {
		e->classes = true;
		return ENC_RETRY;
	}
	if (VAI_UNLIKELY(len == 4 && memcmp(s, "__gc", 4) == 0)) {
		e->flags |= BLOCK_FINALIZERS;
		if (!e->late_metas) {
			e->late_metas = true;
			return ENC_RETRY;
		}
	}
	if (VAI_UNLIKELY(len > 40))
		return vai__enc_string(e, idx);
	return vai__enc_room(e, 3 + 40) ? put_short_key(e, s, len) : ENC_NOMEM;
}

/* Checks a table that has a function or the like in it: it may be a module after all. */
static enum vai__enc_result check_module(struct vai__enc *e, int t)
{
	enum vai__enc_result r = e->all_modules ? ENC_NO : vai__enc_is_module(e, t);
	if (r == ENC_YES) {
		e->all_modules = true;
		return ENC_RETRY;
	}
	return r == ENC_NO ? ENC_OK : r;
}

/* Writes the contents of the table at t up to T_END, which is not written. counts: narr, nrec. */
static enum vai__enc_result put_pairs(struct vai__enc *e, int t, bool checked, uint32_t counts[2])
{
	lua_State *L = e->L;
	const int key = lua_gettop(L) + 1;
	bool array = true;
	e->apart++;
	lua_pushnil(L);
	while (lua_next(L, t)) {
		enum vai__enc_result r = ENC_OK;
		int type = lua_type(L, -1);
		if (type >= LUA_TFUNCTION && !checked) {
			r = check_module(e, t);
			checked = true;
		}
		if (array && lua_isinteger(L, key) && lua_tointeger(L, key) == (lua_Integer)counts[0] + 1 &&
			counts[0] < INT32_MAX) {
			counts[0]++;
		} else {
			array = false;
			counts[1] += counts[1] < INT32_MAX;
			if (r == ENC_OK && (r = put_key(e, key)) != ENC_OK)
				r = vai__enc_in_key(e, r);
		}
		if (VAI_UNLIKELY(r != ENC_OK))
			return r;
		r = vai__enc_typed(e, key + 1, type, 0);
		if (VAI_UNLIKELY(r != ENC_OK))
			return vai__enc_in_field(e, r, key);
		lua_settop(L, key);
	}
	e->apart--;
	return ENC_OK;
}

static enum vai__enc_result put_late_meta(struct vai__enc *e, int mt, size_t at)
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

/* The head of a table without contents has just been written: writes in its place the very table that a module has,
 * if a module has it. */
static enum vai__enc_result put_sentinel(struct vai__enc *e, int t)
{
	e->p -= TABLE_HEAD;
	enum vai__enc_result r = vai__enc_member(e, t);
	if (r != ENC_OK)
		e->p += TABLE_HEAD;
	return r;
}

/* Writes the contents of the table at t, whose head is at `at`, with the metatable at mt (0: none). */
static enum vai__enc_result put_table_body(
	struct vai__enc *e, int t, int mt, size_t at, bool checked, uint32_t counts[2])
{
	if (++e->depth > e->deepest)
		e->deepest = e->depth;
	enum vai__enc_result r = put_pairs(e, t, checked, counts);
	if (r != ENC_OK)
		return r;
	if (!counts[0] && !counts[1] && vai__enc_at(e) == at + TABLE_HEAD && (r = put_sentinel(e, t)) != ENC_NO) {
		e->depth--;
		return r;
	}
	vai__store32(e->base + at + AT_NARR, counts[0]);
	vai__store32(e->base + at + AT_NREC, counts[1]);
	if (!mt) {
		r = vai__enc_tag(e, T_END);
	} else if (e->late_metas) {
		r = put_late_meta(e, mt, at);
	} else if ((r = vai__enc_tag(e, T_META)) == ENC_OK) {
		r = vai__enc_value(e, mt, ENC_DIRECT | ENC_METATABLE);
		if (r != ENC_OK)
			return vai__enc_in(e, r, "metatable");
	}
	e->depth--;
	return r;
}

static enum vai__enc_result put_new_table(struct vai__enc *e, int t, int mt, bool direct)
{
	uint32_t counts[2] = {0, 0};
	size_t at = vai__enc_at(e);
	*e->p = T_TABLE;
	memset(e->p + 1, 0, TABLE_HEAD - 1);
	e->p += TABLE_HEAD;
	if (VAI_UNLIKELY(e->depth >= e->max_depth))
		return e->guarded ? vai__enc_later(e, t, at) : ENC_RETRY;
	return put_table_body(e, t, mt, at, direct, counts);
}

static bool no_stand_in(lua_State *L, int idx, struct vai_obj **out)
{
	(void)L;
	(void)idx;
	(void)out;
	return false;
}

bool (*vai__codec_stand_in)(lua_State *L, int idx, struct vai_obj **out) = no_stand_in;

/* Takes over the reference. */
static enum vai__enc_result put_stand_in(struct vai__enc *e, struct vai_obj *o)
{
	if (!o)
		return ENC_NOMEM;
	bool room = vai__enc_room(e, 1 + REF_SIZE);
	if (room) {
		*e->p++ = T_OBJECT;
		vai__enc_reference(e, o);
	}
	vai__obj_unref(o);
	return room ? ENC_OK : ENC_NOMEM;
}

/* Writes the table as its metatable at mt says: as a table that fills itself, or as what __vai_send gives for it. */
static enum vai__enc_result put_by_metatable(struct vai__enc *e, int t, int mt, int how)
{
	struct vai_obj *o;
	if (e->vm->hidden && lua_topointer(e->L, mt) == e->vm->hidden)
		return vai__enc_lazy(e, t);
	if (VAI_UNLIKELY(vai__codec_stand_in(e->L, t, &o)))
		return put_stand_in(e, o);
	enum vai__enc_result r = how & ENC_TRANSLATED ? ENC_NO : vai__enc_has_send(e);
	return VAI_UNLIKELY(r == ENC_YES) ? vai__enc_translated(e, t, how) : r;
}

/* Writes the table if it is a module, and notes it as one. It has just been noted as an object. */
static enum vai__enc_result put_if_module(struct vai__enc *e, int t)
{
	bool found;
	enum vai__enc_result r = vai__enc_is_module(e, t);
	if (VAI_LIKELY(r != ENC_YES))
		return r;
	uint64_t *met = vai__seen_put(&e->seen, lua_topointer(e->L, t), 0, &found);
	if (!met)
		return ENC_NOMEM;
	*met = vai__seen_value(SEEN_MODULE, 0, 0);
	return vai__enc_module(e, t);
}

/* Writes a table: the first of these that knows it does. */
static enum vai__enc_result put_table(struct vai__enc *e, int t, int how)
{
	lua_State *L = e->L;
	const void *p = lua_topointer(L, t);
	enum vai__enc_result r = ENC_NO;
	if (VAI_UNLIKELY(p == e->globals))
		return vai__enc_tag(e, T_GLOBALS);
	if (VAI_UNLIKELY(!lua_checkstack(L, LEVEL_STACK)))
		return ENC_NOMEM;
	int mt = lua_getmetatable(L, t) ? lua_gettop(L) : 0;
	const int top = mt ? mt - 1 : 0;
	if (mt && (r = put_by_metatable(e, t, mt, how)) == ENC_NO && lua_topointer(L, mt) == e->vm->hidden)
		mt = 0; /* it is an ordinary table by now */
	if (r == ENC_NO)
		r = vai__enc_met(e, t, p);
	if (r == ENC_NO && how & ENC_DIRECT && !e->all_modules)
		r = put_if_module(e, t);
	if (r == ENC_NO && (VAI_UNLIKELY(e->classes) || how & ENC_METATABLE))
		r = vai__enc_class(e, t, how);
	if (r == ENC_NO)
		r = put_new_table(e, t, mt, how & ENC_DIRECT || e->all_modules);
	if (top && r == ENC_OK)
		lua_settop(L, top);
	return r;
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
	if (!(how & ENC_TRANSLATED) && lua_getmetatable(L, idx))
		r = vai__enc_has_send(e);
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
	case LUA_TTABLE: return put_table(e, idx, how);
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
	uint32_t counts[2] = {0, 0};
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
	enum vai__enc_result r = put_table_body(e, idx, mt, at, e->all_modules, counts);
	vai__store32(e->base + fill + AT_NARR, counts[0]);
	return r;
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
			return vai__enc_in(e, vai__enc_in(e, r, "..."), e->n == 1 ? e->what : "values");
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
			r = vai__enc_in(e, r, "metatable");
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
