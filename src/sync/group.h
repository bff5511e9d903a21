/* SPDX-License-Identifier: MIT */
/* Goroutines that are waited for and canceled together: the first that fails ends all. Any goroutine may call; the
 * caller holds a reference. Only vai__group_enter and vai__group_wait park. */
#ifndef VAI_GROUP_H
#define VAI_GROUP_H

#include "base/obj.h"
#include "sched/sched.h"
#include "sync/context.h"
#include "sync/task.h"

typedef struct vai_group vai_group;   /* a struct vai_obj */
typedef struct vai_member vai_member; /* a struct vai_obj: one goroutine's place in its group */
extern const struct vai_class vai__group_class, vai__member_class;

/* What a group asks of the layers above, where messages are made. */
struct vai__group_hooks {
	/* Makes the reason why a task is canceled. It may run under locks, and so may the drop of a reason that is not
	 * needed: so a reason holds no object. */
	void (*canceled)(vai_msg *reason);
	/* Makes the cause with which the group's context ends, because this task has failed. */
	void (*failed)(vai_task *task, vai_msg *cause);
	vai_drop_fn *drop; /* for reasons and causes */
};

/* Makes a group. Its context is a child of parent's; when that is over all tasks of the group are canceled, and so
 * are those that come later. NULL: out of memory. */
vai_group *vai__group_new(vai_g *self, vai_context *parent, const struct vai__group_hooks *hooks);
/* The group's own context; borrowed. */
vai_context *vai__group_context(vai_group *group);
/* Lets at most n goroutines run at once; INT64_MAX: no limit. */
void vai__group_limit(vai_group *group, int64_t n);

/* Gets a place for one goroutine more. If as many run as may, it waits for one to end (waits), or returns VAI_EAGAIN.
 * VAI_OK: the caller gets a reference to *member, and has to call vai__member_end for it. VAI_ECLOSED: the group has
 * ended. VAI_ENOMEM. */
int vai__group_enter(vai_g *self, vai_group *group, bool waits, vai_member **member);
/* Says which task has the place. Called once, before the task starts. */
void vai__member_begin(vai_member *member, vai_task *task);
/* The goroutine has ended, or never began. Called after its task has ended. */
void vai__member_end(vai_member *member, bool failed);

/* Waits until no goroutine is left; from then on the group has ended, and its context is over. VAI_OK, VAI_ETIMEOUT,
 * ... */
int vai__group_wait(vai_g *self, vai_group *group, int64_t deadline);
/* Ends the group's context, which cancels its tasks. */
void vai__group_cancel(vai_group *group);
/* Cancels its tasks, also those that have been canceled before. */
void vai__group_insist(vai_group *group);
/* The first task that failed, or NULL. Borrowed. */
vai_task *vai__group_failed(vai_group *group);
/* Notes that the failure has been reported. True: this is the first time. */
bool vai__group_tell(vai_group *group);
/* How many goroutines of it have not ended. */
int64_t vai__group_running(vai_group *group);

#endif
