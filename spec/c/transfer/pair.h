/* SPDX-License-Identifier: MIT */
/* Two states that send each other values, for the tests of the codec. What arrives is
 * described in Lua on both sides, identities included, and the descriptions compared. */
#ifndef VAI_SPEC_PAIR_H
#define VAI_SPEC_PAIR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <lauxlib.h>
#include "transfer/codec.h"

/* The sender and the receiver; both are hosts' states. */
extern lua_State *pair_a, *pair_b;
extern struct vai_vm pair_va, pair_vb;
#define A pair_a
#define B pair_b
#define va pair_va
#define vb pair_vb
/* Asked before an allocation of either state, if set: true lets it fail. */
extern bool (*pair_fails)(void);
/* Objects that thing() made and that are still there. */
extern int pair_things;
#define things pair_things

/* Before anything else, once. */
void pair_register(void);
/* A has thing(), a new handle, and udata(metatable), a full userdata. */
void pair_open(void);
void pair_close(void);
/* The chunk's results stay on the stack; an error fails the test. */
void pair_run(lua_State *L, const char *chunk);
void pair_collect(lua_State *L);
/* The description of the n values on top of the stack, which go; the caller frees it. */
char *pair_describe(lua_State *L, int n);
/* The values on top of both stacks, which go, are alike. */
void pair_compare(void);
/* Sends the value on top of A's stack; it arrives on B's. The tag of its message. */
unsigned pair_send_top(void);
/* The chunk's table arrives as it is, each of so many times that its keys surely have a shape then; the tag of its
 * messages in the end. */
unsigned pair_sent(const char *chunk);
/* All values on A's stack go to B three times. */
void pair_round_trip(void);
/* The same with the results of the chunk, run in A. */
void pair_check(const char *chunk);

#endif
