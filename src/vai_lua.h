/* SPDX-License-Identifier: MIT */
/* vai for Lua 5.4: what `require "vai"` calls. A host that links vai statically puts
 * luaopen_vai into package.preload or calls luaL_requiref. */
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

/* Pushes the module's table. The first call makes L's state the host: the calling thread
 * becomes the first machine and what it runs the main goroutine, unless it has called vai_start before.
 * Raises when another state of the process is the host already; lua_close of the host, or vai_stop before it,
 * ends the runtime. */
VAI_API int luaopen_vai(lua_State *L);

/* Pushes a channel of values (vai_chan_new_values), which has Lua's methods there, with a reference of its own. L is
 * the host's state. May raise. VAI_OK, or VAI_EINVAL and nothing is pushed: a channel of bytes, or another state. */
VAI_API int vai_lua_pushchan(lua_State *L, vai_chan *ch);
/* The channel at idx, which lives as long as it lies there; NULL: there is none. */
VAI_API vai_chan *vai_lua_tochan(lua_State *L, int idx);

/* ---- the sandbox ---- */

/* What scripts may use, and their bounds, for everything that runs in goroutines, whoever starts it. doc/EMBEDDING.md
 * tells what it promises.
 *
 * A name in `allow` and `forbid` is a global ("print"), a library ("string", "vai"), a name in one ("os.time",
 * "vai.net"), or "safe": what cannot touch files, processes, the network and settings of the process. "vai" alone is
 * its safe part; "package" can never be allowed. */
enum vai_lua_policy_flags {
	VAI_LUA_BYTECODE = 1,   /* `load` takes bytecode, by which a script can do anything */
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
	/* Bounds; 0: none. */
	size_t memory;      /* bytes of each goroutine, at least VAI_LUA_LEAST_MEMORY, with what it has sent */
	int64_t cpu;        /* nanoseconds of processor time of each goroutine */
	int64_t goroutines; /* goroutines of Lua at once */
} vai_lua_policy;

/* Sets the sandbox for the runtime that luaopen_vai starts next; it holds until that ends. All is copied. NULL: none.
 * VAI_OK; VAI_EINVAL, VAI_ENOMEM, VAI_ERANGE with a message on L's stack. Host's thread, before luaopen_vai. */
VAI_API int vai_lua_sandbox(lua_State *L, const vai_lua_policy *policy);

#ifdef __cplusplus
}
#endif

#endif
