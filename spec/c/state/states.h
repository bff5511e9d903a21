/* SPDX-License-Identifier: MIT */
/* What the tests of vm/ share: a stock state, fresh states of every kind, and scripts whose
 * outcome is a text that can be compared between them. */
#ifndef VAI_SPEC_STATES_H
#define VAI_SPEC_STATES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include "state/state.h"
#include "runtime/start.h"
#include "runtime/vm.h"
#include "transfer/known_funcs.h"
#include "stdlib/catalog.h"
#include "stdlib/lazy.h"

/* How states_fresh makes states: built, or copied. */
enum states_kind { STATES_BUILT, STATES_CLONED };
/* The host's state and its vm. */
struct states {
	lua_State *L;
	struct vai_vm *vm;
};
void states_start(struct states *s, enum states_kind kind);
void states_stop(struct states *s);
/* The same around a group of tests, whose state is the struct states. */
int states_setup_built(void **state);
int states_setup_cloned(void **state);
int states_teardown(void **state);

/* A state as luaL_newstate and luaL_openlibs make it. */
lua_State *states_stock(void);
struct vai_vm *states_fresh(void);
/* Runs the script with print collecting into the result, which also gets the error or what
 * it returns; addresses are replaced by "ADDR". The caller frees it. */
char *states_run(lua_State *L, const char *script);
/* Runs it in the vm's state, which then ends. */
char *states_run_once(struct vai_vm *vm, const char *script);
/* Fails the test with the message unless the script runs and returns true. */
void states_check(lua_State *L, const char *script);

#endif
