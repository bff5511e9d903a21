/* SPDX-License-Identifier: MIT */
/* Mutexes for readers and writers. Any goroutine may call; the caller holds a reference during the call.
 *
 * The word holds the writer's id or the number of readers, and whether goroutines wait. If none does, each operation is
 * one compare-and-swap. While WAITERS is set only the owner of `lock` changes the word. Under the lock:
 *
 * - No goroutine waits that could have the mutex: a reader waits while a writer holds it or waits for it, a writer
 * while any goroutine holds it. An unlock hands the mutex over: a writer's to all readers that wait, the last reader's
 * to the first writer. So neither side starves the other.
 *
 * - A goroutine that was handed the mutex and is to end when it runs unlocks it again. */
#include "sync/rwmutex.h"

#include "base/atomic.h"
#include "base/fatal.h"
#include "base/mem.h"
#include "sync/waitq.h"

/* The word: the writer's id or the number of readers << SHIFT, and these flags. */
enum { LOCKED = 1, WAITERS = 2, GUARDED = 4, LEFT = 8, SHIFT = 4 };

#define READER ((uint64_t)1 << SHIFT)

struct vai_rwmutex {
	struct vai_obj obj;
	_Atomic(uint64_t) word;
	struct vai_lock lock;
	struct vai__waitq writers, readers; /* under lock: struct seeker */
};

/* A goroutine that waits for the mutex. */
struct seeker {
	struct vai__waiter w;
	int64_t deadline;
};

static void destroy(struct vai_obj *o)
{
	vai_rwmutex *m = VAI_CONTAINER(o, vai_rwmutex, obj);
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&m->writers) && vai__waitq_abandoned(&m->readers));
	vai__mem_free(m, sizeof *m);
}

const struct vai_class vai__rwmutex_class = {"rwmutex", destroy};

vai_rwmutex *vai__rwmutex_new(void)
{
	vai_rwmutex *m = vai__obj_new(sizeof *m, &vai__rwmutex_class);
	if (!m)
		return NULL;
	vai__lock_init(&m->lock, VAI_RANK_SYNC);
	vai__waitq_init(&m->writers);
	vai__waitq_init(&m->readers);
	return m;
}

static inline uint64_t held_by(uint64_t id)
{
	return id << SHIFT | LOCKED;
}

static inline bool swap(vai_rwmutex *m, uint64_t *old, uint64_t now)
{
	return atomic_cas_weak_acq_rel(&m->word, old, now);
}

/* ---- handing over; under lock ---- */

static void set_word(vai_rwmutex *m, uint64_t word)
{
	bool waited = !vai__waitq_empty(&m->writers) || !vai__waitq_empty(&m->readers);
	atomic_store_release(&m->word, word | (waited ? WAITERS : 0));
}

/* Sets WAITERS as the queues are. */
static void note_waiters(vai_rwmutex *m)
{
	if (vai__waitq_empty(&m->writers) && vai__waitq_empty(&m->readers))
		atomic_fetch_and_explicit(&m->word, ~(uint64_t)WAITERS, memory_order_release);
}

/* Gives the mutex to the first waiter of q that still wants it, beside `others` other readers, and wakes it. The word
 * says so before it runs. False: there is none, and the caller has to set the word, of which only WAITERS is right. */
static bool serve_first(vai_rwmutex *m, struct vai__waitq *q, uint64_t others)
{
	struct vai__waiter *w;
	while ((w = vai__waitq_pop(q))) {
		struct vai__wake wake = vai__waitq_wake(w);
		uint64_t word = q == &m->writers ? held_by(w->g->id) : (others + 1) << SHIFT;
		atomic_store_release(&m->word, word | WAITERS);
		if (!vai__deadline_over(VAI_CONTAINER(w, struct seeker, w)->deadline) && vai__wake_fire(&wake))
			return true;
	}
	return false;
}

/* Gives the mutex to all readers that wait, and returns how many have it then. */
static uint64_t serve_readers(vai_rwmutex *m, uint64_t readers)
{
	while (serve_first(m, &m->readers, readers))
		readers++;
	return readers;
}

/* Hands the mutex over: no writer holds it, and `readers` readers do. */
static void hand_over(vai_rwmutex *m, uint64_t readers, bool readers_first)
{
	if (readers_first || vai__waitq_empty(&m->writers))
		readers = serve_readers(m, readers);
	if (readers == 0 && serve_first(m, &m->writers, 0)) {
		note_waiters(m);
		return;
	}
	if (readers == 0)
		readers = serve_readers(m, 0);
	set_word(m, readers << SHIFT);
}

/* Sets WAITERS and returns the word as it was. Only the owner of `lock` changes it from now on. */
static uint64_t hold_word(vai_rwmutex *m)
{
	return atomic_fetch_or_explicit(&m->word, WAITERS, memory_order_acq_rel);
}

/* Unlocks, for a writer (goroutine id, or any if 0) or a reader. Under lock. */
static int let_go(vai_rwmutex *m, bool writes, uint64_t id)
{
	uint64_t w = hold_word(m), n = w >> SHIFT;
	if (!(w & LOCKED) != !writes || n == 0 || (id && n != id)) {
		set_word(m, w & ~(uint64_t)WAITERS);
		return VAI_EINVAL;
	}
	hand_over(m, writes ? 0 : n - 1, writes);
	return VAI_OK;
}

static VAI_NOINLINE int let_go_slowly(vai_rwmutex *m, bool writes, uint64_t id)
{
	vai__lock(&m->lock);
	int rc = let_go(m, writes, id);
	vai__unlock(&m->lock);
	return rc;
}

/* ---- waiting ---- */

/* A goroutine has left the queue without the mutex: others may have waited only for that. Under lock. */
static void give_up(vai_rwmutex *m)
{
	uint64_t w = hold_word(m);
	if (w & LOCKED)
		set_word(m, w & ~(uint64_t)WAITERS);
	else
		hand_over(m, w >> SHIFT, false);
}

/* Waits until the mutex is handed to self. The caller holds the lock; it is released. */
static int wait_served(vai_g *self, vai_rwmutex *m, bool writes, int64_t deadline)
{
	struct seeker s = {.w = {.g = self, .ticket = vai__wait_begin(self), .code = VAI_WAKE_USER}, .deadline = deadline};
	vai__waitq_push(writes ? &m->writers : &m->readers, &s.w);
	vai__unlock(&m->lock);
	int code = vai__wait(self, VAI_WAIT_MUTEX, m, deadline);
	bool served = code == VAI_WAKE_USER;
	if (VAI_LIKELY(served && !vai__g_ending(self)))
		return VAI_OK;
	vai__lock(&m->lock);
	if (vai__waitq_linked(&s.w))
		vai__waitq_unlink(&s.w);
	if (served)
		let_go(m, writes, 0);
	else
		give_up(m);
	vai__unlock(&m->lock);
	return served ? VAI_ECANCELED : vai__wake_result(code);
}

static VAI_NOINLINE int lock_slowly(vai_g *self, vai_rwmutex *m, bool writes, int64_t deadline)
{
	vai__lock(&m->lock);
	uint64_t w = hold_word(m) & ~(uint64_t)WAITERS;
	bool free = writes ? w == 0 : !(w & LOCKED);
	if (!free || !vai__waitq_empty(&m->writers))
		return wait_served(self, m, writes, deadline);
	set_word(m, writes ? held_by(self->id) : w + READER);
	vai__unlock(&m->lock);
	return VAI_OK;
}

/* ---- writers ---- */

bool vai__rwmutex_trylock(vai_g *self, vai_rwmutex *m)
{
	uint64_t w = 0;
	return atomic_cas_strong_acquire(&m->word, &w, held_by(self->id));
}

int vai__rwmutex_lock(vai_g *self, vai_rwmutex *m, int64_t deadline)
{
	if (vai__rwmutex_trylock(self, m))
		return VAI_OK;
	return deadline <= 0 ? VAI_ETIMEOUT : lock_slowly(self, m, true, deadline);
}

static int unlock_of(vai_rwmutex *m, uint64_t id)
{
	uint64_t w = atomic_load_relaxed(&m->word);
	do {
		if (w & WAITERS)
			return let_go_slowly(m, true, id);
		if (!(w & LOCKED) || (id && w >> SHIFT != id))
			return VAI_EINVAL;
	} while (!swap(m, &w, 0));
	return VAI_OK;
}

int vai__rwmutex_unlock(vai_rwmutex *m)
{
	return unlock_of(m, 0);
}

void vai__rwmutex_release(vai_rwmutex *m, uint64_t id)
{
	unlock_of(m, id);
}

void vai__rwmutex_set_guarded(vai_rwmutex *m)
{
	atomic_fetch_or_explicit(&m->word, GUARDED, memory_order_relaxed);
}

bool vai__rwmutex_left(vai_rwmutex *m, uint64_t id)
{
	uint64_t w = atomic_load_relaxed(&m->word);
	do {
		if (!(w & LOCKED) || w >> SHIFT != id || w & (GUARDED | LEFT))
			return false;
	} while (!swap(m, &w, w | LEFT));
	return true;
}

/* ---- readers ---- */

bool vai__rwmutex_tryrlock(vai_g *self, vai_rwmutex *m)
{
	(void)self; /* readers are not told from one another */
	uint64_t w = atomic_load_relaxed(&m->word);
	do {
		if (w & (LOCKED | WAITERS))
			return false;
	} while (!swap(m, &w, w + READER));
	return true;
}

int vai__rwmutex_rlock(vai_g *self, vai_rwmutex *m, int64_t deadline)
{
	if (VAI_LIKELY(vai__rwmutex_tryrlock(self, m)))
		return VAI_OK;
	return deadline <= 0 ? VAI_ETIMEOUT : lock_slowly(self, m, false, deadline);
}

int vai__rwmutex_runlock(vai_rwmutex *m)
{
	uint64_t w = atomic_load_relaxed(&m->word);
	do {
		if (w & WAITERS)
			return let_go_slowly(m, false, 0);
		if (w & LOCKED || w >> SHIFT == 0)
			return VAI_EINVAL;
	} while (!swap(m, &w, w - READER));
	return VAI_OK;
}

void vai__rwmutex_info(vai_rwmutex *m, struct vai__rwmutex_info *info)
{
	vai__lock(&m->lock);
	uint64_t w = atomic_load_relaxed(&m->word), n = w >> SHIFT;
	info->writer = w & LOCKED ? n : 0;
	info->readers = w & LOCKED ? 0 : n;
	info->left = w & LEFT;
	info->writers_waiting = vai__waitq_length(&m->writers);
	info->readers_waiting = vai__waitq_length(&m->readers);
	vai__unlock(&m->lock);
}
