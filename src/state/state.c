/* SPDX-License-Identifier: MIT */
/* See state.h. */
#include "state/state.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include "sched/sched.h"
#include "state/arena.h"
#include "state/quick.h"

void vai__state_foreign(lua_State *L, struct vai_vm *vm)
{
	vai_g *g = vai__g_self();
	vm->needs_close = true;
	if (!g || g->vm != vm)
		return;
	vm->at = L;
	vai__g_leave_main(g);
}

void vai__state_got_function(lua_State *L, struct vai_vm *vm, lua_CFunction f)
{
	if (f && vai__quick_has(f))
		vm->needs_close = true;
	else
		vai__state_foreign(L, vm);
}

struct vai_vm *vai__state_of(lua_State *L)
{
	void *ud;
	return VAI_LIKELY(lua_getallocf(L, &ud) == vai__arena_alloc) ? &((struct vai__arena *)ud)->vm : NULL;
}

void vai__state_tidy(lua_State *L, struct vai_vm *vm)
{
	enum { QUICK = 4096 /* kB that the collector goes through within some milliseconds */ };
	if (lua_gc(L, LUA_GCISRUNNING) == 1 && lua_gc(L, LUA_GCCOUNT) < QUICK)
		lua_gc(L, LUA_GCCOLLECT);
	if (vm->arena)
		vai__arena_trim(vm->arena);
}

_Noreturn void vai__state_out_of_memory(lua_State *L)
{
	/* Lua keeps this string alive for memory errors, so nothing is allocated. */
	lua_pushliteral(L, "not enough memory");
	lua_error(L);
	abort();
}

void vai__state_push_weak(lua_State *L, int n, const char *mode)
{
	lua_createtable(L, 0, n);
	lua_createtable(L, 0, 1);
	lua_pushstring(L, mode);
	lua_setfield(L, -2, "__mode");
	lua_setmetatable(L, -2);
}

bool vai__state_is_out_of_memory(lua_State *L, int status)
{
	static const char text[] = "not enough memory";
	const size_t size = sizeof text - 1;
	size_t len = 0;
	const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
	return status == LUA_ERRMEM || (s && len >= size && memcmp(s + len - size, text, size) == 0);
}
