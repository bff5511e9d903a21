/* SPDX-License-Identifier: MIT */
/* What vai keeps for a Lua state (struct vai_vm), which lies in an arena. States are made and ended by runtime/vm.c.
 * One goroutine uses a struct vai_vm at a time. */
#ifndef VAI_STATE_H
#define VAI_STATE_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"

struct vai__account;
struct vai__block;
struct vai__known_funcs;
struct vai__layouts;
struct vai__uses;

/* Tables of fresh states that fill themselves on first use. */
enum {
	VAI__LAZY_GLOBALS,
	VAI__LAZY_LOADED, /* package.loaded */
	VAI__LAZY_MODULE, /* vai */
	VAI__LAZY_LIBS,   /* seven standard libraries */
	VAI__LAZY_TABLES = VAI__LAZY_LIBS + 7,
	VAI__LAZY_KNOWN = VAI__LAZY_MODULE
};

struct vai_vm {
	lua_State *L;                       /* main thread of the state */
	struct vai__arena *arena;           /* NULL for the host's state */
	uintptr_t few[4];                   /* the references of all handles (state/handle.c) */
	uintptr_t *refs;                    /* the references, once `few` is too small for them */
	uint32_t nrefs, cap_refs, free_ref; /* references, room for so many, the first free place (handle.c) */
	uint32_t ncached;                   /* handles that are found again when their object comes back */
	uint32_t premade;                   /* how many of the first references have handles that came with the template */
	unsigned without;                   /* a bit for each standard library that it does not get (stdlib/only_libs.h) */
	struct vai__account *account;       /* what it holds outside of its arena (transfer/charge.h), or NULL */
	size_t uncharged;                   /* bytes of messages that it has made and has not been charged for */
	int64_t charged;                    /* the account's bytes when the collector was last told */
	uintptr_t decoding;             /* what a decoder works on; the next one frees it if an error left it (decode.c) */
	struct vai__known_funcs *funcs; /* code objects of this state's functions (transfer/known_funcs.c) */
	struct vai__layouts *layouts;   /* how tables of some shapes lie in it (transfer/layout.c), or NULL */
	lua_State *at;                  /* the coroutine that parked last, for tracebacks */
	struct vai__uses *profiled;     /* where its uses are noted (uses.h), in a code object that it has a reference to */
	struct vai__update *updating;   /* the innermost of map:update that has failed often (bind/lib/maplib.c) */
	const void *hidden;             /* the metatable of the tables that fill themselves (stdlib/lazy.c) */
	const void *lazy[VAI__LAZY_KNOWN]; /* the first two of those tables; NULL: complete */
	uint64_t settled[4];               /* which of their names are settled */
	unsigned changed_libs;             /* those that are to be changed as the script's are, when they are used */
	unsigned encoders;                 /* guarded encoders at work, each in a __vai_send of the one before */
	uint16_t input;                    /* bytes that it has read, up to a bound (vai__io_push_bytes) */
	uint8_t missed;                    /* records that came or went without a layout, up to a bound */
	/* Of the home that it was made for (stdlib/sandbox.h); NULL: none, or the host's. */
	const struct vai__sandbox *sandbox;
	bool is_host;
	bool premaking;    /* a template is being made with handles in it */
	bool noting_paths; /* the host's only: its search paths are being encoded (require/paths.c) */
	bool has_loaded;   /* package.loaded has been made */
	bool has_io;       /* the library io is open, whatever the script did with its names */
	bool filled;       /* no table of it fills itself any more, so C code may look at them */
	bool new_modules;  /* modules may have been loaded since they were last noted (transfer/names.c) */
	bool types_seen;   /* a metatable of a whole type may not be stock's (transfer/encode_types.c) */
	bool needs_close; /* something in it has a finalizer, so it ends by lua_close; otherwise its arena just goes back */
};

/* The state has got a C function that vai does not know, or opens a file: its end may have to
 * close what they made, and its goroutine, the caller, may wait in C calls. May park. */
void vai__state_foreign(lua_State *L, struct vai_vm *vm);
/* The same when the state is about to get the C function f, which vai does not know; f: NULL, if it is not known which
 * one. If f belongs to a module whose functions never wait (quick.h), the goroutine may stay on main's thread. May
 * park. */
void vai__state_got_function(lua_State *L, struct vai_vm *vm, lua_CFunction f);

/* The vm of a goroutine's state, or of a coroutine in it; NULL: L is the host's, or no state of vai's. Never raises;
 * any thread that may use L. */
struct vai_vm *vai__state_of(lua_State *L);

/* Bytes that the state's arena holds, free ones included; the host's state: bytes by Lua's own count. */
size_t vai__state_bytes(const struct vai_vm *vm);

/* Collects garbage, unless there is much to go through or the script has stopped the collector, and gives back what is
 * free then: for a state that will do nothing for long. L: the coroutine that runs. Finalizers run, so it may park. */
void vai__state_tidy(lua_State *L, struct vai_vm *vm);

/* ---- bounds of a fresh state ---- */

/* Bounds the state's memory: an allocation that would need more than so many bytes in all fails, as if there were no
 * memory. Called by the state's goroutine, as the next three. */
void vai__memory_limit(struct vai_vm *vm, size_t bytes);
/* Whether it has such a bound. */
bool vai__memory_is_limited(const struct vai_vm *vm);
/* Whether so many bytes in all are within the bound. */
bool vai__memory_limit_allows(const struct vai_vm *vm, size_t bytes);
/* Raises the bound by an eighth: once so that the memory error can be caught and handled, and once so that an error
 * which ends the goroutine can be reported. */
void vai__memory_limit_widen(struct vai_vm *vm);

/* ---- errors ---- */

/* Raises Lua's own memory error. */
_Noreturn void vai__state_out_of_memory(lua_State *L);
/* Pushes a table, with room for n, that holds its keys (mode "k") or values ("v") weakly. Raises for want of memory. */
void vai__state_push_weak(lua_State *L, int n, const char *mode);
/* Whether the error on top, with which a protected call ended with `status`, is a memory error. */
bool vai__state_is_out_of_memory(lua_State *L, int status);

#endif
