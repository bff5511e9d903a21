/* SPDX-License-Identifier: MIT */
/* Channels. Any goroutine may call; the caller holds a reference during the whole call.
 *
 * Invariants, whenever the lock is free (a waiter "lives" if firing it can still win):
 * - A message is owned by exactly one of: the sender's *msg, a ring slot between head and
 *   head + count, the receiver's *msg. It moves by plain copy; the copy counts from the
 *   moment that the fire wins (hand-over) or the lock is released (ring).
 * - A receiver lives in recvq only while the ring is empty; a sender lives in sendq only
 *   while the ring is full. Both at once only for the cases of one select. A message taken
 *   back (unrecv) may overfill the ring: then it is full until it has drained below cap.
 * - Dead waiters may linger in both queues until their owners take them out. A put or take
 *   that pops one has lost nothing and tries the next, so they never hide a live one and
 *   never block the ring.
 * - Closed: nobody links any more. Those who waited are moved to the closer's own list, so
 *   the queues are empty; the ring is drained and never filled.
 *
 * A hand-over copies under the lock and fires after unlocking, since a fire may have to
 * wake a thread. In between the waiter is in no queue and can only be ended by its
 * deadline or a cancel: then the fire loses and the sender (receiver) still owns (lacks)
 * the message and starts over. Filling the ring from a waiting sender must fire under the
 * lock instead: the next receiver may take that message at once.
 *
 * The ring is allocated outside the lock and swapped in under it. */
#include "sync/chanint.h"

#include <string.h>
#include "base/mem.h"
#include "base/panic.h"

enum { FIRST_RING = 8, CODE_OK = VAI_WAKE_USER, CODE_CLOSED = VAI_WAKE_USER + 1 };

/* ---- life ---- */

static void destroy(struct vai_obj *o)
{
	vai_chan *ch = VAI_CONTAINER(o, vai_chan, obj);
	if (ch->fini)
		ch->fini(ch);
	/* A waiter has a reference; those of goroutines abandoned at the end will not wake. */
	VAI_DEBUG_ASSERT(!vai__sched_running() || (vai__waitq_empty(&ch->recvq) && vai__waitq_empty(&ch->sendq)));
	if (ch->drop)
		for (uint64_t i = 0; i < ch->count; i++)
			ch->drop(&ch->ring[(ch->head + i) & (ch->size - 1)]);
	vai__mem_free(ch->ring, ch->size * sizeof *ch->ring);
	vai__mem_free(ch, ch->bytes);
}

const struct vai_class vai__chan_class = {"channel", destroy};

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
	ch->drop = drop;
	ch->bytes = bytes;
	return ch;
}

vai_chan *vai__chan_new(int64_t cap, vai_drop_fn *drop)
{
	return vai__chan_alloc(sizeof(vai_chan), cap, drop);
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

static void move_ring(const vai_chan *ch, vai_msg *to)
{
	uint64_t tail = ch->size - ch->head;
	if (ch->count <= tail) {
		if (ch->count)
			memcpy(to, ch->ring + ch->head, ch->count * sizeof *to);
		return;
	}
	memcpy(to, ch->ring + ch->head, tail * sizeof *to);
	memcpy(to + tail, ch->ring, (ch->count - tail) * sizeof *to);
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
	vai__lock(&ch->lock);
	if (ch->size == seen && ch->count == seen) {
		vai_msg *old = ch->ring;
		move_ring(ch, ring);
		ch->ring = ring;
		ch->size = size;
		ch->head = 0;
		ring = old;
		size = seen;
	}
	vai__unlock(&ch->lock);
	vai__mem_free(ring, size * sizeof *ring);
	return VAI_OK;
}

/* A slot is free: the longest waiting sender that still waits gets it. */
static void refill(vai_chan *ch)
{
	struct vai__waiter *w;
	while ((w = vai__waitq_pop(&ch->sendq))) {
		struct vai__wake wake = vai__waitq_wake(w);
		ch->ring[(ch->head + ch->count) & (ch->size - 1)] = *w->msg;
		if (vai__wake_fire(&wake)) {
			ch->count++;
			return;
		}
	}
}

/* ---- one attempt, under the lock ---- */

int vai__chan_put(vai_chan *ch, const vai_msg *msg, struct vai__wake *wake)
{
	struct vai__waiter *w;
	if (VAI_UNLIKELY(ch->closed))
		return VAI_ECLOSED;
	if ((w = vai__waitq_pop(&ch->recvq))) {
		*w->msg = *msg;
		*wake = vai__waitq_wake(w);
		return VAI__CHAN_WAKE;
	}
	if (ch->count >= ch->cap)
		return VAI_EAGAIN;
	if (VAI_UNLIKELY(ch->count == ch->size))
		return VAI__CHAN_GROW;
	ch->ring[(ch->head + ch->count) & (ch->size - 1)] = *msg;
	ch->count++;
	return VAI_OK;
}

int vai__chan_take(vai_chan *ch, vai_msg *msg, struct vai__wake *wake)
{
	struct vai__waiter *w;
	if (ch->count > 0) {
		*msg = ch->ring[ch->head];
		ch->head = (ch->head + 1) & (ch->size - 1);
		ch->count--;
		if (VAI_LIKELY(ch->count < ch->cap))
			refill(ch);
		return VAI_OK;
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

/* ---- send and receive ---- */

/* code: what g's wait has come to. */
void vai__chan_unwait(vai_g *g, int code)
{
	struct vai__waiter *w = g->waits;
	for (int i = 0; w && i < g->nwaits; i++)
		if (w[i].drop && w[i].sends == (code != w[i].code))
			w[i].drop(w[i].msg);
	if (w)
		vai__select_free(w, g->nwaits);
	g->waits = NULL;
}

/* Waits in q for a counterpart. The caller holds the lock; it is released. */
static int wait_in(
	vai_g *self, vai_chan *ch, struct vai__waitq *q, vai_msg *msg, enum vai_wait_reason reason, int64_t deadline)
{
	struct vai__waiter w = {.g = self,
		.msg = msg,
		.ticket = vai__wait_begin(self),
		.code = CODE_OK,
		.sends = q == &ch->sendq,
		.drop = ch->drop};
	int code;
	vai__waitq_push(q, &w);
	self->waits = &w;
	self->nwaits = 1;
	vai__unlock(&ch->lock);
	code = vai__wait(self, reason, ch, deadline);
	self->waits = NULL;
	if (VAI_LIKELY(code == CODE_OK))
		return VAI_OK;
	if (code == CODE_CLOSED)
		return VAI_ECLOSED;
	vai__lock(&ch->lock);
	if (vai__waitq_linked(&w))
		vai__waitq_unlink(&w);
	vai__unlock(&ch->lock);
	return vai__wake_result(code);
}

int vai__chan_send(vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline)
{
	for (;;) {
		struct vai__wake wake;
		int r;
		vai__lock(&ch->lock);
		r = vai__chan_put(ch, msg, &wake);
		if (r == VAI_EAGAIN && deadline > 0)
			return wait_in(self, ch, &ch->sendq, msg, VAI_WAIT_CHAN_SEND, deadline);
		vai__unlock(&ch->lock);
		if (r == VAI__CHAN_WAKE) {
			if (VAI_LIKELY(vai__wake_fire(&wake)))
				return VAI_OK;
		} else if (r == VAI__CHAN_GROW) {
			if (vai__chan_grow(ch))
				return VAI_ENOMEM;
		} else {
			return r;
		}
	}
}

/* Nothing received: a sender that lost its race may have left its message in *msg. */
static int nothing(vai_msg *msg, int r)
{
	*msg = (vai_msg){{0}};
	return r;
}

int vai__chan_recv(vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline)
{
	for (;;) {
		struct vai__wake wake;
		int r;
		vai__lock(&ch->lock);
		r = vai__chan_take(ch, msg, &wake);
		if (r == VAI_EAGAIN && deadline > 0) {
			r = wait_in(self, ch, &ch->recvq, msg, VAI_WAIT_CHAN_RECV, deadline);
			return r ? nothing(msg, r) : VAI_OK;
		}
		vai__unlock(&ch->lock);
		if (r == VAI_OK || (r == VAI__CHAN_WAKE && vai__wake_fire(&wake)))
			return VAI_OK;
		if (r < 0)
			return nothing(msg, r);
	}
}

/* VAI_OK, VAI__CHAN_WAKE or VAI__CHAN_GROW; under the lock. */
static int put_front(vai_chan *ch, const vai_msg *msg, struct vai__wake *wake)
{
	struct vai__waiter *w = vai__waitq_pop(&ch->recvq);
	if (w) {
		*w->msg = *msg;
		*wake = vai__waitq_wake(w);
		return VAI__CHAN_WAKE;
	}
	if (ch->count == ch->size)
		return VAI__CHAN_GROW;
	ch->head = (ch->head - 1) & (ch->size - 1);
	ch->ring[ch->head] = *msg;
	ch->count++;
	return VAI_OK;
}

int vai__chan_unrecv(vai_chan *ch, vai_msg *msg)
{
	for (;;) {
		struct vai__wake wake;
		vai__lock(&ch->lock);
		int r = put_front(ch, msg, &wake);
		vai__unlock(&ch->lock);
		if (r == VAI_OK || (r == VAI__CHAN_WAKE && vai__wake_fire(&wake)))
			return VAI_OK;
		if (r == VAI__CHAN_GROW && vai__chan_grow(ch))
			return VAI_ENOMEM;
	}
}

int vai__chan_post(vai_chan *ch, vai_msg *msg)
{
	return vai__chan_send(NULL, ch, msg, 0);
}

int vai__chan_close(vai_chan *ch)
{
	struct vai__waitq all;
	vai__waitq_init(&all);
	vai__lock(&ch->lock);
	if (ch->closed) {
		vai__unlock(&ch->lock);
		return VAI_ECLOSED;
	}
	ch->closed = true;
	vai__waitq_splice(&all, &ch->recvq);
	vai__waitq_splice(&all, &ch->sendq);
	vai__waitq_fire_all(&all, CODE_CLOSED - CODE_OK, &ch->lock);
	return VAI_OK;
}

/* ---- questions ---- */

int64_t vai__chan_len(vai_chan *ch)
{
	uint64_t n;
	vai__lock(&ch->lock);
	n = ch->count;
	vai__unlock(&ch->lock);
	return (int64_t)n;
}

int64_t vai__chan_cap(vai_chan *ch)
{
	return (int64_t)ch->cap;
}

bool vai__chan_is_closed(vai_chan *ch)
{
	bool closed;
	vai__lock(&ch->lock);
	closed = ch->closed;
	vai__unlock(&ch->lock);
	return closed;
}
