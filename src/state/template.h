/* SPDX-License-Identifier: MIT */
/* Templates: a Lua state as bytes and a list of the words in it that are pointers. Made
 * once, copied for every goroutine. Any thread. */
#ifndef VAI_TEMPLATE_H
#define VAI_TEMPLATE_H

#include <lua.h>
#include "base/base.h"
#include "state/arena.h"
#include "state/state.h"

/* The bytes are in two parts, so that the second can go into the room that a goroutine's
 * stack leaves. */
struct vai__template {
	size_t used;            /* bytes of all */
	size_t first;           /* bytes of the first part; used: there is no second */
	size_t second;          /* where the second begins */
	size_t size;            /* bytes of a chunk that takes both */
	size_t alloc;           /* bytes of this block */
	unsigned nrelocs[4];    /* words that hold offsets, in `relocs`: in the first part into the first and into */
	const uint16_t *relocs; /* the second, in the second part into the first and into the second */
	_Alignas(16) unsigned char bytes[];
};

/* A template of what `prepare` makes of a state that lua_newstate has just made (in a
 * protected call, its argument a light userdata). reserve: bytes that a goroutine will
 * allocate until it parks. NULL: out of memory, too big, or prepare raised. It is called
 * twice. */
enum { VAI__IMAGE_RESERVE = 240 }; /* call frames and the like; handles come on top */
struct vai__template *vai__template_build(lua_CFunction prepare, void *arg, size_t reserve);
void vai__template_free(struct vai__template *image);
/* A new state, with room (or NULL) for the arena; NULL when out of memory. */
struct vai__arena *vai__template_clone(const struct vai__template *image, void *room, size_t room_size);

/* ---- images of functions (func_template.c) ---- */

/* The image of code with its function loaded, or NULL; counts the spawns and makes one when
 * there are enough. */
const struct vai__template *vai__func_template_of(struct vai_code *code);
/* code has been spawned too seldom for an image: what its goroutines use is still noted. */
bool vai__func_template_watches(const struct vai_code *code);

/* A use is a kind and an index below 256. */
enum {
	VAI__USE_LAZY = 1,   /* + VAI__LAZY_*: a name of a table that fills itself */
	VAI__USE_CACHE = 31, /* so many handles that may be met again, up to the next number */
	VAI__USE_CACHE_MAX = 8,
	VAI__USE_HANDLE = 32,     /* + handle type: a method */
	VAI__USE_METATABLE = 255, /* the class itself */
	VAI__USE_TABLE = 255      /* the module itself */
};
/* Notes it for the image of vm->profiled. */
void vai__func_template_note(struct vai_vm *vm, unsigned kind, unsigned index);
/* Argument: anything. Makes a bare state a fresh one (state.c). */
int vai__state_prepare(lua_State *L);
/* The table of n handles that may be met again, before any of them is there. */
void vai__handle_cache(lua_State *L, int n);
/* How handle.c gets a metatable or a method into an image. */
void vai__handle_use(lua_State *L, struct vai_vm *vm, unsigned type, unsigned index);

#endif
