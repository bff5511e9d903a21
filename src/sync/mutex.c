/* SPDX-License-Identifier: MIT */
/* Mutexes. Any goroutine may call; the caller holds a reference during the call.
 *
 * One word tells who holds the mutex and whether goroutines wait, so locking a mutex that no other goroutine wants, and
 * unlocking it, is one compare-and-swap each. Under `lock` the following holds:
 *
 * - WAITERS is set exactly while the queue is not empty. While it is set, only the owner of `lock` unlocks the mutex,
 * but any goroutine may take a mutex that is free. (A running goroutine wins against one that has yet to be switched
 * to, as in Go.)
 *
 * - Whenever the mutex is free and the queue is not empty, the first waiter is `woken`: its goroutine was fired, by us
 * or by something else, and will look at the mutex again. It stays in the queue until it has the mutex or gives up;
 * when it gives up it wakes the next one. So a wake-up that comes to nothing (its goroutine is canceled before it runs)
 * is passed on by that goroutine.
 *
 * - WOKEN is set exactly while the first waiter is `woken`. While it is set an unlock has no waiter to wake and needs
 * no lock. It is cleared in one step with a look whether the mutex is held: if so, the holder's unlock, which comes
 * later, finds it clear and takes the lock; if not, the goroutine that cleared it has the mutex now or wakes the next
 * one.
 *
 * - A waiter that has waited for STARVING, by the scheduler's coarse clock, gets the mutex directly from the next
 * unlock (`granted`); its goroutine need not run for that. From then on the order is first come, first served. Waiters
 * whose limit is over or whose goroutine is to end are passed over. `due` tells unlocks without the lock when that is:
 * those that see an older value take the lock for nothing, and what they miss the next one sees.
 *
 * A goroutine that is granted the mutex and is to end when it runs unlocks it again.
 *
 * A goroutine that is canceled and relocks the mutex (`canceled`) waits for the holder, but not for one that has ended:
 * either it sees LEFT before it parks, under `lock`, or vai__mutex_left, which sets LEFT and then takes `lock`, finds
 * it in the queue. */
#include "sync/mutex.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/fatal.h"
#include "sync/waitq.h"

/* The word: the holder's id << SHIFT, and these flags. */
enum { LOCKED = 1, WAITERS = 2, GUARDED = 4, LEFT = 8, WOKEN = 16, SHIFT = 5 };

enum { CODE_WOKEN = VAI_WAKE_USER, CODE_GRANTED = VAI_WAKE_USER + 1 };

#define STARVING INT64_C(1000000) /* ns after which a waiter is granted the mutex */

struct vai_mutex {
	struct vai_obj obj;
	_Atomic(uint64_t) word;
	struct vai_lock lock;
	struct vai__waitq waiters; /* under lock */
	_Atomic(int64_t) due;      /* when the first waiter starves; written under lock */
};

/* A goroutine that waits for the mutex. Under the mutex's lock. */
struct locker {
	struct vai__waiter w;
	int64_t since, deadline; /* when it began to wait; until when it does */
	bool woken, granted;     /* it was woken to look at the mutex; it has got the mutex */
	bool canceled;           /* its goroutine is canceled, and waits only to hold the mutex again */
};

static void destroy(struct vai_obj *o)
{
	vai_mutex *m = VAI_CONTAINER(o, vai_mutex, obj);
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&m->waiters));
	vai__mem_free(m, sizeof *m);
}

const struct vai_class vai__mutex_class = {"mutex", destroy};

vai_mutex *vai__mutex_new(void)
{
	vai_mutex *m = vai__obj_new(sizeof *m, &vai__mutex_class);
	if (m) {
		vai__lock_init(&m->lock, VAI_RANK_SYNC);
		vai__waitq_init(&m->waiters);
	}
	return m;
}

/* ---- the word ---- */

static inline uint64_t word_of(const vai_mutex *m)
{
	return atomic_load_relaxed(&m->word);
}

static inline bool swap(vai_mutex *m, uint64_t *old, uint64_t now)
{
	VAI_BUG_TEAR(mutex_torn);
	return atomic_cas_weak_acq_rel(&m->word, old, now);
}

static inline uint64_t held_by(uint64_t id)
{
	return id << SHIFT | LOCKED;
}

bool vai__mutex_trylock(vai_g *self, vai_mutex *m)
{
	uint64_t w = word_of(m);
	do {
		if (w & LOCKED)
			return false;
	} while (!swap(m, &w, held_by(self->id) | (w & (WAITERS | WOKEN))));
	return true;
}

/* ---- passing it on; under lock ---- */

static struct locker *first(vai_mutex *m)
{
	if (vai__waitq_empty(&m->waiters))
		return NULL;
	return VAI_CONTAINER(VAI_CONTAINER(vai__waitq_next(&m->waiters), struct vai__waiter, link), struct locker, w);
}

static void note_due(vai_mutex *m, const struct locker *l)
{
	atomic_store_relaxed(&m->due, l ? l->since + STARVING : VAI_FOREVER);
}

/* A waiter has left the queue. woken: it was the woken one. Returns the word as it was before. */
static uint64_t note_left(vai_mutex *m, bool woken)
{
	uint64_t gone = vai__waitq_empty(&m->waiters) ? WAITERS : 0;
	if (woken && !VAI_BUG(mutex_woken_stays))
		gone |= WOKEN;
	note_due(m, first(m));
	return atomic_fetch_and_explicit(&m->word, ~gone, memory_order_acq_rel);
}

/* The mutex is free: sets *wake to the waiter that the caller has to fire after it has released `lock`, so that the
 * waiter looks at the mutex. False: there is none. The caller sets WOKEN. */
static bool wake_first(vai_mutex *m, struct vai__wake *wake)
{
	struct locker *l = first(m);
	if (!l || l->woken)
		return false;
	l->woken = true;
	*wake = vai__waitq_wake(&l->w);
	return true;
}

/* Grants l the mutex, which the caller holds. True: l has it. It is in no queue then; otherwise it sees that it is
 * in none when it runs. */
static bool grant(vai_mutex *m, struct locker *l, int64_t now)
{
	vai__waitq_unlink(&l->w);
	if (l->deadline <= now || vai__g_ending(l->w.g))
		return false;
	l->granted = true;
	note_due(m, first(m));
	atomic_store_release(&m->word, held_by(l->w.g->id) | (vai__waitq_empty(&m->waiters) ? 0 : WAITERS));
	if (l->woken)
		return true;
	struct vai__wake wake = {.g = l->w.g, .ticket = l->w.ticket, .code = CODE_GRANTED};
	if (vai__wake_fire(&wake))
		return true; /* and l may be gone */
	l->granted = false;
	return false;
}

/* Unlocks a mutex that is waited for. True: the caller has to fire *wake after unlocking. */
static bool pass_on(vai_mutex *m, struct vai__wake *wake)
{
	struct locker *l = first(m);
	int64_t now = l ? vai__clock_now() : 0;
	for (; l && now - l->since >= STARVING; l = first(m))
		if (grant(m, l, now))
			return false;
	note_due(m, l);
	atomic_store_release(&m->word, l ? WAITERS | WOKEN : 0);
	return !VAI_BUG(mutex_silent) && wake_first(m, wake);
}

/* Unlocks the mutex if goroutine id (0: any) holds it. The caller holds `lock`; it is released. */
static int unlock_waited(vai_mutex *m, uint64_t id)
{
	struct vai__wake wake;
	uint64_t w = word_of(m);
	bool held = w & LOCKED && (!id || w >> SHIFT == id);
	bool fire = held && pass_on(m, &wake);
	vai__unlock(&m->lock);
	if (fire)
		vai__wake_fire(&wake);
	return held ? VAI_OK : VAI_EINVAL;
}

/* Whether the unlock of a mutex with this word has to see to its waiters. */
static inline bool has_to_wake(const vai_mutex *m, uint64_t w)
{
	if (VAI_LIKELY(!(w & WAITERS)))
		return false;
	return !(w & WOKEN) || vai__sched_coarse_now() >= atomic_load_relaxed(&m->due);
}

/* Unlocks the mutex if goroutine id holds it; id 0: whoever holds it. */
static inline int unlock_of(vai_mutex *m, uint64_t id)
{
	uint64_t w = word_of(m);
	do {
		if (!(w & LOCKED) || (id && w >> SHIFT != id))
			return VAI_EINVAL;
		if (VAI_UNLIKELY(has_to_wake(m, w))) {
			vai__lock(&m->lock);
			return unlock_waited(m, id);
		}
	} while (!swap(m, &w, w & (WAITERS | WOKEN)));
	return VAI_OK;
}

int vai__mutex_unlock(vai_mutex *m)
{
	return unlock_of(m, 0);
}

void vai__mutex_release(vai_mutex *m, uint64_t id)
{
	unlock_of(m, id);
}

/* ---- waiting ---- */

/* True: self has the mutex. False: WAITERS is set, and if self was the woken waiter WOKEN is not, so the next unlock
 * takes `lock`. */
static bool take_or_mark(vai_g *self, vai_mutex *m, bool woken)
{
	const uint64_t gone = woken && !VAI_BUG(mutex_woken_stays) ? WOKEN : 0;
	uint64_t w = word_of(m);
	for (;;) {
		if (w & LOCKED && ((w & WAITERS && !(w & gone)) || VAI_BUG(mutex_unmarked)))
			return false;
		if (swap(m, &w, (w & LOCKED ? w | WAITERS : w | held_by(self->id)) & ~gone))
			return !(w & LOCKED);
	}
}

/* l's goroutine leaves without the mutex: the mutex or wake-up that it was given is passed on. The caller holds `lock`;
 * it is released. */
static void give_up(vai_mutex *m, struct locker *l)
{
	struct vai__wake wake;
	if (l->granted && !VAI_BUG(mutex_kept)) {
		unlock_waited(m, 0);
		return;
	}
	const bool linked = vai__waitq_linked(&l->w);
	if (linked)
		vai__waitq_unlink(&l->w);
	uint64_t w = note_left(m, linked && l->woken);
	bool fire = !(w & LOCKED) && !VAI_BUG(mutex_alone) && wake_first(m, &wake);
	if (fire)
		atomic_fetch_or_explicit(&m->word, WOKEN, memory_order_relaxed);
	vai__unlock(&m->lock);
	if (fire)
		vai__wake_fire(&wake);
}

/* The result of l's wait; VAI_EAGAIN: l has to look at the mutex again. */
static int outcome(vai_g *self, const struct locker *l, int code)
{
	if (code < VAI_WAKE_USER)
		return vai__wake_result(code);
	if (vai__g_ending(self))
		return VAI_ECANCELED;
	if (l->granted)
		return VAI_OK;
	return vai__waitq_linked(&l->w) ? VAI_EAGAIN : VAI_ETIMEOUT;
}

/* Waits once. l is in the queue, or was passed over. The caller holds `lock`, which is released meanwhile; it is held
 * afterwards unless the result is VAI_OK. */
static int wait_once(vai_g *self, vai_mutex *m, struct locker *l)
{
	l->w.ticket = vai__wait_begin(self);
	l->woken = false;
	vai__unlock(&m->lock);
	int code = vai__wait(self, VAI_WAIT_MUTEX, m, l->deadline);
	if (VAI_LIKELY(code == CODE_GRANTED && !vai__g_ending(self)))
		return VAI_OK;
	vai__lock(&m->lock);
	int rc = outcome(self, l, code);
	if (rc == VAI_OK)
		vai__unlock(&m->lock);
	return rc;
}

static VAI_NOINLINE int lock_slowly(vai_g *self, vai_mutex *m, int64_t deadline, bool canceled)
{
	struct locker l = {
		.w = {.g = self, .code = CODE_WOKEN}, .since = vai__clock_now(), .deadline = deadline, .canceled = canceled};
	vai__lock(&m->lock);
	if (!take_or_mark(self, m, false)) {
		int rc;
		vai__waitq_push(&m->waiters, &l.w);
		note_due(m, first(m));
		do {
			rc = canceled && word_of(m) & LEFT ? VAI_ECANCELED : wait_once(self, m, &l);
			if (rc == VAI_OK)
				return VAI_OK;
		} while (rc == VAI_EAGAIN && !take_or_mark(self, m, true));
		if (rc != VAI_EAGAIN) {
			give_up(m, &l);
			return rc;
		}
		vai__waitq_unlink(&l.w);
		note_left(m, false);
	}
	vai__unlock(&m->lock);
	return VAI_OK;
}

int vai__mutex_lock(vai_g *self, vai_mutex *m, int64_t deadline)
{
	uint64_t w = 0;
	if (VAI_LIKELY(atomic_cas_strong_acquire(&m->word, &w, held_by(self->id))))
		return VAI_OK;
	if (vai__mutex_trylock(self, m))
		return VAI_OK;
	return deadline <= 0 ? VAI_ETIMEOUT : lock_slowly(self, m, deadline, false);
}

int vai__mutex_relock(vai_g *self, vai_mutex *m)
{
	int end = vai__g_hold_end(self), rc;
	do {
		rc = vai__mutex_trylock(self, m) ? VAI_OK : lock_slowly(self, m, VAI_FOREVER, end != 0);
		int again = rc == VAI_OK ? 0 : vai__g_hold_end(self);
		end = end ? end : again;
	} while (rc == VAI_EINTERRUPTED || (rc == VAI_ECANCELED && !(word_of(m) & LEFT)));
	vai__g_restore_end(self, end);
	return rc;
}

/* ---- what is known of the holder ---- */

void vai__mutex_set_guarded(vai_mutex *m)
{
	atomic_fetch_or_explicit(&m->word, GUARDED, memory_order_relaxed);
}

bool vai__mutex_is_guarded(vai_mutex *m)
{
	return word_of(m) & GUARDED;
}

/* Ends the waits of goroutines that are canceled and wait only to hold the mutex again: no goroutine may ever unlock
 * it. */
static void dismiss_canceled(vai_mutex *m)
{
	vai__lock(&m->lock);
	for (struct vai__waitq *q = vai__waitq_next(&m->waiters); q != &m->waiters; q = vai__waitq_next(q)) {
		struct locker *l = VAI_CONTAINER(VAI_CONTAINER(q, struct vai__waiter, link), struct locker, w);
		if (l->canceled)
			vai__fire(l->w.g, l->w.ticket, VAI_WAKE_CANCELED);
	}
	vai__unlock(&m->lock);
}

bool vai__mutex_left(vai_mutex *m, uint64_t id)
{
	uint64_t w = word_of(m);
	do {
		if (!(w & LOCKED) || w >> SHIFT != id || w & (GUARDED | LEFT))
			return false;
	} while (!swap(m, &w, w | LEFT));
	if (w & WAITERS)
		dismiss_canceled(m);
	return true;
}

void vai__mutex_info(vai_mutex *m, struct vai__mutex_info *info)
{
	vai__lock(&m->lock);
	uint64_t w = word_of(m);
	*info = (struct vai__mutex_info){.holder = w >> SHIFT, .left = w & LEFT};
	info->waiting = vai__waitq_length(&m->waiters);
	vai__unlock(&m->lock);
}
