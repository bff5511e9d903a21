/* SPDX-License-Identifier: MIT */
/* What the script has done to loaded modules since they were loaded, and to standard libraries: the functions, strings,
 * numbers and booleans that it has set at the top of a module's table, changed there or taken away. A goroutine that
 * requires such a module gets them, too (require/paths.c). What functions of the module itself set there is the
 * module's own state, and each state's own. Called on the host's state. */
#ifndef VAI_MODULE_CHANGES_H
#define VAI_MODULE_CHANGES_H

#include <lua.h>
#include "base/base.h"
#include "state/state.h"

/* Pushes what is kept of the module on top, as it is now; false: it has too many fields, and nothing is pushed. May
 * raise. */
bool vai__module_changes_begin(lua_State *L);
/* The same of a standard library, whose table is on top: what fresh states have. */
void vai__module_changes_begin_library(lua_State *L, int lib);
/* Says that the field whose name is on top, which is popped, was not in the module when it was loaded; what is kept of
 * the module is at idx. May raise. */
void vai__module_changes_added(lua_State *L, int idx);
/* Whether all modules are as they were when vai__module_changes_push was called last, or else when they were loaded.
 * Neither raises nor collects; the stack has room for 12. */
bool vai__module_changes_none(lua_State *L, const struct vai_vm *vm);
/* The same of the library of strings alone. */
bool vai__module_changes_no_methods(lua_State *L, const struct vai_vm *vm);
/* Whether a function that the module at `module` had at first sets the field whose name is at `key`. True, too, where
 * nothing is kept of the module. May raise. */
bool vai__module_changes_sets(lua_State *L, struct vai_vm *vm, int module, int key);
/* Pushes a table: name of each changed module to a list of two tables, what is set there and the names that are gone
 * (each with true). May raise. */
void vai__module_changes_push(lua_State *L, struct vai_vm *vm);
/* Makes the changes in the list at `changes` (two tables, as above) to the module at idx. add: fields that it has
 * already stay. May raise. */
void vai__module_changes_apply(lua_State *L, int idx, int changes, bool add);

#endif
