/* SPDX-License-Identifier: MIT */
/* vai for Lua 5.4: what `require "vai"` calls. A host that links vai statically puts luaopen_vai into package.preload
 * or calls luaL_requiref. */
#ifndef VAI_LUA_H
#define VAI_LUA_H

#include "vai.h"

/* Lua's headers, which say nothing of C++ themselves. */
#ifdef __cplusplus
extern "C" {
#endif
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#ifdef __cplusplus
}
#endif

#if LUA_VERSION_NUM != 504
#error "vai needs the headers of Lua 5.4 (LUA_INCDIR names their folder)"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Pushes the module's table. The first call in a state makes it one of the host's: the calling thread becomes a
 * machine, and what it runs is the state's main goroutine, unless it has called vai_start before. Several states may be
 * open, each on a thread of its own. Raises if another state is open on this thread. lua_close of the state, or
 * vai_stop before it, ends its goroutines, and with the last state the runtime. */
VAI_API int luaopen_vai(lua_State *L);

/* The functions below with an L are called by the goroutine whose state L belongs to: main, or a C function that a
 * goroutine runs. Those that may raise are called where Lua catches an error. On another thread or state: VAI_ETHREAD,
 * or an error. A wait parks the goroutine, also in C functions. */

/* ---- channels and values ---- */

/* Pushes a channel of values (vai_chan_new_values), with a reference of its own; it has Lua's methods there. May raise.
 * VAI_OK; or VAI_EINVAL, and nothing is pushed: a channel of bytes, or another state. */
VAI_API int vai_lua_pushchan(lua_State *L, vai_chan *ch);
/* The channel at idx, valid as long as it stays there; NULL: there is none. */
VAI_API vai_chan *vai_lua_tochan(lua_State *L, int idx);
/* As vai_send_value, with a copy of the value at idx. Raises if that cannot be sent. VAI_EINVAL: it is nil. */
VAI_API int vai_lua_send(lua_State *L, vai_chan *ch, int idx, int64_t ns);
/* As vai_recv_value: after VAI_OK the value is pushed. Raises if memory is out. */
VAI_API int vai_lua_recv(lua_State *L, vai_chan *ch, int64_t ns);
/* Copies the value at idx, for vai_send_value or vai_select, which any thread may call with it. Raises if it cannot be
 * sent. */
VAI_API void vai_lua_tovalue(lua_State *L, int idx, vai_value *out);
/* Pushes what *v holds and takes it over: *v is nil afterwards. May raise. */
VAI_API void vai_lua_pushvalue(lua_State *L, vai_value *v);

/* ---- goroutines ---- */

/* vai.go and vai.async: run the function that lies below the n arguments on top of the stack as a goroutine, with
 * copies of them; its task takes their place. Raise as those do. */
VAI_API void vai_lua_go(lua_State *L, int nargs);
VAI_API void vai_lua_async(lua_State *L, int nargs);
/* The task at idx, valid as long as it stays there, for vai_cancel and vai_lua_join; NULL: there is none. */
VAI_API vai_task *vai_lua_totask(lua_State *L, int idx);
/* task:join. Pushes true and results, or false, the error and its traceback, and returns how many values that is; or
 * returns a negative result and pushes nothing. May raise. */
VAI_API int vai_lua_join(lua_State *L, vai_task *task, int64_t ns);

/* A function for Lua. on_host(f or name, ...) calls f, or the host's global with that name (such as "world.move"), on
 * the host's thread and in the host's state, while main waits or in its next vai_poll; it returns the results or raises
 * the error. f, arguments and results cross as in a send. Such a call may wait; it is not interrupted otherwise. In the
 * host's state it is a plain call. */
VAI_API int vai_lua_on_host(lua_State *L);

/* ---- the host's own in all states ---- */

enum { VAI_LUA_NO_FINALIZERS = 1 }; /* nothing that `init` makes is userdata with finalizers */
/* Makes each goroutine's state, from the next luaopen_vai on, one in which init has run (after the libraries were
 * opened, in protected mode, without arguments or results): it sets globals, removes some, fills LUA_PRELOAD_TABLE or
 * package.searchers. It runs a few times and what it leaves is copied, so it makes no userdata with finalizers and no
 * coroutines, and calls nothing of vai's; goroutines begin with equal copies, random numbers included. The host's own
 * state is not changed. If init fails, luaopen_vai raises its error. NULL: no such function. VAI_EINVAL: a state uses
 * vai. Without VAI_LUA_NO_FINALIZERS each state ends by lua_close, which takes longer. Any thread of the host's. */
VAI_API int vai_lua_init(lua_CFunction init, unsigned flags);
/* As vai_lua_init, for the goroutines of one state, which then do not use that; NULL: they get nothing. VAI_OK;
 * VAI_EINVAL: L uses vai; VAI_ENOMEM. On the thread of L's state, before luaopen_vai. */
VAI_API int vai_lua_init_state(lua_State *L, lua_CFunction init, unsigned flags);

/* Says how full userdata of a type (the name given to luaL_newmetatable) crosses: `out` gets the userdata and returns
 * the values that are sent; `in` gets these in the other state and returns the userdata that it makes of them. A
 * __vai_send in the metatable takes precedence. Lasts for the process. VAI_OK, VAI_ENOMEM; VAI_EINVAL: the type has a
 * codec. Any thread. */
VAI_API int vai_lua_codec(const char *type, lua_CFunction out, lua_CFunction in);

/* Pushes a userdata that stands for p and can be sent, for a codec's `out` to return: drop(p), unless NULL, is called
 * on any thread when the last copy is gone, also those in messages. Raises if memory is out, and then does not call
 * drop. */
VAI_API void vai_lua_pushref(lua_State *L, void *p, void (*drop)(void *p));
/* The p of such a userdata at idx; NULL: it is none. */
VAI_API void *vai_lua_toref(lua_State *L, int idx);

/* ---- the sandbox ---- */

/* What scripts of a state may use, and their bounds, for everything that they run in goroutines. doc/EMBEDDING.md
 * tells what it promises.
 *
 * A name in `allow` and `forbid` is a global ("print"), a library ("string", "vai"), a name in one ("os.time",
 * "vai.net"), or "safe": what cannot touch files, processes, the network and settings of the process. "vai" alone is
 * its safe part; "package" can never be allowed. */
enum vai_lua_policy_flags {
	VAI_LUA_BYTECODE = 1,   /* `load`, `loadfile` and `dofile` accept bytecode, with which a script can do anything */
	VAI_LUA_C_MODULES = 2,  /* `require` may load C libraries, of the modules that are allowed */
	VAI_LUA_FINALIZERS = 4, /* __gc is honoured: code in a finalizer cannot be interrupted, whatever its bounds */
	VAI_LUA_TRUST_MAIN = 8 /* the host's own state keeps what it has, and takes no functions from goroutines. Without it
							   main's scripts are in the sandbox, too, but for the bounds */
};
enum { VAI_LUA_LEAST_MEMORY = 65536 };

typedef struct vai_lua_policy {
	size_t size; /* sizeof(vai_lua_policy) */
	unsigned flags;
	const char *const *allow;   /* names, ended by NULL; NULL: {"safe", NULL} */
	const char *const *forbid;  /* taken away from these; or NULL */
	const char *const *modules; /* what `require` may load beyond libraries; or NULL */
	const luaL_Reg *functions;  /* C functions of the host's that may go into goroutines, ended by {NULL, NULL}, by the
								   names that errors use; or NULL: none may, but those of allowed modules */
	/* Bounds, each state's own; 0: none. */
	size_t memory;        /* bytes of each goroutine's Lua state, at least VAI_LUA_LEAST_MEMORY, and of what
							 it has sent; not of buffers, shared tables and channels: set memory_in_all, too */
	int64_t cpu;          /* nanoseconds of processor time of each goroutine */
	int64_t goroutines;   /* goroutines of Lua at once */
	size_t memory_in_all; /* bytes of all goroutines' Lua states, of messages, channels, buffers and what else vai has
							 got for them; not of C stacks */
	int64_t cpu_in_all;   /* nanoseconds of processor time of all goroutines of Lua, until the state closes */
} vai_lua_policy;

/* Sets the sandbox of L and of all goroutines that its scripts start. Everything is copied. policy NULL: no sandbox, as
 * without the call. Each state has its own; code crosses only between states with equal ones. VAI_OK; VAI_EINVAL,
 * VAI_ENOMEM, VAI_ERANGE with a message on L's stack. On the thread of L's state, before luaopen_vai. */
VAI_API int vai_lua_sandbox(lua_State *L, const vai_lua_policy *policy);

#ifdef __cplusplus
}
#endif

#endif
