/* SPDX-License-Identifier: MIT */
/* What the files of bind/ share. Every function visible to Lua is a light C function without
 * upvalues, so that it crosses between states by its address; all of them run on the
 * goroutine that calls them, on whatever thread that is.
 *
 * Ownership: a message is encoded (which may raise) before anything is acquired, and from
 * there to the call that takes it over nothing raises. */
#ifndef VAI_BIND_H
#define VAI_BIND_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"
#include "sched/sched.h"
#include "sync/chan.h"
#include "sync/task.h"
#include "sync/waitgroup.h"
#include "transfer/codec.h"
#include "state/handle.h"
#include "state/state.h"

/* ---- arguments (arg.c). fname is the name that messages use; arg is counted as the
 * user does: self is not an argument. ---- */

_Noreturn void vai__arg_error(lua_State *L, int arg, const char *fname, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* "bad argument #1 to 'go' (function expected, got nil)". idx is the stack index. */
_Noreturn void vai__arg_type_error(lua_State *L, int idx, int arg, const char *fname, const char *expected);
/* "calling 'send' on bad self (channel expected, got number)" */
_Noreturn void vai__arg_self_error(lua_State *L, const char *fname, const char *expected);
/* What a user calls the type of the value at idx. */
const char *vai__arg_typename(lua_State *L, int idx);
int64_t vai__arg_integer(lua_State *L, int idx, int arg, const char *fname);
/* Seconds: any number but NaN. */
double vai__arg_seconds(lua_State *L, int idx, int arg, const char *fname);
/* Seconds from now as a deadline: 0 for those that are over, VAI_FOREVER for none or nil. */
int64_t vai__arg_deadline(lua_State *L, int idx, int arg, const char *fname);
int64_t vai__arg_seconds_deadline(double seconds);
_Noreturn void vai__arg_no_goroutine(lua_State *L);
_Noreturn void vai__arg_no_memory(lua_State *L);

static inline struct vai_vm *vai__bind_vm(vai_g *g)
{
	return (struct vai_vm *)g->vm;
}

/* A message whose decoding raised (memory) goes back to its channel: at the goroutine's next
 * call, or at its end (L NULL). */
void vai__bind_put_back(lua_State *L, struct vai_vm *vm);

/* The calling goroutine; raises on threads that run none. */
static inline vai_g *vai__bind_self(lua_State *L)
{
	vai_g *g = vai__g_self();
	if (VAI_UNLIKELY(!g || !g->vm))
		vai__arg_no_goroutine(L);
	if (VAI_UNLIKELY(vai__bind_vm(g)->decoding_from != NULL))
		vai__bind_put_back(L, vai__bind_vm(g));
	return g;
}

/* The object of a method call. */
static inline void *vai__bind_object(lua_State *L, const struct vai_class *cls, const char *fname)
{
	struct vai_obj *o = vai__handle_test(L, 1, cls);
	if (VAI_UNLIKELY(!o))
		vai__arg_self_error(L, fname, cls->name);
	return o;
}

/* ---- results (result.c) ---- */

/* Before every call that may park: dumps take its traceback here. */
static inline void vai__note_stack(vai_g *g, lua_State *L)
{
	vai__bind_vm(g)->at = L;
}

/* vai__sched_hooks.interrupt: the Lua code that g runs yields, or ends, at its next instruction. */
void vai__interrupt_g(vai_g *g);
/* Pushes the value of a message received from ch. */
int vai__bind_deliver(lua_State *L, struct vai_vm *vm, vai_chan *ch, vai_msg *msg);
/* nil, why: 2 */
int vai__bind_nil(lua_State *L, const char *why);
/* For a wait that ended with rc < 0: nil, "timeout", or raises. */
int vai__bind_failed(lua_State *L, vai_g *g, int rc);
/* The end of tostring for handles without a name of their own: "channel: 0x55d0c8". */
int vai__bind_tostring(lua_State *L, const char *name);

/* ---- spawning (spawn.c) ---- */

/* What happens to an error that the goroutine does not catch. */
enum vai__fate { VAI_FATE_PANIC, VAI_FATE_KEEP };

/* A call on its way to a goroutine; reference counted because a timer may fire again. */
struct vai__call {
	struct vai_obj obj;
	vai_msg msg;
	struct vai_code *code;        /* NULL: a C function */
	vai_waitgroup *wg;            /* is done at the end, or NULL */
	struct vai__spawn_opts *opts; /* limits.h; or NULL */
	enum vai__fate fate;
	char site[sizeof((vai_g *)0)->site];
};

/* How error messages of a spawning function name it and its arguments. */
struct vai__callname {
	const char *fname;
	int arg;          /* the function's place among the arguments */
	const char *what; /* the same for vai__encode_call */
};
/* The function at stack index idx with all values above it. Raises what cannot be sent and
 * what is no function. One reference, the caller's. */
struct vai__call *vai__call_new(
	lua_State *L, vai_g *self, int idx, const struct vai__callname *name, enum vai__fate fate);
void vai__call_unref(struct vai__call *call);
/* With these bounds (copied). VAI_OK or VAI_ENOMEM. */
int vai__call_limit(struct vai__call *call, const struct vai__spawn_opts *opts);
/* Starts it, taking over the reference; pushes the task's handle. */
int vai__call_go(lua_State *L, vai_g *self, struct vai__call *call);
/* Writes "src:line", src cut to fit. */
void vai__site_format(char *buf, size_t size, const char *src, int line);
/* Starts it without a task, from a timer: nothing but memory can fail, false then. Keeps
 * the caller's reference untouched. Any M. */
bool vai__call_fire(struct vai__call *call);

/* ---- failures (panic.c) ---- */

/* The message handler under every goroutine: notes the traceback, keeps the error. */
int vai__report_handler(lua_State *L);
/* After such a pcall: pushes text and traceback ("" if there is none) of the error at the
 * top, in place of it: error, text, traceback. Protected calls only. */
void vai__report_describe(lua_State *L);
/* The error at the top of L ended a goroutine started by `go`: hands it to vai.on_panic's
 * function, or ends the process. */
void vai__report_panic(vai_g *g, lua_State *L);
/* The same where not even a Lua state could be had. */
void vai__report_panic_plain(vai_g *g, const char *text);
/* For vai__task_new. */
void vai__report_orphan(vai_task *task);
/* The goroutine that runs panic handlers in main's state, or NULL. Any thread. */
vai_g *vai__report_runner(void);
_Noreturn void vai__report_deadlock(lua_State *L); /* deadlock.c */
/* Before a runtime starts: uncaught errors end the process. */
void vai__report_start(void);
/* Runs the panic handlers that main has not come to; main only, at the end;
 * uncaught errors are nobody's business from then on. */
void vai__report_flush(lua_State *L);
/* Gives stdio a bounded time to flush and ends the process without atexit handlers, which
 * are not made for other threads that still run. Any thread. */
_Noreturn void vai__exit_now(int status);
void vai__exit_flush(void); /* the first part of it */
/* In a child of fork: whoever was ending the process does not exist there. */
void vai__exit_forked(void);
/* Returns once: to the first thread, before it reports what it ends the process for. */
void vai__exit_begin(void);
int vai__lib_on_panic(lua_State *L);

/* ---- the module's parts ---- */

int vai__lib_go(lua_State *L);
int vai__lib_async(lua_State *L);
int vai__lib_spawn(lua_State *L);
int vai__lib_lock_thread(lua_State *L);
int vai__lib_unlock_thread(lua_State *L);
int vai__lib_yield(lua_State *L);
int vai__lib_id(lua_State *L);
int vai__lib_count(lua_State *L);
int vai__lib_maxprocs(lua_State *L);
int vai__lib_numcpu(lua_State *L);
int vai__lib_stats(lua_State *L);
int vai__lib_dump(lua_State *L);
int vai__lib_chan(lua_State *L);
int vai__lib_select(lua_State *L);
int vai__lib_waitgroup(lua_State *L);
int vai__lib_mutex(lua_State *L);
int vai__lib_sleep(lua_State *L);
int vai__lib_now(lua_State *L);
int vai__lib_after(lua_State *L);
int vai__lib_timer(lua_State *L);
int vai__lib_ticker(lua_State *L);

extern const struct vai__handle_type vai__lib_chan_type, vai__lib_task_type, vai__lib_waitgroup_type,
	vai__lib_timer_type, vai__lib_ticker_type, vai__lib_guard_type, vai__lib_mutex_type;

/* print, io.write, os.exit (baselib.c): before vai__state_start for fresh states, then for the
 * host's own where it still has the stock ones. */
void vai__base_register(void);
void vai__base_install(lua_State *L);

/* Ends the runtime of the host state (module.c); main only, or a thread that closes main's
 * state for it. exits: the process ends next, so that nothing need be released. */
void vai__host_stop(lua_State *L, bool exits);

#endif
