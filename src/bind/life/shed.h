/* SPDX-License-Identifier: MIT */
/* Waits of Lua code without a C stack. A function that waits calls lua_yieldk, which leaves all C functions up to the
 * goroutine's first one (spawn.c), which had called lua_resume. All that is left of the goroutine is its Lua state and
 * its record, and it gives up its stack. After the wait lua_resume calls the continuation that was given to lua_yieldk,
 * on another stack.
 *
 * This is possible where Lua itself could yield: in the main thread of the state, with no C function in between that
 * called Lua without a continuation. Scripts may not yield there (coroutine.c), so they see nothing of it.
 *
 * Within pcall and xpcall the stack is kept. They could have continuations, as in coroutines; but then an error that is
 * caught leaves all C functions, and with them Lua's count of C calls: a function that calls itself by pcall would go
 * on after "C stack overflow", 200 calls at a time, until Lua's own stack is full (83,000 calls, in each of which a
 * cancel would then have to be raised). */
#ifndef VAI_SHED_H
#define VAI_SHED_H

#include "bind/arg.h"
#include "sync/waitq.h"

/* Whether L, the caller's, runs the body of a goroutine, in which Lua itself could yield but scripts must not. */
static inline bool vai__shed_is_body(const lua_State *L)
{
	const vai_g *g = vai__g_self();
	return g && g->vm && vai__bind_vm(g)->L == L && !vai__bind_vm(g)->is_host;
}

/* Returns what a wait without a stack needs, if g, the caller, may begin one in L that no context ends; otherwise
 * NULL. */
struct vai__rest *vai__shed_look(lua_State *L, const vai_g *g);
static inline struct vai__rest *vai__shed_may(lua_State *L, const vai_g *g)
{
	return VAI_LIKELY(vai__park_shed_idle()) ? NULL : vai__shed_look(L, g);
}
/* Gives up the stack, after VAI_SHEDS. `end` is the calling function's continuation; it gets rest, too. Does not
 * return. */
int vai__shed_in(lua_State *L, struct vai__rest *rest, lua_KFunction end);

#endif
