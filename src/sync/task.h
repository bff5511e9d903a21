/* SPDX-License-Identifier: MIT */
/* The handle on a goroutine: its outcome, and who waits for it. Outlives it. */
#ifndef VAI_TASK_H
#define VAI_TASK_H

#include "base/obj.h"
#include "sched/sched.h"

typedef struct vai_task vai_task; /* a struct vai_obj */
extern const struct vai_class vai__task_class;

enum vai_task_state { VAI_TASK_ALIVE, VAI_TASK_DONE, VAI_TASK_FAILED };

/* g: the goroutine it stands for. orphan, or NULL: called when the last reference goes
 * while the task has failed and nobody has joined it, with its outcome. */
vai_task *vai__task_new(vai_g *g, vai_drop_fn *drop, void (*orphan)(uint64_t id, const vai_msg *outcome));
uint64_t vai__task_id(vai_task *t);
enum vai_task_state vai__task_state(vai_task *t);
/* What the goroutine does now, if it is alive: VAI_G_DEAD otherwise. */
enum vai_g_state vai__task_g_state(vai_task *t);
/* Called once, by the goroutine itself at its end: takes *outcome, wakes all that wait. */
void vai__task_finish(vai_task *t, enum vai_task_state state, vai_msg *outcome);
/* VAI_OK: it has ended. Else VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK. */
int vai__task_join(vai_g *self, vai_task *t, int64_t deadline);
/* What vai__task_finish was given; valid while the caller holds a reference; immutable. */
const vai_msg *vai__task_outcome(vai_task *t);
/* No orphan report from now on: somebody has seen the failure. */
void vai__task_joined(vai_task *t);

#endif
