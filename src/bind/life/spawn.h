/* SPDX-License-Identifier: MIT */
/* From a Lua call to a goroutine. Ownership: a message is encoded (which may raise) before anything is acquired,
 * and from there to the call that takes it over nothing raises. */
#ifndef VAI_SPAWN_H
#define VAI_SPAWN_H

#include "bind/arg.h"
#include "bind/life/spawn_opts.h"
#include "code/code.h"
#include "sync/group.h"
#include "sync/task.h"
#include "sync/waitgroup.h"

/* What happens to an error that the goroutine does not catch: vai.on_panic's function gets it, or else the process ends
 * (PANIC) or goes on after the report (TELL); or its task keeps it. */
enum vai__fate { VAI_FATE_PANIC, VAI_FATE_TELL, VAI_FATE_KEEP };

/* A call on its way to a goroutine. It is reference counted, because a timer may start it more than once. */
struct vai__call {
	struct vai_obj obj;
	vai_msg msg;
	struct vai_code *code;        /* NULL: a C function */
	vai_waitgroup *wg;            /* is done at the end, or NULL */
	vai_member *member;           /* in place of wg: its place in a group, or NULL */
	struct vai__spawn_opts *opts; /* or NULL */
	struct vai__call *base;       /* its function and arguments are those of this one, with a reference; or NULL */
	struct vai_obj *extra;        /* one more argument, with a reference; or NULL */
	struct vai__home *home;       /* where its goroutines belong */
	uint64_t home_id;
	enum vai__fate fate;
	const char *site; /* as vai_g.site */
};

/* How error messages of a spawning function name it and its arguments. */
struct vai__callname {
	const char *fname;
	int arg;          /* the function's place among the arguments */
	const char *what; /* the same for vai__encode_call */
};
/* Makes a call of the function at stack index idx with all values above it. Raises if something cannot be sent, or
 * if it is no function. The caller gets the one reference. */
struct vai__call *vai__call_new(
	lua_State *L, vai_g *self, int idx, const struct vai__callname *name, enum vai__fate fate);
/* Gives a reference back. */
void vai__call_unref(struct vai__call *call);
/* Gives the call these options, which are copied. VAI_OK or VAI_ENOMEM. */
int vai__call_limit(struct vai__call *call, const struct vai__spawn_opts *opts);
/* Starts the goroutine, taking over the reference, and pushes the task's handle. Raises without memory, and where the
 * sandbox allows no more goroutines. */
int vai__call_go(lua_State *L, vai_g *self, struct vai__call *call);
/* The same for a function that Lua code calls, which returns what this returns: no handle is pushed where the script
 * throws it away, and often there is no task then. */
int vai__call_go_for_lua(lua_State *L, vai_g *self, struct vai__call *call);
/* Frees what a goroutine that was abandoned is run with, and its waiter where it has no stack. */
void vai__spawn_bury(vai_g *g);
/* Starts the goroutine without a task, from a timer. False: out of memory, or the sandbox allows no more now. The
 * caller keeps its reference. Any M. */
bool vai__call_fire(struct vai__call *call);
/* The same, called by a goroutine, with o as one more argument, whose reference is taken over unless it fails. */
bool vai__call_fire_with(vai_g *self, struct vai__call *call, struct vai_obj *o);

#endif
