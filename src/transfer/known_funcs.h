/* SPDX-License-Identifier: MIT */
/* What one state remembers of the functions and modules that it has sent, so that sending them again dumps no
 * bytecode and searches no table. Made on first use. Used by one goroutine at a time. */
#ifndef VAI_KNOWN_FUNCS_H
#define VAI_KNOWN_FUNCS_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"
#include "code/code.h"
#include "state/state.h"

/* A function of the state. */
struct vai__func {
	const void *key;       /* its prototype, or its code where prototypes cannot be seen */
	struct vai_code *code; /* one reference */
	int names;             /* in the registry: the names of all upvalues as a list of strings */
};

struct vai__known_funcs {
	int alive;                /* in the registry: weak table, prototype to a closure of it */
	int modules;              /* in the registry: table to its name in package.loaded */
	int loaded;               /* in the registry: package.loaded, or LUA_NOREF until it is asked for */
	int send;                 /* in the registry: "__vai_send" */
	int index;                /* in the registry: "__index" */
	int parents, keys, noted; /* in the registry: tables of names.c, or LUA_NOREF */
	int looked_at;            /* modules that module_changes.c found when goroutines were last told; -1: some are new */
	int strings;              /* in the registry: the host's library of strings, or LUA_NOREF */
	uint64_t methods;         /* a hash of that library when goroutines knew all of its changes (module_changes.c) */
	int private;              /* in the registry: weak table of functions, or LUA_NOREF (encode_shared_locals.c) */
	unsigned searches;        /* searches that encode_shared_locals.c has made */
	unsigned n, cap;          /* cap is a power of two, or 0 */
	struct vai__func *funcs;  /* open addressing by key */
};

/* vm->funcs, made if it is not there; may raise. */
struct vai__known_funcs *vai__known_funcs_open(lua_State *L, struct vai_vm *vm);
/* The Lua function at idx if it is remembered, else NULL: neither raises nor collects. */
const struct vai__func *vai__known_funcs_hit(lua_State *L, struct vai_vm *vm, int idx);
/* The same; remembers the function first if it has to. May raise. Valid until the next call. */
const struct vai__func *vai__known_funcs_get(lua_State *L, struct vai_vm *vm, int idx);

/* The code object of the Lua function at idx, with a reference for the caller. NULL: out of memory. */
struct vai_code *vai__known_funcs_code(lua_State *L, struct vai_vm *vm, int idx);
/* Frees what a state remembers. funcs may be NULL. */
void vai__known_funcs_free(struct vai__known_funcs *funcs);

#endif
