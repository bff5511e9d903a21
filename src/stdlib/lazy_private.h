/* SPDX-License-Identifier: MIT */
/* What lazy.c, lazy_fill.c and lazy_tables.c share: the tables at the bottom, then what opens libraries, then the
 * names and the metatable. */
#ifndef VAI_LAZY_PRIVATE_H
#define VAI_LAZY_PRIVATE_H

#include "stdlib/catalog.h"
#include "stdlib/lazy.h"

/* ---- names, by their bit ---- */

static inline bool vai__lazy_settled(const struct vai_vm *vm, unsigned bit)
{
	return vm->settled[bit / 64] >> (bit % 64) & 1;
}

static inline void vai__lazy_settle(struct vai_vm *vm, unsigned bit)
{
	vm->settled[bit / 64] |= (uint64_t)1 << (bit % 64);
}

static inline void vai__lazy_unsettle(struct vai_vm *vm, unsigned bit)
{
	vm->settled[bit / 64] &= ~((uint64_t)1 << (bit % 64));
}

static inline unsigned vai__lazy_loaded_bit(int lib)
{
	return (unsigned)(vai__catalog.globals.n + lib);
}

/* ---- tables (lazy_tables.c) ---- */

/* Pushes the hidden metatable, or what is there in its place, and false. */
bool vai__lazy_push_hidden(lua_State *L);
/* Pops it, for all tables of the state. */
void vai__lazy_set_hidden(lua_State *L);
/* The lazy table at idx becomes an ordinary one. */
void vai__lazy_unhide(lua_State *L, struct vai_vm *vm, int which, int idx);
/* Makes package.loaded if it has not been. */
void vai__lazy_need_loaded(lua_State *L, struct vai_vm *vm);

/* Pushes a new table that fills itself, none of the two known ones. If memory ran out after one was made, that one
 * is pushed. */
void vai__lazy_new(lua_State *L, int which);
/* Pushes _G or package.loaded if it still is the table that we know; else nothing and false. */
bool vai__lazy_push_known(lua_State *L, struct vai_vm *vm, int which);
/* known[name] = value on top, which stays. */
void vai__lazy_store(lua_State *L, struct vai_vm *vm, int which, const char *name);

/* ---- libraries (lazy_fill.c) ---- */

/* Changes library i, whose table is at idx, as the script has, if that is still to be done. */
void vai__lazy_change(lua_State *L, struct vai_vm *vm, int i, int idx);

/* Pushes the library for _G or package.loaded, which one does not have it yet. */
void vai__lazy_fill_lib(lua_State *L, struct vai_vm *vm, int i);
/* The closures of the library whose table is at idx, all at once: they share a state. */
void vai__lazy_open_closures(lua_State *L, struct vai_vm *vm, const struct vai__lib *lib, int idx);
/* Gives strings a metatable whose __index opens their library. */
void vai__lazy_prepare_strings(lua_State *L);

#endif
