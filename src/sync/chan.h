/* SPDX-License-Identifier: MIT */
/* Channels, after Go's chan.go, on opaque messages. Any goroutine may call; the caller holds a reference. Only
 * vai__chan_send and vai__chan_recv park. */
#ifndef VAI_CHAN_H
#define VAI_CHAN_H

#include "base/account.h"
#include "base/obj.h"
#include "sched/sched.h"

struct vai__rest;
typedef struct vai_chan vai_chan; /* a struct vai_obj */
extern const struct vai_class vai__chan_class;

/* The largest capacity; more is VAI_ERANGE for the caller to report. */
#define VAI_CHAN_MAX_CAP ((int64_t)1 << 32)

/* Makes a channel; the caller gets the one reference. The ring grows as it is needed, up to cap. drop releases
 * messages that nobody has received when the channel dies. NULL: out of memory. */
vai_chan *vai__chan_new(int64_t cap, vai_drop_fn *drop);

/* Messages in the channel may be charged to that account (transfer/charge.h), of which it takes a reference. Called by
 * its maker before any other goroutine knows of it. */
void vai__chan_set_owner(vai_chan *ch, struct vai__account *owner);
/* That account, borrowed, or NULL. */
struct vai__account *vai__chan_owner(const vai_chan *ch);

/* Sends *msg. On VAI_OK the message has moved into the channel or to a receiver; in all other cases the caller still
 * owns *msg. deadline 0: does not wait (VAI_EAGAIN). Other results: VAI_ECLOSED, VAI_ETIMEOUT, VAI_ECANCELED,
 * VAI_EDEADLOCK, VAI_ENOMEM (the ring could not grow). Called by goroutine self. */
int vai__chan_send(vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline);
/* Receives into *msg. On VAI_OK the message is the caller's; in all other cases *msg is all zero. VAI_ECLOSED: the
 * channel is closed and drained. */
int vai__chan_recv(vai_g *self, vai_chan *ch, vai_msg *msg, int64_t deadline);
/* The same in two calls each, for a goroutine that sheds its stack if it has to wait (vai__park_shed). If `begin`
 * returns VAI_SHEDS, the wait follows, and after it `end` has the result; otherwise `begin` has it. The message is
 * rest->msg. */
int vai__chan_send_begin(vai_g *self, vai_chan *ch, int64_t deadline, struct vai__rest *rest);
int vai__chan_send_end(vai_g *self, vai_chan *ch, struct vai__rest *rest);
int vai__chan_recv_begin(vai_g *self, vai_chan *ch, int64_t deadline, struct vai__rest *rest);
int vai__chan_recv_end(vai_g *self, vai_chan *ch, struct vai__rest *rest);
/* Sends without waiting, for timer callbacks: on any M, under a lock of timers. VAI_OK, VAI_EAGAIN, VAI_ECLOSED,
 * VAI_ENOMEM. */
int vai__chan_post(vai_chan *ch, vai_msg *msg);
/* Closes it: receivers get what it holds, then VAI_ECLOSED, and all that wait are woken. VAI_OK; VAI_ECLOSED: it was
 * closed already. */
int vai__chan_close(vai_chan *ch);
/* How many messages it holds at this moment, how many it has room for, and whether it is closed. */
int64_t vai__chan_len(vai_chan *ch);
int64_t vai__chan_cap(vai_chan *ch);
bool vai__chan_is_closed(vai_chan *ch);
/* Says that a message with a reference to the channel itself is about to be sent into it (vai__chan_leave). */
void vai__chan_note_itself(vai_chan *ch);
/* Called before the caller gives a reference back, without a lock. If all other references lie in messages in the
 * channel's own buffer, no goroutine will ever receive these, and they are dropped. count: how many references to the
 * channel a message has. */
void vai__chan_leave(vai_chan *ch, unsigned (*count)(const vai_msg *msg, const struct vai_obj *o));
/* For reports, while nothing uses it: calls f for each message in the buffer, if `drop` is what releases them. */
void vai__chan_each_message(vai_chan *ch, vai_drop_fn *drop, void (*f)(void *arg, const vai_msg *msg), void *arg);
/* Whether only the channel's maker (a context or task) closes it: users may neither send nor close. */
bool vai__chan_is_kept(const vai_chan *ch);
/* Whether a goroutine waits for a message. */
bool vai__chan_is_awaited(vai_chan *ch);
/* Whether a timer or a context puts something into it or closes it. */
bool vai__chan_is_served(const vai_chan *ch);

#endif
