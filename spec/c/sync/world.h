/* SPDX-License-Identifier: MIT */
/* What the tests of sync/ share: a runtime with 1, 2 and 4 Ps, goroutines that are waited
 * for, and a ledger of messages in which each must be spent exactly once.
 *
 * cmocka's assert_* leave by longjmp and so are for the main goroutine only; CHECK is for
 * all of them. */
#ifndef VAI_SPEC_WORLD_H
#define VAI_SPEC_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/base.h"
#include "sched/sched.h"

#define CHECK(cond) ((cond) ? (void)0 : world_fail(__FILE__, __LINE__, #cond))
_Noreturn void world_fail(const char *file, int line, const char *what);

typedef void world_fn(vai_g *g, void *arg);

/* The number of failed tests of all rounds, for main to return. */
int world_run(const char *name, const struct CMUnitTest *tests, size_t n);
#define WORLD_RUN(name, tests) world_run(name, tests, sizeof(tests) / sizeof((tests)[0]))

/* The Ps of this round. */
int world_procs(void);
/* Starts a goroutine; world_join waits until all of them have ended. */
vai_g *world_go(world_fn *f, void *arg);
void world_join(void);
/* What a goroutine calls last whose first function has been replaced (vai__park_shed). */
void world_end(void);
/* Lets others run until g waits or has ended. */
void world_parked(vai_g *g);
/* Lets others run until *n is at least `least`. */
void world_until(_Atomic(int) *n, int least);
int64_t world_in(int64_t ms);

/* ---- the ledger ---- */

void ledger_clear(void);
/* A new message, alive. */
vai_msg ledger_make(void);
uint64_t ledger_id(const vai_msg *msg);
/* Somebody received it, or took it back. */
void ledger_spend(const vai_msg *msg);
/* A vai_drop_fn: spends it and counts. */
void ledger_drop(vai_msg *msg);
int ledger_dropped(void);
/* Every message has been spent. */
void ledger_balanced(void);

#endif
