/* SPDX-License-Identifier: MIT */
/* Conditions. Any goroutine may call; the caller holds a reference during the call.
 *
 * A goroutine is in the queue before it unlocks the mutex, so a goroutine that changes something with the mutex held,
 * and then signals, finds it. A signal is taken when a waiter is fired. A waiter that is to end when it runs passes the
 * signal on to the next. */
#include "sync/cond.h"

#include "base/fatal.h"
#include "base/mem.h"
#include "sync/waitq.h"

struct vai_cond {
	struct vai_obj obj;
	vai_mutex *mutex; /* a reference */
	struct vai_lock lock;
	struct vai__waitq waiters; /* under lock */
};

static void destroy(struct vai_obj *o)
{
	vai_cond *c = VAI_CONTAINER(o, vai_cond, obj);
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&c->waiters));
	vai__obj_unref((struct vai_obj *)c->mutex);
	vai__mem_free(c, sizeof *c);
}

const struct vai_class vai__cond_class = {"cond", destroy};

vai_cond *vai__cond_new(vai_mutex *m)
{
	vai_cond *c = vai__obj_new(sizeof *c, &vai__cond_class);
	if (!c)
		return NULL;
	vai__lock_init(&c->lock, VAI_RANK_SYNC);
	vai__waitq_init(&c->waiters);
	vai__obj_ref((struct vai_obj *)m);
	c->mutex = m;
	return c;
}

static void unlink_from(vai_cond *c, struct vai__waiter *w)
{
	vai__lock(&c->lock);
	if (vai__waitq_linked(w))
		vai__waitq_unlink(w);
	vai__unlock(&c->lock);
}

/* Unlocks the mutex and waits for a signal. VAI_EINVAL: the mutex was not locked. */
static VAI_NOINLINE int wait_signal(vai_g *self, vai_cond *c, int64_t deadline)
{
	struct vai__waiter w = {.g = self, .ticket = vai__wait_begin(self), .code = VAI_WAKE_USER};
	vai__lock(&c->lock);
	vai__waitq_push(&c->waiters, &w);
	vai__unlock(&c->lock);
	if (vai__mutex_unlock(c->mutex) != VAI_OK) {
		unlink_from(c, &w);
		return VAI_EINVAL;
	}
	int code = vai__wait(self, VAI_WAIT_COND, c, deadline);
	if (code == VAI_WAKE_USER && !vai__g_ending(self))
		return VAI_OK;
	unlink_from(c, &w);
	if (code != VAI_WAKE_USER)
		return vai__wake_result(code);
	vai__cond_signal(c);
	return VAI_ECANCELED;
}

int vai__cond_wait(vai_g *self, vai_cond *c, int64_t deadline)
{
	if (deadline <= 0)
		return VAI_ETIMEOUT;
	bool guarded = vai__mutex_is_guarded(c->mutex);
	int rc = wait_signal(self, c, deadline);
	if (rc == VAI_EINVAL)
		return rc;
	struct vai__bound *bound = self->bound;
	self->bound = NULL;
	int again = vai__mutex_relock(self, c->mutex);
	self->bound = bound;
	if (again == VAI_OK && guarded)
		vai__mutex_set_guarded(c->mutex);
	return again == VAI_OK ? rc : again;
}

void vai__cond_signal(vai_cond *c)
{
	struct vai__waiter *w;
	bool taken = false;
	vai__lock(&c->lock);
	while (!taken && (w = vai__waitq_pop(&c->waiters))) {
		struct vai__wake wake = vai__waitq_wake(w);
		taken = vai__wake_fire(&wake);
	}
	vai__unlock(&c->lock);
}

void vai__cond_broadcast(vai_cond *c)
{
	struct vai__waitq all;
	vai__waitq_init(&all);
	vai__lock(&c->lock);
	vai__waitq_splice(&all, &c->waiters);
	vai__waitq_fire_all(&all, 0, &c->lock);
}

int vai__cond_waiting(vai_cond *c)
{
	vai__lock(&c->lock);
	int n = vai__waitq_length(&c->waiters);
	vai__unlock(&c->lock);
	return n;
}
