/* SPDX-License-Identifier: MIT */
/* buffer and its methods. Places count from 1, as in strings. Bytes are pinned while they are used, and nothing may
 * raise meanwhile. */
#include <string.h>
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "data/bytes.h"
#include "stdlib/catalog.h"

static inline vai_bytes *self_buffer(lua_State *L, const char *fname)
{
	return vai__bind_object(L, &vai__bytes_class, fname);
}

/* ---- arguments ---- */

static uint64_t size_arg(lua_State *L, int idx, int arg, const char *fname)
{
	int64_t n = vai__arg_integer(L, idx, arg, fname);
	if (n < 0 || (uint64_t)n > VAI_BYTES_MAX)
		vai__arg_error(L, arg, fname, "%lld bytes are out of range", (long long)n);
	return (uint64_t)n;
}

/* Raises the error of vai__bytes_pin for the n bytes from place i on. */
static _Noreturn void out_of_range(lua_State *L, vai_bytes *b, int rc, const char *fname, int64_t i, uint64_t n)
{
	if (rc == VAI_ECLOSED)
		luaL_error(L, "bad self to '%s' (a resize has taken bytes of the slice away)", fname);
	vai__arg_error(L, 1, fname, "%llu bytes at %lld are out of range: the buffer has %llu", (unsigned long long)n,
		(long long)i, (unsigned long long)vai__bytes_length(b));
}

/* Pins the n bytes from place i on, or raises. */
static char *pin(lua_State *L, vai_bytes *b, int64_t i, uint64_t n, const char *fname)
{
	char *p;
	int rc = i < 1 ? VAI_ERANGE : vai__bytes_pin(b, VAI_PIN_SHORT, (uint64_t)i - 1, n, &p);
	if (VAI_UNLIKELY(rc != VAI_OK))
		out_of_range(L, b, rc, fname, i, n);
	return p;
}

static inline void unpin(vai_bytes *b)
{
	vai__bytes_unpin(b, VAI_PIN_SHORT);
}

uint64_t vai__lib_places(lua_State *L, vai_bytes *b, int idx, int arg, int64_t *i, const char *fname)
{
	const int64_t length = (int64_t)vai__bytes_length(b);
	int64_t j = lua_isnoneornil(L, idx + 1) ? length : vai__arg_integer(L, idx + 1, arg + 1, fname);
	*i = lua_isnoneornil(L, idx) ? 1 : vai__arg_integer(L, idx, arg, fname);
	if (*i < 1 || *i > length + 1)
		vai__arg_error(
			L, arg, fname, "%lld is out of range: the buffer has %lld bytes", (long long)*i, (long long)length);
	if (j < *i - 1 || j > length)
		vai__arg_error(
			L, arg + 1, fname, "%lld is out of range: the buffer has %lld bytes", (long long)j, (long long)length);
	return (uint64_t)(j - *i + 1);
}

/* ---- making them ---- */

int vai__lib_buffer(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	size_t len = 0;
	const char *s = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &len) : NULL;
	if (!s && lua_type(L, 1) != LUA_TNUMBER)
		vai__arg_type_error(L, 1, 1, "buffer", "integer or string");
	vai_bytes *b = vai__bytes_new(s ? len : size_arg(L, 1, 1, "buffer"));
	char *p;
	if (b && s && vai__bytes_pin(b, VAI_PIN_SHORT, 0, len, &p) == VAI_OK) {
		vai__bytes_copy(p, s, len);
		unpin(b);
	}
	return vai__bind_push_new(L, g, (struct vai_obj *)b);
}

static int buffer_slice(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "slice");
	vai_g *g = vai__bind_self(L);
	int64_t i;
	int rc;
	uint64_t n = vai__lib_places(L, b, 2, 1, &i, "slice");
	vai_bytes *slice = vai__bytes_slice(b, (uint64_t)i - 1, n, &rc);
	if (rc != VAI_OK)
		out_of_range(L, b, rc, "slice", i, n);
	return vai__bind_push_new(L, g, (struct vai_obj *)slice);
}

static int buffer_resize(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "resize");
	uint64_t n = size_arg(L, 2, 1, "resize");
	if (vai__bytes_is_slice(b))
		return luaL_error(L, "bad self to 'resize' (a slice keeps its size)");
	int rc = vai__bytes_resize(b, n);
	if (rc == VAI_EAGAIN)
		return luaL_error(L, "bad self to 'resize' (the buffer is in use by input, output or another resize)");
	if (rc != VAI_OK)
		vai__arg_no_memory(L);
	return 0;
}

/* ---- bytes ---- */

/* The place that i means, as in string.sub: negative counts from the end. */
static int64_t place_of(int64_t i, int64_t length)
{
	return i >= 0 ? i : i < -length ? 0 : length + i + 1;
}

/* Pushes the n bytes from place i on as a string. */
static void push_bytes(lua_State *L, vai_bytes *b, int64_t i, uint64_t n, const char *fname)
{
	luaL_Buffer s;
	char *to = luaL_buffinitsize(L, &s, (size_t)n);
	const char *p = pin(L, b, i, n, fname);
	vai__bytes_copy(to, p, (size_t)n);
	unpin(b);
	luaL_pushresultsize(&s, (size_t)n);
}

static int buffer_sub(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "sub");
	const int64_t length = (int64_t)vai__bytes_length(b);
	int64_t i = place_of(vai__arg_integer(L, 2, 1, "sub"), length);
	int64_t j = lua_isnoneornil(L, 3) ? length : place_of(vai__arg_integer(L, 3, 2, "sub"), length);
	i = i < 1 ? 1 : i;
	j = j > length ? length : j;
	if (i > j)
		lua_pushliteral(L, "");
	else
		push_bytes(L, b, i, (uint64_t)(j - i + 1), "sub");
	return 1;
}

static int buffer_byte(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "byte");
	char c;
	const char *p = pin(L, b, vai__arg_integer(L, 2, 1, "byte"), 1, "byte");
	vai__bytes_copy(&c, p, 1);
	unpin(b);
	lua_pushinteger(L, (unsigned char)c);
	return 1;
}

static void set_string(lua_State *L, vai_bytes *b, int64_t i, int idx, const char *fname)
{
	size_t len;
	const char *s = lua_tolstring(L, idx, &len);
	vai__bytes_copy(pin(L, b, i, len, fname), s, len);
	unpin(b);
}

/* Copies all of the buffer `from` to place i. */
static void set_buffer(lua_State *L, vai_bytes *b, int64_t i, vai_bytes *from)
{
	char *f;
	uint64_t n = vai__bytes_length(from);
	char *p = pin(L, b, i, n, "set");
	int rc = vai__bytes_pin(from, VAI_PIN_SHORT, 0, n, &f);
	if (rc == VAI_OK) {
		vai__bytes_copy(p, f, (size_t)n);
		unpin(from);
	}
	unpin(b);
	if (rc != VAI_OK)
		vai__arg_error(L, 2, "set", "the buffer has become smaller meanwhile");
}

static int buffer_set(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "set");
	int64_t i = vai__arg_integer(L, 2, 1, "set");
	vai_bytes *from = (vai_bytes *)vai__handle_test(L, 3, &vai__bytes_class);
	if (from)
		set_buffer(L, b, i, from);
	else if (lua_type(L, 3) == LUA_TSTRING)
		set_string(L, b, i, 3, "set");
	else
		vai__arg_type_error(L, 3, 2, "set", "string or buffer");
	return 0;
}

#ifdef VAI_TSAN
__attribute__((no_sanitize("thread")))
#endif
static void
fill_bytes(volatile char *p, int byte, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)byte;
}

static int buffer_fill(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "fill");
	int64_t i, byte = vai__arg_integer(L, 2, 1, "fill");
	if (byte < 0 || byte > UINT8_MAX)
		vai__arg_error(L, 1, "fill", "%lld is no byte", (long long)byte);
	uint64_t n = vai__lib_places(L, b, 3, 2, &i, "fill");
	fill_bytes(pin(L, b, i, n, "fill"), (int)byte, (size_t)n);
	unpin(b);
	return 0;
}

/* ---- pack and unpack ---- */

static void push_string_function(lua_State *L, const char *name)
{
	const struct vai__names *names = &vai__catalog.libs[vai__catalog_lib("string")].names;
	vai__catalog_push(L, &names->entries[vai__catalog_find(names, name, strlen(name))]);
}

static int buffer_pack(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "pack");
	int64_t i = vai__arg_integer(L, 2, 1, "pack");
	if (lua_type(L, 3) != LUA_TSTRING)
		vai__arg_type_error(L, 3, 2, "pack", "string");
	const int n = lua_gettop(L) - 2;
	push_string_function(L, "pack");
	lua_insert(L, 3);
	lua_call(L, n, 1);
	set_string(L, b, i, 3, "pack");
	lua_pushinteger(L, i + (lua_Integer)lua_rawlen(L, 3));
	return 1;
}

/* The number of bytes that the format at index 3 takes. If that depends on the bytes themselves, it is the number of
 * all bytes from i on. */
static uint64_t packed_size(lua_State *L, vai_bytes *b, int64_t i)
{
	const int64_t rest = (int64_t)((uint64_t)vai__bytes_length(b) - (uint64_t)i + 1); /* pin refuses a wrong i */
	push_string_function(L, "packsize");
	lua_pushvalue(L, 3);
	bool fixed = lua_pcall(L, 1, 1, 0) == LUA_OK;
	int64_t n = fixed ? lua_tointeger(L, -1) : rest;
	lua_pop(L, 1);
	return n < 0 ? 0 : (uint64_t)n;
}

static int buffer_unpack(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "unpack");
	int64_t i = vai__arg_integer(L, 2, 1, "unpack");
	if (lua_type(L, 3) != LUA_TSTRING)
		vai__arg_type_error(L, 3, 2, "unpack", "string");
	lua_settop(L, 3);
	const uint64_t n = packed_size(L, b, i);
	unpin((pin(L, b, i, n, "unpack"), b)); /* raises if the buffer is too short, before a string of that size is made */
	push_string_function(L, "unpack");
	lua_pushvalue(L, 3);
	push_bytes(L, b, i, n, "unpack");
	lua_call(L, 2, LUA_MULTRET);
	lua_pushinteger(L, lua_tointeger(L, -1) + i - 1);
	lua_replace(L, -2);
	return lua_gettop(L) - 3;
}

/* ---- words ---- */

/* Pins the aligned word at the place in the first argument. */
static _Atomic(uint64_t) *pin_word(lua_State *L, vai_bytes *b, const char *fname)
{
	int64_t i = vai__arg_integer(L, 2, 1, fname);
	char *p = pin(L, b, i, sizeof(uint64_t), fname);
	if ((uintptr_t)p % sizeof(uint64_t) == 0)
		return (_Atomic(uint64_t) *)(void *)p;
	unpin(b);
	vai__arg_error(L, 1, fname, "the word at %lld is not aligned", (long long)i);
}

static int buffer_load64(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "load64");
	uint64_t n = atomic_load_seq_cst(pin_word(L, b, "load64"));
	unpin(b);
	lua_pushinteger(L, (lua_Integer)n);
	return 1;
}

static int buffer_add64(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "add64");
	uint64_t n = (uint64_t)vai__arg_integer(L, 3, 2, "add64");
	n += atomic_fetch_add_seq_cst(pin_word(L, b, "add64"), n);
	unpin(b);
	lua_pushinteger(L, (lua_Integer)n);
	return 1;
}

static int buffer_cas64(lua_State *L)
{
	vai_bytes *b = self_buffer(L, "cas64");
	uint64_t old = (uint64_t)vai__arg_integer(L, 3, 2, "cas64"), now = (uint64_t)vai__arg_integer(L, 4, 3, "cas64");
	bool done = atomic_cas_strong_seq_cst(pin_word(L, b, "cas64"), &old, now);
	unpin(b);
	lua_pushboolean(L, done);
	return 1;
}

static int buffer_len(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)vai__bytes_length(self_buffer(L, "len")));
	return 1;
}

const struct vai__handle_type vai__lib_buffer_type = {&vai__bytes_class, "vai.buffer",
	.methods = VAI__METHODS({"sub", buffer_sub}, {"set", buffer_set}, {"byte", buffer_byte}, {"pack", buffer_pack},
		{"unpack", buffer_unpack}, {"slice", buffer_slice}, {"fill", buffer_fill}, {"resize", buffer_resize},
		{"load64", buffer_load64}, {"add64", buffer_add64}, {"cas64", buffer_cas64}),
	.meta = VAI__METHODS({"__len", buffer_len}, {"__tostring", vai__bind_tostring})};
