/* SPDX-License-Identifier: MIT */
/* A fingerprint of a table's fields, by which changes are noticed without a walk through the table. */
#ifndef VAI_PROBE_TABLE_H
#define VAI_PROBE_TABLE_H

#include "base/base.h"

/* The fingerprint of the table, which is what lua_topointer gives. It stays the same as long as nothing is assigned
 * to a field, entries of the list aside, and the values stay alive; it may change without an assignment. 0: the
 * layout of this Lua's tables is not known. Called on the thread that runs the table's state. */
uint64_t vai__probe_table_print(const void *table);

#endif
