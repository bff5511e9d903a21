/* SPDX-License-Identifier: MIT */
/* Waits of Lua code without a C stack. A function that is to wait calls lua_yieldk, which leaves all C functions up to
 * the goroutine's first one (spawn.c): it had called lua_resume, and what is left of the goroutine is its Lua state
 * and its record. It sheds its stack. Once the wait is over lua_resume calls the continuation that was given to
 * lua_yieldk, on another stack.
 *
 * That can be where Lua itself could yield: in the main thread of the state, with no C function in between that called
 * Lua without a continuation. Nobody else may yield there (coroutine.c), so scripts see nothing of it.
 *
 * In pcall and xpcall nobody sheds. They could have continuations, as in coroutines. But then an error that is caught
 * leaves all C functions, and with them Lua's count of C calls: a function that calls itself by pcall would go on after
 * "C stack overflow", 200 calls at a time, until Lua's own stack is full (83,000 calls, in which a cancel then has to
 * be raised one by one). */
#ifndef VAI_SHED_H
#define VAI_SHED_H

#include "bind/arg.h"
#include "sync/waitq.h"

/* Whether the body of a goroutine runs in L, the caller's: Lua itself could yield there, but scripts must not. */
static inline bool vai__shed_is_body(const lua_State *L)
{
	const vai_g *g = vai__g_self();
	return g && g->vm && vai__bind_vm(g)->L == L && !vai__bind_vm(g)->is_host;
}

/* Whether a wait that g, the caller, may begin in L is to be such a one, if no context ends it: what it may use then,
 * else NULL. */
struct vai__rest *vai__shed_look(lua_State *L, const vai_g *g);
static inline struct vai__rest *vai__shed_may(lua_State *L, const vai_g *g)
{
	return VAI_LIKELY(vai__park_shed_idle()) ? NULL : vai__shed_look(L, g);
}
/* Sheds the stack, after VAI_SHEDS. `end` is what the calling function goes on with; it gets rest, too. Does not
 * return. */
int vai__shed_in(lua_State *L, struct vai__rest *rest, lua_KFunction end);

#endif
