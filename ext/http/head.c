/* SPDX-License-Identifier: MIT */
/* Heads of requests and responses. strict.c looks first; then the parser library has to accept them, too. The fields
 * are read from the lines themselves, which strict.c has checked. */
#include "http.h"
#include "bind/extension.h"
#include "parser.h"
#include <strings.h>

enum { NAME_MAX_BYTES = 256 };

/* A header field, of a head that strict.c has accepted. */
struct field {
	const char *name, *value;
	size_t nname, nvalue;
};

/* ---- the table of headers ---- */

static void push_lower(lua_State *L, const char *p, size_t n)
{
	char small[NAME_MAX_BYTES];
	luaL_Buffer b;
	char *to = n <= sizeof small ? small : luaL_buffinitsize(L, &b, n);
	for (size_t i = 0; i < n; i++)
		to[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
	if (to == small)
		lua_pushlstring(L, small, n);
	else
		luaL_pushresultsize(&b, n);
}

/* Adds a Set-Cookie field. Its values cannot be joined by commas, so they are always a list. The name is on top. */
static void add_cookie(lua_State *L, int headers, const struct field *f)
{
	lua_pushvalue(L, -1);
	if (lua_rawget(L, headers) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_createtable(L, 1, 0);
		lua_pushvalue(L, -2);
		lua_pushvalue(L, -2);
		lua_rawset(L, headers);
	}
	lua_pushlstring(L, f->value, f->nvalue);
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	lua_pop(L, 2);
}

static void add_field(lua_State *L, int headers, const struct field *f)
{
	bool cookie = f->nname == 6 && strncasecmp(f->name, "cookie", 6) == 0;
	push_lower(L, f->name, f->nname);
	if (f->nname == 10 && strncasecmp(f->name, "set-cookie", 10) == 0) {
		add_cookie(L, headers, f);
		return;
	}
	lua_pushvalue(L, -1);
	if (lua_rawget(L, headers) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_pushlstring(L, f->value, f->nvalue);
	} else {
		lua_pushstring(L, cookie ? "; " : ", ");
		lua_pushlstring(L, f->value, f->nvalue);
		lua_concat(L, 3);
	}
	lua_rawset(L, headers);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The field in the line p[0..n). */
static struct field field_of(const char *p, size_t n)
{
	const char *colon = memchr(p, ':', n), *value = colon + 1, *end = p + n;
	while (value < end && is_blank(*value))
		value++;
	while (end > value && is_blank(end[-1]))
		end--;
	return (struct field){p, value, (size_t)(colon - p), (size_t)(end - value)};
}

/* Pushes the table of the fields of a head that begins at text and ends in its empty line. */
static void push_fields(lua_State *L, const char *text, size_t n)
{
	const char *end = text + n - 2, *line = (const char *)memchr(text, '\n', n) + 1;
	lua_createtable(L, 0, 8);
	int headers = lua_gettop(L);
	while (line < end) {
		const char *next = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
		struct field f = field_of(line, (size_t)(next - line) - 2);
		add_field(L, headers, &f);
		line = next;
	}
}

/* 2 tells the parser to read nothing but the head. */
static int on_complete(parser *p)
{
	(void)p;
	return 2;
}

static const parser_settings settings = {.on_headers_complete = on_complete};

/* ---- one head ---- */

static int refused(lua_State *L, int status, const char *why)
{
	lua_pushboolean(L, 0);
	lua_pushinteger(L, status);
	lua_pushstring(L, why);
	return 3;
}

static int not_yet(lua_State *L, size_t from)
{
	lua_pushnil(L);
	lua_pushinteger(L, (lua_Integer)from);
	return 2;
}

/* Reads the arguments (text, where the head begins, the most bytes, where to go on looking for its end) and finds the
 * head's end. 0: the results are pushed, and *results is their number. */
static size_t find_head(lua_State *L, const char **text, int too_large, int *results)
{
	size_t n;
	const char *all = luaL_checklstring(L, 1, &n);
	size_t at = (size_t)luaL_optinteger(L, 2, 1) - 1;
	size_t most = (size_t)luaL_optinteger(L, 3, 65536), from = (size_t)luaL_optinteger(L, 4, 0);
	if (at > n || from > n - at)
		luaL_argerror(L, 2, "out of range");
	*text = all + at;
	ptrdiff_t end = vai__head_end(*text, n - at, &from);
	if (end < 0)
		*results = refused(L, 400, "a line that ends in a bare LF");
	else if ((end == 0 && n - at > most) || (size_t)end > most)
		*results = refused(L, too_large, "the head is too large");
	else if (end == 0)
		*results = not_yet(L, from);
	else
		return (size_t)end;
	return 0;
}

/* Pushes the length of the body: a number, -1 for chunked, nil if the head does not say. */
static void push_length(lua_State *L, const struct head *h)
{
	if (h->chunked)
		lua_pushinteger(L, -1);
	else if (h->lengths)
		lua_pushinteger(L, (lua_Integer)h->length);
	else
		lua_pushnil(L);
}

/* Strips scheme and host off an absolute target, which must name the same host as the field Host. */
static const char *strip_origin(const struct head *h, const char *p, size_t *n)
{
	size_t skip = *n > 7 && strncasecmp(p, "http://", 7) == 0 ? 7
		: *n > 8 && strncasecmp(p, "https://", 8) == 0        ? 8
															  : 0;
	if (skip == 0 || h->nhost == 0 || *n < skip + h->nhost || strncasecmp(p + skip, h->host, h->nhost) != 0)
		return NULL;
	size_t rest = skip + h->nhost;
	if (rest < *n && p[rest] != '/' && p[rest] != '?')
		return NULL;
	*n -= rest;
	return p + rest;
}

static bool is_method(const char *text, const char *name)
{
	size_t n = strlen(name);
	return strncmp(text, name, n) == 0 && text[n] == ' ';
}

/* Whether it is a target of CONNECT: a host, a colon, a port in digits. */
static bool is_authority(const char *p, size_t n)
{
	size_t port = n;
	while (port > 0 && p[port - 1] >= '0' && p[port - 1] <= '9')
		port--;
	if (port < 2 || port == n || n - port > 5 || p[port - 1] != ':')
		return false;
	bool bracketed = *p == '[' && p[port - 2] == ']';
	for (size_t i = 0; i < port - 1; i++)
		if (strchr("/\\?#@,\"<>", p[i]) || (!bracketed && strchr("[]:", p[i])))
			return false;
	return true;
}

/* The target of a request line, in a head that strict.c has accepted. */
struct target {
	const char *text, *path, *query; /* query may be NULL */
	size_t n, npath, nquery;
};

static struct target target_of(const char *text)
{
	const char *p = strchr(text, ' ') + 1;
	return (struct target){.text = p, .n = (size_t)(strchr(p, ' ') - p)};
}

/* Finds path and query. False: the target does not fit the method. */
static bool split_target(struct target *t, const char *text, const struct head *h)
{
	const char *p = t->text;
	size_t n = t->n;
	bool connect = is_method(text, "CONNECT");
	if (!connect && *p != '/' && !(n == 1 && *p == '*' && is_method(text, "OPTIONS")))
		p = strip_origin(h, p, &n);
	if (!p || memchr(p, '#', n) || (connect && !is_authority(p, n)))
		return false;
	t->query = connect ? NULL : memchr(p, '?', n);
	t->path = p;
	t->npath = t->query ? (size_t)(t->query - p) : n;
	if (t->query)
		t->nquery = n - t->npath - 1;
	return true;
}

/* Reads the head that the arguments give: *n is its length. If it cannot, *n is 0, and the results are pushed, whose
 * number is returned. A response with a bad head is reported as 502; strict.c knows the status for a request. */
static int read_head(lua_State *L, struct head *h, parser *p, const char **text, size_t *n)
{
	int results = 0;
	size_t len = find_head(L, text, h->request ? 431 : 502, &results);
	*n = 0;
	if (len == 0)
		return results;
	if (!vai__http_strict(h, *text, len))
		return refused(L, h->request ? h->status : 502, h->why);
	luaL_checkstack(L, 16, NULL);
	parser_init(p, h->request ? PARSER_REQUEST : PARSER_RESPONSE, &settings, NULL);
	const char *why = parser_run(p, &settings, *text, len);
	if (why)
		return refused(L, h->request ? 400 : 502, why);
	*n = len;
	return 0;
}

/* Pushes where the text goes on behind the head. */
static void push_next(lua_State *L, const char *text, size_t n)
{
	lua_pushinteger(L, (text - lua_tostring(L, 1)) + (lua_Integer)n + 1);
}

/* Pushes the results that both kinds have: minor, length, keep_alive. */
static void push_common(lua_State *L, const struct head *h)
{
	lua_pushinteger(L, h->minor);
	push_length(L, h);
	lua_pushboolean(L, !h->close && (h->minor == 1 || h->keep_alive));
}

/* request(text [, at, most, from]) -> next, method, path, query, minor, length, keep_alive, expect, conditional; or
 * nil, from: it is not whole yet; or false, status, why: it is refused. */
int vai__http_request(lua_State *L)
{
	struct head h = {.request = true};
	parser p;
	const char *text;
	size_t n;
	int results = read_head(L, &h, &p, &text, &n);
	if (n == 0)
		return results;
	struct target t = target_of(text);
	if (!split_target(&t, text, &h))
		return refused(L, 400, "bad request target");
	push_next(L, text, n);
	lua_pushlstring(L, text, (size_t)(t.text - text) - 1);
	lua_pushlstring(L, t.npath ? t.path : "/", t.npath ? t.npath : 1);
	if (t.query)
		lua_pushlstring(L, t.query + 1, t.nquery);
	else
		lua_pushnil(L);
	push_common(L, &h);
	lua_pushboolean(L, h.expect && h.minor == 1);
	lua_pushboolean(L, h.conditional);
	return 9;
}

/* fields(text [, at]) -> headers, target; for a request that `request` has accepted at that place. */
int vai__http_fields(lua_State *L)
{
	int results = 0;
	const char *text;
	lua_settop(L, 2);
	lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
	size_t n = find_head(L, &text, 431, &results);
	luaL_argcheck(L, n > 0, 1, "no head");
	push_fields(L, text, n);
	struct target t = target_of(text);
	lua_pushlstring(L, t.text, t.n);
	return 2;
}

/* response(text [, at, most, from]) -> headers, next, status, reason, minor, length, keep_alive, upgrade; otherwise as
 * request. */
int vai__http_response(lua_State *L)
{
	struct head h = {0};
	parser p;
	const char *text;
	size_t n;
	int results = read_head(L, &h, &p, &text, &n);
	if (n == 0)
		return results;
	push_fields(L, text, n);
	push_next(L, text, n);
	const char *line_end = memchr(text, '\r', n);
	lua_pushinteger(L, p.status_code);
	lua_pushlstring(
		L, line_end - text > 13 ? text + 13 : "", line_end - text > 13 ? (size_t)(line_end - text) - 13 : 0);
	push_common(L, &h);
	lua_pushboolean(L, h.upgrade);
	return 8;
}
