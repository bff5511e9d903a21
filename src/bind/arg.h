/* SPDX-License-Identifier: MIT */
/* What every binding begins with: the calling goroutine, the object of a method call, and the checks of arguments. All
 * functions that Lua sees are light C functions without upvalues, so they cross between states by their address. They
 * run on the goroutine that calls them, on whatever thread that is.
 *
 * fname is the name of the function in messages. arg is the argument's number as the user counts: self is no
 * argument. */
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
/* Raises "bad argument #1 to 'go' (function expected, got nil)". idx is the value's stack index. */
_Noreturn void vai__arg_type_error(lua_State *L, int idx, int arg, const char *fname, const char *expected);
/* Raises "calling 'send' on bad self (channel expected, got number)". */
_Noreturn void vai__arg_self_error(lua_State *L, const char *fname, const char *expected);
/* The name that users know for the type of the value at idx. */
const char *vai__arg_typename(lua_State *L, int idx);
/* The integer at idx; a float with an integer value counts, a string does not. Raises otherwise. */
int64_t vai__arg_integer(lua_State *L, int idx, int arg, const char *fname);
/* The seconds at idx: any number but NaN. Raises otherwise. */
double vai__arg_seconds(lua_State *L, int idx, int arg, const char *fname);
/* The deadline (absolute, ns) that is so many seconds from now; 0 if that is in the past. */
int64_t vai__arg_seconds_deadline(double seconds);
/* Raises that the calling thread runs no goroutine. */
_Noreturn void vai__arg_no_goroutine(lua_State *L);
/* Raises "not enough memory". */
_Noreturn void vai__arg_no_memory(lua_State *L);

/* The state of a goroutine that runs Lua code; NULL: it runs C code. */
static inline struct vai_vm *vai__bind_vm(const vai_g *g)
{
	return (struct vai_vm *)g->vm;
}

/* Whether L belongs to the state that g runs. It does not if a thread calls a function of a state that is another
 * thread's. */
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

/* The object at index 1, whose method is called; raises if that is no handle of the class. */
static inline void *vai__bind_object(lua_State *L, const struct vai_class *cls, const char *fname)
{
	struct vai_obj *o = vai__handle_test(L, 1, cls);
	if (VAI_UNLIKELY(!o))
		vai__arg_self_error(L, fname, cls->name);
	return o;
}

/* Notes where the goroutine is, for dumps. Called before every call that may park. */
static inline void vai__note_stack(vai_g *g, lua_State *L)
{
	vai__bind_vm(g)->at = L;
}

#endif
