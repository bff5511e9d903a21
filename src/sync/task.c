/* SPDX-License-Identifier: MIT */
/* Tasks. Any goroutine may call; the caller holds a reference during the call.
 *
 * state goes once from ALIVE to DONE or FAILED, under the lock; the outcome is written
 * before and never after. Goroutines link under the lock only while it is ALIVE, so
 * vai__task_finish finds all of them. g is this task's goroutine as long as it is ALIVE
 * and may be another one afterwards. */
#include "sync/task.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/fatal.h"
#include "sync/chan_private.h"
#include "sync/timer_object.h"
#include "sync/waitq.h"

struct vai_task {
	struct vai_obj obj;
	struct vai_lock lock;
	_Atomic(int) state; /* enum vai_task_state */
	atomic_bool joined;
	vai_g *g;
	uint64_t id;
	struct vai__waitq waiters; /* under lock */
	vai_msg outcome;           /* written once, before state changes */
	vai_msg reason;  /* why it was canceled; under lock, but its own goroutine reads it without once it is set */
	bool has_reason; /* under lock */
	_Atomic(unsigned) cancels; /* written under lock, after the reason */
	vai_drop_fn *drop;
	void (*orphan)(vai_task *t);
	_Atomic(vai_chan *) done;   /* set once, under lock; one reference */
	struct vai__account *owner; /* vai__task_set_owner: one reference, or NULL; constant */
	char *name;                 /* VAI_TASK_NAME bytes, or NULL */
};

static void destroy(struct vai_obj *o)
{
	vai_task *t = VAI_CONTAINER(o, vai_task, obj);
	vai__obj_tell_gone(o);
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&t->waiters));
	if (t->orphan && vai__task_state(t) == VAI_TASK_FAILED && !atomic_load(&t->joined))
		t->orphan(t);
	if (t->drop)
		t->drop(&t->outcome);
	if (t->drop && t->has_reason)
		t->drop(&t->reason);
	vai_chan *done = atomic_load_relaxed(&t->done);
	if (done)
		vai__obj_unref((struct vai_obj *)done);
	vai__account_unref(t->owner);
	if (t->name)
		vai__mem_free(t->name, VAI_TASK_NAME);
	vai__mem_free(t, sizeof *t);
}

const struct vai_class vai__task_class = {"task", destroy};

void vai__task_set_owner(vai_task *t, struct vai__account *owner)
{
	t->owner = vai__account_ref(owner);
}

struct vai__account *vai__task_owner(const vai_task *t)
{
	return t->owner;
}

vai_task *vai__task_new(vai_g *g, vai_drop_fn *drop, void (*orphan)(vai_task *t))
{
	vai_task *t = vai__mem_zalloc(sizeof *t);
	vai__timer_object_reap();
	if (!t)
		return NULL;
	vai__obj_init(&t->obj, &vai__task_class);
	vai__lock_init(&t->lock, VAI_RANK_SYNC);
	vai__waitq_init(&t->waiters);
	t->g = g;
	t->id = g->id;
	t->drop = drop;
	t->orphan = orphan;
	return t;
}

vai_g *vai__task_g(vai_task *t)
{
	return t->g;
}

uint64_t vai__task_id(vai_task *t)
{
	return t->id;
}

const char *vai__task_title(const vai_task *t, char *buf, size_t size)
{
	const char *name = vai__task_name(t);
	snprintf(buf, size, "goroutine %llu%s%s%s", (unsigned long long)t->id, *name ? " (" : "", name, *name ? ")" : "");
	return buf;
}

/* Sets the name. Without memory the task has none. */
void vai__task_set_name(vai_task *t, const char *name)
{
	size_t len = strlen(name);
	if (len == 0 || !(t->name = vai__mem_zalloc(VAI_TASK_NAME)))
		return;
	memcpy(t->name, name, len < VAI_TASK_NAME ? len : VAI_TASK_NAME - 1);
}

const char *vai__task_name(const vai_task *t)
{
	return t->name ? t->name : "";
}

enum vai_task_state vai__task_state(vai_task *t)
{
	return (enum vai_task_state)atomic_load_acquire(&t->state);
}

enum vai_g_state vai__task_g_state(vai_task *t)
{
	enum vai_g_state s = vai__g_state(t->g);
	return vai__task_state(t) == VAI_TASK_ALIVE ? s : VAI_G_DEAD;
}

void vai__task_finish(vai_task *t, enum vai_task_state state, vai_msg *outcome)
{
	struct vai__waitq all;
	vai__timer_object_reap();
	vai__waitq_init(&all);
	VAI_ASSERT(state != VAI_TASK_ALIVE && vai__task_state(t) == VAI_TASK_ALIVE);
	t->outcome = *outcome;
	*outcome = (vai_msg){{0}};
	vai__lock(&t->lock);
	atomic_store_release(&t->state, (int)state);
	vai_chan *done = atomic_load_relaxed(&t->done);
	vai__waitq_splice(&all, &t->waiters);
	vai__waitq_fire_all(&all, 0, &t->lock);
	if (VAI_UNLIKELY(done != NULL))
		vai__chan_close(done);
}

static void drop_nothing(vai_msg *msg)
{
	(void)msg;
}

/* Sets the channel of done(). If the task has ended already vai__task_finish has not seen the channel, so it is
 * closed here. */
static vai_chan *enter_done(vai_task *t, vai_chan *fresh)
{
	vai__lock(&t->lock);
	vai_chan *known = atomic_load_relaxed(&t->done);
	if (!known)
		atomic_store_release(&t->done, fresh);
	bool over = vai__task_state(t) != VAI_TASK_ALIVE;
	vai__unlock(&t->lock);
	if (known)
		vai__obj_unref((struct vai_obj *)fresh);
	else if (over)
		vai__chan_close(fresh);
	return known ? known : fresh;
}

vai_chan *vai__task_done(vai_task *t)
{
	vai_chan *ch = atomic_load_acquire(&t->done);
	if (!ch && (ch = vai__chan_new(0, drop_nothing)) != NULL) {
		ch->kept = true;
		ch = enter_done(t, ch);
	}
	if (ch)
		vai__obj_ref((struct vai_obj *)ch);
	return ch;
}

bool vai__task_cancel(vai_task *t, vai_msg *reason)
{
	vai__lock(&t->lock);
	bool alive = vai__task_state(t) == VAI_TASK_ALIVE;
	if (alive) {
		unsigned n = atomic_load_relaxed(&t->cancels);
		if (n == 0) {
			t->reason = *reason;
			t->has_reason = true;
			*reason = (vai_msg){{0}};
		}
		atomic_store(&t->cancels, n + 1);
		vai__g_end(t->g, VAI_END_CANCELED);
	}
	vai__unlock(&t->lock);
	return alive;
}

unsigned vai__task_cancels(vai_task *t)
{
	return atomic_load(&t->cancels);
}

const vai_msg *vai__task_reason(vai_task *t)
{
	return &t->reason;
}

void vai__task_finish_canceled(vai_task *t)
{
	vai_msg reason;
	vai__task_joined(t);
	vai__lock(&t->lock);
	reason = t->reason;
	t->has_reason = false;
	vai__unlock(&t->lock);
	vai__task_finish(t, VAI_TASK_FAILED, &reason);
}

int vai__task_join(vai_g *self, vai_task *t, int64_t deadline)
{
	if (vai__task_state(t) != VAI_TASK_ALIVE)
		return VAI_OK;
	if (deadline <= 0)
		return VAI_ETIMEOUT;
	vai__lock(&t->lock);
	if (vai__task_state(t) != VAI_TASK_ALIVE) {
		vai__unlock(&t->lock);
		return VAI_OK;
	}
	return vai__waitq_wait(self, &t->waiters, &t->lock, VAI_WAIT_JOIN, t, deadline);
}

const vai_msg *vai__task_outcome(vai_task *t)
{
	return &t->outcome;
}

void vai__task_joined(vai_task *t)
{
	atomic_store_relaxed(&t->joined, true);
}
