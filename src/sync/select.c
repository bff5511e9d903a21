/* SPDX-License-Identifier: MIT */
/* Select. Any goroutine may call; the caller holds a reference on every channel and keeps
 * the cases in place during the whole call.
 *
 * - First all cases are looked at without locks. That is a guess: the one that is chosen is
 *   tried as any send or receive is. Only if none seems ready, or the chosen one was not,
 *   it waits, or, with `default`, all channels are locked together, each once, in address
 *   order: it means that none was ready at one moment.
 * - Among ready cases a uniformly random one goes, by reservoir sampling of up to 64 at a time:
 *   no shuffle, and no random number where only one is ready.
 * - To wait, a select whose channels are all different locks them one after the other: what is
 *   not ready gets a waiter at once. If a case is ready after all, partners may have fired
 *   waiters that are linked already. So the select ends its own wait as any waker does, by
 *   firing its ticket: if that wins nothing has happened, and it begins again; otherwise a
 *   case is done already.
 * - One with a channel in several cases or directions links only after it found nothing, under
 *   all locks, and never looks while linked. So no select can meet itself.
 * - All its waiters share one ticket: one fire wins, the code names the case. Messages are
 *   written to the slot of their own case, so a late loser spoils only a slot that was not
 *   chosen. Before returning every other waiter is unlinked under its channel's lock. */
#include "sync/select.h"

#include <limits.h>
#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "sched/replay.h"
#include "sync/chan_private.h"

struct sel {
	vai_g *self;
	struct vai__case *cases;
	struct vai__waiter *waiters; /* the waiters of the live cases, in lock order */
	int *order;                  /* live cases in order of channel address */
	int live, n;                 /* how many are in `order`; how many cases there are */
	struct vai__also *also;      /* or NULL */
};

/* The wake codes tell the case; each case has two. */
#define MAX_CASES ((INT_MAX - VAI_WAKE_USER) / 2 - 2)

static int case_code(int i)
{
	return VAI__SELECT_CODE(i);
}

/* ---- chance ---- */

static __thread uint64_t rng_state __attribute__((tls_model("initial-exec")));

/* splitmix64. Not inlined: the address of a thread-local must not survive a park. */
static VAI_NOINLINE uint64_t next_random(void)
{
	uint64_t z;
	if (vai__replay_random(&z))
		return z;
	z = rng_state;
	if (!z)
		z = (uint64_t)vai__clock_now() ^ (uint64_t)(uintptr_t)&rng_state;
	rng_state = z += VAI__RANDOM_STEP;
	return vai__random_mix(z);
}

/* A random number below n. */
static unsigned random_below(unsigned n)
{
	return (unsigned)(((next_random() >> 32) * n) >> 32);
}

/* ---- the locks ---- */

static vai_chan *chan_at(const struct sel *s, int k)
{
	return s->cases[s->order[k]].ch;
}

static bool after(const struct sel *s, int i, int j)
{
	return (uintptr_t)s->cases[i].ch > (uintptr_t)s->cases[j].ch;
}

/* Shell sort with Knuth's gaps: an insertion sort for the usual few. */
static void sort(struct sel *s)
{
	int gap = 1;
	while (gap < s->live / 3)
		gap = 3 * gap + 1;
	for (; gap > 0; gap /= 3) {
		for (int k = gap; k < s->live; k++) {
			int i = s->order[k], at = k;
			for (; at >= gap && after(s, s->order[at - gap], i); at -= gap)
				s->order[at] = s->order[at - gap];
			s->order[at] = i;
		}
	}
}

static bool is_live(const struct vai__case *c)
{
	return c->ch && c->dir != VAI_DIR_NONE;
}

static void collect(struct sel *s)
{
	s->live = 0;
	for (int i = 0; i < s->n; i++)
		if (is_live(&s->cases[i]))
			s->order[s->live++] = i;
	sort(s);
}

static void lock_all(const struct sel *s)
{
	for (int k = 0; k < s->live; k++)
		if (k == 0 || chan_at(s, k) != chan_at(s, k - 1))
			vai__chan_lock(chan_at(s, k));
}

static void unlock_all(const struct sel *s)
{
	for (int k = s->live - 1; k >= 0; k--)
		if (k == 0 || chan_at(s, k) != chan_at(s, k - 1))
			vai__chan_unlock(chan_at(s, k));
}

/* ---- without waiting ---- */

static bool ready(const struct vai__case *c)
{
	return c->dir == VAI_DIR_SEND ? vai__chan_can_put(c->ch) : vai__chan_can_take(c->ch);
}

enum { AT_ONCE = 64 }; /* cases that are looked at before one of the ready ones is chosen */

/* Which of the cases from `first` on, at most AT_ONCE of them, are ready: one bit each. *count: how many. */
static uint64_t ready_from(const struct sel *s, int first, unsigned *count)
{
	const int n = s->n - first < AT_ONCE ? s->n - first : AT_ONCE;
	uint64_t bits = 0;
	*count = 0;
	for (int k = 0; k < n; k++) {
		const struct vai__case *c = &s->cases[first + k];
		if (is_live(c) && ready(c)) {
			bits |= UINT64_C(1) << k;
			++*count;
		}
	}
	return bits;
}

/* The place of the bit before which there are `skip` others. */
static int bit_after(uint64_t bits, unsigned skip)
{
	for (; skip > 0; skip--)
		bits &= bits - 1;
	return __builtin_ctzll(bits);
}

/* A random one of the cases that are ready; -1: none is. The cases are looked at in the order of the list, so that the
 * same seed gives the same choice. */
static int pick_ready(const struct sel *s)
{
	int chosen = -1;
	unsigned seen = 0, count;
	for (int first = 0; first < s->n; first += AT_ONCE) {
		uint64_t bits = ready_from(s, first, &count);
		seen += count;
		unsigned at = count == 0 || seen == 1 ? 0 : random_below(seen);
		if (at < count)
			chosen = first + bit_after(bits, at);
	}
	return chosen;
}

/* Tries the case under all locks. Results as of vai__chan_put. */
static int attempt(struct vai__case *c, struct vai__wake *wake)
{
	return c->dir == VAI_DIR_SEND ? vai__chan_put(c->ch, &c->msg, wake) : vai__chan_take(c->ch, &c->msg, wake);
}

/* Sets the case's result. */
static void settle(struct vai__case *c, int result)
{
	c->result = result;
	if (result != VAI_OK && c->dir == VAI_DIR_RECV)
		c->msg = (vai_msg){{0}};
}

/* ---- waiting ---- */

/* Shuffles cases on the same channel: which of them a partner meets first is chance, too. */
static void shuffle_equals(struct sel *s)
{
	int first = 0;
	for (int k = 1; k < s->live; k++) {
		if (chan_at(s, k) != chan_at(s, k - 1)) {
			first = k;
			continue;
		}
		int at = first + (int)(next_random() % (unsigned)(k - first + 1)), i = s->order[k];
		s->order[k] = s->order[at];
		s->order[at] = i;
	}
}

/* Links the waiter of the case at k into its channel's queue. Under the channel's locks. */
static void link_one(struct sel *s, int k, vai_ticket ticket)
{
	struct vai__case *c = &s->cases[s->order[k]];
	struct vai__waiter *w = &s->waiters[k];
	w->g = s->self;
	w->msg = &c->msg;
	w->ticket = ticket;
	w->code = case_code(s->order[k]);
	w->sends = c->dir == VAI_DIR_SEND;
	w->drop = c->ch->drop;
	vai__waitq_push(c->dir == VAI_DIR_SEND ? &c->ch->sendq : &c->ch->recvq, w);
}

static vai_ticket link_all(struct sel *s)
{
	vai_ticket ticket = vai__wait_begin(s->self);
	for (int k = 0; k < s->live; k++)
		link_one(s, k, ticket);
	return ticket;
}

/* Takes back the waiters of the channel at k; returns where the next channel begins. */
static int unlink_one(struct sel *s, int k)
{
	vai_chan *ch = chan_at(s, k);
	vai__chan_lock(ch);
	for (; k < s->live && chan_at(s, k) == ch; k++)
		if (vai__waitq_linked(&s->waiters[k]) && !VAI_BUG(select_left))
			vai__waitq_unlink(&s->waiters[k]);
	vai__chan_unlock(ch);
	return k;
}

/* Takes back all waiters but that of the case `chosen` (-1: none), which is done already. */
static void unlink_all(struct sel *s, int chosen)
{
	for (int k = 0; k < s->live;)
		k = s->order[k] == chosen ? k + 1 : unlink_one(s, k);
	for (int k = 0; k < s->live; k++)
		if (s->order[k] != chosen)
			settle(&s->cases[s->order[k]], VAI_EAGAIN);
}

/* Waits, and returns the select's result. The waiters are linked under that ticket, and no lock is held. */
static int wait_linked(struct sel *s, vai_ticket ticket, int64_t deadline)
{
	bool any = s->live > 0 || s->also;
	int code, chosen;
	for (int k = s->live; k < s->n; k++)
		s->waiters[k].drop = NULL;
	s->self->waits = s->waiters;
	s->self->nwaits = s->n;
	if (VAI_UNLIKELY(s->also) && !s->also->begin(s->also, s->self, ticket))
		vai__fire(s->self, ticket, VAI_WAKE_USER);
	code = vai__wait(s->self, any ? VAI_WAIT_SELECT : VAI_WAIT_SELECT_NONE, any ? s : NULL, deadline);
	s->self->waits = NULL;
	chosen = code > VAI_WAKE_USER ? (code - VAI__SELECT_CODE(0)) / 2 : -1;
	unlink_all(s, chosen);
	if (VAI_UNLIKELY(s->also)) {
		s->also->end(s->also, code);
		if (code == VAI_WAKE_USER || (chosen >= 0 && !s->cases[chosen].ch))
			return VAI_EAGAIN;
	}
	if (chosen < 0)
		return vai__wake_result(code);
	settle(&s->cases[chosen], code == case_code(chosen) ? VAI_OK : VAI_ECLOSED);
	return chosen;
}

/* Links all waiters and waits. The caller holds all locks; they are released. */
static int block(struct sel *s, int64_t deadline)
{
	VAI_BUG_DO(select_unlocked, unlock_all(s), lock_all(s));
	shuffle_equals(s);
	vai_ticket ticket = link_all(s);
	unlock_all(s);
	return wait_linked(s, ticket, deadline);
}

/* Queues a waiter for one case after the other, each under the locks of its channel only, in the order of the list.
 * False: a case was ready, and no partner has ended the wait; the wait is over, and no waiter is left. */
static bool link_singly(struct sel *s, vai_ticket ticket)
{
	bool found = false;
	s->live = 0;
	for (int i = 0; i < s->n && !found; i++) {
		struct vai__case *c = &s->cases[i];
		if (!is_live(c))
			continue;
		vai__chan_lock(c->ch);
		found = ready(c) && !VAI_BUG(select_blind);
		if (!found) {
			s->order[s->live] = i;
			link_one(s, s->live++, ticket);
		}
		vai__chan_unlock(c->ch);
	}
	if (!found || (!vai__fire(s->self, ticket, VAI_WAKE_USER) && !VAI_BUG(select_deaf)))
		return true;
	unlink_all(s, -1);
	return false;
}

/* A sender was woken quietly under the locks. */
static int fired(void)
{
	vai__sched_fired();
	return VAI_OK;
}

/* Tries one case that seems ready, as a send or receive without waiting. VAI_EAGAIN: it was not ready. */
static int try_alone(struct sel *s, struct vai__case *c)
{
	return c->dir == VAI_DIR_SEND ? vai__chan_send(s->self, c->ch, &c->msg, 0)
								  : vai__chan_recv(s->self, c->ch, &c->msg, 0);
}

/* The select under all locks at once. */
static VAI_NOINLINE int run_locked(struct sel *s, int64_t deadline)
{
	collect(s);
	for (;;) {
		struct vai__wake wake;
		int i, r;
		lock_all(s);
		i = pick_ready(s);
		if (i < 0 && deadline > 0)
			return block(s, deadline);
		r = i < 0 ? VAI_EAGAIN : attempt(&s->cases[i], &wake);
		unlock_all(s);
		if (i < 0)
			return r;
		if (r == VAI__CHAN_FIRED)
			r = fired();
		if (r == VAI__CHAN_GROW) {
			if (vai__chan_grow(s->cases[i].ch))
				return VAI_ENOMEM;
		} else if (r != VAI__CHAN_WAKE || vai__wake_fire(&wake)) {
			settle(&s->cases[i], r == VAI__CHAN_WAKE ? VAI_OK : r);
			return i;
		}
	}
}

/* Does a random one of the cases that seem ready: its index, or VAI_ENOMEM. VAI_EAGAIN: none seems ready, or that one
 * was not. */
static int try_ready(struct sel *s)
{
	int i = pick_ready(s), r = i < 0 ? VAI_EAGAIN : try_alone(s, &s->cases[i]);
	if (r == VAI_EAGAIN || r == VAI_ENOMEM)
		return r;
	settle(&s->cases[i], r);
	return i;
}

/* Whether no channel occurs twice. False also for more than AT_ONCE cases, for which linking one by one does not
 * pay. */
static bool all_differ(const struct sel *s)
{
	uint64_t seen = 0;
	for (int i = 0; i < s->n; i++) {
		const vai_chan *ch = s->cases[i].ch;
		uint64_t bit = UINT64_C(1) << (((uintptr_t)ch >> 6) * VAI__HASH_FACTOR >> 58);
		for (int k = 0; seen & bit && ch && k < i; k++)
			if (s->cases[k].ch == ch)
				return false;
		seen |= bit;
	}
	return s->n <= AT_ONCE;
}

/* The select after try_ready has done nothing. If it could not link its waiters one by one, because a case became
 * ready, it does not try that again: two selects that meet each other might go on so for ever. */
static int select_waiting(struct sel *s, int64_t deadline)
{
	if (deadline > 0 && all_differ(s)) {
		vai_ticket ticket = vai__wait_begin(s->self);
		if (link_singly(s, ticket))
			return wait_linked(s, ticket, deadline);
		int r = try_ready(s);
		if (r != VAI_EAGAIN)
			return r;
	}
	return run_locked(s, deadline);
}

static VAI_NOINLINE int run_small(struct sel *s, int n, int64_t deadline)
{
	/* Not longer than needed, because a parked goroutine is to touch one page of its stack. */
	struct vai__waiter waiters[n > 0 ? n : 1];
	int order[n > 0 ? n : 1];
	s->waiters = waiters;
	s->order = order;
	return select_waiting(s, deadline);
}

static VAI_NOINLINE int run_large(struct sel *s, int n, int64_t deadline)
{
	int r;
	if (n > MAX_CASES || !(s->waiters = vai__waiters_new(n)))
		return VAI_ENOMEM;
	s->order = vai__waiters_order(s->waiters, n);
	r = select_waiting(s, deadline);
	vai__waiters_free(s->waiters, n);
	return r;
}

int vai__select_also(vai_g *self, struct vai__case *cases, int n, int64_t deadline, struct vai__also *also)
{
	struct sel s = {.self = self, .cases = cases, .n = n, .also = also};
	int r = try_ready(&s);
	if (r != VAI_EAGAIN)
		return r;
	return n <= VAI__WAITERS_ON_STACK ? run_small(&s, n, deadline) : run_large(&s, n, deadline);
}

int vai__select(vai_g *self, struct vai__case *cases, int n, int64_t deadline)
{
	return vai__select_also(self, cases, n, deadline, NULL);
}

uint64_t vai__select_random(uint64_t n)
{
	return next_random() % n;
}

int vai__select_waits(const void *obj, int i, const struct vai__case **c)
{
	const struct sel *s = obj;
	while (++i < s->n)
		if (s->cases[i].dir == VAI_DIR_OTHER || (s->cases[i].ch && s->cases[i].dir != VAI_DIR_NONE)) {
			*c = &s->cases[i];
			return i;
		}
	return -1;
}
