/* SPDX-License-Identifier: MIT */
/* Wait groups. Any goroutine may call; the caller holds a reference during the call.
 *
 * The counter changes without the lock, except that it reaches zero under the lock only. Goroutines link under the
 * lock only, having seen a value other than zero. So the call that brings it to zero finds exactly those goroutines
 * that wait for this zero. It wakes all of them, even if another call raises the counter at once, and none that came
 * for the next round. */
#include "sync/waitgroup.h"

#include "base/mem.h"
#include "base/fatal.h"
#include "sync/waitq.h"

struct vai_waitgroup {
	struct vai_obj obj;
	struct vai_lock lock;
	_Atomic int64_t count;
	struct vai__waitq waiters; /* under lock */
};

static void destroy(struct vai_obj *o)
{
	vai_waitgroup *wg = VAI_CONTAINER(o, vai_waitgroup, obj);
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&wg->waiters));
	vai__mem_free(wg, sizeof *wg);
}

const struct vai_class vai__waitgroup_class = {"waitgroup", destroy};

vai_waitgroup *vai__waitgroup_new(void)
{
	vai_waitgroup *wg = vai__obj_new(sizeof *wg, &vai__waitgroup_class);
	if (wg) {
		vai__lock_init(&wg->lock, VAI_RANK_SYNC);
		vai__waitq_init(&wg->waiters);
	}
	return wg;
}

/* Adds n, and sets *now to the new value. Unless `zero` is set, a change to 0 is not made. */
static int change(vai_waitgroup *wg, int64_t n, bool zero, int64_t *now)
{
	int64_t old = atomic_load_relaxed(&wg->count);
	do {
		if (__builtin_add_overflow(old, n, now) || *now < 0)
			return VAI_ERANGE;
		if (*now == 0 && !zero)
			return VAI_OK;
	} while (!atomic_cas_weak_acq_rel(&wg->count, &old, *now));
	return VAI_OK;
}

int vai__waitgroup_add(vai_waitgroup *wg, int64_t n)
{
	struct vai__waitq all;
	int64_t now;
	int r;
	if (n == 0)
		return VAI_OK;
	r = change(wg, n, false, &now);
	if (r || now != 0)
		return r;
	vai__waitq_init(&all);
	vai__lock(&wg->lock);
	r = change(wg, n, true, &now);
	if (r == VAI_OK && now == 0)
		vai__waitq_splice(&all, &wg->waiters);
	vai__waitq_fire_all(&all, 0, &wg->lock);
	return r;
}

int64_t vai__waitgroup_count(vai_waitgroup *wg)
{
	return atomic_load_acquire(&wg->count);
}

/* Looks whether a wait is over already. VAI_EAGAIN: the caller is to wait, and holds the lock. */
static int try_wait(vai_waitgroup *wg, int64_t deadline)
{
	if (vai__waitgroup_count(wg) == 0)
		return VAI_OK;
	if (deadline <= 0)
		return VAI_ETIMEOUT;
	vai__lock(&wg->lock);
	if (vai__waitgroup_count(wg) == 0 && !VAI_BUG(waitgroup_blind)) {
		vai__unlock(&wg->lock);
		return VAI_OK;
	}
	return VAI_EAGAIN;
}

int vai__waitgroup_wait(vai_g *self, vai_waitgroup *wg, int64_t deadline)
{
	int r = try_wait(wg, deadline);
	return r == VAI_EAGAIN ? vai__waitq_wait(self, &wg->waiters, &wg->lock, VAI_WAIT_WAITGROUP, wg, deadline) : r;
}

int vai__waitgroup_wait_begin(vai_g *self, vai_waitgroup *wg, int64_t deadline, struct vai__rest *rest)
{
	int r = try_wait(wg, deadline);
	return r == VAI_EAGAIN
		? vai__waitq_wait_begin(self, &wg->waiters, &wg->lock, VAI_WAIT_WAITGROUP, wg, deadline, rest)
		: r;
}

int vai__waitgroup_wait_end(vai_g *self, vai_waitgroup *wg, struct vai__rest *rest)
{
	return vai__waitq_wait_end(self, &wg->lock, rest);
}
