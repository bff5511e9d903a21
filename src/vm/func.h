/* SPDX-License-Identifier: MIT */
/* Code objects: the bytecode of a Lua function, read once, shared by all states.
 * Immutable and reference counted; found by their bytes in a process-wide table. */
#ifndef VAI_FUNC_H
#define VAI_FUNC_H

#include <lua.h>
#include "base/base.h"
#include "base/obj.h"

struct vai_vm;

/* What the code does with one of the function's own upvalues. */
struct vai__upval {
	const char *name;    /* NULL: stripped */
	int assigned_line;   /* a line that assigns it (SETUPVAL, also from nested functions); 0: none, -1: line unknown */
	int written_line;    /* a line that writes into the table it holds; 0: none, -1: unknown */
	int nread;           /* constant string keys read from it (GETTABUP and the like) */
	const char **reads;  /* names, for the captured globals when it holds _ENV; NUL-terminated */
	int nwrite;
	const char **writes; /* names assigned through it */
	int *write_lines;
};

struct vai_code {
	struct vai_obj obj;
	uint64_t hash;
	size_t size;
	const char *bytes;   /* as lua_dump gave them, debug information kept */
	const char *source;  /* chunk name, "?" if stripped */
	int line;            /* where the function begins */
	bool analyzed;       /* false: a bytecode format this build cannot read; upvals has no facts */
	bool uses_require;   /* names require or package, also in nested functions */
	int nups;
	struct vai__upval *upvals;
	_Atomic(unsigned) spawns; /* how often vai__vm_new saw it */
	_Atomic(void *) image;    /* vm/image.c: a template with this function loaded; destroy calls vai__image_drop */
	_Atomic(unsigned) image_users;
	_Atomic(unsigned) classes; /* handle types that its first goroutines held */
};

/* The code object of the Lua function at idx, with a reference for the caller; cached, so
 * that asking again costs little. NULL: out of memory. May not be called on C functions. */
struct vai_code *vai__code_of(lua_State *L, struct vai_vm *vm, int idx);
/* Pushes a fresh closure of it: _ENV (an upvalue named so, or the first of a main chunk)
 * is not set. LUA_OK or an error code with a message pushed. */
int vai__code_load(lua_State *L, const struct vai_code *code);
void vai__funcs_free(struct vai__funcs *funcs);
/* vm/image.c. Called by the code object's destroy. */
void vai__image_drop(struct vai_code *code);

#endif
