/* SPDX-License-Identifier: MIT */
/* A quick look at a table whether it has changed (probe_table.c). */
#ifndef VAI_PROBE_TABLE_H
#define VAI_PROBE_TABLE_H

#include "base/base.h"

/* A number that is the same as long as nothing is assigned to the fields of the table (as lua_topointer gives it) but
 * those of a list, and what they refer to stays alive. It may differ where nothing was assigned. 0: this Lua's tables
 * could not be made out. The thread of the table's state. */
uint64_t vai__probe_table_print(const void *table);

#endif
