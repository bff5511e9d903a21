/* SPDX-License-Identifier: MIT */
/* What vai keeps for a Lua state (struct vai_vm). That of a goroutine lies with its struct vai_vm in an arena.
 * runtime/vm.c makes and ends states. Only the goroutine that runs in the state uses its struct vai_vm. */
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

/* The tables of a fresh state that are filled when they are first used (stdlib/lazy.c). */
enum {
	VAI__LAZY_GLOBALS,
	VAI__LAZY_LOADED, /* package.loaded */
	VAI__LAZY_MODULE, /* vai */
	VAI__LAZY_LIBS,   /* the first of seven standard libraries */
	VAI__LAZY_TABLES = VAI__LAZY_LIBS + 7,
	VAI__LAZY_KNOWN = VAI__LAZY_MODULE
};

struct vai_vm {
	lua_State *L;                       /* main thread of the state */
	struct vai__arena *arena;           /* NULL for the host's state */
	uintptr_t few[4];                   /* the state's references to objects, one for each handle (state/handle.c) */
	uintptr_t *refs;                    /* the references, once `few` is too small for them */
	uint32_t nrefs, cap_refs, free_ref; /* how many references, room for how many, the first free place (handle.c) */
	uint32_t ncached;                   /* handles that are found by their object when that arrives again */
	uint32_t premade;                   /* the handles of so many of the first references came with the template */
	unsigned without;                   /* a bit for each standard library that the state lacks (stdlib/only_libs.h) */
	struct vai__account *account;       /* what the state holds outside of its arena (transfer/charge.h), or NULL */
	size_t uncharged;                   /* bytes of messages that the state has made and not been charged for */
	int64_t charged;                    /* the account's bytes when the collector was last told of them */
	uintptr_t decoding; /* what the last decoder works on; if an error has left it, the next decoder frees that */
	struct vai__known_funcs *funcs; /* code objects of this state's functions (transfer/known_funcs.c) */
	struct vai__layouts *layouts;   /* how the nodes of tables of some shapes lie (transfer/layout.c), or NULL */
	lua_State *at;                  /* the coroutine that parked last, for tracebacks */
	struct vai__uses *profiled;     /* where uses of names are noted (uses.h), in a code object that is kept for it */
	struct vai__update *updating;   /* the innermost call of map:update that has failed often (bind/lib/maplib.c) */
	const void *hidden;             /* the metatable of the tables that are not filled yet (stdlib/lazy.c) */
	const void *lazy[VAI__LAZY_KNOWN]; /* the first two of those tables; NULL: the table is filled */
	uint64_t settled[4];               /* a bit for each of their names: the name is filled in, or set by the script */
	unsigned changed_libs; /* a bit for each library that gets the script's changes when it is used (lazy_fill.c) */
	unsigned encoders;     /* guarded encoders at work, each inside of a __vai_send that the one before has called */
	uint16_t input;        /* bytes that the goroutine has read, up to a bound (vai__io_push_bytes) */
	uint8_t missed;        /* records that were encoded or decoded without a layout, up to a bound */
	/* The sandbox of the home that the state was made for (stdlib/sandbox.h); NULL: there is none, or the state is the
	 * host's. */
	const struct vai__sandbox *sandbox;
	bool is_host;
	bool premaking;    /* a template with handles in it is being made of this state */
	bool noting_paths; /* the host's only: its search paths are being encoded (require/paths.c) */
	bool has_loaded;   /* package.loaded has been made */
	bool has_io;       /* the library io is open, even if the script has removed its names */
	bool filled;       /* all tables are filled, so C code may look into them without calling vai */
	bool new_modules;  /* modules may have been loaded since they were last noted (transfer/names.c) */
	bool types_seen;  /* the script may have set a metatable of a whole type, as of strings (transfer/encode_types.c) */
	bool needs_close; /* something has a finalizer: the end needs lua_close, not only the arena given back */
};

/* Called when the state has got a C function that vai does not know, or opens a file. The end of the state then closes
 * what these made, and the goroutine, which is the caller, is one that may wait in C calls. May park. */
void vai__state_foreign(lua_State *L, struct vai_vm *vm);
/* The same when the state is about to get the C function f, which vai does not know; NULL: the caller cannot tell
 * which one. If f belongs to a module whose functions never wait (quick.h), the goroutine may stay on main's thread.
 * May park. */
void vai__state_got_function(lua_State *L, struct vai_vm *vm, lua_CFunction f);

/* The vm of a goroutine's state, or of a coroutine in it; NULL: L is the host's, or no state of vai's. Never raises;
 * any thread that may use L. */
struct vai_vm *vai__state_of(lua_State *L);

/* For a state that will do nothing for long: collects garbage, unless the heap is large or the script has stopped the
 * collector, and then gives free memory back. L: the coroutine that runs. Finalizers run, so this may park. */
void vai__state_tidy(lua_State *L, struct vai_vm *vm);

/* ---- bounds of a fresh state ---- */

/* Bounds the state's memory: an allocation fails if the state would then have more than `bytes` bytes. Called by the
 * state's goroutine, as the next three. */
void vai__memory_limit(struct vai_vm *vm, size_t bytes);
/* Whether it has such a bound. */
bool vai__memory_is_limited(const struct vai_vm *vm);
/* Whether a state with `bytes` bytes is within the bound. */
bool vai__memory_limit_allows(const struct vai_vm *vm, size_t bytes);
/* Raises the bound by an eighth. This happens once when the script has caught the memory error, so that its handler
 * can work, and once for an error that ends the goroutine, so that the report can be made. */
void vai__memory_limit_widen(struct vai_vm *vm);

/* ---- errors ---- */

/* Raises Lua's own memory error. */
_Noreturn void vai__state_out_of_memory(lua_State *L);
/* Pushes a table with room for n entries, whose keys (mode "k") or values ("v") are weak. Raises for want of memory. */
void vai__state_push_weak(lua_State *L, int n, const char *mode);
/* Whether the error on top, with which a protected call ended with `status`, is a memory error. */
bool vai__state_is_out_of_memory(lua_State *L, int status);

#endif
