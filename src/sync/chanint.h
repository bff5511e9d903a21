/* SPDX-License-Identifier: MIT */
/* The inside of a channel, for chan.c, select.c and ticker.c. */
#ifndef VAI_CHANINT_H
#define VAI_CHANINT_H

#include "sync/chan.h"
#include "sync/waitq.h"

/* Everything but obj, cap, drop, fini and bytes is guarded by lock. */
struct vai_chan {
	struct vai_obj obj;
	struct vai_lock lock;
	bool closed;
	uint64_t cap;
	uint64_t count; /* messages in the ring, from head on */
	uint64_t head;
	uint64_t size; /* of the ring: 0 or a power of two, grows up to cap */
	vai_msg *ring;
	struct vai__waitq recvq, sendq;
	vai_drop_fn *drop;
	void (*fini)(vai_chan *ch); /* first thing when the channel dies, or NULL */
	size_t bytes;               /* of the whole object */
};

/* As vai__chan_new, for an object of `bytes` that begins with the channel. */
vai_chan *vai__chan_alloc(size_t bytes, int64_t cap, vai_drop_fn *drop);

/* What vai__chan_put and vai__chan_take answer besides VAI_OK, VAI_ECLOSED and VAI_EAGAIN. */
enum vai__chan_step {
	VAI__CHAN_WAKE = 1, /* done if firing *wake wins, after unlocking; not begun if it loses */
	VAI__CHAN_GROW = 2  /* unlock, vai__chan_grow, try again */
};

/* One attempt at a send or receive, never waiting. The caller holds the lock. */
int vai__chan_put(vai_chan *ch, const vai_msg *msg, struct vai__wake *wake);
int vai__chan_take(vai_chan *ch, vai_msg *msg, struct vai__wake *wake);

/* The waiters of n cases, where they do not lie on a stack. */
void vai__select_free(struct vai__waiter *waiters, int n);

/* Makes room in the ring. VAI_OK: something changed, try again. The caller holds no lock. */
int vai__chan_grow(vai_chan *ch);

/* Whether put or take would find something to do (which may yet lose its race). */
static inline bool vai__chan_can_put(const vai_chan *ch)
{
	return ch->closed || ch->count < ch->cap || !vai__waitq_empty(&ch->recvq);
}

static inline bool vai__chan_can_take(const vai_chan *ch)
{
	return ch->closed || ch->count > 0 || !vai__waitq_empty(&ch->sendq);
}

#endif
