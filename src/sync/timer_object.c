/* SPDX-License-Identifier: MIT */
/* Timers as objects. Nothing may be released in a timer's callback: that runs under the heap's lock, and release
 * functions may take other locks or stop timers. But a timer must call its function even if no reference to it is left.
 * So while it is pending it holds a reference to itself. The callback gives that up, unless it is the last one: then
 * no other code can reach the timer, and the callback puts it on the list of the dead, which calls from outside
 * (vai__timer_object_reap) release.
 *
 * The lock of an object is held while its timer is stopped and started again, so that two resets cannot both start
 * it; the callback does not take it. */
#include "sync/timer_object.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "base/mem.h"
#include "sync/context.h"

enum { RETRY = 10000000 /* ns until a timer that could not fire tries again */ };

struct vai_timer_object {
	struct vai_obj obj;
	struct vai_lock lock;
	struct vai__timer timer;
	bool (*fire)(void *arg);
	void (*release)(void *arg);
	void *arg;
	vai_timer_object *dead; /* next in the list of the dead */
};

static _Atomic(vai_timer_object *) the_dead; /* linked by dead; pushed from callbacks, taken as a whole */

static void timer_destroy(struct vai_obj *o)
{
	vai_timer_object *t = VAI_CONTAINER(o, vai_timer_object, obj);
	vai__timer_stop(&t->timer); /* its callback may not have returned yet */
	if (t->release)
		t->release(t->arg);
	vai__mem_free(t, sizeof *t);
}

const struct vai_class vai__timer_object_class = {"timer", timer_destroy};

void vai__timer_object_reap(void)
{
	vai_timer_object *t, *next;
	vai__context_reap();
	if (VAI_LIKELY(!atomic_load_relaxed(&the_dead)))
		return;
	for (t = atomic_exchange_acquire(&the_dead, NULL); t; t = next) {
		next = t->dead;
		vai__obj_unref(&t->obj);
	}
}

/* Gives up the timer's reference to itself, destroying nothing. */
static void let_go(vai_timer_object *t)
{
	unsigned refs = atomic_load_acquire(&t->obj.refs);
	while (refs > 1)
		if (atomic_cas_weak_acq_rel_acquire(&t->obj.refs, &refs, refs - 1))
			return;
	t->dead = atomic_load_relaxed(&the_dead);
	while (!atomic_cas_weak_release(&the_dead, &t->dead, t))
		;
}

static int64_t timer_fire(struct vai__timer *timer, int64_t now)
{
	vai_timer_object *t = VAI_CONTAINER(timer, vai_timer_object, timer);
	if (!t->fire(t->arg))
		return now + RETRY;
	let_go(t);
	return VAI_FOREVER;
}

static bool wakes_nobody(struct vai__timer *timer)
{
	(void)timer;
	return true;
}

/* Starts the timer, which is not pending, with a reference to itself. */
static int timer_start(vai_g *self, vai_timer_object *t, int64_t when)
{
	int r;
	vai__obj_ref(&t->obj);
	r = vai__timer_start(self, &t->timer, when);
	if (r)
		vai__obj_unref(&t->obj); /* this is not the last reference: the caller has one */
	return r;
}

vai_timer_object *vai__timer_object_new(
	vai_g *self, int64_t when, bool (*fire)(void *arg), void (*release)(void *arg), void *arg, bool idle)
{
	vai_timer_object *t = vai__mem_zalloc(sizeof *t);
	vai__timer_object_reap();
	if (!t)
		return NULL;
	vai__obj_init(&t->obj, &vai__timer_object_class);
	vai__lock_init(&t->lock, VAI_RANK_TICKER);
	t->timer.fn = timer_fire;
	t->timer.idle = idle ? wakes_nobody : NULL;
	t->fire = fire;
	t->release = release;
	t->arg = arg;
	if (timer_start(self, t, when) == VAI_OK)
		return t;
	vai__mem_free(t, sizeof *t);
	return NULL;
}

bool vai__timer_object_stop(vai_timer_object *t)
{
	bool was;
	vai__lock(&t->lock);
	was = vai__timer_stop(&t->timer);
	vai__unlock(&t->lock);
	if (was)
		vai__obj_unref(&t->obj);
	return was;
}

int vai__timer_object_reset(vai_g *self, vai_timer_object *t, int64_t when, bool *was)
{
	int r;
	vai__lock(&t->lock);
	*was = vai__timer_stop(&t->timer);
	r = timer_start(self, t, when);
	vai__unlock(&t->lock);
	if (*was)
		vai__obj_unref(&t->obj); /* the reference of the pending timer that was stopped */
	return r;
}
