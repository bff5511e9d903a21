/* SPDX-License-Identifier: MIT */
/* Groups. Any goroutine may call; the caller holds a reference during the call.
 *
 * `running` counts places: those of goroutines, and those that were given out for goroutines about to start. It
 * reaches zero under the lock, and goroutines that wait for that link under the lock. A place that becomes free goes
 * to the goroutine that has waited longest for one.
 *
 * A failure acts in one way only: it ends the group's context. The end of the context, whatever the reason, cancels
 * all tasks (`on_end`, under the lock of the context's tree, hence the rank of this lock). Members look at the
 * context when they begin, so none slips through in between. A member has references to the group and to its task;
 * the group has none to members. */
#include "sync/group.h"

#include "base/atomic.h"
#include "base/fatal.h"
#include "base/lock.h"
#include "base/mem.h"
#include "sync/waitq.h"

struct vai_member {
	struct vai_obj obj;
	vai_group *group;
	vai_task *task;          /* NULL before its start */
	vai_member *next, *prev; /* in group->members, once it has a task; under its lock */
	bool ended;
};

struct vai_group {
	struct vai_obj obj;
	vai_context *ctx;
	vai_after *after;
	const struct vai__group_hooks *hooks;
	struct vai_lock lock;
	/* under lock: */
	int64_t running, limit;
	vai_member *members;
	struct vai__waitq waiters; /* goroutines that wait for `running` to be 0 */
	struct vai__waitq seekers; /* goroutines that wait for a place */
	bool over;
	vai_task *failed; /* a reference; written once */
	bool told;
};

/* ---- canceling ---- */

/* Cancels a task. It may have ended, because it leaves its place only afterwards, or have a reason already: then this
 * reason is not taken over. */
static void cancel_task(vai_group *group, vai_task *task)
{
	vai_msg reason;
	group->hooks->canceled(&reason);
	vai__task_cancel(task, &reason);
	group->hooks->drop(&reason);
}

void vai__group_insist(vai_group *group)
{
	vai__lock(&group->lock);
	for (vai_member *m = group->members; m; m = m->next)
		cancel_task(group, m->task);
	vai__unlock(&group->lock);
}

/* Called when the context is over, perhaps under a timer's lock. */
static bool on_end(void *arg)
{
	vai__group_insist(arg);
	return true;
}

void vai__group_cancel(vai_group *group)
{
	vai__context_cancel(group->ctx, NULL);
}

/* ---- life ---- */

static void destroy(struct vai_obj *o)
{
	vai_group *group = VAI_CONTAINER(o, vai_group, obj);
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&group->waiters) && vai__waitq_abandoned(&group->seekers));
	if (group->after) {
		vai__context_after_stop(group->after);
		vai__obj_unref((struct vai_obj *)group->after);
	}
	if (group->failed)
		vai__obj_unref((struct vai_obj *)group->failed);
	vai__context_cancel(group->ctx, NULL);
	vai__obj_unref((struct vai_obj *)group->ctx);
	vai__mem_free(group, sizeof *group);
}

const struct vai_class vai__group_class = {"group", destroy};

vai_group *vai__group_new(vai_g *self, vai_context *parent, const struct vai__group_hooks *hooks)
{
	vai_group *group = vai__mem_zalloc(sizeof *group);
	if (!group)
		return NULL;
	group->ctx = vai__context_child(self, parent, VAI_FOREVER);
	if (!group->ctx) {
		vai__mem_free(group, sizeof *group);
		return NULL;
	}
	vai__obj_init(&group->obj, &vai__group_class);
	vai__lock_init(&group->lock, VAI_RANK_GROUP);
	vai__waitq_init(&group->waiters);
	vai__waitq_init(&group->seekers);
	group->hooks = hooks;
	group->limit = INT64_MAX;
	group->after = vai__context_after(group->ctx, on_end, NULL, group);
	if (group->after)
		return group;
	vai__obj_unref(&group->obj);
	return NULL;
}

vai_context *vai__group_context(vai_group *group)
{
	return group->ctx;
}

/* ---- places ---- */

/* Gives free places away. Under lock. */
static void serve(vai_group *group)
{
	struct vai__waiter *w;
	while (group->running < group->limit && (w = vai__waitq_pop(&group->seekers))) {
		struct vai__wake wake = vai__waitq_wake(w);
		if (vai__wake_fire(&wake))
			group->running++;
	}
}

/* One place is free: gives it away or, if it was the last one, wakes those that wait for the group. The caller holds
 * the lock; it is released. */
static void free_place(vai_group *group)
{
	struct vai__waitq all;
	vai__waitq_init(&all);
	group->running--;
	serve(group);
	if (group->running == 0) {
		group->over |= !vai__waitq_empty(&group->waiters);
		vai__waitq_splice(&all, &group->waiters);
	}
	vai__waitq_fire_all(&all, 0, &group->lock);
}

void vai__group_limit(vai_group *group, int64_t n)
{
	vai__lock(&group->lock);
	group->limit = n;
	serve(group);
	vai__unlock(&group->lock);
}

/* Waits until a place is given to self. The caller holds the lock; it is released. */
static VAI_NOINLINE int wait_place(vai_g *self, vai_group *group)
{
	struct vai__waiter w = {.g = self, .ticket = vai__wait_begin(self), .code = VAI_WAKE_USER};
	vai__waitq_push(&group->seekers, &w);
	vai__unlock(&group->lock);
	int code = vai__wait(self, VAI_WAIT_GROUP_GO, group, VAI_FOREVER);
	if (code == VAI_WAKE_USER && !vai__g_ending(self))
		return VAI_OK;
	vai__lock(&group->lock);
	if (vai__waitq_linked(&w))
		vai__waitq_unlink(&w);
	if (code != VAI_WAKE_USER) {
		vai__unlock(&group->lock);
		return vai__wake_result(code);
	}
	free_place(group);
	return VAI_ECANCELED;
}

static int take_place(vai_g *self, vai_group *group, bool waits)
{
	int rc = VAI_OK;
	vai__lock(&group->lock);
	if (group->over)
		rc = VAI_ECLOSED;
	else if (group->running < group->limit && vai__waitq_empty(&group->seekers))
		group->running++;
	else if (waits)
		return wait_place(self, group);
	else
		rc = VAI_EAGAIN;
	vai__unlock(&group->lock);
	return rc;
}

/* ---- members ---- */

/* Takes m out of the group's members, if it has a task. Under lock. */
static void unlink_member(vai_member *m)
{
	vai_group *group = m->group;
	if (!m->task)
		return;
	if (m->prev)
		m->prev->next = m->next;
	else
		group->members = m->next;
	if (m->next)
		m->next->prev = m->prev;
}

/* Destroys a member that has not ended: its goroutine was abandoned with the runtime. */
static void member_destroy(struct vai_obj *o)
{
	vai_member *m = VAI_CONTAINER(o, vai_member, obj);
	if (!m->ended) {
		vai__lock(&m->group->lock);
		unlink_member(m);
		vai__unlock(&m->group->lock);
	}
	if (m->task)
		vai__obj_unref((struct vai_obj *)m->task);
	vai__obj_unref(&m->group->obj);
	vai__mem_free(m, sizeof *m);
}

const struct vai_class vai__member_class = {"member", member_destroy};

int vai__group_enter(vai_g *self, vai_group *group, bool waits, vai_member **member)
{
	vai_member *m = vai__mem_zalloc(sizeof *m);
	if (!m)
		return VAI_ENOMEM;
	int rc = take_place(self, group, waits);
	if (rc != VAI_OK) {
		vai__mem_free(m, sizeof *m);
		return rc;
	}
	vai__obj_init(&m->obj, &vai__member_class);
	vai__obj_ref(&group->obj);
	m->group = group;
	*member = m;
	return VAI_OK;
}

void vai__member_begin(vai_member *m, vai_task *task)
{
	vai_group *group = m->group;
	vai__obj_ref((struct vai_obj *)task);
	vai__lock(&group->lock);
	m->task = task;
	m->next = group->members;
	if (m->next)
		m->next->prev = m;
	group->members = m;
	vai__unlock(&group->lock);
	if (vai__context_err(group->ctx) != VAI_OK)
		cancel_task(group, task);
}

/* Ends the group's context, because this task has failed. */
static void end_with(vai_group *group, vai_task *task)
{
	vai_msg cause = {{0, 0, 0, 0}};
	group->hooks->failed(task, &cause);
	vai__context_cancel(group->ctx, &cause);
	group->hooks->drop(&cause);
}

void vai__member_end(vai_member *m, bool failed)
{
	vai_group *group = m->group;
	bool first = false;
	vai__lock(&group->lock);
	unlink_member(m);
	m->ended = true;
	if (failed && !group->failed) {
		first = true;
		group->failed = m->task;
		vai__obj_ref((struct vai_obj *)m->task);
	}
	vai__unlock(&group->lock);
	if (failed && !first)
		vai__task_joined(m->task); /* the first error is reported by the group, not as one that nobody joined */
	if (first)
		end_with(group, m->task);
	vai__lock(&group->lock);
	free_place(group);
	vai__obj_unref(&m->obj);
}

/* ---- the end ---- */

static int wait_for_all(vai_g *self, vai_group *group, int64_t deadline)
{
	vai__lock(&group->lock);
	if (group->running > 0) {
		if (deadline > 0)
			return vai__waitq_wait(self, &group->waiters, &group->lock, VAI_WAIT_GROUP, group, deadline);
		vai__unlock(&group->lock);
		return VAI_ETIMEOUT;
	}
	group->over = true;
	vai__unlock(&group->lock);
	return VAI_OK;
}

/* Contexts that were derived from the group's, and goroutines that wait for its end, end with the group. */
int vai__group_wait(vai_g *self, vai_group *group, int64_t deadline)
{
	int rc = wait_for_all(self, group, deadline);
	if (rc == VAI_OK)
		vai__group_cancel(group);
	return rc;
}

vai_task *vai__group_failed(vai_group *group)
{
	vai__lock(&group->lock);
	vai_task *task = group->failed;
	vai__unlock(&group->lock);
	return task;
}

bool vai__group_tell(vai_group *group)
{
	vai__lock(&group->lock);
	bool first = group->failed && !group->told;
	group->told = true;
	vai_task *task = group->failed;
	vai__unlock(&group->lock);
	if (task)
		vai__task_joined(task);
	return first;
}

int64_t vai__group_running(vai_group *group)
{
	vai__lock(&group->lock);
	int64_t n = group->running;
	vai__unlock(&group->lock);
	return n;
}
