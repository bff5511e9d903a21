/* SPDX-License-Identifier: MIT */
/* The Lua state of a goroutine: an arena, a lua_State inside it, and what vai keeps for
 * it. Made by cloning a template (template.c), or built from nothing where cloning failed
 * its self-check or VAI_CLONE=0 asks for it. One goroutine uses a struct vai_vm at a time. */
#ifndef VAI_STATE_H
#define VAI_STATE_H

#include <lua.h>
#include <lauxlib.h>
#include "base/base.h"
#include "code/code.h"

struct vai__handle;

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
	uintptr_t *refs;          /* in place of few, once those did not do */
	uint32_t nrefs, cap_refs, free_ref;
	uint32_t ncached;                  /* handles that may be met again */
	struct vai__block *decoding;       /* block in work: freed by the next user if an error left it */
	struct vai__known_funcs *funcs;    /* code objects of this state's functions (code/code.c) */
	lua_State *at;                     /* the coroutine that parked last, for tracebacks */
	struct vai_code *profiled;         /* one reference while what it uses is noted (state/template.c) */
	const void *hidden;                /* the metatable of the tables that fill themselves (stdlib/lazy.c) */
	const void *lazy[VAI__LAZY_KNOWN]; /* the first two of those tables; NULL: complete */
	uint64_t settled[4];               /* which of their names are */
	unsigned without;                  /* libraries that it does not get */
	unsigned encoders;                 /* guarded ones at work, each in a __vai_send of the one before */
	bool is_host;
	bool has_loaded;  /* package.loaded has been made */
	bool has_io;      /* the library is open, whatever the script did with its names */
	bool filled;      /* nothing in it fills itself any more: C code may look */
	bool needs_close; /* something in it has a finalizer: lua_close, not just drop */
};

/* Once per process and host state: reads what a stock state holds, builds and proves the
 * template. L is the host's state, from which package paths are taken. VAI_OK, VAI_ENOMEM. */
int vai__state_start(lua_State *L);
void vai__state_stop(void); /* drops templates, images, module cache */
/* "clone" or "build", and why. */
const char *vai__state_mode(void);

/* The host's own state. */
struct vai_vm *vai__state_attach(lua_State *L);
void vai__state_detach(struct vai_vm *vm);

/* A fresh state for a goroutine whose body is `code` (borrowed; NULL: a C function). If an
 * image of code exists, its function is already loaded: then *loaded is true and it lies
 * on top of L's stack with _ENV set and every other upvalue nil. NULL: out of memory. */
struct vai_vm *vai__state_new(struct vai_code *code, bool *loaded);
/* The same with memory (aligned to 16, or NULL) that the state may lie in too, and that lives
 * longer than it: the rest of a page that its goroutine's stack has touched anyway. */
struct vai_vm *vai__state_new_in(struct vai_code *code, bool *loaded, void *room, size_t size);
/* Ends it: finalizers run where there are any, every handle gives its reference back,
 * memory returns. Nothing of the state may be running. */
void vai__state_free(struct vai_vm *vm);
/* The same for one that was stopped in the middle of what it did: its to-be-closed variables
 * come first. On a big stack of the caller's. */
void vai__state_abandon(struct vai_vm *vm);
/* The vm of the goroutine that this thread runs. Never NULL inside a binding that has
 * checked vai__g_self(). */
struct vai_vm *vai__state_self(void);

/* The state has got a C function that vai does not know, or opens a file: its end may have to
 * close what they made, and its goroutine, the caller, may wait in C calls. May park. */
void vai__state_foreign(lua_State *L, struct vai_vm *vm);

/* The vm that a state (or a coroutine of it) belongs to; NULL: none of vm_new's. Raises
 * never, asks no goroutine. */
struct vai_vm *vai__state_of(lua_State *L);

/* Pushes what `require name` gives in this state; a standard library or "vai" without
 * opening package. May raise, may run the module. */
void vai__state_require(lua_State *L, struct vai_vm *vm, const char *name);
/* Pushes a table with these functions. In a goroutine's state it fills itself on first
 * use; one such table a state (the module "vai"). */
void vai__lazy_module(lua_State *L, struct vai_vm *vm, const luaL_Reg *funcs);

/* Before looking at the table at idx raw (lua_next, lua_getmetatable): one that fills itself
 * becomes an ordinary complete one. */
void vai__lazy_complete_at(lua_State *L, struct vai_vm *vm, int idx);

/* C functions cross by address. Some stock ones have a replacement in fresh states (next,
 * setmetatable, io.open, overrides ...): encoding asks `out` what to send for f, decoding
 * asks `in` what to push in vm for it. Those that vai does not know may make finalizers:
 * vm is then closed in full at its end. */
lua_CFunction vai__catalog_cfunction_out(lua_CFunction f);
lua_CFunction vai__catalog_cfunction_in(lua_State *L, struct vai_vm *vm, lua_CFunction f);
/* Stock closures with state of their own (math.random, require): the number of one by its
 * C function, or -1; and the other state's own one pushed by that number. May raise. */
int vai__catalog_closure_out(lua_CFunction f);
void vai__catalog_closure_in(lua_State *L, struct vai_vm *vm, int number);

/* Before a call is encoded whose code uses `require`: takes package.path, cpath and preload
 * of the host's state for goroutines, where they have changed. Does nothing elsewhere. */
void vai__paths_note(lua_State *L, struct vai_vm *vm);

/* Bytes of Lua memory held now, and of the arena around it. */
size_t vai__state_bytes(const struct vai_vm *vm);

/* luaopen functions that fresh states must know beyond Lua's own, by module name: only
 * "vai" itself. Call before vai__state_start. open pushes the module's table. */
void vai__state_preload(const char *name, lua_CFunction open);

/* Functions that replace a stock one in fresh states (and, where said so, in the host's):
 * print, io.write, os.exit, ... Call before vai__state_start. lib is "_G" or a library's name. */
void vai__state_override(const char *lib, const char *name, lua_CFunction f);
/* The same in fresh states alone: in the host's, the function is stock's, which *stock becomes. */
void vai__state_stand_in(const char *lib, const char *name, lua_CFunction f, lua_CFunction *stock);

/* ---- bounds of a fresh state ---- */

/* Its memory is bounded by so many bytes: what would need more fails as if there were no more. */
void vai__limits_memory(struct vai_vm *vm, size_t bytes);
bool vai__limits_has_memory(const struct vai_vm *vm);
/* An eighth more: once for who catches the error, and once for what becomes of it in the end. */
void vai__limits_widen(struct vai_vm *vm);
/* Looks which libraries the host's state has not opened: its goroutines do not get them either.
 * May raise. */
void vai__limits_host(lua_State *L);
/* Their bits, as vai__limits_library gives them. */
unsigned vai__limits_lacking(void);
/* The bit of a standard library other than the base one. */
unsigned vai__limits_library(const char *name);
/* It has no libraries but those; not yet run, and not made for some code. VAI_OK or VAI_ENOMEM. */
int vai__limits_keep_libs(struct vai_vm *vm, unsigned libs);

#endif
