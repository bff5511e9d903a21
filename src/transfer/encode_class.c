/* SPDX-License-Identifier: MIT */
/* The encoder: tables in use as metatables. A message has a reference to the class (classes.h) in place of the table.
 * But the first message with a class, a call for a new goroutine, and the image of a class have the contents and the
 * number of the origin, so that what they share with the rest of the message is shared in the copy. */
#include <lauxlib.h>
#include "transfer/classes.h"
#include "transfer/encode.h"

/* Whether the table has a field whose name is, or is like, that of a metamethod. */
static bool looks_like_class(lua_State *L, int t)
{
	bool found = false;
	const int top = lua_gettop(L);
	for (lua_pushnil(L); !found && lua_next(L, t); lua_settop(L, top + 1)) {
		const char *s = lua_type(L, top + 1) == LUA_TSTRING ? lua_tostring(L, top + 1) : "";
		found = s[0] == '_' && s[1] == '_';
	}
	lua_settop(L, top);
	return found;
}

/* Writes the origin before the head of the table. The head is still to be written, and will lie nine bytes further
 * on than was noted. */
static enum vai__enc_result put_origin(struct vai__enc *e, int t, uint64_t origin)
{
	bool found;
	enum vai__enc_result r = vai__enc_word(e, T_ORIGIN, origin);
	uint64_t *met = r == ENC_OK ? vai__seen_put(&e->seen, lua_topointer(e->L, t), 0, &found) : NULL;
	if (!met || !vai__enc_room(e, FUNC_HEAD))
		return ENC_NOMEM;
	*met = vai__seen_value(SEEN_OBJECT, 0, vai__enc_at(e));
	return ENC_NO;
}

/* Arguments: the encoder, the table. Returns the image. */
static int make_image(lua_State *L)
{
	const struct vai__enc *e = lua_touserdata(L, 1);
	lua_pushlightuserdata(L, e->image_of(L, e->vm, 2));
	return 1;
}

/* Makes the class's image, if it has none. Guarded only. */
static enum vai__enc_result need_image(struct vai__enc *e, struct vai__class *c, int t)
{
	lua_State *L = e->L;
	if (atomic_load_explicit(&c->image, memory_order_acquire))
		return ENC_OK;
	luaL_checkstack(L, LEVEL_STACK, NULL);
	vai__obj_ref(&c->obj); /* a finalizer may give the table another class object meanwhile */
	lua_pushcfunction(L, make_image);
	lua_pushlightuserdata(L, e);
	lua_pushvalue(L, t);
	int status = lua_pcall(L, 2, 1, 0);
	if (status == LUA_OK)
		vai__class_set_image(c, lua_touserdata(L, -1));
	vai__obj_unref(&c->obj);
	if (status != LUA_OK && lua_type(L, -1) != LUA_TSTRING)
		return lua_error(L);
	if (status != LUA_OK)
		lua_replace(L, ERROR_SLOT);
	else
		lua_pop(L, 1);
	return status == LUA_OK ? ENC_OK : ENC_FAIL;
}

/* Writes a reference to the class. Whoever decodes it may need the image, which may call `require`. */
static enum vai__enc_result put_class(struct vai__enc *e, struct vai__class *c)
{
	const struct vai__block *image = atomic_load_explicit(&c->image, memory_order_acquire);
	e->flags = (uint8_t)(e->flags | (image->flags & BLOCK_CALLS_OUT));
	if (VAI_UNLIKELY(c->gc)) {
		e->flags |= BLOCK_FINALIZERS;
		if (!e->late_metas) {
			e->late_metas = true;
			return ENC_RETRY;
		}
	}
	if (!vai__enc_room(e, 5 + REF_SIZE))
		return ENC_NOMEM;
	e->p[0] = T_CLASS;
	vai__store32(e->p + AT_SLOT, 0);
	e->p += 5;
	vai__enc_reference(e, &c->obj);
	return ENC_OK;
}

static uint64_t number(struct vai__enc *e)
{
	static _Atomic(uint64_t) last;
	if (!e->number_of_all)
		e->number_of_all = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
	return e->number_of_all;
}

enum vai__enc_result vai__enc_class(struct vai__enc *e, int t, int how)
{
	lua_State *L = e->L;
	const bool root = e->image && vai__enc_at(e) == 0;
	struct vai__class *c = vai__class_of(L, t);
	enum vai__enc_result r;
	if (!c && !e->guarded) { /* one of a module's is never entered as a class */
		r = how & ENC_METATABLE ? vai__enc_member(e, t) : ENC_NO;
		return r == ENC_NO ? ENC_RETRY : r;
	}
	if (!c && !(how & ENC_METATABLE) && !root && !looks_like_class(L, t))
		return ENC_NO;
	if (!root && (r = vai__enc_member(e, t)) != ENC_NO)
		return r;
	if (!c) {
		c = vai__class_need(L, e->vm, t);
		c->first = number(e);
	}
	if (e->call || e->image || (c->first && c->first == e->number_of_all))
		return put_origin(e, t, c->origin);
	if (e->guarded) {
		c = vai__class_renew(L, e->vm, t);
		if ((r = need_image(e, c, t)) != ENC_OK)
			return r;
	} else if (!atomic_load_explicit(&c->image, memory_order_acquire) || vai__class_changed(L, e->vm, c, t)) {
		return ENC_RETRY;
	}
	return put_class(e, c);
}
