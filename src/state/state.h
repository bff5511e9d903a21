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
	lua_State *L;             /* main thread of the state */
	struct vai__arena *arena; /* NULL for the host's state */
	uintptr_t few[4];         /* the references of all handles (state/handle.c) */
	uintptr_t *refs;          /* the references, once `few` is too small for them */
	uint32_t nrefs, cap_refs, free_ref;
	uint32_t ncached;                  /* handles that may be met again */
	uint32_t premade;                  /* so many of the first references have handles that came with the state */
	unsigned without;                  /* libraries that it does not get */
	struct vai__account *account;      /* of what it holds outside (transfer/charge.h), or NULL */
	size_t uncharged;                  /* bytes of messages that it has not been charged for */
	int64_t charged;                   /* what the account said when the collector was last told */
	uintptr_t decoding;                /* what is in work: freed by the next user if an error left it (decode.c) */
	struct vai__known_funcs *funcs;    /* code objects of this state's functions (transfer/known_funcs.c) */
	struct vai__layouts *layouts;      /* how tables of some shapes lie in it (transfer/layout.c), or NULL */
	lua_State *at;                     /* the coroutine that parked last, for tracebacks */
	struct vai__uses *profiled;        /* in its code, a reference to which it has: what it uses is noted */
	struct vai__update *updating;      /* the innermost of map:update that has failed often (bind/lib/maplib.c) */
	const void *hidden;                /* the metatable of the tables that fill themselves (stdlib/lazy.c) */
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
	bool noting_paths; /* of the host's: its search paths are being encoded (require/paths.c) */
	bool has_loaded;   /* package.loaded has been made */
	bool has_io;       /* the library is open, whatever the script did with its names */
	bool filled;       /* no table of it fills itself any more, so C code may look at them */
	bool new_modules;  /* modules may have been loaded since they were last noted (transfer/names.c) */
	bool types_seen;   /* a metatable of a whole type may not be stock's (transfer/encode_types.c) */
	bool needs_close;  /* something in it has a finalizer, so it ends by lua_close */
};

/* The state has got a C function that vai does not know, or opens a file: its end may have to
 * close what they made, and its goroutine, the caller, may wait in C calls. May park. */
void vai__state_foreign(lua_State *L, struct vai_vm *vm);
/* The same for a C function that vai does not know, which is to come into it: of modules whose functions never wait it
 * is only noted that the end has to close. f: NULL, if it is not known which. May park. */
void vai__state_got_function(lua_State *L, struct vai_vm *vm, lua_CFunction f);

/* The vm that a state (or a coroutine of it) belongs to; NULL: the host's, or a stranger's. Raises
 * never, asks no goroutine. */
struct vai_vm *vai__state_of(lua_State *L);

/* Bytes of Lua memory held now, and of the arena around it. */
size_t vai__state_bytes(const struct vai_vm *vm);

/* Collects garbage, unless there is much to go through or the script has stopped the collector, and gives back what is
 * free then: for a state that will do nothing for long. L: what runs. Finalizers run, and so it may park. */
void vai__state_tidy(lua_State *L, struct vai_vm *vm);

/* ---- bounds of a fresh state ---- */

/* Its memory is bounded by so many bytes: what would need more fails as if there were no more. */
void vai__memory_limit(struct vai_vm *vm, size_t bytes);
/* Whether it has such a bound. */
bool vai__memory_is_limited(const struct vai_vm *vm);
/* Whether so many bytes are within it. */
bool vai__memory_limit_allows(const struct vai_vm *vm, size_t bytes);
/* An eighth more: once for who catches the error, and once for what becomes of it in the end. */
void vai__memory_limit_widen(struct vai_vm *vm);

/* ---- errors ---- */

/* Raises Lua's own memory error. */
_Noreturn void vai__state_out_of_memory(lua_State *L);
/* Pushes a table, with room for n, that holds its keys (mode "k") or values ("v") weakly. Raises for want of memory. */
void vai__state_push_weak(lua_State *L, int n, const char *mode);
/* Whether the error on top, with which a protected call ended, is that or Lua's own. */
bool vai__state_is_out_of_memory(lua_State *L, int status);

#endif
