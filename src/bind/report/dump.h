/* SPDX-License-Identifier: MIT */
/* What goroutines do, as text. Any thread; nothing of a Lua heap is changed or asked for. */
#ifndef VAI_DUMP_H
#define VAI_DUMP_H

#include "bind/report/text.h"
#include "sched/sched.h"

enum vai__dump_how {
	VAI__DUMP_STILL,  /* the world is stopped, or nothing runs at all: stacks and objects may be looked at */
	VAI__DUMP_MOVING, /* others run: only what the scheduler knows is told */
	VAI__DUMP_SHORT   /* the same, a line each */
};
/* Adds all goroutines, `first` (or NULL) before the others, then main, then by age; the text of at
 * most `max` of them and how many more there are. */
void vai__dump_all(struct vai__buffer *t, vai_g *first, enum vai__dump_how how, size_t max);
/* As with VAI__DUMP_STILL, but goroutines that stand at the same place and wait for the same are told once, with how
 * many and the longest wait; kinds of fewer come first; at most `max` kinds. wanted: which of them; NULL: all. */
void vai__dump_alike(struct vai__buffer *t, size_t max, bool (*wanted)(const vai_g *g, void *arg), void *arg);
/* Adds the traceback of a goroutine that was in a C call and has been frozen there (vai__g_freeze). If that was in
 * the middle of Lua's own work, its stack may be in any state. */
void vai__dump_frozen(struct vai__buffer *t, vai_g *g);

#endif
