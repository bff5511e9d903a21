/* SPDX-License-Identifier: MIT */
/* Heads to send, of responses and requests. A field that would break the head apart is an error of the program's. The
 * fields that say where the message ends are written here and nowhere else. */
#include "http.h"
#include <strings.h>

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{100, "Continue"},
	{101, "Switching Protocols"},
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{203, "Non-Authoritative Information"},
	{204, "No Content"},
	{205, "Reset Content"},
	{206, "Partial Content"},
	{300, "Multiple Choices"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{402, "Payment Required"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{407, "Proxy Authentication Required"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{418, "I'm a teapot"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
	{423, "Locked"},
	{425, "Too Early"},
	{426, "Upgrade Required"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{451, "Unavailable For Legal Reasons"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

/* ---- headers ---- */

static bool is_same(const char *name, size_t n, const char *other)
{
	return strlen(other) == n && strncasecmp(name, other, n) == 0;
}

static bool is_ours(const char *name, size_t n)
{
	return is_same(name, n, "content-length") || is_same(name, n, "transfer-encoding") ||
		is_same(name, n, "connection");
}

static void check_name(lua_State *L, const char *name, size_t n)
{
	size_t i = 0;
	while (i < n && is_token((unsigned char)name[i]))
		i++;
	if (n == 0 || i < n)
		luaL_error(L, "bad header name '%s'", name);
}

/* Adds "name: value" and pops the value from the top. */
static void add_line(lua_State *L, luaL_Buffer *b, const char *name, size_t nname, int value)
{
	size_t n;
	int type = lua_type(L, value);
	if (type != LUA_TSTRING && type != LUA_TNUMBER)
		luaL_error(L, "header '%s': string expected, got %s", name, luaL_typename(L, value));
	const char *v = lua_tolstring(L, value, &n);
	if (has_control(v, n))
		luaL_error(L, "header '%s' contains a control character", name);
	char *p = luaL_prepbuffsize(b, nname + n + 4);
	memcpy(p, name, nname);
	p[nname] = ':';
	p[nname + 1] = ' ';
	memcpy(p + nname + 2, v, n);
	p[nname + 2 + n] = '\r';
	p[nname + 3 + n] = '\n';
	luaL_addsize(b, nname + n + 4);
}

/* Adds a line for each value of the list at `value`. `slot`: a stack index that the buffer does not use. */
static void add_list(lua_State *L, luaL_Buffer *b, const char *name, size_t nname, int value, int slot)
{
	lua_Integer n = (lua_Integer)lua_rawlen(L, value);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, value, i);
		lua_replace(L, slot);
		add_line(L, b, name, nname, slot);
	}
}

/* Adds the fields of the table at idx. The buffer may keep values on the stack, so the loop uses the three stack
 * indices key, value, slot that the caller has made before the buffer. */
static void add_headers(lua_State *L, luaL_Buffer *b, int idx, int key, bool *dated)
{
	int value = key + 1, slot = key + 2;
	size_t n;
	for (;;) {
		lua_pushvalue(L, key);
		if (!lua_next(L, idx))
			return;
		lua_replace(L, value);
		lua_replace(L, key);
		if (lua_type(L, key) != LUA_TSTRING)
			luaL_error(L, "a header's name is a string, got %s", luaL_typename(L, key));
		const char *name = lua_tolstring(L, key, &n);
		check_name(L, name, n);
		*dated |= is_same(name, n, "date");
		if (is_ours(name, n))
			continue;
		if (lua_istable(L, value))
			add_list(L, b, name, n, value, slot);
		else
			add_line(L, b, name, n, value);
	}
}

/* Adds n, which is not negative, in digits. */
static void add_number(luaL_Buffer *b, lua_Integer n)
{
	char digits[20];
	size_t at = sizeof digits;
	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	luaL_addlstring(b, digits + at, sizeof digits - at);
}

/* Adds the field for the body's end: a length, -1 for chunked, nil for neither. */
static void add_length(lua_State *L, luaL_Buffer *b, int idx)
{
	if (lua_isnil(L, idx))
		return;
	lua_Integer n = lua_tointeger(L, idx);
	if (n < 0) {
		luaL_addstring(b, "Transfer-Encoding: chunked\r\n");
		return;
	}
	luaL_addstring(b, "Content-Length: ");
	add_number(b, n);
	luaL_addlstring(b, "\r\n", 2);
}

static void add_status(luaL_Buffer *b, int status)
{
	luaL_addstring(b, "HTTP/1.1 ");
	add_number(b, status);
	luaL_addchar(b, ' ');
	luaL_addstring(b, reason_of(status));
	luaL_addlstring(b, "\r\n", 2);
}

/* Ends a head and pushes it. At idx is the length, above it Connection. */
static int end_head(lua_State *L, luaL_Buffer *b, int idx)
{
	add_length(L, b, idx);
	if (lua_isstring(L, idx + 1)) {
		luaL_addstring(b, "Connection: ");
		luaL_addstring(b, lua_tostring(L, idx + 1));
		luaL_addlstring(b, "\r\n", 2);
	}
	luaL_addlstring(b, "\r\n", 2);
	luaL_pushresult(b);
	return 1;
}

/* reply(status, headers, length, connection) -> the head of a response. connection: "close", "keep-alive", ... or
 * nil. */
int vai__http_reply(lua_State *L)
{
	luaL_Buffer b;
	bool dated = false;
	lua_Integer status = luaL_checkinteger(L, 1);
	if (status < 100 || status > 999)
		return luaL_error(L, "bad status %d", (int)status);
	lua_settop(L, 7); /* 5 to 7 are for the loop */
	luaL_buffinit(L, &b);
	add_status(&b, (int)status);
	if (lua_istable(L, 2))
		add_headers(L, &b, 2, 5, &dated);
	if (!dated && status >= 200) {
		vai__http_date_line(luaL_prepbuffsize(&b, DATE_LINE_BYTES));
		luaL_addsize(&b, DATE_LINE_BYTES);
	}
	return end_head(L, &b, 3);
}

/* ask(method, target, headers, length, connection) -> the head of a request. */
int vai__http_ask(lua_State *L)
{
	luaL_Buffer b;
	bool dated = false;
	size_t nmethod, ntarget;
	const char *method = luaL_checklstring(L, 1, &nmethod), *target = luaL_checklstring(L, 2, &ntarget);
	for (size_t i = 0; i == 0 || i < nmethod; i++) /* an empty method fails, as the zero behind it is no token */
		if (!is_token((unsigned char)method[i]))
			return luaL_error(L, "bad method '%s'", method);
	for (size_t i = 0; i < ntarget; i++)
		if ((unsigned char)target[i] <= ' ' || target[i] == 0x7f)
			return luaL_error(L, "the target '%s' contains a blank or a control character", target);
	lua_settop(L, 8); /* 6 to 8 are for the loop */
	luaL_buffinit(L, &b);
	luaL_addlstring(&b, method, nmethod);
	luaL_addchar(&b, ' ');
	luaL_addlstring(&b, target, ntarget);
	luaL_addstring(&b, " HTTP/1.1\r\n");
	if (lua_istable(L, 3))
		add_headers(L, &b, 3, 6, &dated);
	return end_head(L, &b, 4);
}
