/* SPDX-License-Identifier: MIT */
/* Goroutines that are waited for and canceled together: the first that fails ends all. */
#ifndef VAI_GROUP_H
#define VAI_GROUP_H

#include "base/obj.h"
#include "sched/sched.h"
#include "sync/context.h"
#include "sync/task.h"

typedef struct vai_group vai_group;   /* a struct vai_obj */
typedef struct vai_member vai_member; /* a struct vai_obj: one goroutine's place in its group */
extern const struct vai_class vai__group_class, vai__member_class;

/* Its own context is a child of parent's; when that is over, all its tasks are canceled, those that come later,
 * too. canceled: makes the reason. NULL when out of memory. */
vai_group *vai__group_new(vai_g *self, vai_context *parent, void (*canceled)(vai_msg *reason));
vai_context *vai__group_context(vai_group *group);
/* At most so many run at once; INT64_MAX: no limit. */
void vai__group_limit(vai_group *group, int64_t n);

/* A place for one goroutine more, which waits for others to end where there are too many and `waits`; else VAI_EAGAIN.
 * VAI_ECLOSED: the group has ended. The caller has one reference, and gives it back by: */
int vai__group_enter(vai_g *self, vai_group *group, bool waits, vai_member **member);
/* its task is this; before it starts; */
void vai__member_begin(vai_member *member, vai_task *task);
/* it has ended, or never began; after its task has. */
void vai__member_end(vai_member *member, bool failed);

/* Until none is left; from then on the group has ended. VAI_OK, VAI_ETIMEOUT, ... */
int vai__group_wait(vai_g *self, vai_group *group, int64_t deadline);
/* Ends its context, and so its tasks. */
void vai__group_cancel(vai_group *group);
/* The first that failed, or NULL; borrowed. */
vai_task *vai__group_failed(vai_group *group);
/* Somebody has been given that failure. True: for the first time. */
bool vai__group_tell(vai_group *group);
int64_t vai__group_running(vai_group *group);

#endif
