/* SPDX-License-Identifier: MIT */
/* From a Lua call to a goroutine. A message is encoded, which may raise, before anything is acquired; from there to the
 * call that takes the message over nothing raises. */
#ifndef VAI_SPAWN_H
#define VAI_SPAWN_H

#include "bind/arg.h"
#include "bind/life/spawn_opts.h"
#include "code/code.h"
#include "sync/group.h"
#include "sync/task.h"
#include "sync/waitgroup.h"

/* What happens to an error that the goroutine does not catch. PANIC and TELL: vai.on_panic's function gets it; without
 * one it is reported, and PANIC ends the process. KEEP: the goroutine's task keeps it. */
enum vai__fate { VAI_FATE_PANIC, VAI_FATE_TELL, VAI_FATE_KEEP };

/* A call on its way to a goroutine. It has a reference count, as a timer may start it more than once. */
struct vai__call {
	struct vai_obj obj;
	vai_msg msg;
	struct vai_code *code;        /* the function, borrowed from the message; NULL: a C function */
	vai_waitgroup *wg;            /* counted down at the end; or NULL */
	vai_member *member;           /* the goroutine's place in a group, in place of wg; or NULL */
	struct vai__spawn_opts *opts; /* or NULL */
	struct vai__call *base;       /* the call whose function and arguments are used, with a reference; or NULL */
	struct vai_obj *extra;        /* one more argument, with a reference; or NULL */
	struct vai__home *home;       /* the home of its goroutines */
	uint64_t home_id;
	enum vai__fate fate;
	const char *site; /* as vai_g.site */
};

/* How error messages of a spawning function name it and its arguments. */
struct vai__callname {
	const char *fname;
	int arg;          /* the number of the function as an argument */
	const char *what; /* how messages of vai__encode_call name the call */
};
/* Makes a call of the function at stack index idx with all values above it. Raises if something cannot be sent, or it
 * is no function. The caller gets one reference. */
struct vai__call *vai__call_new(
	lua_State *L, vai_g *self, int idx, const struct vai__callname *name, enum vai__fate fate);
/* Gives a reference back. */
void vai__call_unref(struct vai__call *call);
/* Gives the call a copy of these options. VAI_OK or VAI_ENOMEM. */
int vai__call_limit(struct vai__call *call, const struct vai__spawn_opts *opts);
/* Starts the goroutine, takes over the reference, and pushes the task's handle. Raises without memory, and if the
 * sandbox allows no more goroutines. */
int vai__call_go(lua_State *L, vai_g *self, struct vai__call *call);
/* As vai__call_go, for a C function that Lua code calls and whose result is what this returns. If the script ignores
 * the result no handle is pushed, and mostly no task is made. */
int vai__call_go_for_lua(lua_State *L, vai_g *self, struct vai__call *call);
/* Frees what an abandoned goroutine was run with, and its waiter if it has no stack. */
void vai__spawn_bury(vai_g *g);
/* Starts the goroutine without a task, from a timer. False: out of memory, or the sandbox allows no more. The caller
 * keeps its reference. On any M. */
bool vai__call_fire(struct vai__call *call);
/* As vai__call_fire, called by a goroutine, with o as one more argument. Takes over the reference to o if it
 * succeeds. */
bool vai__call_fire_with(vai_g *self, struct vai__call *call, struct vai_obj *o);

#endif
