/* SPDX-License-Identifier: MIT */
/* The message of a table (small ones of scalars never get here: small_table.c): T_TABLE, a place for its slot and for
 * the counts of its list and its other keys, then the list's values in order, then the other keys each with its value,
 * then T_END or T_META with the metatable. Only the head's place is known when its contents are written: counts are
 * filled in behind them. A table that is met again is written as a reference to its slot, so cycles and shared parts
 * arrive as they were. */
#include "transfer/encode.h"
#include "base/mem.h"
#include "transfer/codec.h"

/* The key's slot in the stream, if it was written before; NULL: it was not, and is noted now. It may be noted in two
 * places of e->keys: in a free one of them, or else in the first. */
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

/* Ends the attempt if the table, in which a function or the like was met, is a module after all. */
static enum vai__enc_result check_module(struct vai__enc *e, int t)
{
	enum vai__enc_result r = e->all_modules ? ENC_NO : vai__enc_is_module(e, t);
	if (r == ENC_YES) {
		e->all_modules = true;
		return ENC_RETRY;
	}
	return r == ENC_NO ? ENC_OK : r;
}

/* Writes the contents of the table at t up to T_END, which is not written, and their counts into its head at `at`. A
 * function of its own, so that its frame is not on the stack for each of a chain of metatables. */
static VAI_NOINLINE enum vai__enc_result put_pairs(struct vai__enc *e, int t, size_t at, bool checked)
{
	lua_State *L = e->L;
	const int key = lua_gettop(L) + 1;
	uint32_t narr = 0, nrec = 0;
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
		if (array && lua_isinteger(L, key) && lua_tointeger(L, key) == (lua_Integer)narr + 1 && narr < INT32_MAX) {
			narr++;
		} else {
			array = false;
			nrec += nrec < INT32_MAX;
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
	vai__store32(e->base + at + AT_NARR, narr);
	vai__store32(e->base + at + AT_NREC, nrec);
	return ENC_OK;
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

enum vai__enc_result vai__enc_table_body(struct vai__enc *e, int t, int mt, size_t at, bool checked)
{
	if (++e->depth > e->deepest)
		e->deepest = e->depth;
	enum vai__enc_result r = put_pairs(e, t, at, checked);
	if (r != ENC_OK)
		return r;
	if (vai__enc_at(e) == at + TABLE_HEAD && (r = put_sentinel(e, t)) != ENC_NO) {
		e->depth--;
		return r;
	}
	if (!mt) {
		r = vai__enc_tag(e, T_END);
	} else if (e->late_metas) {
		r = vai__enc_late_meta(e, mt, at);
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
	size_t at = vai__enc_at(e);
	*e->p = T_TABLE;
	memset(e->p + 1, 0, TABLE_HEAD - 1);
	e->p += TABLE_HEAD;
	if (VAI_UNLIKELY(e->depth >= e->max_depth))
		return e->guarded ? vai__enc_later(e, t, at) : ENC_RETRY;
	return vai__enc_table_body(e, t, mt, at, direct);
}

static bool no_stand_in(lua_State *L, int idx, struct vai_obj **out)
{
	(void)L;
	(void)idx;
	(void)out;
	return false;
}

bool (*vai__codec_stand_in)(lua_State *L, int idx, struct vai_obj **out) = no_stand_in;

/* Writes o, which stands for a table; takes over the reference. */
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

/* Writes _G, which stands inside of a table or is an argument, so that nobody sees which globals are used. What falls
 * back to it as its metatable says is used by names, as a rule. */
static VAI_NOINLINE enum vai__enc_result put_globals(struct vai__enc *e, int t)
{
	if (t > 1 && lua_type(e->L, t - 1) == LUA_TSTRING && strcmp(lua_tostring(e->L, t - 1), "__index") == 0) {
		e->falls_back = true;
	} else if (!e->all_globals) {
		e->all_globals = true;
		return ENC_RETRY;
	}
	return vai__enc_tag(e, T_GLOBALS);
}

/* The first of these that knows the table writes it. */
enum vai__enc_result vai__enc_table(struct vai__enc *e, int t, int how)
{
	lua_State *L = e->L;
	const void *p = lua_topointer(L, t);
	enum vai__enc_result r = ENC_NO;
	if (VAI_UNLIKELY(p == e->globals))
		return put_globals(e, t);
	if (VAI_UNLIKELY(!lua_checkstack(L, LEVEL_STACK)))
		return ENC_NOMEM;
	int mt = lua_getmetatable(L, t) ? lua_gettop(L) : 0;
	const int top = mt ? mt - 1 : 0;
	if (mt && (r = put_by_metatable(e, t, mt, how)) == ENC_NO && lua_topointer(L, mt) == e->vm->hidden)
		mt = 0; /* the table has been filled, and is an ordinary one now */
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
	/* The code tells what is used of a library only if an upvalue or global holds the library itself. */
	if (VAI_UNLIKELY(e->library) && r == ENC_OK && (!(how & ENC_DIRECT) || e->depth == 0))
		r = vai__enc_tell_changes(e);
	return r;
}
