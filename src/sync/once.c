/* SPDX-License-Identifier: MIT */
/* Onces. Any goroutine may call; the caller holds a reference during the call. state goes from NEW to
 * RUNNING to DONE, under the lock; goroutines link while it is RUNNING only, so that the end finds all. */
#include "sync/once.h"

#include "base/atomic.h"
#include "base/fatal.h"
#include "base/mem.h"
#include "sync/waitq.h"

enum { NEW, RUNNING, DONE };

struct vai_once {
	struct vai_obj obj;
	struct vai_lock lock;
	_Atomic(int) state;
	uint64_t runner;           /* under lock */
	struct vai__waitq waiters; /* under lock */
	vai_msg value;             /* the runner's until DONE; then constant, as the next two */
	bool has_value, failed;
	vai_drop_fn *drop;
};

static void destroy(struct vai_obj *o)
{
	vai_once *once = VAI_CONTAINER(o, vai_once, obj);
	vai__obj_tell_gone(o);
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&once->waiters));
	if (once->has_value)
		once->drop(&once->value);
	vai__mem_free(once, sizeof *once);
}

const struct vai_class vai__once_class = {"once", destroy};

vai_once *vai__once_new(vai_drop_fn *drop)
{
	vai_once *once = vai__obj_new(sizeof *once, &vai__once_class);
	if (!once)
		return NULL;
	vai__lock_init(&once->lock, VAI_RANK_SYNC);
	vai__waitq_init(&once->waiters);
	once->drop = drop;
	return once;
}

bool vai__once_is_done(const vai_once *once)
{
	return atomic_load_acquire(&once->state) == DONE;
}

int vai__once_begin(vai_g *self, vai_once *once)
{
	int rc = VAI_OK;
	if (vai__once_is_done(once))
		return VAI_OK;
	vai__lock(&once->lock);
	int state = atomic_load_relaxed(&once->state);
	if (state == RUNNING && once->runner != self->id)
		return vai__waitq_wait(self, &once->waiters, &once->lock, VAI_WAIT_ONCE, once, VAI_FOREVER);
	if (state == RUNNING)
		rc = VAI_EINVAL;
	if (state == NEW) {
		atomic_store_relaxed(&once->state, RUNNING);
		once->runner = self->id;
		rc = 1;
	}
	vai__unlock(&once->lock);
	return rc;
}

void vai__once_set(vai_once *once, vai_msg *value, bool failed)
{
	once->value = *value;
	once->has_value = true;
	once->failed = failed;
	*value = (vai_msg){{0}};
}

void vai__once_end(vai_once *once, uint64_t id)
{
	struct vai__waitq all;
	vai__waitq_init(&all);
	vai__lock(&once->lock);
	if (once->runner == id && atomic_load_relaxed(&once->state) == RUNNING) {
		atomic_store_release(&once->state, DONE);
		vai__waitq_splice(&all, &once->waiters);
	}
	vai__waitq_fire_all(&all, 0, &once->lock);
}

const vai_msg *vai__once_value(const vai_once *once, bool *failed)
{
	*failed = once->failed;
	return once->has_value ? &once->value : NULL;
}

uint64_t vai__once_runner(vai_once *once)
{
	vai__lock(&once->lock);
	uint64_t id = atomic_load_relaxed(&once->state) == RUNNING ? once->runner : 0;
	vai__unlock(&once->lock);
	return id;
}
