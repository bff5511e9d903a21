/* SPDX-License-Identifier: MIT */
/* What the server sends, one operation at a time. An operation is a line, and for MSG and HMSG a payload behind it. All
 * numbers are checked against limits before they are used, so a server that sends nonsense costs only its
 * connection. */
#include "nats.h"
#include <strings.h>

enum {
	LINE_MAX_BYTES = 1 << 20,    /* INFO lists the servers of a cluster */
	PAYLOAD_MAX_BYTES = 1 << 27, /* servers take at most 64 MiB */
	WORDS = 6,
};

struct word {
	const char *text;
	size_t n;
};

/* Splits text[0..n) at blanks and tabs. -1: there are more than `max` words. */
static int split(const char *text, size_t n, struct word *words, int max)
{
	int count = 0;
	for (size_t i = 0; i < n;) {
		size_t start = i;
		while (i < n && text[i] != ' ' && text[i] != '\t')
			i++;
		if (i > start) {
			if (count == max)
				return -1;
			words[count++] = (struct word){text + start, i - start};
		}
		while (i < n && (text[i] == ' ' || text[i] == '\t'))
			i++;
	}
	return count;
}

/* The decimal number of a word; -1: it is none, or above max. */
static int64_t number(const struct word *w, int64_t max)
{
	int64_t v = 0;
	if (w->n == 0 || w->n > 18)
		return -1;
	for (size_t i = 0; i < w->n; i++) {
		if (w->text[i] < '0' || w->text[i] > '9')
			return -1;
		v = v * 10 + (w->text[i] - '0');
	}
	return v <= max ? v : -1;
}

static int wrong(lua_State *L, const char *why)
{
	lua_pushboolean(L, 0);
	lua_pushstring(L, why);
	return 2;
}

static int incomplete(lua_State *L, size_t need)
{
	lua_pushnil(L);
	lua_pushinteger(L, (lua_Integer)need);
	return 2;
}

static void push_word(lua_State *L, const struct word *w)
{
	lua_pushlstring(L, w->text, w->n);
}

/* Reads "MSG subject sid [reply] bytes" or "HMSG subject sid [reply] header-bytes bytes"; `at` is where the payload
 * begins. */
static int message(lua_State *L, const char *line, size_t n, bool headers, const char *data, size_t ndata, size_t at)
{
	struct word w[WORDS];
	int count = split(line, n, w, WORDS), fixed = headers ? 4 : 3;
	if (count != fixed && count != fixed + 1)
		return wrong(L, "MSG with a wrong number of words");
	int64_t total = number(&w[count - 1], PAYLOAD_MAX_BYTES), sid = number(&w[1], INT64_MAX);
	int64_t head = headers ? number(&w[count - 2], PAYLOAD_MAX_BYTES) : 0;
	if (total < 0 || sid < 0 || head < 0 || head > total)
		return wrong(L, "MSG with a wrong number");
	if (ndata - at < (size_t)total + 2)
		return incomplete(L, (size_t)total + 2 - (ndata - at));
	const char *body = data + at;
	if (body[total] != '\r' || body[total + 1] != '\n')
		return wrong(L, "MSG whose payload has another length");
	lua_pushliteral(L, "msg");
	lua_pushinteger(L, (lua_Integer)at + total + 2 + 1);
	lua_pushinteger(L, sid);
	push_word(L, &w[0]);
	if (count > fixed)
		push_word(L, &w[2]);
	else
		lua_pushnil(L);
	if (headers)
		lua_pushlstring(L, body, (size_t)head);
	else
		lua_pushnil(L);
	lua_pushlstring(L, body + head, (size_t)(total - head));
	return 7;
}

static int plain(lua_State *L, const char *op, size_t next, const char *text, size_t n)
{
	while (n > 0 && *text == ' ') {
		text++;
		n--;
	}
	lua_pushstring(L, op);
	lua_pushinteger(L, (lua_Integer)next + 1);
	lua_pushlstring(L, text, n);
	return 3;
}

static bool begins(const char *line, size_t n, const char *word)
{
	size_t k = strlen(word);
	return n >= k && strncasecmp(line, word, k) == 0 && (n == k || line[k] == ' ' || line[k] == '\t');
}

/* next(data, pos) -> "msg", next pos, sid, subject, reply or nil, headers or nil, payload; or "ping", "pong", "ok",
 * "info" or "err", next pos, text; or nil, n: at least n bytes are missing; or false, why: this is no NATS. */
int vai__nats_next(lua_State *L)
{
	size_t ndata;
	const char *data = luaL_checklstring(L, 1, &ndata);
	lua_Integer pos = luaL_checkinteger(L, 2);
	luaL_argcheck(L, pos >= 1 && (size_t)pos <= ndata + 1, 2, "out of range");
	const char *line = data + pos - 1, *end = memchr(line, '\n', ndata - (size_t)(pos - 1));
	if (!end)
		return ndata - (size_t)(pos - 1) > LINE_MAX_BYTES ? wrong(L, "a line without end") : incomplete(L, 1);
	if (end == line || end[-1] != '\r')
		return wrong(L, "a line that does not end in CR LF");
	size_t n = (size_t)(end - line) - 1, next = (size_t)(end - data) + 1;
	if (begins(line, n, "MSG"))
		return message(L, line + 3 + (n > 3), n - 3 - (n > 3), false, data, ndata, next);
	if (begins(line, n, "HMSG"))
		return message(L, line + 4 + (n > 4), n - 4 - (n > 4), true, data, ndata, next);
	static const char *const ops[][2] = {
		{"PING", "ping"}, {"PONG", "pong"}, {"+OK", "ok"}, {"INFO", "info"}, {"-ERR", "err"}};
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
		size_t k = strlen(ops[i][0]);
		if (begins(line, n, ops[i][0]))
			return plain(L, ops[i][1], next, line + k, n - k);
	}
	return wrong(L, "an unknown operation");
}
