/* SPDX-License-Identifier: MIT */
/* Templates: a Lua state as bytes, with a list of the words in it that are pointers. Made once, copied for every
 * goroutine. Any thread; nothing parks. */
#ifndef VAI_TEMPLATE_H
#define VAI_TEMPLATE_H

#include <lua.h>
#include "base/base.h"
#include "state/arena.h"
#include "state/state.h"

struct vai__template {
	uint64_t id;            /* a number that no other template gets */
	size_t used;            /* bytes of the state, in `bytes` */
	size_t size;            /* bytes of a copy's first chunk */
	size_t alloc;           /* bytes of this block */
	size_t nrelocs;         /* words of `bytes` that hold offsets in place of pointers, */
	const uint16_t *relocs; /* and the indices of these words */
	_Alignas(16) unsigned char bytes[];
};

/* The pause of a goroutine's collector (LUA_GCSETPAUSE), and that of one that holds many handles. Lua's own is 200: the
 * next cycle begins when the heap is twice what was in use. An object with a finalizer lives for one more cycle, which
 * counts as in use: so the heap of a goroutine that makes such objects and drops them would grow with every cycle
 * (findings/finalizers.sh). With a pause below 200 it stops growing, at 1 / (2 - pause / 100) of what lives; a lower
 * pause is more work for states without such objects. */
enum { VAI__PAUSE = 180, VAI__PAUSE_HANDLES = 160 };

/* Makes a template of a state that lua_newstate has made and `prepare` has filled (called in a protected call, with arg
 * as a light userdata). reserve: bytes that a goroutine will allocate until it parks. NULL: out of memory, too big, or
 * prepare raised. */
enum { VAI__TEMPLATE_RESERVE = 136 }; /* for one more call, a small table and the like; room for handles is added */
struct vai__template *vai__template_build(lua_CFunction prepare, void *arg, size_t reserve);
/* Frees a template of which no clone is being made; clones that were made do not need it. template may be NULL. */
void vai__template_free(struct vai__template *template);
/* Makes a new state from the template, in an arena of its own; NULL: out of memory. */
struct vai__arena *vai__template_clone(const struct vai__template *template);

#endif
