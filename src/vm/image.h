/* SPDX-License-Identifier: MIT */
/* Templates: a Lua state as bytes and a list of the words in it that are pointers. Made
 * once, copied for every goroutine. Any thread. */
#ifndef VAI_IMAGE_H
#define VAI_IMAGE_H

#include <lua.h>
#include "base/base.h"
#include "vm/arena.h"
#include "vm/vm.h"

struct vai__image {
	size_t used;      /* bytes to copy */
	size_t size;      /* bytes of the first chunk */
	size_t alloc;     /* bytes of this block */
	unsigned nrelocs;
	const uint16_t *relocs; /* words that hold an offset into the image */
	_Alignas(16) unsigned char bytes[];
};

/* A template of what `prepare` makes of a fresh state (in a protected call, its argument
 * a light userdata). base: begin with a clone of it. NULL: out of memory, too big, or
 * prepare raised. */
struct vai__image *vai__image_build(const struct vai__image *base, lua_CFunction prepare, void *arg);
void vai__image_free(struct vai__image *image);
/* A new state; NULL when out of memory. */
struct vai__arena *vai__image_clone(const struct vai__image *image);

/* ---- images of functions (funcimage.c) ---- */

/* The image of code with its function loaded, or NULL; counts the spawns and makes one when
 * there are enough. */
const struct vai__image *vai__image_of(struct vai_code *code, const struct vai__image *base);
/* code has been spawned too seldom for an image: what its goroutines use is still noted. */
bool vai__image_watches(const struct vai_code *code);

/* A use is a kind and an index below 256. */
enum {
	VAI__USE_LAZY = 1,   /* + VAI__LAZY_*: a name of a table that fills itself */
	VAI__USE_HANDLE = 32, /* + handle type: a method */
	VAI__USE_METATABLE = 255
};
/* Notes it for the image of vm->profiled. */
void vai__image_note(struct vai_vm *vm, unsigned kind, unsigned index);
/* How handle.c gets a metatable or a method into an image. */
void vai__handle_use(lua_State *L, struct vai_vm *vm, unsigned type, unsigned index);

#endif
