/* SPDX-License-Identifier: MIT */
/* Fresh states whose tables fill themselves: _G, package.loaded, the module table and most libraries hold only what
 * was used, until something looks at the whole table. */
#ifndef VAI_LAZY_H
#define VAI_LAZY_H

#include <lua.h>
#include "base/base.h"
#include "state/state.h"

/* Makes a stock state out of what lua_newstate gives, all libraries still closed.
 * Protected calls only. */
void vai__lazy_prepare(lua_State *L, struct vai_vm *vm);
/* The same with everything open and nothing hidden. */
void vai__lazy_prepare_full(lua_State *L, struct vai_vm *vm);
/* Which of the lazy tables the one at idx is, or -1. */
int vai__lazy_which(lua_State *L, const struct vai_vm *vm, int idx);
/* Fills the lazy table at idx and makes it an ordinary one. */
void vai__lazy_complete(lua_State *L, struct vai_vm *vm, int which, int idx);
/* Fills all lazy tables, and opens what has been left closed, because C code that vai does not know looks at tables
 * as it likes. Done once in a state; costs nothing later. */
void vai__lazy_fill(lua_State *L, struct vai_vm *vm);
/* Settles the one name at stack index 2 of the lazy table at 1. */
void vai__lazy_touch(lua_State *L, struct vai_vm *vm, int which);
/* t[k] = v for the lazy table at stack index 1 with key and value above it. */
void vai__lazy_set(lua_State *L, struct vai_vm *vm, int which);
/* Gives strings their methods, because their metatable is about to be looked at. */
void vai__lazy_open_string(lua_State *L, struct vai_vm *vm);
/* Pushes the hidden metatable, whose __index also resolves the methods of handles; made if the state has none
 * yet, as the host's. For vai__handle_push_hidden. */
void vai__lazy_make_hidden(lua_State *L);
/* Pushes package.loaded, or nothing and false. */
bool vai__lazy_push_loaded(lua_State *L, struct vai_vm *vm);
/* Opens io or package, because a C function of that library came alone into the state. */
void vai__lazy_need(lua_State *L, struct vai_vm *vm, const char *lib);
/* Pushes stock's require of this state, whatever the global is now. */
void vai__lazy_push_require(lua_State *L, struct vai_vm *vm);
/* Settles name k of a lazy table ahead of its use, for a template. */
void vai__lazy_use(lua_State *L, struct vai_vm *vm, int which, int k);

/* io.popen, in fresh states and in the host's (popen.c). */
int vai__popen(lua_State *L);
/* Pushes what `require name` gives in this state; a standard library or "vai" without
 * opening package. May raise, may run the module. */
void vai__lazy_require(lua_State *L, struct vai_vm *vm, const char *name);
/* Pushes a table with these functions; for a name that begins with a dot, what its function returns: a table
 * of more. In a goroutine's state it fills itself on first use; one such table a state (the module "vai"). */
void vai__lazy_module(lua_State *L, struct vai_vm *vm, const luaL_Reg *funcs);

/* Called before the table at idx is looked at raw (lua_next, lua_getmetatable): one that fills itself becomes an
 * ordinary, complete table. */
void vai__lazy_complete_at(lua_State *L, struct vai_vm *vm, int idx);
/* What to push in vm for a C function that vai__catalog_cfunction_out gave. One that vai does not know may make
 * finalizers and look at tables raw: vm is then closed in full at its end, and nothing in it fills itself. */
lua_CFunction vai__lazy_cfunction_in(lua_State *L, struct vai_vm *vm, lua_CFunction f);
/* Pushes the state's own one of the stock closure of that number (vai__catalog_closure_out). May raise. */
void vai__lazy_closure_in(lua_State *L, struct vai_vm *vm, int number);

/* Called with the package table on top when that library is opened; may be NULL. Set by runtime/start.c, as require/
 * is above. */
extern void (*vai__lazy_package_opened)(lua_State *L);

/* Libraries in which the script has changed something, as bits: they are changed likewise, once they are used. In
 * stock_names are those that have to be changed now, as what they have already is not the same. */
void vai__lazy_change_libraries(lua_State *L, struct vai_vm *vm, unsigned libs, unsigned stock_names);
/* Changes the library of that number, whose table is at idx. Set by runtime/start.c, as require/ is above. */
extern void (*vai__lazy_change_library)(lua_State *L, struct vai_vm *vm, int lib, int idx);

/* The functions of lazy_functions.c, into the catalog. */
void vai__lazy_functions_register(void);

#endif
