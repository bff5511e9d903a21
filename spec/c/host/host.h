/* SPDX-License-Identifier: MIT */
/* A program that embeds Lua and meets vai as every host does: through require. Nothing of vai's is linked
 * to it; the module comes from LUA_CPATH. */
#ifndef VAI_TEST_HOST_H
#define VAI_TEST_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>

/* Whether this is the build under test. */
bool host_variant(const char *name);
/* With the standard libraries. The global `preempts`: a loop can be stopped. */
lua_State *host_open(void);
/* A test of cmocka, after which the states that it has opened and, because it failed, not closed are closed: vai
 * serves one state of a process at a time, and so the tests after it would fail too. */
#define host_test(f) cmocka_unit_test_teardown(f, host_teardown)
int host_teardown(void **state);
/* Runs a chunk, with the strings of `args` (ends with NULL; may be NULL) as its arguments. The text of its
 * error, for the caller to free, or NULL. */
char *host_try(lua_State *L, const char *chunk);
/* The same, and the test fails where the chunk does. */
void host_run(lua_State *L, const char *chunk);
/* The test fails unless the chunk does, with this in its message. */
void host_fails(lua_State *L, const char *chunk, const char *text);

/* What a process holds of the system. */
struct host_usage {
	long threads, files, mappings;
	long resident; /* kB */
};
struct host_usage host_usage(void);
/* Waits until the process has no more than n threads. */
void host_wait_threads(long n);
double host_seconds(void);
/* n, or fewer in builds that are slow. */
int host_scaled(int n);

#endif
