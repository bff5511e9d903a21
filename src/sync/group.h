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
	void (*canceled)(vai_msg *reason); /* makes the reason why a task is canceled; if not needed it is dropped, both
	                                    * perhaps under locks: it holds no object */
	void (*failed)(
		vai_task *task, vai_msg *cause); /* makes the cause of its context's end, once this task has failed */
	vai_drop_fn *drop;
};

/* Makes a group. Its context is a child of parent's; when that is over all tasks of the group are canceled, and so
 * are those that come later. NULL: out of memory. */
vai_group *vai__group_new(vai_g *self, vai_context *parent, const struct vai__group_hooks *hooks);
/* The group's own context; borrowed. */
vai_context *vai__group_context(vai_group *group);
/* Lets at most n goroutines run at once; INT64_MAX: no limit. */
void vai__group_limit(vai_group *group, int64_t n);

/* Gets a place for one goroutine more. Where too many run it waits for one to end, if `waits`, or else returns
 * VAI_EAGAIN. VAI_ECLOSED: the group has ended. The caller gets one reference, and ends it by vai__member_end. */
int vai__group_enter(vai_g *self, vai_group *group, bool waits, vai_member **member);
/* Says which task has the place. Called before the task starts. */
void vai__member_begin(vai_member *member, vai_task *task);
/* The goroutine has ended, or never began. Called after its task has ended. */
void vai__member_end(vai_member *member, bool failed);

/* Waits until no goroutine is left; from then on the group has ended, and its context is over. VAI_OK, VAI_ETIMEOUT,
 * ... */
int vai__group_wait(vai_g *self, vai_group *group, int64_t deadline);
/* Ends the group's context, which cancels its tasks. */
void vai__group_cancel(vai_group *group);
/* Cancels its tasks, those that have been canceled already once more. */
void vai__group_insist(vai_group *group);
/* The first task that failed, or NULL. Borrowed. */
vai_task *vai__group_failed(vai_group *group);
/* Notes that the failure has been reported. True: this is the first time. */
bool vai__group_tell(vai_group *group);
/* How many goroutines of it have not ended. */
int64_t vai__group_running(vai_group *group);

#endif
