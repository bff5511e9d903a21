/* SPDX-License-Identifier: MIT */
/* What lazy.c, lazy_fill.c and lazy_tables.c share: names, tables, libraries. A name is settled once its value lies in
 * the table or the script has assigned it (lazy.c). */
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

/* Pushes the hidden metatable and returns true; or pushes what the registry has in its place (nil), and returns
 * false. */
bool vai__lazy_push_hidden(lua_State *L);
/* Pops a table and makes it the hidden metatable of the state. */
void vai__lazy_set_hidden(lua_State *L);
/* Makes the lazy table at idx an ordinary one. */
void vai__lazy_unhide(lua_State *L, struct vai_vm *vm, int table, int idx);
/* Makes package.loaded, unless it is there. */
void vai__lazy_need_loaded(lua_State *L, struct vai_vm *vm);

/* Pushes a new table that fills itself, none of the two known ones. If memory ran out after an earlier call had made
 * one, pushes that. */
void vai__lazy_new(lua_State *L, int table);
/* Pushes _G or package.loaded if it is still the table that vai made; otherwise nothing and false. */
bool vai__lazy_push_known(lua_State *L, struct vai_vm *vm, int table);
/* Does known[name] = the value on top, which stays there. */
void vai__lazy_store(lua_State *L, struct vai_vm *vm, int table, const char *name);

/* ---- libraries (lazy_fill.c) ---- */

/* Gives library i, whose table is at idx, the script's changes, unless it has them. */
void vai__lazy_change(lua_State *L, struct vai_vm *vm, int i, int idx);

/* Opens library i, or finds it where it is, for the one of _G and package.loaded that does not have it yet. Pushes
 * it. */
void vai__lazy_fill_lib(lua_State *L, struct vai_vm *vm, int i);
/* Makes all closures of the library whose table is at idx. They are made together, as they share upvalues. */
void vai__lazy_open_closures(lua_State *L, struct vai_vm *vm, const struct vai__lib *lib, int idx);
/* Gives strings a metatable whose __index opens their library. */
void vai__lazy_prepare_strings(lua_State *L);

#endif
