/* SPDX-License-Identifier: MIT */
/* Tables in use as metatables keep their identity: each has an origin, a number for the whole process that all
 * copies of it share. A state has one copy of an origin, and the state in which it was made has the table itself.
 *
 * What is sent in place of such a table is a struct vai__class, with an image of its contents for states that have
 * no copy. Called by the state's goroutine alone; the objects are shared and do not change. */
#ifndef VAI_CLASSES_H
#define VAI_CLASSES_H

#include <lua.h>
#include "base/atomic.h"
#include "base/base.h"
#include "base/obj.h"
#include "state/state.h"

struct vai__block;

struct vai__class {
	struct vai_obj obj;
	uint64_t origin;
	const struct vai_vm *home;          /* the state in which the table was made; for comparing only, it may be gone */
	uint64_t print;                     /* a hash of the contents at home when this was made; 0 in other states */
	int ncontents;                      /* how many values the print is made from */
	uint64_t first;                     /* number of the encoding that met it first; 0 in other states */
	bool gc;                            /* it has __gc */
	_Atomic(struct vai__block *) image; /* NULL until it is first wanted, then it stays */
};

/* What the state knows of the table at idx, or NULL. Neither raises nor collects; needs 4 slots of stack. */
struct vai__class *vai__class_of(lua_State *L, int idx);
/* The same for a table that has to be known from now on: if it has no origin it gets one here. May raise. */
struct vai__class *vai__class_need(lua_State *L, struct vai_vm *vm, int idx);
/* The same with the contents as they are now, at home: another object, if they have changed. May raise. */
struct vai__class *vai__class_renew(lua_State *L, struct vai_vm *vm, int idx);
/* Whether the contents have changed, as far as a quick look tells. Neither raises nor collects. */
bool vai__class_changed(lua_State *L, const struct vai_vm *vm, const struct vai__class *c, int idx);
/* Takes the image over, unless there is one. */
void vai__class_set_image(struct vai__class *c, struct vai__block *image);
/* Pushes the state's copy of an origin, or nothing and false. */
bool vai__class_push(lua_State *L, uint64_t origin);
/* Makes the table at idx the state's copy of the origin. c: the object as which it is sent; NULL: a new one, without an
 * image. May raise. */
void vai__class_enter(lua_State *L, struct vai_vm *vm, int idx, uint64_t origin, struct vai__class *c);

#endif
