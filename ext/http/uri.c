/* SPDX-License-Identifier: MIT */
/* Percent encoding in addresses. */
#include "http.h"

/* decode(text [, plus]) -> the bytes that it stands for; nil if a percent sign has no two hex digits behind it. plus: a
 * plus sign is a blank. */
int vai__http_decode(lua_State *L)
{
	size_t n;
	luaL_Buffer b;
	const char *s = luaL_checklstring(L, 1, &n);
	bool plus = lua_toboolean(L, 2);
	if (!memchr(s, '%', n) && !(plus && memchr(s, '+', n))) {
		lua_settop(L, 1);
		return 1;
	}
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++) {
		if (s[i] != '%') {
			luaL_addchar(&b, plus && s[i] == '+' ? ' ' : s[i]);
			continue;
		}
		int high = i + 2 < n ? hex_value(s[i + 1]) : -1, low = i + 2 < n ? hex_value(s[i + 2]) : -1;
		if (high < 0 || low < 0) {
			lua_pushnil(L);
			return 1;
		}
		luaL_addchar(&b, (char)(high << 4 | low));
		i += 2;
	}
	luaL_pushresult(&b);
	return 1;
}

static bool is_plain(unsigned char c, const char *also)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c)) ||
		(c && strchr(also, c));
}

/* encode(text [, also]) -> text with percent signs for all but letters, digits, "-._~" and the bytes of `also`. */
int vai__http_encode(lua_State *L)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n;
	luaL_Buffer b;
	const char *s = luaL_checklstring(L, 1, &n), *also = luaL_optstring(L, 2, "");
	luaL_buffinit(L, &b);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (is_plain(c, also)) {
			luaL_addchar(&b, (char)c);
			continue;
		}
		luaL_addchar(&b, '%');
		luaL_addchar(&b, digits[c >> 4]);
		luaL_addchar(&b, digits[c & 15]);
	}
	luaL_pushresult(&b);
	return 1;
}
