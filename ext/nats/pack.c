/* SPDX-License-Identifier: MIT */
/* Lua values as MessagePack. Data only: a function, a userdata, a coroutine or a table with a metatable raises, and
 * the message names the path to it. A table whose keys are 1 to n is an array, an empty one, too; any other is a map.
 * Strings that are UTF-8 are str, others bin. Integers take as few bytes as they can; floats are always 8 bytes, so
 * that they stay floats. */
#include "nats.h"
#include <stdio.h>

enum { BOX = 2, FIRST_BYTES = 256, PATH_MAX_BYTES = 200 };

/* The bytes are in the userdata at stack index BOX, so after an error the collector frees them. */
struct packer {
	lua_State *L;
	unsigned char *data;
	size_t n, size;
	int depth;
	int keys[NATS_DEPTH + 1]; /* stack index of the key at each level: the path of the value in work */
};

static unsigned char *room(struct packer *p, size_t n)
{
	if (p->size - p->n < n) {
		size_t size = p->size;
		while (size - p->n < n)
			size *= 2;
		unsigned char *data = lua_newuserdatauv(p->L, size, 0);
		memcpy(data, p->data, p->n);
		lua_replace(p->L, BOX);
		p->data = data;
		p->size = size;
	}
	p->n += n;
	return p->data + p->n - n;
}

/* Adds the byte `tag` and behind it v in `bytes` bytes, the highest first. */
static void put(struct packer *p, unsigned tag, uint64_t v, int bytes)
{
	unsigned char *out = room(p, (size_t)bytes + 1);
	*out++ = (unsigned char)tag;
	for (int i = bytes - 1; i >= 0; i--)
		*out++ = (unsigned char)(v >> (8 * i));
}

/* Adds v with the tag for its size; the tags for 1, 2, 4 and 8 bytes follow each other. */
static void put_sized(struct packer *p, unsigned tag1, uint64_t v)
{
	if (v <= UINT8_MAX)
		put(p, tag1, v, 1);
	else if (v <= UINT16_MAX)
		put(p, tag1 + 1, v, 2);
	else if (v <= UINT32_MAX)
		put(p, tag1 + 2, v, 4);
	else
		put(p, tag1 + 3, v, 8);
}

static void pack_integer(struct packer *p, lua_Integer v)
{
	if (v >= 0) {
		if (v < 128)
			put(p, (unsigned)v, 0, 0);
		else
			put_sized(p, 0xcc, (uint64_t)v);
	} else if (v >= -32) {
		put(p, (unsigned char)v, 0, 0);
	} else if (v >= INT8_MIN) {
		put(p, 0xd0, (uint64_t)v, 1);
	} else if (v >= INT16_MIN) {
		put(p, 0xd1, (uint64_t)v, 2);
	} else if (v >= INT32_MIN) {
		put(p, 0xd2, (uint64_t)v, 4);
	} else {
		put(p, 0xd3, (uint64_t)v, 8);
	}
}

static void pack_float(struct packer *p, lua_Number v)
{
	uint64_t bits;
	double d = v;
	memcpy(&bits, &d, sizeof bits);
	put(p, 0xcb, bits, 8);
}

/* The length in bytes of the UTF-8 character at s[0..n); 0: none begins there. */
static size_t character(const unsigned char *s, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (*s < 0x80)
		return 1;
	size_t len = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc2 ? 2 : 0;
	if (len == 0 || *s > 0xf4 || len > n)
		return 0;
	uint32_t c = *s & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

static bool is_utf8(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = character((const unsigned char *)s + i, n - i);
		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

static void pack_string(struct packer *p, int idx)
{
	size_t n;
	const char *s = lua_tolstring(p->L, idx, &n);
	if (n > UINT32_MAX)
		luaL_error(p->L, "a string of more than 4 GiB cannot cross");
	if (!is_utf8(s, n))
		put_sized(p, 0xc4, n);
	else if (n < 32)
		put(p, 0xa0 | (unsigned)n, 0, 0);
	else
		put_sized(p, 0xd9, n);
	memcpy(room(p, n), s, n);
}

/* ---- what cannot cross ---- */

static size_t describe_key(lua_State *L, int key, char *out, size_t size)
{
	int n;
	if (lua_type(L, key) == LUA_TSTRING)
		n = snprintf(out, size, "field '%.40s': ", lua_tostring(L, key));
	else if (lua_isinteger(L, key))
		n = snprintf(out, size, "element %lld: ", (long long)lua_tointeger(L, key));
	else
		n = snprintf(out, size, "a field: ");
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static _Noreturn void refuse(struct packer *p, const char *what, const char *help)
{
	char path[PATH_MAX_BYTES];
	size_t n = 0;
	*path = 0;
	for (int i = 1; i <= p->depth && n < sizeof path / 2; i++)
		n += describe_key(p->L, p->keys[i], path + n, sizeof path - n);
	luaL_error(p->L, "%s%s cannot cross to another machine%s", path, what, help);
	__builtin_unreachable();
}

static _Noreturn void refuse_type(struct packer *p, int idx)
{
	char what[64];
	const char *name = NULL;
	if (luaL_getmetafield(p->L, idx, "__name") == LUA_TSTRING)
		name = lua_tostring(p->L, -1);
	snprintf(what, sizeof what, "%s%s%.40s", luaL_typename(p->L, idx), name ? " " : "", name ? name : "");
	refuse(p, what, "");
}

/* ---- tables ---- */

static void pack_value(struct packer *p, int idx);

/* The number of entries; *array: whether their keys are 1 to that number. */
static size_t entries(lua_State *L, int idx, bool *array)
{
	size_t n = 0, length = (size_t)lua_rawlen(L, idx);
	*array = true;
	lua_pushnil(L);
	while (lua_next(L, idx)) {
		lua_pop(L, 1);
		n++;
		if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || (size_t)lua_tointeger(L, -1) > length)
			*array = false;
	}
	*array = *array && n == length;
	return n;
}

static void put_head(struct packer *p, unsigned small, unsigned tag2, size_t n)
{
	if (n < 16)
		put(p, small | (unsigned)n, 0, 0);
	else if (n <= UINT16_MAX)
		put(p, tag2, n, 2);
	else
		put(p, tag2 + 1, n, 4);
}

static void pack_array(struct packer *p, int idx, size_t n)
{
	put_head(p, 0x90, 0xdc, n);
	for (size_t i = 1; i <= n; i++) {
		lua_pushinteger(p->L, (lua_Integer)i);
		lua_rawgeti(p->L, idx, (lua_Integer)i);
		p->keys[p->depth] = lua_gettop(p->L) - 1;
		pack_value(p, lua_gettop(p->L));
		lua_pop(p->L, 2);
	}
}

static void pack_map(struct packer *p, int idx, size_t n)
{
	put_head(p, 0x80, 0xde, n);
	lua_pushnil(p->L);
	while (lua_next(p->L, idx)) {
		int key = p->keys[p->depth] = lua_gettop(p->L) - 1;
		if (lua_type(p->L, key) == LUA_TTABLE)
			refuse(p, "a table as a key", "");
		pack_value(p, key);
		pack_value(p, key + 1);
		lua_settop(p->L, key);
	}
}

static void pack_table(struct packer *p, int idx)
{
	bool array;
	if (p->depth == NATS_DEPTH)
		refuse(p, "a table in itself, or nested 100 deep,", "");
	if (lua_getmetatable(p->L, idx))
		refuse(p, "a table with a metatable", " (a frozen one does as vai.thaw(t))");
	luaL_checkstack(p->L, 8, "tables nested too deep");
	size_t n = entries(p->L, idx, &array);
	if (n > UINT32_MAX)
		refuse(p, "a table of more than 4 billion entries", "");
	p->depth++;
	if (array)
		pack_array(p, idx, n);
	else
		pack_map(p, idx, n);
	p->depth--;
}

static void pack_value(struct packer *p, int idx)
{
	switch (lua_type(p->L, idx)) {
	case LUA_TNIL: put(p, 0xc0, 0, 0); break;
	case LUA_TBOOLEAN: put(p, lua_toboolean(p->L, idx) ? 0xc3 : 0xc2, 0, 0); break;
	case LUA_TNUMBER:
		if (lua_isinteger(p->L, idx))
			pack_integer(p, lua_tointeger(p->L, idx));
		else
			pack_float(p, lua_tonumber(p->L, idx));
		break;
	case LUA_TSTRING: pack_string(p, idx); break;
	case LUA_TTABLE: pack_table(p, idx); break;
	default: refuse_type(p, idx);
	}
}

/* pack(value) -> string. Raises if the value holds what cannot be packed. */
int vai__nats_pack(lua_State *L)
{
	struct packer p = {.L = L, .size = FIRST_BYTES};
	luaL_checkany(L, 1);
	lua_settop(L, 1);
	p.data = lua_newuserdatauv(L, p.size, 0);
	pack_value(&p, 1);
	lua_pushlstring(L, (const char *)p.data, p.n);
	return 1;
}
