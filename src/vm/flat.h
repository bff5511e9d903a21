/* SPDX-License-Identifier: MIT */
/* The common small message made short work of: one table without metatable, short strings
 * as keys, scalars and short strings as values. The stream is that of block.h; only the
 * bookkeeping for what such a table cannot hold (cycles, modules, errors) is left out. */
#ifndef VAI_FLAT_H
#define VAI_FLAT_H

#include <lua.h>
#include "vm/vm.h"

struct vai__block;

/* The block of the table at the absolute index t; NULL: it is not of that kind (or memory is
 * out), the encoder has to look. Raises nothing. */
struct vai__block *vai__flat_encode(lua_State *L, const struct vai_vm *vm, int t);
/* Pushes the table of a block with BLOCK_FLAT; returns 1. May raise for want of memory. */
int vai__flat_decode(lua_State *L, const struct vai__block *b);

#endif
