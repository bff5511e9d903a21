/* SPDX-License-Identifier: MIT */
/* What preemption does to a Lua state: a count hook, armed in the signal handler on the
 * thread that runs the state (lua_sethook is made for that), yields at the next Lua
 * instruction and is gone. A state with a hook of the script's own is left alone. A
 * coroutine's instructions do not count: it is preempted when it has yielded. */
#include "bind/bind.h"

static void on_count(lua_State *L, lua_Debug *ar)
{
	vai_g *g = vai__g_self();
	(void)ar;
	lua_sethook(L, NULL, 0, 0);
	if (!g || !g->vm)
		return;
	vai__bind_park(g, L);
	vai__yield_late(g);
}

void vai__bind_interrupt(vai_g *g)
{
	lua_State *L = atomic_load_explicit(&g->running, memory_order_relaxed);
	if (L && !lua_gethook(L))
		lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
}
