/* SPDX-License-Identifier: MIT */
/* A task stands for a goroutine: its outcome, and those that wait for it. It may outlive the goroutine. Any goroutine
 * may call, unless it says otherwise; the caller holds a reference. Only vai__task_join parks. */
#ifndef VAI_TASK_H
#define VAI_TASK_H

#include "base/account.h"
#include "base/obj.h"
#include "sched/sched.h"
#include "sync/chan.h"

typedef struct vai_task vai_task; /* a struct vai_obj */
extern const struct vai_class vai__task_class;

enum vai_task_state { VAI_TASK_ALIVE, VAI_TASK_DONE, VAI_TASK_FAILED };

/* Makes a task for g, with one reference; NULL: out of memory. drop: for its outcome. orphan, or NULL, is called when
 * the last reference goes and the task has failed without anybody having joined it. */
vai_task *vai__task_new(vai_g *g, vai_drop_fn *drop, void (*orphan)(vai_task *t));
/* The task's outcome may be charged to that account (transfer/charge.h), of which it takes a reference. Called by its
 * maker before any other goroutine knows of it. */
void vai__task_set_owner(vai_task *t, struct vai__account *owner);
/* That account, borrowed, or NULL. */
struct vai__account *vai__task_owner(const vai_task *t);
/* The number of its goroutine, which no other goroutine gets. */
uint64_t vai__task_id(vai_task *t);
/* Its goroutine, which may have ended. */
vai_g *vai__task_g(vai_task *t);
/* The name that users gave it, or "". It is set before the goroutine starts, if at all, and is cut to fit. */
enum { VAI_TASK_NAME = 64 };
void vai__task_set_name(vai_task *t, const char *name);
const char *vai__task_name(const vai_task *t);
/* Writes "goroutine 7" or "goroutine 7 (its name)"; returns buf. */
const char *vai__task_title(const vai_task *t, char *buf, size_t size);
enum vai_task_state vai__task_state(vai_task *t);
/* The goroutine's state while it is alive; VAI_G_DEAD otherwise. */
enum vai_g_state vai__task_g_state(vai_task *t);
/* Called once, by the goroutine itself at its end: takes *outcome, wakes all that wait. */
void vai__task_finish(vai_task *t, enum vai_task_state state, vai_msg *outcome);
/* Asks the goroutine to end (vai__g_end). False: it has ended. The first caller's *reason is taken over and zeroed;
 * a later caller keeps its own. */
bool vai__task_cancel(vai_task *t, vai_msg *reason);
/* How often the task was canceled. Called by the goroutine itself once it has been asked to end. */
unsigned vai__task_cancels(vai_task *t);
/* Why the task was canceled, for the goroutine itself once it has been asked to end; its message may be empty. */
const vai_msg *vai__task_reason(vai_task *t);
/* In place of vai__task_finish, for a goroutine that ends because it was canceled: the task has FAILED, the reason is
 * its outcome, and `orphan` is not called for it. */
void vai__task_finish_canceled(vai_task *t);
/* Waits for its end until `deadline` (absolute; 0: not at all). VAI_OK: it has ended. Else VAI_ETIMEOUT, VAI_ECANCELED,
 * VAI_EDEADLOCK. */
int vai__task_join(vai_g *self, vai_task *t, int64_t deadline);
/* What vai__task_finish was given; valid while the caller holds a reference; immutable. */
const vai_msg *vai__task_outcome(vai_task *t);
/* A channel that is closed when the goroutine has ended, with a reference for the caller: always the
 * same one. NULL when out of memory. */
vai_chan *vai__task_done(vai_task *t);
/* A goroutine has seen the task's failure: `orphan` is not called from now on. */
void vai__task_joined(vai_task *t);

#endif
