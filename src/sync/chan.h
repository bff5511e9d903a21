/* SPDX-License-Identifier: MIT */
/* Channels and select, after Go's chan.go and select.go, on opaque messages. */
#ifndef VAI_CHAN_H
#define VAI_CHAN_H

#include "base/obj.h"
#include "sched/sched.h"

typedef struct vai_chan vai_chan; /* a struct vai_obj */
extern const struct vai_class vai__chan_class;

/* The largest capacity; more is VAI_ERANGE for the caller to report. */
#define VAI_CHAN_MAX_CAP ((int64_t)1 << 32)

/* One reference, the caller's. The ring grows by need up to cap. drop releases messages
 * that nobody received when the channel dies. NULL when out of memory. */
vai_chan *vai__chan_new(int64_t cap, vai_drop_fn *drop);

/* On VAI_OK the message has moved into the channel or to a receiver; in all other
 * cases the caller still owns *msg. deadline 0: do not wait (VAI_EAGAIN).
 * VAI_ECLOSED, VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK, VAI_ENOMEM (the ring could
 * not grow). Called by goroutine self. */
int vai__chan_send(vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline);
/* On VAI_OK *msg is the caller's, in all other cases all zero. VAI_ECLOSED: closed and
 * drained. */
int vai__chan_recv(vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline);
/* Takes back a message that the caller could not use: it is the next to be received, also
 * beyond the capacity and from a closed channel. VAI_OK or VAI_ENOMEM: still the caller's. */
int vai__chan_unrecv(vai_chan *ch, vai_msg *msg);
/* As vai__chan_send that does not wait, for timer callbacks: any M, under a timers lock. */
int vai__chan_post(vai_chan *ch, vai_msg *msg);
/* VAI_ECLOSED if it was closed already. */
int vai__chan_close(vai_chan *ch);
int64_t vai__chan_len(vai_chan *ch);
int64_t vai__chan_cap(vai_chan *ch);
bool vai__chan_is_closed(vai_chan *ch);

enum vai_dir { VAI_DIR_NONE, VAI_DIR_SEND, VAI_DIR_RECV };
struct vai__case {
	vai_chan *ch; /* NULL or VAI_DIR_NONE: never ready */
	enum vai_dir dir;
	int result;  /* of the chosen case: VAI_OK, or VAI_ECLOSED */
	vai_msg msg; /* to send, or received */
};
/* Waits until one of n cases can go and does it; a random one of several. The index, or
 * VAI_EAGAIN (deadline 0), VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK, VAI_ENOMEM.
 * Messages of send cases that were not chosen stay the caller's. A send on a closed
 * channel chooses that case with result VAI_ECLOSED. The same channel may occur often.
 * What stands in the msg of a receive that was not chosen, or not VAI_OK, owns nothing. */
int vai__select(vai_g *self, struct vai__case *cases, int n, int64_t deadline);
/* For dumps: obj is what a goroutine waits for with VAI_WAIT_SELECT, which cannot wake meanwhile.
 * Its next case that can become ready after case i (-1: the first); -1: there is none. */
int vai__select_waits(const void *obj, int i, vai_chan **ch, enum vai_dir *dir);

#endif
