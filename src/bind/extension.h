/* SPDX-License-Identifier: MIT */
/* What a module beside vai.so may use of it (ext/). Such a module cannot be linked with vai.so, whose place only Lua
 * knows, so it gets a table of functions: the script calls `require "vai"` first, then vai__extension_of finds the
 * table, and raises if vai.so is of another version. Each function is described in the header of its room.
 *
 * A module may include the headers of the rooms for their types and inline functions only. */
#ifndef VAI_EXTENSION_H
#define VAI_EXTENSION_H

#include <lua.h>
#include <lauxlib.h>
#include "net/conn.h"
#include "net/head_end.h"
#include "net/listener.h"
#include "state/handle.h"
#include "state/quick.h"

enum { VAI__EXTENSION_VERSION = 2 };

struct vai__extension {
	int version;
	/* net/ */
	vai_conn *(*conn_over)(vai_conn *inner, const struct vai__conn_ops *ops, void *state);
	vai_conn *(*conn_base)(vai_conn *c);
	const struct vai__conn_ops *(*conn_ops)(vai_conn *c);
	void *(*conn_state)(vai_conn *c);
	struct vai__desc *(*conn_desc)(vai_conn *c);
	void (*conn_take_buffer)(vai_conn *c, struct vai__bytes *out);
	void (*conn_bytes_free)(struct vai__bytes *b);
	int (*desc_fd)(const struct vai__desc *d);
	int (*desc_wait)(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w);
	void (*listener_wrap)(vai_listener *l, const struct vai__listener_wrap *wrap);
	const struct vai_class *conn_class, *listener_class;
	/* state/ */
	void (*handle_register)(const struct vai__handle_type *type);
	struct vai_obj *(*handle_test)(lua_State *L, int idx, const struct vai_class *cls);
	/* Pushes the handle of a new object, whose reference it takes over. */
	void (*push_new)(lua_State *L, struct vai_obj *o);
};

/* Finds the table. Raises if vai is not loaded or is of another version. */
static inline const struct vai__extension *vai__extension_of(lua_State *L, const char *module)
{
	lua_getglobal(L, "require");
	lua_pushliteral(L, "vai");
	lua_call(L, 1, 1);
	const struct vai__extension *e = NULL;
	if (lua_getfield(L, -1, "_extension") == LUA_TFUNCTION) {
		lua_call(L, 0, 1);
		e = lua_touserdata(L, -1);
	}
	lua_pop(L, 2);
	if (!e || e->version != VAI__EXTENSION_VERSION)
		luaL_error(L, "%s was built for another version of vai: build both from the same source", module);
	return e;
}

#endif
