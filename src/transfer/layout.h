/* SPDX-License-Identifier: MIT */
/* Layouts: how the tables of one state that have a shape's keys lie in its memory. A table that is to be sent and lies
 * so is read from memory, and one that is received gets its keys by a copy: both without asking Lua for each key.
 * A state learns the layout of a shape after some records, of a few shapes only, and where this Lua's tables are known
 * (code/table_memory.h). Used by the goroutine of the state. */
#ifndef VAI_LAYOUT_H
#define VAI_LAYOUT_H

#include <lua.h>
#include "code/table_memory.h"
#include "state/state.h"
#include "transfer/shape.h"

struct vai__layout {
	const struct vai__shape *shape;
	bool ordered; /* lua_next goes through such a table in the shape's order */
	unsigned char exponent;
	unsigned char at[VAI__SHAPE_KEYS]; /* the node of each key of the shape */
	uint32_t empty;                    /* a bit for each node that none of them is in */
	struct vai__node nodes[];          /* of a table whose values are all false; their keys are kept by `kept` */
};

enum { VAI__LAYOUTS = 8 };

struct vai__layouts {
	struct vai__layout *at[VAI__LAYOUTS]; /* that of the last record first */
	int kept;                             /* in the registry: a list of their keys */
	int nkept;
	unsigned n;
};

/* The layout of the table, whose keys are those of layout->shape in their order, and none else; NULL: it is not
 * known. The table has no metatable then. */
const struct vai__layout *vai__layout_of_table(struct vai_vm *vm, const struct vai__table *t);
/* The layout in which t, which lua_createtable has just made for the shape's keys, can get them by a copy; or NULL. */
const struct vai__layout *vai__layout_for_table(
	struct vai_vm *vm, const struct vai__shape *shape, const struct vai__table *t);
/* A record has been sent or received without a layout: the table at t, which has the shape's keys. The state learns
 * from it now and then. ordered: it was sent, so that the layout has to be one that says how to read it. Raises
 * nothing; collects, so finalizers may run. */
void vai__layout_missed(lua_State *L, struct vai_vm *vm, int t, const struct vai__shape *shape, bool ordered);
/* At the end of the state. */
void vai__layout_free(struct vai_vm *vm);

#endif
