/* SPDX-License-Identifier: MIT */
/* See wait_limit.h. */
#include "bind/lib/wait_limit.h"
#include "base/obj.h"

struct vai__limit vai__arg_limit(lua_State *L, int idx, int arg, const char *fname)
{
	struct vai__limit limit = {.deadline = VAI_FOREVER};
	if (VAI_LIKELY(lua_isnoneornil(L, idx)))
		return limit;
	limit.ctx = (vai_context *)vai__handle_test(L, idx, &vai__context_class);
	if (limit.ctx)
		return limit;
	if (lua_type(L, idx) != LUA_TNUMBER)
		vai__arg_type_error(L, idx, arg, fname, "number or context");
	limit.deadline = vai__arg_seconds_deadline(vai__arg_seconds(L, idx, arg, fname));
	return limit;
}
