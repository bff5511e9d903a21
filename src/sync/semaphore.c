/* SPDX-License-Identifier: MIT */
/* Semaphores. Any goroutine may call; the caller holds a reference during the call.
 *
 * The word holds how many permits are left and whether goroutines wait. While none waits, taking and giving back are
 * one compare-and-swap each; while some wait, only the owner of `lock` changes the word. Whenever the lock is free
 * there are fewer permits than the first waiter needs: each change serves waiters from the front as long as there are
 * enough. A goroutine that is served and is to end when it runs gives its permits back. */
#include "sync/semaphore.h"

#include "base/atomic.h"
#include "base/fatal.h"
#include "base/mem.h"
#include "sync/waitq.h"

enum { WAITERS = 1, SHIFT = 1 };

struct vai_semaphore {
	struct vai_obj obj;
	int64_t size;
	_Atomic(uint64_t) word; /* permits left << SHIFT | WAITERS */
	struct vai_lock lock;
	struct vai__waitq waiters; /* under lock: struct acquirer */
};

/* A goroutine that waits for k permits. */
struct acquirer {
	struct vai__waiter w;
	uint64_t k;
	int64_t deadline;
};

static void destroy(struct vai_obj *o)
{
	vai_semaphore *s = VAI_CONTAINER(o, vai_semaphore, obj);
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&s->waiters));
	vai__mem_free(s, sizeof *s);
}

const struct vai_class vai__semaphore_class = {"semaphore", destroy};

vai_semaphore *vai__semaphore_new(int64_t n)
{
	vai_semaphore *s = vai__obj_new(sizeof *s, &vai__semaphore_class);
	if (!s)
		return NULL;
	vai__lock_init(&s->lock, VAI_RANK_SYNC);
	vai__waitq_init(&s->waiters);
	s->size = n;
	atomic_store_relaxed(&s->word, (uint64_t)n << SHIFT);
	return s;
}

int64_t vai__semaphore_size(const vai_semaphore *s)
{
	return s->size;
}

bool vai__semaphore_try_acquire(vai_semaphore *s, int64_t k)
{
	uint64_t w = atomic_load_relaxed(&s->word);
	if (k == 0)
		return true;
	do {
		if (w & WAITERS || w >> SHIFT < (uint64_t)k)
			return false;
		VAI_BUG_TEAR(semaphore_torn);
	} while (!atomic_cas_weak_acq_rel(&s->word, &w, w - ((uint64_t)k << SHIFT)));
	return true;
}

/* Serves waiters from the front with the `left` permits, and sets the word. Under lock, with WAITERS set until then. */
static void serve(vai_semaphore *s, uint64_t left)
{
	while (!vai__waitq_empty(&s->waiters)) {
		struct acquirer *a =
			VAI_CONTAINER(VAI_CONTAINER(vai__waitq_next(&s->waiters), struct vai__waiter, link), struct acquirer, w);
		uint64_t k = a->k;
		if (k > left && !vai__deadline_over(a->deadline))
			break;
		vai__waitq_unlink(&a->w);
		struct vai__wake wake = vai__waitq_wake(&a->w);
		if (k <= left && !vai__deadline_over(a->deadline) && vai__wake_fire(&wake))
			left -= k;
	}
	atomic_store_release(&s->word, left << SHIFT | (vai__waitq_empty(&s->waiters) ? 0 : WAITERS));
}

/* Waits in the queue until self is served. The caller holds the lock; it is released. */
static int wait_served(vai_g *self, vai_semaphore *s, uint64_t k, int64_t deadline)
{
	struct acquirer a = {.w = {.g = self, .ticket = vai__wait_begin(self), .code = VAI_WAKE_USER}};
	a.k = k;
	a.deadline = deadline;
	vai__waitq_push(&s->waiters, &a.w);
	vai__unlock(&s->lock);
	int code = vai__wait(self, VAI_WAIT_SEMAPHORE, s, deadline);
	bool served = code == VAI_WAKE_USER;
	if (VAI_LIKELY(served && !vai__g_ending(self)))
		return VAI_OK;
	vai__lock(&s->lock);
	if (vai__waitq_linked(&a.w))
		vai__waitq_unlink(&a.w);
	uint64_t w = atomic_fetch_or_explicit(&s->word, WAITERS, memory_order_acq_rel);
	if (!VAI_BUG(semaphore_behind))
		serve(s, (w >> SHIFT) + (served && !VAI_BUG(semaphore_kept) ? k : 0));
	vai__unlock(&s->lock);
	return served ? VAI_ECANCELED : vai__wake_result(code);
}

static VAI_NOINLINE int acquire_slowly(vai_g *self, vai_semaphore *s, uint64_t k, int64_t deadline)
{
	vai__lock(&s->lock);
	const uint64_t mark = VAI_BUG(semaphore_unmarked) ? 0 : WAITERS;
	uint64_t left = atomic_fetch_or_explicit(&s->word, mark, memory_order_acq_rel) >> SHIFT;
	if (!vai__waitq_empty(&s->waiters) || left < k)
		return wait_served(self, s, k, deadline);
	atomic_store_release(&s->word, (left - k) << SHIFT);
	vai__unlock(&s->lock);
	return VAI_OK;
}

int vai__semaphore_acquire(vai_g *self, vai_semaphore *s, int64_t k, int64_t deadline)
{
	if (k > s->size)
		return VAI_ERANGE;
	if (vai__semaphore_try_acquire(s, k))
		return VAI_OK;
	return deadline <= 0 ? VAI_ETIMEOUT : acquire_slowly(self, s, (uint64_t)k, deadline);
}

/* Whether at least k permits are taken, when so many are left. */
static bool is_out(const vai_semaphore *s, uint64_t left, int64_t k)
{
	return k <= s->size - (int64_t)left;
}

static int release_slowly(vai_semaphore *s, int64_t k)
{
	vai__lock(&s->lock);
	uint64_t left = atomic_fetch_or_explicit(&s->word, WAITERS, memory_order_acq_rel) >> SHIFT;
	bool out = is_out(s, left, k);
	serve(s, out ? left + (uint64_t)k : left);
	vai__unlock(&s->lock);
	return out ? VAI_OK : VAI_ERANGE;
}

int vai__semaphore_release(vai_semaphore *s, int64_t k)
{
	uint64_t w = atomic_load_relaxed(&s->word);
	do {
		if (w & WAITERS)
			return release_slowly(s, k);
		if (!is_out(s, w >> SHIFT, k))
			return VAI_ERANGE;
	} while (!atomic_cas_weak_acq_rel(&s->word, &w, w + ((uint64_t)k << SHIFT)));
	return VAI_OK;
}

void vai__semaphore_info(vai_semaphore *s, int64_t *available, int *waiting)
{
	vai__lock(&s->lock);
	*available = (int64_t)(atomic_load_relaxed(&s->word) >> SHIFT);
	*waiting = vai__waitq_length(&s->waiters);
	vai__unlock(&s->lock);
}
