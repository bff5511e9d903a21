/* SPDX-License-Identifier: MIT */
/* os.exit: as in Lua 5.4's loslib.c, but for what os_exit.h says. */
#include "bind/host/os_exit.h"
#include <stdlib.h>
#include "bind/arg.h"
#include "bind/host/host.h"
#include "bind/report/exit.h"
#include "bind/report/leaks.h"

int vai__os_exit(lua_State *L)
{
	int status = lua_isboolean(L, 1) ? (lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE)
									 : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
	vai_g *g = vai__g_self();
	if (vai__state_of(L) || (vai__sched_running() && !(g && vai__g_is_main(g))))
		vai__exit_now(status);
	if (g)
		vai__leaks_tell(L);
	if (lua_toboolean(L, 2))
		lua_close(L);
	else if (g)
		vai__host_stop(L, true);
	exit(status);
	return 0;
}
