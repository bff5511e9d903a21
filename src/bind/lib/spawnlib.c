/* SPDX-License-Identifier: MIT */
/* spawn(opts, f, ...), and goroutines that are tied to their threads. */
#include "bind/arg.h"
#include "bind/lib/lib.h"
#include "bind/lib/result.h"
#include "bind/life/life.h"
#include "bind/life/spawn.h"
#include "bind/life/spawn_opts.h"

int vai__lib_spawn(lua_State *L)
{
	static const struct vai__callname name = {"spawn", 2, "spawn: argument 2"};
	vai_g *g = vai__bind_self(L);
	struct vai__spawn_opts b;
	vai__lib_thaw_at(L, 1);
	vai__spawn_opts_read(L, &b);
	struct vai__call *call = vai__call_new(L, g, 2, &name, VAI_FATE_KEEP);
	if (vai__call_limit(call, &b) != VAI_OK) {
		vai__call_unref(call);
		vai__arg_no_memory(L);
	}
	return vai__call_go_for_lua(L, g, call);
}

/* ---- threads ---- */

/* Does nothing in a panic handler, which runs on main's thread and has no count of its own. */
int vai__lib_lock_thread(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	struct vai__life *life = vai__life(g);
	vai__note_stack(g, L);
	int rc = life && life->locks == 0 ? vai__g_lock_thread(g) : VAI_OK;
	if (rc == VAI_ESYS)
		return luaL_error(L, "lock_thread: the system gives no thread for it");
	if (rc != VAI_OK)
		return vai__bind_failed(L, g, rc);
	if (life)
		life->locks++;
	return 0;
}

int vai__lib_unlock_thread(lua_State *L)
{
	vai_g *g = vai__bind_self(L);
	struct vai__life *life = vai__life(g);
	if (!life || life->locks == 0)
		return luaL_error(L, "unlock_thread of a goroutine that is not locked to its thread");
	vai__note_stack(g, L);
	if (--life->locks == 0)
		vai__g_unlock_thread(g);
	return 0;
}
