/* SPDX-License-Identifier: MIT */
/* Bodies in chunks. The decoder of requests accepts sizes in hex digits with nothing behind them: an extension means
 * something to some programs and nothing to others, and a program that reads it differently sees other requests. In
 * responses nothing can be smuggled past anybody, and some servers put extensions or blanks there: they are skipped.
 * The decoder's state is two numbers, which the caller keeps. */
#include "http.h"
#include <stdio.h>

enum phase { SIZE, SIZE_MORE, SKIP, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_REST, TRAILER_LF, END_LF, DONE };
enum { TRAILER_MOST = 16384, EXTENSION_MOST = 4096, SKIPPED_SHIFT = 8 };

struct decoder {
	enum phase phase;
	int64_t left;        /* bytes left of the chunk; in the trailer: bytes seen */
	lua_Integer skipped; /* bytes of an extension */
	bool lenient;
	const char *why;
};

static void fail(struct decoder *d, const char *why)
{
	d->why = why;
}

static void expect(struct decoder *d, char c, char want, enum phase next)
{
	if (c == want)
		d->phase = next;
	else
		fail(d, "bad chunk");
}

static void size_digit(struct decoder *d, char c)
{
	int v = hex_value(c);
	if (v < 0 && d->phase == SIZE_MORE && c == '\r')
		d->phase = SIZE_LF;
	else if (d->lenient && d->phase == SIZE_MORE && (c == ';' || c == ' ' || c == '\t'))
		d->phase = SKIP;
	else if (v < 0)
		fail(d, c == ';' ? "a chunk extension" : "bad chunk size");
	else if (d->left >> 55)
		fail(d, "a chunk is too large");
	else {
		d->left = d->left << 4 | v;
		d->phase = SIZE_MORE;
	}
}

static void extension(struct decoder *d, char c)
{
	if (++d->skipped > EXTENSION_MOST || c == '\n' || c == 0)
		fail(d, "bad chunk extension");
	else if (c == '\r') {
		d->phase = SIZE_LF;
		d->skipped = 0;
	}
}

static void trailer(struct decoder *d, char c)
{
	if (++d->left > TRAILER_MOST)
		fail(d, "the trailer is too large");
	else if (d->phase == TRAILER)
		d->phase = c == '\r' ? END_LF : TRAILER_REST;
	else if (c == '\r')
		d->phase = TRAILER_LF;
	if (c == '\n' || c == 0)
		fail(d, "bad trailer");
}

/* Takes one byte that is not data. */
static void step(struct decoder *d, char c)
{
	switch (d->phase) {
	case SIZE:
	case SIZE_MORE: size_digit(d, c); break;
	case SKIP: extension(d, c); break;
	case SIZE_LF: expect(d, c, '\n', d->left ? DATA : TRAILER); break;
	case DATA_CR: expect(d, c, '\r', DATA_LF); break;
	case DATA_LF: expect(d, c, '\n', SIZE); break;
	case TRAILER:
	case TRAILER_REST: trailer(d, c); break;
	case TRAILER_LF: expect(d, c, '\n', TRAILER); break;
	case END_LF: expect(d, c, '\n', DONE); break;
	case DATA:
	case DONE: break;
	}
}

static size_t copy_data(struct decoder *d, luaL_Buffer *b, const char *p, size_t n)
{
	size_t k = (int64_t)n < d->left ? n : (size_t)d->left;
	luaL_addlstring(b, p, k);
	d->left -= (int64_t)k;
	if (d->left == 0)
		d->phase = DATA_CR;
	return k;
}

/* unchunk(text, at, phase, left, lenient) -> data, next, phase, left, done; or nil, why. phase and left are the
 * decoder's state: 0, 0 at first. */
int vai__http_unchunk(lua_State *L)
{
	size_t n;
	luaL_Buffer b;
	const char *text = luaL_checklstring(L, 1, &n);
	size_t i = (size_t)luaL_checkinteger(L, 2) - 1;
	lua_Integer state = luaL_checkinteger(L, 3);
	enum phase phase = (enum phase)(state & ((1 << SKIPPED_SHIFT) - 1));
	struct decoder d = {.phase = phase, .left = luaL_checkinteger(L, 4), .lenient = lua_toboolean(L, 5)};
	d.skipped = state >> SKIPPED_SHIFT;
	luaL_buffinit(L, &b);
	while (i < n && d.phase != DONE && !d.why) {
		if (d.phase == DATA)
			i += copy_data(&d, &b, text + i, n - i);
		else
			step(&d, text[i++]);
	}
	if (d.why) {
		lua_pushnil(L);
		lua_pushstring(L, d.why);
		return 2;
	}
	luaL_pushresult(&b);
	lua_pushinteger(L, (lua_Integer)i + 1);
	lua_pushinteger(L, d.skipped << SKIPPED_SHIFT | d.phase);
	lua_pushinteger(L, d.left);
	lua_pushboolean(L, d.phase == DONE);
	return 5;
}

/* chunk(n) -> the line before a chunk of n bytes. */
int vai__http_chunk(lua_State *L)
{
	char line[32];
	long long n = luaL_checkinteger(L, 1);
	lua_pushlstring(L, line, (size_t)snprintf(line, sizeof line, "%llx\r\n", (unsigned long long)n));
	return 1;
}
