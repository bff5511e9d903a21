/* SPDX-License-Identifier: MIT */
/* Templates: a Lua state as bytes, with a list of the words in it that are pointers. Made once, copied for every
 * goroutine. Any thread. */
#ifndef VAI_TEMPLATE_H
#define VAI_TEMPLATE_H

#include <lua.h>
#include "base/base.h"
#include "state/arena.h"
#include "state/state.h"

struct vai__template {
	uint64_t id;    /* never the same again */
	size_t used;    /* bytes of the state */
	size_t size;    /* bytes of a copy's first chunk */
	size_t alloc;   /* bytes of this block */
	size_t nrelocs; /* words that hold offsets in place of pointers; which, is in `relocs` */
	const uint16_t *relocs;
	_Alignas(16) unsigned char bytes[];
};

/* The pause of a goroutine's collector, and that of one that holds many handles. Objects with finalizers are there for
 * one more cycle, which counts as in use, and by Lua's pause of 200 as much again comes before the next cycle begins:
 * the heap of one who makes such objects and drops them would grow with every cycle (findings/finalizers.sh). By less
 * than 200 it comes to rest, at 1 / (2 - pause / 100) of what lives; a lower pause is more work for who has none. */
enum { VAI__PAUSE = 180, VAI__PAUSE_HANDLES = 160 };

/* A template of what `prepare` makes of a state that lua_newstate has just made (in a protected call, its argument a
 * light userdata). reserve: bytes that a goroutine will allocate until it parks. NULL: out of memory, too big, or
 * prepare raised. */
enum { VAI__TEMPLATE_RESERVE = 136 }; /* for one more call, a small table and the like; room for handles is added */
struct vai__template *vai__template_build(lua_CFunction prepare, void *arg, size_t reserve);
/* Frees one of which no clone is being made; clones do not need it. NULL is nothing. */
void vai__template_free(struct vai__template *template);
/* A new state; NULL when out of memory. */
struct vai__arena *vai__template_clone(const struct vai__template *template);

#endif
