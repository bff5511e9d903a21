/* SPDX-License-Identifier: MIT */
/* What the files of vai.http.core share. The module holds no state and no connection: its functions take strings and
 * give strings, so any goroutine may call them at any time, and none of them parks. The loops around them, which read
 * and write, are Lua code (lua/vai/http/). Functions with a lua_State as their only argument are called from Lua; the
 * comment before each function's body gives its arguments and results, and they raise on arguments of wrong types. */
#ifndef VAI_HTTP_H
#define VAI_HTTP_H

#include <lua.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ---- strict.c: what is refused before the parser library sees it ---- */

/* What the head says of the message's body and its connection. */
struct head {
	bool request;
	int minor;
	int hosts, lengths, codings; /* how often these fields occur */
	int64_t length;              /* the value of Content-Length */
	bool chunked, close, keep_alive, upgrade, expect;
	bool conditional; /* a header asks for less than the whole: a condition or a range */
	const char *host; /* the value of Host, trimmed */
	size_t nhost;
	const char *why; /* what is wrong; a constant text */
	int status;      /* the status of the response to that */
};

/* Reads a whole head into *h. False: it is refused, with h->why and h->status. */
bool vai__http_strict(struct head *h, const char *text, size_t n);

/* Whether c may be in a token: a letter, a digit, or one of !#$%&'*+-.^_`|~ (a bit for each byte below 128). */
static inline bool is_token(unsigned char c)
{
	static const uint64_t tokens[2] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe};
	return c < 128 && (tokens[c >> 6] >> (c & 63) & 1);
}

/* Whether the bytes have one that no field value may have, sent or received: a control character other than the tab. */
static inline bool has_control(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)p[i] < ' ' && p[i] != '\t') || p[i] == 0x7f)
			return true;
	return false;
}

/* ---- what is needed here and there ---- */

/* The value of a hex digit; -1: it is none. */
static inline int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Gives the userdata on top of the stack the metatable of that type, which is made first if need be. May raise. */
void vai__http_set_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction gc);

/* ---- functions of the module ---- */

int vai__http_request(lua_State *L);  /* head.c */
int vai__http_fields(lua_State *L);   /* head.c */
int vai__http_response(lua_State *L); /* head.c */
int vai__http_reply(lua_State *L);    /* write.c */
int vai__http_ask(lua_State *L);      /* write.c */
int vai__http_chunk(lua_State *L);    /* chunked.c */
int vai__http_unchunk(lua_State *L);  /* chunked.c */
int vai__http_decode(lua_State *L);   /* uri.c */
int vai__http_encode(lua_State *L);   /* uri.c */
int vai__http_date(lua_State *L);     /* date.c */
int vai__http_time(lua_State *L);     /* date.c */
int vai__http_base64(lua_State *L);   /* digest.c */
int vai__http_sha1(lua_State *L);     /* digest.c */
int vai__http_inflater(lua_State *L); /* inflate.c, where zlib is there */
/* websocket.c, where wslay is there */
int vai__http_websocket_reader(lua_State *L);
int vai__http_websocket_frame(lua_State *L);
int vai__http_random(lua_State *L);

/* Writes "Date: Sun, 06 Nov 1994 08:49:37 GMT" for the present second, with CR LF: DATE_LINE_BYTES, and no zero behind
 * them. */
enum { DATE_LINE_BYTES = 37 };
void vai__http_date_line(char *buf);

#endif
