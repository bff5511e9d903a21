/* SPDX-License-Identifier: MIT */
/* The common small message, encoded in one go: one table without metatable, a list of values and short strings as
 * keys, whose values are scalars, light userdata and short strings. If its keys are a known shape and its values
 * few, the message holds it without a block. */
#ifndef VAI_SMALL_TABLE_H
#define VAI_SMALL_TABLE_H

#include <lua.h>
#include "base/base.h"

struct vai__block;
struct vai_vm;

/* The table at the absolute index t. False: it is not of that kind (or memory is out), the
 * encoder has to look. One without contents is of it where `empty`. May collect, and raise for want of memory. */
bool vai__small_table_encode(lua_State *L, struct vai_vm *vm, int t, bool empty, vai_msg *out);
/* These push the table of a message M_RECORD, or of a block with BLOCK_FLAT, and return 1. They may raise for want of
 * memory. */
int vai__small_table_decode(lua_State *L, struct vai_vm *vm, const vai_msg *msg);
int vai__small_table_decode_block(lua_State *L, struct vai_vm *vm, const struct vai__block *b);

#endif
