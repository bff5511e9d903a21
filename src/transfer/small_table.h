/* SPDX-License-Identifier: MIT */
/* Encodes the most common kind of message in one pass: a table without a metatable that has a list and fields, or one
 * of these. Its keys are short strings; its values are scalars, light userdata and short strings. If the keys are a
 * known shape (transfer/shape.h) and the values take few bytes, the message itself holds the table, without a block. */
#ifndef VAI_SMALL_TABLE_H
#define VAI_SMALL_TABLE_H

#include <lua.h>
#include "base/base.h"

struct vai__block;
struct vai_vm;

/* Encodes the table at the absolute index t. False: the table is of another kind, or memory is out, and the caller
 * uses the general encoder. empty: an empty table is of this kind. May collect, and raise for want of memory. */
bool vai__small_table_encode(lua_State *L, struct vai_vm *vm, int t, bool empty, vai_msg *out);
/* These push the table that a message with the tag M_RECORD, or a block with BLOCK_FLAT, holds, and return 1. They may
 * raise for want of memory. */
int vai__small_table_decode(lua_State *L, struct vai_vm *vm, const vai_msg *msg);
int vai__small_table_decode_block(lua_State *L, struct vai_vm *vm, const struct vai__block *b);

#endif
