/* SPDX-License-Identifier: MIT */
/* What goroutines do, as text. Any thread; nothing in a Lua state is changed, and no memory of one is used. */
#ifndef VAI_DUMP_H
#define VAI_DUMP_H

#include "bind/report/text.h"
#include "sched/sched.h"

enum vai__dump_how {
	VAI__DUMP_STILL,  /* the world is stopped, or nothing runs: stacks and objects may be read */
	VAI__DUMP_MOVING, /* goroutines run: only what the scheduler knows is written */
	VAI__DUMP_SHORT   /* the same, one line for each goroutine */
};
/* Adds the goroutines: `first` (or NULL), main, then the others by age. At most `max` are written out; of the rest
 * only the number is. */
void vai__dump_all(struct vai__buffer *t, vai_g *first, enum vai__dump_how how, size_t max);
/* As vai__dump_all with VAI__DUMP_STILL, but goroutines that are at the same place and wait for the same thing are
 * written out once, as a kind, with their number and the longest wait. Kinds with few goroutines come first. At most
 * `max` kinds are written. wanted: which goroutines count; NULL: all. */
void vai__dump_alike(struct vai__buffer *t, size_t max, bool (*wanted)(const vai_g *g, void *arg), void *arg);
/* Adds the traceback of a goroutine that was frozen in a C call (vai__g_freeze). If it was frozen in the middle of
 * Lua's own work, its Lua stack may be inconsistent, and reading it may fault. */
void vai__dump_frozen(struct vai__buffer *t, vai_g *g);

#endif
