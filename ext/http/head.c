/* SPDX-License-Identifier: MIT */
/* Heads of requests and responses: strict.c looks first, then the parser library reads, and its callbacks fill the
 * table of headers. */
#include "http.h"
#include "parser.h"
#include <strings.h>

enum { NAME_MAX_BYTES = 256 };

/* What the callbacks fill. A name or a value may come in pieces, which lie one behind the other. */
struct reading {
	lua_State *L;
	int headers; /* stack index of the table */
	const char *name, *value, *target;
	size_t nname, nvalue, ntarget;
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

/* Set-Cookie cannot be joined by commas: its values are a list, always. The name is on top. */
static void add_cookie(struct reading *r)
{
	lua_State *L = r->L;
	lua_pushvalue(L, -1);
	if (lua_rawget(L, r->headers) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_createtable(L, 1, 0);
		lua_pushvalue(L, -2);
		lua_pushvalue(L, -2);
		lua_rawset(L, r->headers);
	}
	lua_pushlstring(L, r->value, r->nvalue);
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	lua_pop(L, 2);
}

static void add_header(struct reading *r)
{
	lua_State *L = r->L;
	bool cookie = r->nname == 6 && strncasecmp(r->name, "cookie", 6) == 0;
	while (r->nvalue > 0 && (r->value[r->nvalue - 1] == ' ' || r->value[r->nvalue - 1] == '\t'))
		r->nvalue--;
	push_lower(L, r->name, r->nname);
	if (r->nname == 10 && strncasecmp(r->name, "set-cookie", 10) == 0) {
		add_cookie(r);
		return;
	}
	lua_pushvalue(L, -1);
	if (lua_rawget(L, r->headers) == LUA_TNIL) {
		lua_pop(L, 1);
		lua_pushlstring(L, r->value, r->nvalue);
	} else {
		lua_pushstring(L, cookie ? "; " : ", ");
		lua_pushlstring(L, r->value, r->nvalue);
		lua_concat(L, 3);
	}
	lua_rawset(L, r->headers);
}

static void end_header(struct reading *r)
{
	if (r->name && r->value)
		add_header(r);
	r->name = r->value = NULL;
	r->nname = r->nvalue = 0;
}

static int on_name(parser *p, const char *at, size_t n)
{
	struct reading *r = p->data;
	if (r->value)
		end_header(r);
	if (!r->name)
		r->name = at;
	r->nname += n;
	return 0;
}

/* An empty value may come without a place. */
static int on_value(parser *p, const char *at, size_t n)
{
	struct reading *r = p->data;
	if (!r->value)
		r->value = at ? at : "";
	r->nvalue += n;
	return 0;
}

static int on_target(parser *p, const char *at, size_t n)
{
	struct reading *r = p->data;
	if (!r->target)
		r->target = at;
	r->ntarget += n;
	return 0;
}

/* 2: nothing but the head is read here. */
static int on_complete(parser *p)
{
	end_header(p->data);
	return 2;
}

static const parser_settings settings = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_headers_complete = on_complete,
};

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

/* The arguments (text, where it begins, the most bytes, where to go on looking for its end) and the head's end.
 * 0: *results are pushed. */
static size_t find_head(lua_State *L, const char **text, int too_large, int *results)
{
	size_t n;
	const char *all = luaL_checklstring(L, 1, &n);
	size_t at = (size_t)luaL_optinteger(L, 2, 1) - 1;
	size_t most = (size_t)luaL_optinteger(L, 3, 65536), from = (size_t)luaL_optinteger(L, 4, 0);
	if (at > n || from > n - at)
		luaL_argerror(L, 2, "out of range");
	*text = all + at;
	ptrdiff_t end = vai__http_head_end(*text, n - at, &from);
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

/* The length of the body: a number, -1 for chunked, nil where the head does not say. */
static void push_length(lua_State *L, const struct head *h)
{
	if (h->chunked)
		lua_pushinteger(L, -1);
	else if (h->lengths)
		lua_pushinteger(L, (lua_Integer)h->length);
	else
		lua_pushnil(L);
}

/* An absolute target must name the host that Host names. What is behind it is the target then. */
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

/* What CONNECT asks for: a host, a colon, a port in digits. */
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

/* Pushes the target, the path and the query. False: it is none for this method. */
static bool push_target(lua_State *L, const char *text, const struct head *h, const struct reading *r)
{
	const char *p = r->target;
	size_t n = r->ntarget;
	bool connect = is_method(text, "CONNECT");
	lua_pushlstring(L, p, n);
	if (!connect && *p != '/' && !(n == 1 && *p == '*' && is_method(text, "OPTIONS")))
		p = strip_origin(h, p, &n);
	if (!p || memchr(p, '#', n) || (connect && !is_authority(p, n)))
		return false;
	const char *query = connect ? NULL : memchr(p, '?', n);
	size_t npath = query ? (size_t)(query - p) : n;
	lua_pushlstring(L, npath ? p : "/", npath ? npath : 1);
	if (query)
		lua_pushlstring(L, query + 1, n - npath - 1);
	else
		lua_pushnil(L);
	return true;
}

static const char *read_fields(lua_State *L, struct reading *r, bool request, const char *text, size_t n, int *status)
{
	parser p;
	*r = (struct reading){.L = L};
	lua_createtable(L, 0, 8);
	r->headers = lua_gettop(L);
	parser_init(&p, request ? PARSER_REQUEST : PARSER_RESPONSE, &settings, r);
	const char *why = parser_run(&p, &settings, text, n);
	*status = p.status_code;
	return why;
}

/* Reads the head that the arguments tell of: *n is its length, and the table of headers and where to go on are pushed.
 * Otherwise *n is 0 and the results, whose number is returned, are pushed. A response with a bad head is a bad
 * gateway's; what is wrong with a request strict.c knows. */
static int read_head(lua_State *L, struct head *h, struct reading *r, const char **text, size_t *n, int *status)
{
	int results = 0;
	size_t len = find_head(L, text, h->request ? 431 : 502, &results);
	*n = 0;
	if (len == 0)
		return results;
	if (!vai__http_strict(h, *text, len))
		return refused(L, h->request ? h->status : 502, h->why);
	luaL_checkstack(L, 16, NULL);
	const char *why = read_fields(L, r, h->request, *text, len, status);
	if (why)
		return refused(L, h->request ? 400 : 502, why);
	lua_pushinteger(L, (*text - lua_tostring(L, 1)) + (lua_Integer)len + 1);
	*n = len;
	return 0;
}

/* The results that both kinds have: minor, length, keep_alive. */
static void push_common(lua_State *L, const struct head *h)
{
	lua_pushinteger(L, h->minor);
	push_length(L, h);
	lua_pushboolean(L, !h->close && (h->minor == 1 || h->keep_alive));
}

/* request(text [, at, most, from]) -> headers, next, method, target, path, query, minor, length, keep_alive, expect,
 * upgrade; nil, from: not whole yet; false, status, why: refused. */
int vai__http_request(lua_State *L)
{
	struct head h = {.request = true};
	struct reading r;
	const char *text;
	size_t n;
	int status, results = read_head(L, &h, &r, &text, &n, &status);
	if (n == 0)
		return results;
	lua_pushlstring(L, text, (size_t)((const char *)memchr(text, ' ', n) - text));
	if (!r.target || !push_target(L, text, &h, &r))
		return refused(L, 400, "bad request target");
	push_common(L, &h);
	lua_pushboolean(L, h.expect && h.minor == 1);
	lua_pushboolean(L, h.upgrade);
	return 11;
}

/* response(text [, at, most, from]) -> headers, next, status, reason, minor, length, keep_alive, upgrade; else as
 * request. */
int vai__http_response(lua_State *L)
{
	struct head h = {0};
	struct reading r;
	const char *text;
	size_t n;
	int status, results = read_head(L, &h, &r, &text, &n, &status);
	if (n == 0)
		return results;
	const char *line_end = memchr(text, '\r', n);
	lua_pushinteger(L, status);
	lua_pushlstring(
		L, line_end - text > 13 ? text + 13 : "", line_end - text > 13 ? (size_t)(line_end - text) - 13 : 0);
	push_common(L, &h);
	lua_pushboolean(L, h.upgrade);
	return 8;
}
