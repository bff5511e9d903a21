/* SPDX-License-Identifier: MIT */
/* vai._extension: pushes the table of functions for modules beside vai.so (bind/extension.h). */
#include "bind/extension.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"

static void push_new(lua_State *L, struct vai_obj *o)
{
	vai__bind_push_new(L, vai__bind_self(L), o);
}

int vai__lib_extension(lua_State *L)
{
	static const struct vai__extension extension = {
		.version = VAI__EXTENSION_VERSION,
		.conn_over = vai__conn_over,
		.conn_base = vai__conn_base,
		.conn_ops = vai__conn_ops,
		.conn_state = vai__conn_state,
		.conn_desc = vai__conn_desc,
		.conn_take_buffer = vai__conn_take_buffer,
		.conn_bytes_free = vai__conn_bytes_free,
		.desc_fd = vai__desc_fd,
		.desc_wait = vai__desc_wait,
		.listener_wrap = vai__listener_wrap,
		.conn_class = &vai__conn_class,
		.listener_class = &vai__listener_class,
		.handle_register = vai__handle_register,
		.handle_test = vai__handle_test,
		.push_new = push_new,
	};
	lua_pushlightuserdata(L, (void *)(uintptr_t)&extension);
	return 1;
}
