/* SPDX-License-Identifier: MIT */
/* New states whose tables fill themselves: _G, package.loaded, the module table and most libraries hold only the names
 * that were used, until something looks at the whole table. Called by the goroutine whose state L belongs to; may
 * raise, unless said otherwise. */
#ifndef VAI_LAZY_H
#define VAI_LAZY_H

#include <lua.h>
#include "base/base.h"
#include "state/state.h"

/* Makes a stock state of what lua_newstate gives; all libraries are still closed. In protected calls only. */
void vai__lazy_prepare(lua_State *L, struct vai_vm *vm);
/* Makes a stock state with all libraries open and no lazy tables. In protected calls only. */
void vai__lazy_prepare_full(lua_State *L, struct vai_vm *vm);
/* Which of the lazy tables is at idx; -1: none of them. */
int vai__lazy_which(lua_State *L, const struct vai_vm *vm, int idx);
/* Whether stock name number k of _G (VAI__LAZY_GLOBALS) or of a library (VAI__LAZY_LIBS and its number) may still come
 * into that table, as nobody has asked for it. */
bool vai__lazy_awaits(const struct vai_vm *vm, int table, int k);
/* Fills the lazy table at idx and makes it an ordinary one. */
void vai__lazy_complete(lua_State *L, struct vai_vm *vm, int table, int idx);
/* Fills all lazy tables and opens all libraries, as C code that vai does not know may look at any table. Happens once
 * in a state. */
void vai__lazy_fill(lua_State *L, struct vai_vm *vm);
/* Settles the name at stack index 2 in the lazy table at index 1: the name gets its value, if it is to have one. */
void vai__lazy_touch(lua_State *L, struct vai_vm *vm, int table);
/* Does t[k] = v for the lazy table at stack index 1 with key and value above it. */
void vai__lazy_set(lua_State *L, struct vai_vm *vm, int table);
/* Gives strings their methods, as their metatable is about to be looked at. */
void vai__lazy_open_string(lua_State *L, struct vai_vm *vm);
/* Pushes the hidden metatable, whose __index also finds the methods of handles; makes it if the state has none yet, as
 * the host's. For vai__handle_push_hidden. */
void vai__lazy_make_hidden(lua_State *L);
/* Pushes package.loaded, or nothing and false. */
bool vai__lazy_push_loaded(lua_State *L, struct vai_vm *vm);
/* Opens io or package. Called when a C function of that library has come into the state without the library. */
void vai__lazy_need(lua_State *L, struct vai_vm *vm, const char *lib);
/* Pushes the state's stock `require`, even if the script has set the global to something else. */
void vai__lazy_push_require(lua_State *L, struct vai_vm *vm);
/* Settles name k of a lazy table ahead of its use, for a template. */
void vai__lazy_use(lua_State *L, struct vai_vm *vm, int table, int k);

/* io.popen, in new states and in the host's (popen.c). */
int vai__popen(lua_State *L);
/* Pushes what `require name` gives in this state; for a standard library or "vai" without opening package. May run the
 * module. */
void vai__lazy_require(lua_State *L, struct vai_vm *vm, const char *name);
/* Pushes a table with these functions; a name with a dot before it gets the table that its function returns. In a
 * goroutine's state the table fills itself; there can be one such table in a state (the module "vai"). */
void vai__lazy_module(lua_State *L, struct vai_vm *vm, const luaL_Reg *funcs);

/* Called before the table at idx is read raw (lua_next, lua_getmetatable): a lazy table becomes an ordinary, complete
 * one. */
void vai__lazy_complete_at(lua_State *L, struct vai_vm *vm, int idx);
/* What to push in vm for a C function that vai__catalog_cfunction_out gave. A function that vai does not know may make
 * finalizers and read tables raw: then vm is closed in full at its end, and its tables are filled now. */
lua_CFunction vai__lazy_cfunction_in(lua_State *L, struct vai_vm *vm, lua_CFunction f);
/* Pushes the state's own stock closure of that number (vai__catalog_closure_out). */
void vai__lazy_closure_in(lua_State *L, struct vai_vm *vm, int number);

/* Called with the package table on top when that library is opened; may be NULL. Set by runtime/start.c, as require/
 * is a higher room. */
extern void (*vai__lazy_package_opened)(lua_State *L);

/* Sets the libraries (as bits) that the script has changed. They get the same changes in this state when they are
 * first used. Those in stock_names get them at once, as names that the state may have already were changed. */
void vai__lazy_change_libraries(lua_State *L, struct vai_vm *vm, unsigned libs, unsigned stock_names);
/* Changes the library of that number, whose table is at idx. Set by runtime/start.c, as require/ is a higher room. */
extern void (*vai__lazy_change_library)(lua_State *L, struct vai_vm *vm, int lib, int idx);

/* Registers the replacements of lazy_functions.c in the catalog. */
void vai__lazy_functions_register(void);

#endif
