/* SPDX-License-Identifier: MIT */
/* Channels. Any goroutine may call; the caller holds a reference during the whole call.
 *
 * There are two kinds, with one lock and with two (chan_private.h). Where there are two, a send that finds room, or a
 * receive that finds a message, while nobody waits, concerns its own side only and takes that side's lock (put_alone,
 * take_alone). Everything else takes both. Two cache lines that go to and fro between the CPUs for every message cost
 * more than the sending itself: a pipeline of records on two CPUs took 385 ns a message with one lock, 300 with two.
 *
 * Invariants, whenever the locks are free (a waiter "lives" if firing it can still win):
 *
 * - A message is owned by exactly one of: the sender's *msg, a ring slot between head and tail, the receiver's *msg.
 * It moves by plain copy. The copy counts from the moment that the fire wins (hand-over), or that tail or head has
 * moved (ring).
 *
 * - A receiver lives in recvq only while the ring is empty, and a sender lives in sendq only while the ring is full.
 * Both at once are only possible for the cases of one select.
 *
 * - Dead waiters may linger in both queues until their owners take them out. A put or take that pops one has lost
 * nothing and tries the next, so dead waiters never hide a live one and never block the ring.
 *
 * - Once the channel is closed nobody links any more. Its waiters were moved to the closer's own list, so the queues
 * are empty. The ring is drained and never filled again.
 *
 * A hand-over copies under the locks and fires after unlocking, since a fire may have to wake a thread. In between
 * the waiter is in no queue, and only its deadline or a cancel can end it. Then the fire loses: a sender still owns
 * its message, a receiver still lacks one, and the call starts over. When the ring is filled from a waiting sender,
 * the fire has to come under the locks instead, because the next receiver may take that message at once.
 *
 * The ring is allocated outside the locks and swapped in under both. */
#include "sync/chan_private.h"

#include <string.h>
#include "base/futex.h"
#include "base/mem.h"
#include "base/fatal.h"

enum { FIRST_RING = 8, BATCH = 32, CODE_OK = VAI_WAKE_USER, CODE_CLOSED = VAI_WAKE_USER + 1 };

/* ---- places in the ring ---- */

static vai_msg *slot(const vai_chan *ch, uint64_t at)
{
	return &ch->ring[at & (ch->size - 1)];
}

/* The senders' side: makes the message at tail visible. */
static void publish(vai_chan *ch, uint64_t tail)
{
	atomic_store_release(&ch->tail, tail + 1);
}

/* The receivers' side: gives the slots before head back. */
static void set_head(vai_chan *ch, uint64_t head)
{
	if (ch->simple)
		__atomic_store_n(&ch->head_seen, head, __ATOMIC_RELAXED); /* select looks at it without the lock */
	else
		atomic_store_release(&ch->head, head);
}

static uint64_t tail_of(const vai_chan *ch)
{
	return atomic_load_relaxed(&ch->tail);
}

static uint64_t head_of(const vai_chan *ch)
{
	return ch->simple ? ch->head_seen : atomic_load_relaxed(&ch->head);
}

/* ---- life ---- */

static void destroy(struct vai_obj *o)
{
	vai_chan *ch = VAI_CONTAINER(o, vai_chan, obj);
	vai__obj_tell_gone(o);
	if (ch->fini)
		ch->fini(ch);
	/* A waiter has a reference to the channel; waiters of goroutines that were abandoned at the end will not wake. */
	VAI_DEBUG_ASSERT(vai__waitq_abandoned(&ch->recvq) && vai__waitq_abandoned(&ch->sendq));
	uint64_t head = head_of(ch), count = vai__chan_count(ch);
	if (ch->drop)
		for (uint64_t i = 0; i < count; i++)
			ch->drop(slot(ch, head + i));
	vai__account_unref(ch->owner);
	vai__mem_free(ch->ring, ch->size * sizeof *ch->ring);
	vai__mem_free(ch, ch->bytes);
}

void vai__chan_set_owner(vai_chan *ch, struct vai__account *owner)
{
	ch->owner = vai__account_ref(owner);
}

struct vai__account *vai__chan_owner(const vai_chan *ch)
{
	return ch->owner;
}

const struct vai_class vai__chan_class = {"channel", destroy};

static bool is_simple(int64_t cap)
{
	return cap <= VAI__CHAN_SIMPLE;
}

vai_chan *vai__chan_alloc(size_t bytes, int64_t cap, vai_drop_fn *drop)
{
	vai_chan *ch;
	VAI_ASSERT(cap >= 0 && cap <= VAI_CHAN_MAX_CAP);
	ch = vai__mem_zalloc(bytes);
	if (!ch)
		return NULL;
	vai__obj_init(&ch->obj, &vai__chan_class);
	vai__lock_init(&ch->lock, VAI_RANK_CHAN);
	vai__waitq_init(&ch->recvq);
	vai__waitq_init(&ch->sendq);
	ch->cap = (uint64_t)cap;
	ch->simple = is_simple(cap);
	if (!ch->simple)
		vai__lock_init(&ch->recv_lock, VAI_RANK_CHAN);
	ch->drop = drop;
	ch->bytes = (uint32_t)bytes;
	return ch;
}

vai_chan *vai__chan_new(int64_t cap, vai_drop_fn *drop)
{
	return vai__chan_alloc(is_simple(cap) ? offsetof(vai_chan, recv_lock) : sizeof(vai_chan), cap, drop);
}

/* ---- the ring ---- */

static uint64_t next_size(const vai_chan *ch, uint64_t size)
{
	if (size)
		return size * 2;
	for (size = 1; size < FIRST_RING && size < ch->cap;)
		size *= 2;
	return size;
}

int vai__chan_grow(vai_chan *ch)
{
	uint64_t seen, size;
	vai_msg *ring;

	vai__lock(&ch->lock);
	seen = ch->size;
	vai__unlock(&ch->lock);
	size = next_size(ch, seen);
	if (size > SIZE_MAX / sizeof *ring || !(ring = vai__mem_alloc(size * sizeof *ring)))
		return VAI_ENOMEM;
	vai__chan_lock(ch);
	if (ch->size == seen && vai__chan_count(ch) == seen) {
		vai_msg *old = ch->ring;
		for (uint64_t at = head_of(ch); at != tail_of(ch); at++)
			ring[at & (size - 1)] = *slot(ch, at);
		ch->ring = ring;
		ch->size = size;
		ring = old;
		size = seen;
	}
	vai__chan_unlock(ch);
	vai__mem_free(ring, size * sizeof *ring);
	return VAI_OK;
}

/* Gives a free slot to the sender that has waited longest and still waits. True: vai__sched_fired has to be called. */
static bool refill(vai_chan *ch)
{
	struct vai__waiter *w;
	bool owed = false;
	while ((w = vai__waitq_pop(&ch->sendq))) {
		struct vai__wake wake = vai__waitq_wake(w);
		uint64_t tail = tail_of(ch);
		*slot(ch, tail) = *w->msg;
		if (vai__fire_quietly(wake.g, wake.ticket, wake.code, &owed)) {
			publish(ch, tail);
			break;
		}
	}
	return owed;
}

/* ---- one attempt, under both locks ---- */

int vai__chan_put(vai_chan *ch, const vai_msg *msg, struct vai__wake *wake)
{
	struct vai__waiter *w;
	uint64_t count;
	if (VAI_UNLIKELY(ch->closed))
		return VAI_ECLOSED;
	if ((w = vai__waitq_pop(&ch->recvq))) {
		*w->msg = *msg;
		*wake = vai__waitq_wake(w);
		return VAI__CHAN_WAKE;
	}
	if (ch->cap == 0 || (count = vai__chan_count(ch)) >= ch->cap)
		return VAI_EAGAIN;
	if (VAI_UNLIKELY(count == ch->size))
		return VAI__CHAN_GROW;
	*slot(ch, tail_of(ch)) = *msg;
	publish(ch, tail_of(ch));
	return VAI_OK;
}

int vai__chan_take(vai_chan *ch, vai_msg *msg, struct vai__wake *wake)
{
	struct vai__waiter *w;
	if (ch->ring && vai__chan_count(ch) > 0) {
		*msg = *slot(ch, head_of(ch));
		set_head(ch, head_of(ch) + 1);
		if (!ch->simple)
			ch->tail_seen = tail_of(ch);
		return refill(ch) ? VAI__CHAN_FIRED : VAI_OK;
	}
	if (VAI_UNLIKELY(ch->closed))
		return VAI_ECLOSED;
	if ((w = vai__waitq_pop(&ch->sendq))) {
		*msg = *w->msg;
		*wake = vai__waitq_wake(w);
		return VAI__CHAN_WAKE;
	}
	return VAI_EAGAIN;
}

/* ---- two sides that run at once ---- */

/* A side (senders or receivers) that has used up the slots it knows of looks at the other side's place in the ring, and
 * so takes that cache line from the CPU which is about to write to it. If both sides run, one close behind the other,
 * each message costs both of them such a transfer, 300 ns between CPUs. So a side that has found little in two looks in
 * a row pauses for a moment, in which the other one gets ahead (measured: 230 ns a message through a ring of 1,024
 * become 190).
 *
 * A goroutine pauses only if it has run all the time between the two looks, by the rounds of its P: then another CPU
 * has changed what it finds. When it pauses its message is in the ring, or taken, and it holds no lock: so a pause is
 * lost time at the most, and no wake-up depends on it. A pause that has brought little is not repeated for a while,
 * because the other side is slow then. */
enum {
	FEW = 16,  /* a look that finds fewer has found little */
	WORTH = 4, /* a pause was worth it if the next look finds so many */
#ifdef VAI_SIM
	PAUSE = 1,
	PAUSE_CAP = 1
#else
	PAUSE = 40,    /* times vai__cpu_relax: 1 to 2 us */
	PAUSE_CAP = 64 /* with smaller rings no side pauses, because the other one would soon have nothing to do */
#endif
};
/* vai__chase.state: the last look found much, or little; little again, so that a pause followed; CALM + n: no pause for
 * n looks. */
enum { FAR, CLOSE, PAUSED, CALM, CALM_MAX = 200 };

/* self, which may be NULL, has looked and found so many. True: it is to pause once it has released its lock. */
static bool is_chase(vai_g *self, struct vai__chase *c, uint64_t found)
{
	const uint8_t round = self ? vai__sched_round(self) : 0;
	const bool goes_on = round == c->round, paused = c->state == PAUSED && goes_on;
	c->round = round;
	if (c->state > CALM) {
		--c->state;
	} else if (paused && found < WORTH) {
		c->state = CALM_MAX;
	} else if (found == 0 || found >= FEW) {
		c->state = FAR;
	} else if (goes_on && (paused || c->state == CLOSE)) {
		c->state = PAUSED;
		return true;
	} else {
		c->state = CLOSE;
	}
	return false;
}

/* What a side does once it has released its lock. OFFER: it has sent or received a batch without a wait. Its partner
 * may be ready then, and wait for its turn on the same P; from now on the two run at once, if a P is idle. For fewer
 * messages than a batch waking a thread costs more than it brings. */
enum { STAY_BEHIND = 1, OFFER = 2 };

static VAI_NOINLINE void follow_up(vai_g *self, unsigned what)
{
	if (what & STAY_BEHIND)
		for (int i = 0; i < PAUSE; i++)
			vai__cpu_relax();
	if (what & OFFER && self)
		vai__sched_offer(self);
}

/* ---- one attempt that concerns nobody else, under the lock of one side ---- */

/* Puts the message into the ring. False: the channel is closed, a receiver waits, or no room is known of without the
 * receivers' lock. *next gets what is to follow (follow_up). */
static inline bool put_alone(vai_g *self, vai_chan *ch, const vai_msg *msg, unsigned *next)
{
	uint64_t tail = tail_of(ch), most = ch->size < ch->cap ? ch->size : ch->cap;
	if (VAI_UNLIKELY(ch->closed) && !VAI_BUG(alone_closed))
		return false;
	if (!vai__waitq_empty(&ch->recvq) && !VAI_BUG(alone_recv))
		return false;
	if (tail - ch->head_seen >= most) {
		ch->head_seen = atomic_load_acquire(&ch->head);
		if (most >= PAUSE_CAP && is_chase(self, &ch->chase, most - (tail - ch->head_seen)))
			*next |= STAY_BEHIND;
		if (tail - ch->head_seen >= most)
			return false;
	}
	*slot(ch, tail) = *msg;
	publish(ch, tail);
	if (VAI_UNLIKELY(tail % BATCH == BATCH - 1))
		*next |= OFFER;
	return true;
}

/* Takes a message from the ring. False: the ring is empty, or a sender waits for room. *next: as above. */
static inline bool take_alone(vai_g *self, vai_chan *ch, vai_msg *msg, unsigned *next)
{
	uint64_t head = atomic_load_relaxed(&ch->head);
	if (ch->senders_wait && !VAI_BUG(alone_send))
		return false;
	if (head == ch->tail_seen) {
		ch->tail_seen = atomic_load_acquire(&ch->tail);
		if (ch->size >= PAUSE_CAP && is_chase(self, &ch->recv_chase, ch->tail_seen - head))
			*next |= STAY_BEHIND;
		if (head == ch->tail_seen)
			return false;
	}
	*msg = *slot(ch, head);
	atomic_store_release(&ch->head, head + 1);
	if (VAI_UNLIKELY(head % BATCH == BATCH - 1))
		*next |= OFFER;
	return true;
}

/* ---- send and receive ---- */

/* Begins a wait in q for a counterpart. The caller holds the locks; they are released. */
static inline __attribute__((always_inline)) void link_in(
	vai_g *self, vai_chan *ch, struct vai__waitq *q, vai_msg *msg, struct vai__waiter *w)
{
	w->g = self;
	w->msg = msg;
	w->ticket = vai__wait_begin(self);
	w->code = CODE_OK;
	w->sends = q == &ch->sendq;
	w->drop = ch->drop;
	VAI_BUG_DO(link_unlocked, vai__chan_unlock(ch), vai__chan_lock(ch));
	vai__waitq_push(q, w);
	self->waits = w;
	self->nwaits = 1;
	vai__chan_unlock(ch);
}

/* Ends that wait, which has ended with `code`, and returns the result. */
static inline __attribute__((always_inline)) int settle(vai_g *self, vai_chan *ch, struct vai__waiter *w, int code)
{
	self->waits = NULL;
	if (VAI_LIKELY(code == CODE_OK))
		return VAI_OK;
	if (code == CODE_CLOSED)
		return VAI_ECLOSED;
	vai__chan_lock(ch);
	if (vai__waitq_linked(w) && !VAI_BUG(waiter_left))
		vai__waitq_unlink(w);
	vai__chan_unlock(ch);
	return vai__wake_result(code);
}

/* Waits in q for a counterpart, with both locks held, which are released. If rest is not NULL the wait is only begun:
 * VAI_SHEDS. */
static inline __attribute__((always_inline)) int wait_in(vai_g *self, vai_chan *ch, struct vai__waitq *q, vai_msg *msg,
	enum vai_wait_reason reason, int64_t deadline, struct vai__rest *rest)
{
	struct vai__waiter w;
	link_in(self, ch, q, msg, rest ? &rest->waiter : &w);
	if (!rest)
		return settle(self, ch, &w, vai__wait(self, reason, ch, deadline));
	vai__park_shed_begin(self, reason, ch, deadline, &rest->timeout);
	return VAI_SHEDS;
}

/* Ends a wait that was begun so. */
static int end_wait(vai_g *self, vai_chan *ch, struct vai__rest *rest)
{
	return settle(self, ch, &rest->waiter, vai__park_shed_end(self, &rest->timeout));
}

/* Puts the message into the ring under the senders' lock alone, if that is possible. True: it is done. False: it is
 * not, and both locks are held. */
static inline bool put_or_lock(vai_g *self, vai_chan *ch, const vai_msg *msg)
{
	unsigned next = 0;
	VAI_BUG_DO(alone_unlocked, if (!ch->simple && put_alone(self, ch, msg, &next)) return true);
	vai__lock(&ch->lock);
	if (ch->simple)
		return false;
	if (put_alone(self, ch, msg, &next)) {
		vai__unlock(&ch->lock);
		if (VAI_UNLIKELY(next))
			follow_up(self, next);
		return true;
	}
	vai__lock(&ch->recv_lock);
	return false;
}

/* rest: as in wait_in. */
static inline __attribute__((always_inline)) int send(
	vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline, struct vai__rest *rest)
{
	for (;;) {
		struct vai__wake wake;
		int r;
		if (put_or_lock(self, ch, msg))
			return VAI_OK;
		r = vai__chan_put(ch, msg, &wake);
		if (r == VAI_EAGAIN && deadline > 0)
			return wait_in(self, ch, &ch->sendq, msg, VAI_WAIT_CHAN_SEND, deadline, rest);
		vai__chan_unlock(ch);
		if (r == VAI__CHAN_WAKE) {
			if (VAI_LIKELY(vai__wake_fire(&wake)) || VAI_BUG(hand_over_lost))
				return VAI_OK;
		} else if (r == VAI__CHAN_GROW) {
			if (vai__chan_grow(ch))
				return VAI_ENOMEM;
		} else {
			return r;
		}
	}
}

int vai__chan_send(vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline)
{
	return send(self, ch, msg, deadline, NULL);
}

int vai__chan_send_begin(vai_g *self, vai_chan *ch, int64_t deadline, struct vai__rest *rest)
{
	return send(self, ch, &rest->msg, deadline, rest);
}

int vai__chan_send_end(vai_g *self, vai_chan *ch, struct vai__rest *rest)
{
	return end_wait(self, ch, rest);
}

/* Called when nothing was received: a sender that lost its race may have left its message in *msg. */
static int nothing(vai_msg *msg, int r)
{
	*msg = (vai_msg){{0}};
	return r;
}

/* Takes a message from the ring under the receivers' lock alone, if that is possible. True: it is done. False: it is
 * not, and both locks are held. */
static inline bool take_or_lock(vai_g *self, vai_chan *ch, vai_msg *msg)
{
	if (!ch->simple) {
		vai__lock(&ch->recv_lock);
		unsigned next = 0;
		bool taken = take_alone(self, ch, msg, &next);
		if (!taken && vai__trylock(&ch->lock))
			return false;
		vai__unlock(&ch->recv_lock);
		if (VAI_UNLIKELY(next) && taken)
			follow_up(self, next);
		if (taken)
			return true;
	}
	vai__chan_lock(ch);
	return false;
}

/* rest: as in wait_in. */
static inline __attribute__((always_inline)) int receive(
	vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline, struct vai__rest *rest)
{
	for (;;) {
		struct vai__wake wake;
		int r;
		if (take_or_lock(self, ch, msg))
			return VAI_OK;
		r = vai__chan_take(ch, msg, &wake);
		if (r == VAI_EAGAIN && deadline > 0) {
			r = wait_in(self, ch, &ch->recvq, msg, VAI_WAIT_CHAN_RECV, deadline, rest);
			return r < 0 ? nothing(msg, r) : r;
		}
		vai__chan_unlock(ch);
		if (r == VAI__CHAN_FIRED)
			vai__sched_fired();
		if (r == VAI_OK || r == VAI__CHAN_FIRED || (r == VAI__CHAN_WAKE && vai__wake_fire(&wake)))
			return VAI_OK;
		if (r < 0)
			return nothing(msg, r);
	}
}

int vai__chan_recv(vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline)
{
	return receive(self, ch, msg, deadline, NULL);
}

int vai__chan_recv_begin(vai_g *self, vai_chan *ch, int64_t deadline, struct vai__rest *rest)
{
	return receive(self, ch, &rest->msg, deadline, rest);
}

int vai__chan_recv_end(vai_g *self, vai_chan *ch, struct vai__rest *rest)
{
	int r = end_wait(self, ch, rest);
	return r ? nothing(&rest->msg, r) : VAI_OK;
}

int vai__chan_post(vai_chan *ch, vai_msg *msg)
{
	return vai__chan_send(NULL, ch, msg, 0);
}

void (*vai__chan_closed_hook)(vai_chan *ch);

int vai__chan_close(vai_chan *ch)
{
	struct vai__waitq all;
	vai__waitq_init(&all);
	vai__chan_lock(ch);
	if (ch->closed) {
		vai__chan_unlock(ch);
		return VAI_ECLOSED;
	}
	__atomic_store_n(&ch->closed, true, __ATOMIC_RELAXED);
	if (!VAI_BUG(close_forgets))
		vai__waitq_splice(&all, &ch->recvq);
	vai__waitq_splice(&all, &ch->sendq);
	vai__chan_unlock_recv(ch);
	vai__waitq_fire_all(&all, CODE_CLOSED - CODE_OK, &ch->lock);
	if (VAI_UNLIKELY(ch->told))
		vai__chan_closed_hook(ch);
	return VAI_OK;
}

/* ---- questions ---- */

int64_t vai__chan_len(vai_chan *ch)
{
	uint64_t n;
	vai__lock(&ch->lock);
	n = vai__chan_count(ch);
	vai__unlock(&ch->lock);
	return (int64_t)n;
}

int64_t vai__chan_cap(vai_chan *ch)
{
	return (int64_t)ch->cap;
}

bool vai__chan_is_kept(const vai_chan *ch)
{
	return ch->kept;
}

bool vai__chan_is_served(const vai_chan *ch)
{
	return ch->fini != NULL;
}

bool vai__chan_is_awaited(vai_chan *ch)
{
	bool awaited;
	vai__lock(&ch->lock);
	awaited = !vai__waitq_empty(&ch->recvq);
	vai__unlock(&ch->lock);
	return awaited;
}

bool vai__chan_is_closed(vai_chan *ch)
{
	bool closed;
	vai__lock(&ch->lock);
	closed = ch->closed;
	vai__unlock(&ch->lock);
	return closed;
}

void vai__chan_each_message(vai_chan *ch, vai_drop_fn *drop, void (*f)(void *arg, const vai_msg *msg), void *arg)
{
	uint64_t head = head_of(ch), count = vai__chan_count(ch);
	for (uint64_t i = 0; i < count && ch->drop == drop; i++)
		f(arg, slot(ch, head + i));
}

/* ---- channels that hold themselves ---- */

void vai__chan_note_itself(vai_chan *ch)
{
	if (ch->cap)
		atomic_store_relaxed(&ch->in_itself, true);
}

/* Whether all references but the caller's lie in the buffer. Then no other thread can get one, because a goroutine
 * needs a reference to receive. */
static bool is_alone(vai_chan *ch, unsigned (*count)(const vai_msg *msg, const struct vai_obj *o))
{
	unsigned refs = 1;
	vai__chan_lock(ch);
	uint64_t head = head_of(ch), n = vai__chan_count(ch);
	for (uint64_t i = 0; i < n; i++)
		refs += count(slot(ch, head + i), &ch->obj);
	bool alone = atomic_load_acquire(&ch->obj.refs) == refs;
	vai__chan_unlock(ch);
	return alone;
}

void vai__chan_leave(vai_chan *ch, unsigned (*count)(const vai_msg *msg, const struct vai_obj *o))
{
	if (VAI_LIKELY(!ch->cap || !atomic_load_relaxed(&ch->in_itself)) || !is_alone(ch, count))
		return;
	for (uint64_t head = head_of(ch), n = vai__chan_count(ch); n > 0; n--, head++) {
		vai_msg msg = *slot(ch, head);
		set_head(ch, head + 1);
		ch->drop(&msg);
	}
}
