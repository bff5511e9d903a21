/* SPDX-License-Identifier: MIT */
/* MessagePack as Lua values. The bytes may come from anybody: every length is checked against what is there before it
 * is used, and memory is allocated only in proportion to the bytes that are there. */
#include "nats.h"

/* The most entries for which a table gets room before they are read, as each level of a nested table may promise all
 * that is left. */
enum { PREPARED = 256 };

struct unpacker {
	lua_State *L;
	const unsigned char *data, *end;
	const char *why; /* the first thing that is wrong; a constant text */
	int depth;
};

static bool fail(struct unpacker *u, const char *why)
{
	if (!u->why)
		u->why = why;
	return false;
}

/* The next n bytes as a number; false: they are not there. */
static bool get(struct unpacker *u, int n, uint64_t *v)
{
	*v = 0;
	if (u->end - u->data < n)
		return fail(u, "it ends too early");
	while (n-- > 0)
		*v = *v << 8 | *u->data++;
	return true;
}

static bool get_string(struct unpacker *u, uint64_t n)
{
	if ((uint64_t)(u->end - u->data) < n)
		return fail(u, "it ends too early");
	lua_pushlstring(u->L, (const char *)u->data, (size_t)n);
	u->data += n;
	return true;
}

static bool get_sized_string(struct unpacker *u, int bytes)
{
	uint64_t n;
	return get(u, bytes, &n) && get_string(u, n);
}

static bool get_unsigned(struct unpacker *u, int bytes)
{
	uint64_t v;
	if (!get(u, bytes, &v))
		return false;
	if (v > INT64_MAX)
		lua_pushnumber(u->L, (lua_Number)v);
	else
		lua_pushinteger(u->L, (lua_Integer)v);
	return true;
}

static bool get_signed(struct unpacker *u, int bytes)
{
	uint64_t v;
	if (!get(u, bytes, &v))
		return false;
	int unused = 64 - 8 * bytes;
	lua_pushinteger(u->L, (lua_Integer)(v << unused) >> unused);
	return true;
}

static bool get_float(struct unpacker *u, int bytes)
{
	uint64_t v;
	if (!get(u, bytes, &v))
		return false;
	if (bytes == 4) {
		float f;
		uint32_t bits = (uint32_t)v;
		memcpy(&f, &bits, sizeof f);
		lua_pushnumber(u->L, (lua_Number)f);
	} else {
		double d;
		memcpy(&d, &v, sizeof d);
		lua_pushnumber(u->L, d);
	}
	return true;
}

static bool get_value(struct unpacker *u);

/* Begins a table. The smallest entry is a byte, so a table that promises more entries than there are bytes is wrong. */
static bool open_table(struct unpacker *u, uint64_t n, unsigned bytes_each)
{
	if (u->depth == NATS_DEPTH)
		return fail(u, "it is nested more than 100 deep");
	if ((uint64_t)(u->end - u->data) / bytes_each < n)
		return fail(u, "it ends too early");
	luaL_checkstack(u->L, 6, "tables nested too deep");
	u->depth++;
	return true;
}

static bool get_array(struct unpacker *u, uint64_t n)
{
	if (!open_table(u, n, 1))
		return false;
	lua_createtable(u->L, n < PREPARED ? (int)n : PREPARED, 0);
	for (uint64_t i = 1; i <= n; i++) {
		if (!get_value(u))
			return false;
		lua_rawseti(u->L, -2, (lua_Integer)i);
	}
	u->depth--;
	return true;
}

static bool get_map(struct unpacker *u, uint64_t n)
{
	if (!open_table(u, n, 2))
		return false;
	lua_createtable(u->L, 0, n < PREPARED ? (int)n : PREPARED);
	for (uint64_t i = 0; i < n; i++) {
		if (!get_value(u))
			return false;
		if (lua_isnil(u->L, -1) ||
			(lua_type(u->L, -1) == LUA_TNUMBER && lua_tonumber(u->L, -1) != lua_tonumber(u->L, -1)))
			return fail(u, "a key is nil or not a number");
		if (!get_value(u))
			return false;
		lua_rawset(u->L, -3);
	}
	u->depth--;
	return true;
}

static bool get_sized_table(struct unpacker *u, int bytes, bool map)
{
	uint64_t n;
	return get(u, bytes, &n) && (map ? get_map(u, n) : get_array(u, n));
}

/* Pushes a value of another program's own type: { ext = type, data = bytes }. */
static bool get_extension(struct unpacker *u, uint64_t n)
{
	uint64_t type;
	if (!get(u, 1, &type))
		return false;
	lua_createtable(u->L, 0, 2);
	lua_pushinteger(u->L, (int8_t)type);
	lua_setfield(u->L, -2, "ext");
	if (!get_string(u, n))
		return false;
	lua_setfield(u->L, -2, "data");
	return true;
}

static bool get_sized_extension(struct unpacker *u, int bytes)
{
	uint64_t n;
	return get(u, bytes, &n) && get_extension(u, n);
}

static bool get_tagged(struct unpacker *u, unsigned tag)
{
	switch (tag) {
	case 0xc0: lua_pushnil(u->L); return true;
	case 0xc2:
	case 0xc3: lua_pushboolean(u->L, (int)(tag & 1)); return true;
	case 0xc4:
	case 0xc5:
	case 0xc6: return get_sized_string(u, 1 << (tag - 0xc4));
	case 0xc7:
	case 0xc8:
	case 0xc9: return get_sized_extension(u, 1 << (tag - 0xc7));
	case 0xca: return get_float(u, 4);
	case 0xcb: return get_float(u, 8);
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf: return get_unsigned(u, 1 << (tag - 0xcc));
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3: return get_signed(u, 1 << (tag - 0xd0));
	case 0xd4:
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8: return get_extension(u, 1u << (tag - 0xd4));
	case 0xd9:
	case 0xda:
	case 0xdb: return get_sized_string(u, 1 << (tag - 0xd9));
	case 0xdc:
	case 0xdd: return get_sized_table(u, tag == 0xdc ? 2 : 4, false);
	case 0xde:
	case 0xdf: return get_sized_table(u, tag == 0xde ? 2 : 4, true);
	default: return fail(u, "it has a byte that means nothing");
	}
}

/* Pushes one value. False: u->why, and the stack may have more on it. */
static bool get_value(struct unpacker *u)
{
	if (u->data == u->end)
		return fail(u, "it ends too early");
	unsigned tag = *u->data++;
	if (tag < 0x80 || tag >= 0xe0) {
		lua_pushinteger(u->L, (int8_t)tag);
		return true;
	}
	if (tag < 0x90)
		return get_map(u, tag & 15);
	if (tag < 0xa0)
		return get_array(u, tag & 15);
	if (tag < 0xc0)
		return get_string(u, tag & 31);
	return get_tagged(u, tag);
}

/* unpack(string) -> true, value; or nil, why: this is no MessagePack, or more than one value. */
int vai__nats_unpack(lua_State *L)
{
	size_t n;
	const char *s = luaL_checklstring(L, 1, &n);
	struct unpacker u = {.L = L, .data = (const unsigned char *)s, .end = (const unsigned char *)s + n};
	lua_settop(L, 1);
	lua_pushboolean(L, 1);
	if (get_value(&u) && (u.data == u.end || fail(&u, "bytes follow it")))
		return 2;
	lua_settop(L, 0);
	lua_pushnil(L);
	lua_pushfstring(L, "not MessagePack: %s", u.why);
	return 2;
}
