/* SPDX-License-Identifier: MIT */
/* What every binding begins with: the calling goroutine, the object of a method call, and the checks of arguments.
 * Every function that Lua sees is a light C function without upvalues, so it crosses between states by its address.
 * All of them run on the goroutine that calls them, on whatever thread that is.
 *
 * fname is the name that messages use. arg is the argument's number as the user counts: self is not an argument. */
#ifndef VAI_ARG_H
#define VAI_ARG_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"
#include "bind/main_state.h"
#include "sched/sched.h"
#include "state/handle.h"
#include "state/state.h"

/* Raises "bad argument #arg to 'fname' (...)", with the place of the caller. */
_Noreturn void vai__arg_error(lua_State *L, int arg, const char *fname, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* "bad argument #1 to 'go' (function expected, got nil)". idx is the stack index. */
_Noreturn void vai__arg_type_error(lua_State *L, int idx, int arg, const char *fname, const char *expected);
/* "calling 'send' on bad self (channel expected, got number)" */
_Noreturn void vai__arg_self_error(lua_State *L, const char *fname, const char *expected);
/* The name that a user has for the type of the value at idx. */
const char *vai__arg_typename(lua_State *L, int idx);
/* An integer, or a float that has the value of one; a string is none. */
int64_t vai__arg_integer(lua_State *L, int idx, int arg, const char *fname);
/* Seconds: any number but NaN. */
double vai__arg_seconds(lua_State *L, int idx, int arg, const char *fname);
/* Seconds from now as a deadline: 0 for those that are over. */
int64_t vai__arg_seconds_deadline(double seconds);
/* Raises that the calling thread runs no goroutine. */
_Noreturn void vai__arg_no_goroutine(lua_State *L);
/* Raises "not enough memory". */
_Noreturn void vai__arg_no_memory(lua_State *L);

/* The state of a goroutine that runs Lua code. */
static inline struct vai_vm *vai__bind_vm(const vai_g *g)
{
	return (struct vai_vm *)g->vm;
}

/* Whether L is of the state that g runs. Where a thread calls a function of a state that is another thread's, it is
 * not. */
static inline bool vai__bind_owns(const vai_g *g, lua_State *L)
{
	return VAI_LIKELY(atomic_load_relaxed(&vai__main_count) <= 1) ||
		lua_topointer(L, LUA_REGISTRYINDEX) == lua_topointer(vai__bind_vm(g)->L, LUA_REGISTRYINDEX);
}

/* The calling goroutine; raises on threads that run none. */
static inline vai_g *vai__bind_self(lua_State *L)
{
	vai_g *g = vai__g_self();
	if (VAI_UNLIKELY(!g || !g->vm || !vai__bind_owns(g, L)))
		vai__arg_no_goroutine(L);
	return g;
}

/* The object of a method call. */
static inline void *vai__bind_object(lua_State *L, const struct vai_class *cls, const char *fname)
{
	struct vai_obj *o = vai__handle_test(L, 1, cls);
	if (VAI_UNLIKELY(!o))
		vai__arg_self_error(L, fname, cls->name);
	return o;
}

/* Called before every call that may park: dumps take the goroutine's traceback from L. */
static inline void vai__note_stack(vai_g *g, lua_State *L)
{
	vai__bind_vm(g)->at = L;
}

#endif
