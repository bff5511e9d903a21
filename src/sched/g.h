/* SPDX-License-Identifier: MIT */
/* Private to sched/: the records and stacks of goroutines (g.c). Included by rt.h. */
#ifndef VAI_G_H
#define VAI_G_H

#include "sched/rt.h"

/* Takes a record with a fresh id; NULL: out of memory. Owner of p. */
struct g *vai__g_alloc(struct p *p);
/* Gives a dead goroutine's record back. m has a P, as for the next. */
void vai__g_free(struct m *m, struct g *g);
/* Gives g a stack, on which it begins at its entry. False: there is no memory or address space for one. */
bool vai__g_give_stack(struct m *m, struct g *g);
/* g, which got no stack, waits until one is free. */
void vai__g_starve(struct g *g);
/* A stack is free: a goroutine that waits for one becomes runnable. Any thread. */
void vai__g_feed(void);
/* Frees the stacks in p's cache. The caller may touch p. */
void vai__g_flush_stacks(struct p *p);
/* Takes the stack of g, which has left it. */
void vai__g_take_stack(struct m *m, struct g *g);
/* For OP_SHED: takes g's stack and commits its wait. False: the wait is over, and g begins at its entry on that
 * stack. */
bool vai__g_shed_stack(struct m *m, struct g *g);
/* No M is left: releases what goroutines hold that never ended. Any thread; finalizers run in here. */
void vai__g_abandon_all(void);

#endif
