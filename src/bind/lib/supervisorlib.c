/* SPDX-License-Identifier: MIT */
/* supervisor is Lua code (supervisor.lua beside this file), which lies in the module as it is and is loaded in
 * the states that call it. */
#include "base/fatal.h"
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "stdlib/lazy.h"
#include "transfer/codec.h"

/* Paths are seen from the project's folder, where make runs. */
__asm__(".pushsection .rodata\n"
		".hidden vai__supervisor_source\n"
		".hidden vai__supervisor_source_end\n"
		".global vai__supervisor_source\n"
		"vai__supervisor_source:\n"
		".incbin \"src/bind/lib/supervisor.lua\"\n"
		".global vai__supervisor_source_end\n"
		"vai__supervisor_source_end:\n"
		".byte 0\n"
		".popsection\n");
extern const char vai__supervisor_source[], vai__supervisor_source_end[];

static const char constructor_key;

/* Pushes the function that makes supervisors in this state. */
static void push_constructor(lua_State *L, struct vai_vm *vm)
{
	if (lua_rawgetp(L, LUA_REGISTRYINDEX, &constructor_key) == LUA_TFUNCTION)
		return;
	lua_pop(L, 1);
	size_t size = (size_t)(vai__supervisor_source_end - vai__supervisor_source);
	if (luaL_loadbuffer(L, vai__supervisor_source, size, "=vai.supervisor") != LUA_OK)
		lua_error(L);
	vai__lazy_require(L, vm, "vai");
	lua_call(L, 1, 1);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &constructor_key);
}

/* The options' function crosses in a table, where nobody looks at what it writes. */
static void look_at_functions(lua_State *L, vai_g *g)
{
	if (!lua_istable(L, 1))
		return;
	lua_pushliteral(L, "on_failure");
	if (lua_rawget(L, 1) == LUA_TFUNCTION)
		vai__encode_look(L, vai__bind_vm(g), lua_gettop(L));
	lua_pop(L, 1);
}

/* supervisor([options]). Or supervisor(false, text), by which the goroutines of supervisors, which are other states,
 * have the text reported. */
int vai__lib_supervisor(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	if (lua_type(L, 1) == LUA_TBOOLEAN && lua_type(L, 2) == LUA_TSTRING) {
		vai__log("%s", lua_tostring(L, 2));
		return 0;
	}
	lua_settop(L, 1);
	look_at_functions(L, g);
	push_constructor(L, vai__bind_vm(g));
	lua_insert(L, 1);
	lua_call(L, 1, 1);
	return 1;
}
