/* SPDX-License-Identifier: MIT */
/* Bodies that a server has packed by gzip or deflate (zlib's form), unpacked piece by piece, if there is zlib
 * (VAI_ZLIB). An inflater belongs to the state that made it. It gives one piece at a time, so the reader decides when
 * it has enough. */
#include "http.h"

#ifdef VAI_ZLIB
#include <zlib.h>

enum { PIECE = 65536, INPUT = 1 };

struct inflater {
	z_stream z;
	bool open, ended;
};

static const char type_name[] = "vai.http.inflater";

static struct inflater *self(lua_State *L)
{
	struct inflater *f = luaL_checkudata(L, 1, type_name);
	if (!f->open)
		luaL_error(L, "the inflater is closed");
	return f;
}

static int inflater_gc(lua_State *L)
{
	struct inflater *f = luaL_checkudata(L, 1, type_name);
	if (f->open)
		inflateEnd(&f->z);
	f->open = false;
	return 0;
}

/* feed(bytes): the next bytes of the packed stream, once the earlier ones are used up. */
static int inflater_feed(lua_State *L)
{
	size_t n;
	struct inflater *f = self(L);
	const char *s = luaL_checklstring(L, 2, &n);
	luaL_argcheck(L, f->z.avail_in == 0 && n <= UINT32_MAX / 2, 2, "too much");
	lua_settop(L, 2);
	lua_setiuservalue(L, 1, INPUT);
	f->z.next_in = (Bytef *)(uintptr_t)s;
	f->z.avail_in = (uInt)n;
	return 0;
}

/* piece() -> bytes; or nil: it needs more or has ended; or nil, why. Another gzip member may follow the end. */
static int inflater_piece(lua_State *L)
{
	struct inflater *f = self(L);
	luaL_Buffer b;
	if (f->z.avail_in == 0 && f->ended)
		return lua_pushnil(L), 1;
	char *to = luaL_buffinitsize(L, &b, PIECE);
	f->z.next_out = (Bytef *)to;
	f->z.avail_out = PIECE;
	int rc = Z_OK;
	do {
		if (f->ended)
			rc = inflateReset(&f->z);
		if (rc == Z_OK)
			rc = inflate(&f->z, Z_NO_FLUSH);
		f->ended = rc == Z_STREAM_END;
		rc = rc == Z_STREAM_END ? Z_OK : rc;
	} while (rc == Z_OK && f->z.avail_out == PIECE && f->z.avail_in > 0);
	if (rc != Z_OK && rc != Z_BUF_ERROR) {
		lua_pushnil(L);
		lua_pushfstring(L, "bad compressed data: %s", f->z.msg ? f->z.msg : "unknown");
		return 2;
	}
	size_t n = PIECE - f->z.avail_out;
	if (n > 0)
		luaL_pushresultsize(&b, n);
	else
		lua_pushnil(L);
	return 1;
}

/* ended() -> whether the stream is complete. */
static int inflater_ended(lua_State *L)
{
	lua_pushboolean(L, self(L)->ended);
	return 1;
}

static const luaL_Reg methods[] = {
	{"feed", inflater_feed}, {"piece", inflater_piece}, {"ended", inflater_ended}, {NULL, NULL}};

/* inflater() -> an inflater for gzip's and for zlib's form: the stream says which it is. */
int vai__http_inflater(lua_State *L)
{
	struct inflater *f = lua_newuserdatauv(L, sizeof *f, INPUT);
	memset(f, 0, sizeof *f);
	vai__http_set_type(L, type_name, methods, inflater_gc);
	if (inflateInit2(&f->z, 15 + 32) != Z_OK)
		return luaL_error(L, "not enough memory");
	f->open = true;
	return 1;
}
#endif
