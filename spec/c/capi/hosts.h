/* SPDX-License-Identifier: MIT */
/* Several host's threads of one process, each with a Lua state that has opened vai. */
#ifndef VAI_TEST_HOSTS_H
#define VAI_TEST_HOSTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "vai_lua.h"

/* For threads and goroutines, which cmocka's assertions must not leave by longjmp. */
#define MUST(cond) ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

enum { HOSTS_MAX = 16 };
/* Of the threads of hosts_on_threads. */
extern pthread_barrier_t hosts_all;

/* A state with vai in a global. */
lua_State *hosts_open(void);
/* Runs a chunk, which must not fail. */
void hosts_run(lua_State *L, const char *chunk);
/* Runs f(0), ... f(n - 1) on a thread each. The runtime has ended afterwards. */
void hosts_on_threads(void *(*f)(void *), int n);

#endif
