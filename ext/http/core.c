/* SPDX-License-Identifier: MIT */
/* vai.http.core: the part of vai.http that is written in C. */
#include "http.h"
#include "bind/extension.h"
#include "parser.h"

static const luaL_Reg functions[] = {
	{"request", vai__http_request},
	{"fields", vai__http_fields},
	{"response", vai__http_response},
	{"reply", vai__http_reply},
	{"ask", vai__http_ask},
	{"chunk", vai__http_chunk},
	{"unchunk", vai__http_unchunk},
	{"decode", vai__http_decode},
	{"encode", vai__http_encode},
	{"date", vai__http_date},
	{"time", vai__http_time},
	{"base64", vai__http_base64},
	{"sha1", vai__http_sha1},
#ifdef VAI_ZLIB
	{"inflater", vai__http_inflater},
#endif
#ifdef VAI_WSLAY
	{"websocket_reader", vai__http_websocket_reader},
	{"websocket_frame", vai__http_websocket_frame},
	{"random", vai__http_random},
#endif
	{NULL, NULL},
};

void vai__http_set_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction gc)
{
	if (luaL_newmetatable(L, type)) {
		lua_newtable(L);
		luaL_setfuncs(L, methods, 0);
		lua_setfield(L, -2, "__index");
		lua_pushcfunction(L, gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
}

VAI__QUICK_MODULE;

__attribute__((visibility("default"))) int luaopen_vai_http_core(lua_State *L);

int luaopen_vai_http_core(lua_State *L)
{
	luaL_newlib(L, functions);
	lua_pushliteral(L, PARSER_LIBRARY);
	lua_setfield(L, -2, "parser");
	return 1;
}
