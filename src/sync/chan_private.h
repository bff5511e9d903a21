/* SPDX-License-Identifier: MIT */
/* The inside of a channel, for chan.c, select.c and ticker.c. */
#ifndef VAI_CHAN_PRIVATE_H
#define VAI_CHAN_PRIVATE_H

#include "sync/chan.h"
#include "sync/waitq.h"

/* How close the senders or the receivers have been behind the other side lately: see is_chase in chan.c. Guarded by the
 * lock of the side that has it. */
struct vai__chase {
	uint8_t state;
	uint8_t round; /* vai__sched_round at the last look */
};

/* There are two locks, so that a sender and a receiver on two CPUs do not wait for each other while the ring is
 * neither full nor empty. Each lock lies on a cache line of its own, with what its side writes. "Both" means:
 * changed with both locks held, read with either. Where cap is 0 there is nothing to share, and a small ring is full
 * or empty so often that most calls would take both locks. Such a channel is `simple`: the senders' lock counts as
 * both, head_seen is the head, and the object ends before the receivers' part.
 *
 * Places in the ring are counted up for ever: head <= tail, and the messages lie between them. Each side remembers
 * what it last saw of the other side's place, and looks again only when that is not enough: head_seen <= head <=
 * tail_seen <= tail. */
/* The capacity up to which a channel is simple. */
#if defined(VAI_SIM) /* two locks have more orders of steps to be tried, in rings as small as can be */
enum { VAI__CHAN_SIMPLE = 0 };
#elif defined(VAI_HARD) /* so that small tests meet both kinds */
enum { VAI__CHAN_SIMPLE = 1 };
#else
enum { VAI__CHAN_SIMPLE = 8 };
#endif

struct vai_chan {
	struct vai_obj obj;
	uint64_t cap;
	uint64_t size; /* size of the ring: 0 or a power of two, grows up to cap; both */
	vai_msg *ring; /* both */
	vai_drop_fn *drop;
	void (*fini)(vai_chan *ch); /* called first when the channel dies, or NULL */
	uint32_t bytes;             /* of the whole object */
	atomic_bool in_itself;      /* a message in it may have a reference to this channel */
	bool simple;                /* constant; both sides look at it, so it lies on neither's line */

	struct vai_lock lock; /* the senders' */
	bool closed;          /* both; select looks at it without a lock */
	bool kept : 1;        /* only its maker closes it: users neither send nor close. Constant */
	bool told : 1;        /* vai__chan_closed_hook is called when it is closed. Constant */
	struct vai__chase chase;
	_Atomic(uint64_t) tail;
	uint64_t head_seen;
	struct vai__waitq recvq, sendq; /* changed with both locks held, read with this one */
	struct vai__account *owner;     /* vai__chan_set_owner: one reference, or NULL; constant */

	struct vai_lock recv_lock; /* the receivers'; taken after the senders' */
	bool senders_wait;         /* both; whether sendq is not empty */
	struct vai__chase recv_chase;
	_Atomic(uint64_t) head;
	uint64_t tail_seen;
	char pad2[40];
};
#ifndef VAI_DEBUG_LOCKS
_Static_assert(offsetof(struct vai_chan, lock) % VAI_CACHELINE == 0 &&
		offsetof(struct vai_chan, recv_lock) % VAI_CACHELINE == 0 && sizeof(struct vai_chan) % VAI_CACHELINE == 0,
	"cache lines");
#endif

/* As vai__chan_new, for an object of `bytes` that begins with the channel. */
vai_chan *vai__chan_alloc(size_t bytes, int64_t cap, vai_drop_fn *drop);

/* Called for channels that are `told`, by the goroutine that has closed such a channel, without a lock. Set before
 * there are any. */
extern void (*vai__chan_closed_hook)(vai_chan *ch);

/* What vai__chan_put and vai__chan_take answer besides VAI_OK, VAI_ECLOSED and VAI_EAGAIN. */
enum vai__chan_step {
	VAI__CHAN_WAKE = 1, /* it is done if firing *wake, after unlocking, wins; if that loses nothing was begun */
	VAI__CHAN_GROW = 2, /* unlock, vai__chan_grow, try again */
	VAI__CHAN_FIRED = 3 /* it is done; unlock, vai__sched_fired */
};

/* One attempt at a send or receive, never waiting. The caller holds both locks. */
int vai__chan_put(vai_chan *ch, const vai_msg *msg, struct vai__wake *wake);
int vai__chan_take(vai_chan *ch, vai_msg *msg, struct vai__wake *wake);

/* Makes room in the ring. VAI_OK: something changed, try again. The caller holds no lock. */
int vai__chan_grow(vai_chan *ch);

/* Takes both locks. */
static inline void vai__chan_lock(vai_chan *ch)
{
	vai__lock(&ch->lock);
	if (!ch->simple)
		vai__lock(&ch->recv_lock);
}

/* Releases the receivers' lock; the caller still has the senders'. */
static inline void vai__chan_unlock_recv(vai_chan *ch)
{
	if (!ch->simple) {
		ch->senders_wait = !vai__waitq_empty(&ch->sendq);
		vai__unlock(&ch->recv_lock);
	}
}

static inline void vai__chan_unlock(vai_chan *ch)
{
	vai__chan_unlock_recv(ch);
	vai__unlock(&ch->lock);
}

/* The number of messages in the ring. With one of the locks held only the other side can change it: for a receiver
 * it can grow, for a sender it can shrink. */
static inline uint64_t vai__chan_count(const vai_chan *ch)
{
	uint64_t tail = atomic_load_acquire(&ch->tail);
	return tail - (ch->simple ? __atomic_load_n(&ch->head_seen, __ATOMIC_RELAXED) : atomic_load_acquire(&ch->head));
}

/* Whether the channel is closed; without a lock it is a guess. For the builtin see waitq.h. */
static inline bool vai__chan_seems_closed(const vai_chan *ch)
{
	return __atomic_load_n(&ch->closed, __ATOMIC_RELAXED);
}

/* Whether put or take would find something to do (which may yet lose its race). Without a lock it is a guess. */
static inline bool vai__chan_can_put(const vai_chan *ch)
{
	return !vai__waitq_empty(&ch->recvq) || vai__chan_count(ch) < ch->cap || vai__chan_seems_closed(ch);
}

static inline bool vai__chan_can_take(const vai_chan *ch)
{
	return !vai__waitq_empty(&ch->sendq) || vai__chan_count(ch) > 0 || vai__chan_seems_closed(ch);
}

#endif
