/* SPDX-License-Identifier: MIT */
/* symbol: values that are the same value in every goroutine. */
#include "transfer/symbol.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"

int vai__lib_symbol(lua_State *L)
{
	size_t len;
	uint64_t symbol;
	if (lua_isnoneornil(L, 1)) {
		vai__symbol_push(L, vai__symbol_new());
		return 1;
	}
	if (lua_type(L, 1) != LUA_TSTRING)
		vai__arg_type_error(L, 1, 1, "symbol", "string");
	const char *name = lua_tolstring(L, 1, &len);
	if (len > VAI__SYMBOL_NAME_BYTES)
		vai__arg_error(L, 1, "symbol", "a name of at most %d bytes expected", VAI__SYMBOL_NAME_BYTES);
	int rc = vai__symbol_named(name, len, &symbol);
	if (rc == VAI_ENOMEM)
		vai__arg_no_memory(L);
	if (rc != VAI_OK)
		vai__arg_error(L, 1, "symbol", "there are %d names already", VAI__SYMBOL_NAMES);
	vai__symbol_push(L, symbol);
	return 1;
}
