/* SPDX-License-Identifier: MIT */
/* What one state remembers of the functions and modules that it has sent, so that sending them again dumps no
 * bytecode and searches no table. Made on first use. Used by one goroutine at a time. */
#ifndef VAI_KNOWN_FUNCS_H
#define VAI_KNOWN_FUNCS_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"
#include "code/code.h"
#include "code/table_memory.h"
#include "state/state.h"

/* How a plain call of a function was written (transfer/encode_plain.c). */
struct vai__plan {
	unsigned size; /* of this block */
	unsigned len;  /* bytes of the stream */
	uint16_t nups, nargs;
	uint16_t at[]; /* places of the captured values, then of the arguments; behind them lies the stream */
};

/* A function of the state. */
struct vai__func {
	const void *key;        /* its prototype, or its code where prototypes cannot be seen */
	struct vai_code *code;  /* one reference */
	int names;              /* in the registry: the names of all upvalues as a list of strings */
	struct vai__plan *plan; /* how its last call was written (transfer/encode_plain.c), or NULL */
	unsigned node;          /* where `alive` had it last, if this Lua's tables are known (code/table_memory.h) */
};

struct vai__known_funcs {
	int alive;                      /* in the registry: weak table, prototype to a closure of it */
	const struct vai__table *nodes; /* that table, if this Lua's tables are known; or NULL */
	int modules;                    /* in the registry: table to its name in package.loaded */
	int loaded;                     /* in the registry: package.loaded, or LUA_NOREF until it is asked for */
	int send;                       /* in the registry: "__vai_send" */
	int index;                      /* in the registry: "__index" */
	int parents, keys, noted;       /* in the registry: tables of names.c, or LUA_NOREF */
	int looked_at;           /* modules that module_changes.c found when goroutines were last told; -1: some are new */
	int strings;             /* in the registry: the host's library of strings, or LUA_NOREF */
	uint64_t methods;        /* a hash of that library when goroutines knew all of its changes (module_changes.c) */
	int private;             /* in the registry: weak table of functions, or LUA_NOREF (encode_shared_locals.c) */
	unsigned searches;       /* searches that encode_shared_locals.c has made */
	unsigned n, cap;         /* cap is a power of two, or 0 */
	struct vai__func *funcs; /* open addressing by key */
};

/* vm->funcs, made if it is not there; may raise. */
struct vai__known_funcs *vai__known_funcs_open(lua_State *L, struct vai_vm *vm);
/* The Lua function at idx if it is remembered, else NULL: neither raises nor collects. */
const struct vai__func *vai__known_funcs_hit(lua_State *L, struct vai_vm *vm, int idx);
/* The same; remembers the function first if it has to. May raise. Valid until the next call. */
const struct vai__func *vai__known_funcs_get(lua_State *L, struct vai_vm *vm, int idx);

/* Keeps the plan, which may be NULL, in place of the one that the function had. */
void vai__known_funcs_plan(const struct vai__known_funcs *funcs, const struct vai__func *f, struct vai__plan *plan);

/* The code object of the Lua function at idx, with a reference for the caller. NULL: out of memory. */
struct vai_code *vai__known_funcs_code(lua_State *L, struct vai_vm *vm, int idx);
/* Frees what a state remembers. funcs may be NULL. */
void vai__known_funcs_free(struct vai__known_funcs *funcs);

#endif
