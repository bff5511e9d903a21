/* SPDX-License-Identifier: MIT */
/* flat.h. The stream is written into a buffer on the stack and copied once, into a block of
 * its size. */
#include "vm/flat.h"
#include <lauxlib.h>
#include "vm/block.h"

enum { FLAT_MAX = 400, KEY_MAX = 40, LEVEL = 4 };

struct flat {
	unsigned char *p, *end;
	unsigned char bytes[FLAT_MAX];
};

static bool put_number(struct flat *f, lua_State *L)
{
	int isint = lua_isinteger(L, -1);
	uint64_t word;
	if (f->end - f->p < 9)
		return false;
	if (isint) {
		word = (uint64_t)lua_tointegerx(L, -1, NULL);
	} else {
		lua_Number n = lua_tonumberx(L, -1, NULL);
		memcpy(&word, &n, sizeof word);
	}
	*f->p = isint ? T_INT : T_FLOAT;
	vai__store64(f->p + 1, word);
	f->p += 9;
	return true;
}

static bool put_short(struct flat *f, lua_State *L)
{
	size_t len;
	const char *s = lua_tolstring(L, -1, &len);
	if (len > UINT8_MAX || (size_t)(f->end - f->p) < len + 2)
		return false;
	f->p[0] = T_SHORT;
	f->p[1] = (unsigned char)len;
	memcpy(f->p + 2, s, len);
	f->p += 2 + len;
	return true;
}

/* The value on top. */
static bool put_value(struct flat *f, lua_State *L)
{
	switch (lua_type(L, -1)) {
	case LUA_TNUMBER: return put_number(f, L);
	case LUA_TSTRING: return put_short(f, L);
	case LUA_TBOOLEAN:
		if (f->p == f->end)
			return false;
		*f->p++ = lua_toboolean(L, -1) ? T_TRUE : T_FALSE;
		return true;
	default: return false;
	}
}

/* The key below the top. A name that could mean something to a metatable is left to others. */
static bool put_key(struct flat *f, lua_State *L)
{
	size_t len;
	if (lua_type(L, -2) != LUA_TSTRING)
		return false;
	const char *s = lua_tolstring(L, -2, &len);
	if (len > KEY_MAX || (size_t)(f->end - f->p) < len + 3 || (len >= 2 && s[0] == '_' && s[1] == '_'))
		return false;
	f->p[0] = T_KEY;
	f->p[1] = (unsigned char)len;
	f->p[2] = 0;
	memcpy(f->p + 3, s, len);
	f->p += 3 + len;
	return true;
}

static struct vai__block *to_block(struct flat *f, uint32_t nrec)
{
	*f->p++ = T_END;
	*f->p++ = S_STOP;
	size_t len = (size_t)(f->p - f->bytes);
	f->bytes[0] = T_TABLE;
	vai__store32(f->bytes + AT_SLOT, 0);
	vai__store32(f->bytes + AT_NARR, 0);
	vai__store32(f->bytes + AT_NREC, nrec);
	struct vai__block *b = vai__block_new(len);
	if (!b)
		return NULL;
	memcpy(b->data, f->bytes, len);
	b->len = len;
	b->last_ref = 0;
	b->nslots = 0;
	b->nvalues = 1;
	b->nkeys = 0;
	b->depth = 1;
	b->flags = BLOCK_FLAT;
	return b;
}

struct vai__block *vai__flat_encode(lua_State *L, const struct vai_vm *vm, int t)
{
	struct flat f;
	uint32_t nrec = 0;
	const int top = lua_gettop(L);
	/* Where there are modules, any table may be one. */
	if (vm->is_host || vm->has_loaded || !lua_checkstack(L, LEVEL))
		return NULL;
	f.p = f.bytes + TABLE_HEAD;
	f.end = f.bytes + FLAT_MAX - 2;
	if (lua_getmetatable(L, t)) {
		lua_settop(L, top);
		return NULL;
	}
	lua_pushnil(L);
	while (lua_next(L, t)) {
		if (!put_key(&f, L) || !put_value(&f, L)) {
			lua_settop(L, top);
			return NULL;
		}
		lua_settop(L, top + 1);
		nrec++;
	}
	return to_block(&f, nrec);
}

/* Pushes the value at p; returns what follows it. */
static const unsigned char *get_value(lua_State *L, const unsigned char *p)
{
	uint64_t word;
	lua_Number n;
	switch ((enum vai__tag) * p++) {
	case T_INT: lua_pushinteger(L, (lua_Integer)vai__load64(p)); return p + 8;
	case T_FLOAT:
		word = vai__load64(p);
		memcpy(&n, &word, sizeof n);
		lua_pushnumber(L, n);
		return p + 8;
	case T_SHORT: lua_pushlstring(L, (const char *)p + 1, *p); return p + 1 + *p;
	case T_TRUE: lua_pushboolean(L, 1); return p;
	default: lua_pushboolean(L, 0); return p;
	}
}

int vai__flat_decode(lua_State *L, const struct vai__block *b)
{
	const unsigned char *p = b->data;
	luaL_checkstack(L, LEVEL, NULL);
	lua_createtable(L, 0, (int)vai__load32(p + AT_NREC));
	for (p += TABLE_HEAD; *p == T_KEY;) {
		size_t len = p[1];
		lua_pushlstring(L, (const char *)p + 3, len);
		p = get_value(L, p + 3 + len);
		lua_rawset(L, -3);
	}
	return 1;
}
