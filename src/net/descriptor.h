/* SPDX-License-Identifier: MIT */
/* Descriptor records: what vai knows of one non-blocking file descriptor that goroutines wait for. They serve all that
 * epoll takes (sockets, pipes, pidfds, eventfds; not regular files). The model is Go's pollDesc and fdMutex.
 *
 * Every operation follows one pattern, in C, with nothing in it that raises:
 *
 *     rc = vai__desc_take(self, d, dir, &wait);          this goroutine has the direction alone
 *     while (rc == VAI_OK && (n = read(...)) < 0 && errno == EAGAIN)
 *         rc = vai__desc_wait(self, d, dir, &wait);      parks until it is worth another try
 *     if (it was taken) vai__desc_give(d, dir);
 *
 * The system call comes first; only EAGAIN parks. The descriptor stays open until the last user has given its
 * direction back, also when it is closed meanwhile, so no call ever hits another file of the same number.
 *
 * Whatever such a goroutine holds across vai__desc_wait must be reachable from an object that its Lua state
 * has a handle of, or lie in Lua's memory: if the runtime ends meanwhile, it never runs again. A struct
 * vai__desc itself need not: those that are left are closed with the runtime.
 *
 * Any goroutine may call; the caller makes sure that d is not released meanwhile. Results are VAI_OK,
 * VAI_ECLOSED, VAI_ETIMEOUT (the limit or the direction's deadline), VAI_ECANCELED, VAI_EDEADLOCK, VAI_ENOMEM,
 * and VAI__ERRNO(e) for an errno. */
#ifndef VAI_DESCRIPTOR_H
#define VAI_DESCRIPTOR_H

#include "base/base.h"
#include "sched/sched.h"
#include "sync/waitq.h"

enum vai__dir { VAI__READ, VAI__WRITE };

/* An errno as a result, and back; vai__errno_of gives 0 for a result that is no errno. */
#define VAI__ERRNO(e) (-1000 - (e))
static inline int vai__errno_of(int rc)
{
	return rc <= -1000 ? -1000 - rc : 0;
}

struct vai__desc;

/* What a goroutine waits for, and until when. */
struct vai__iowait {
	enum vai_wait_reason reason; /* for dumps: VAI_WAIT_READ, ... */
	const void *obj;             /* for dumps: the struct vai_obj that it waits for */
	int64_t limit;               /* absolute; 0: do not wait; VAI_FOREVER */
	struct vai__rest *rest;      /* NULL; or the goroutine sheds its stack if it has to wait (vai__desc_wait) */
	bool renews;                 /* the wait may end with VAI__RENEW */
};
/* The same wait for a caller that keeps its stack and does not handle VAI__RENEW. */
static inline struct vai__iowait vai__iowait_plain(const struct vai__iowait *w)
{
	return (struct vai__iowait){.reason = w->reason, .obj = w->obj, .limit = w->limit};
}

/* A record for fd, which must be non-blocking and close-on-exec, and belongs to the record from then on. NULL: *rc says
 * why, and fd is still the caller's. */
struct vai__desc *vai__desc_new(int fd, int *rc);
/* As vai__desc_new, for a descriptor that perhaps nobody ever waits for and that the poller may refuse (a regular
 * file): it joins the poller at the first wait. borrowed: fd stays open when d goes. Only for calls that take a
 * direction. */
struct vai__desc *vai__desc_new_unpolled(int fd, bool borrowed, int *rc);
/* The number of the descriptor. Only the owner of a direction or a holder (vai__desc_hold) may use it: once d is closed
 * another file may get the number. */
int vai__desc_fd(const struct vai__desc *d);
/* The owner gives d up; d is closed if it is still open, and must not be used again. */
void vai__desc_release(struct vai__desc *d);

/* Closes d. True for the first call. Every goroutine that waits for d, in either direction, gets VAI_ECLOSED. */
bool vai__desc_close(struct vai__desc *d);
/* As vai__desc_close, for a socket with the file `path` ("": none). The first call removes the file while the address
 * is still taken, so it cannot remove the file of a successor. */
bool vai__desc_close_named(struct vai__desc *d, const char *path);
/* Waits until the file descriptor of d, which is closed, is gone, so that its address is free: the goroutines that the
 * close has woken have to let go of it first. Returns at once if one of them may stay in the system (the descriptor of
 * a regular file or a terminal blocks). Afterwards the caller does not use d. */
int vai__desc_await(vai_g *self, struct vai__desc *d, const struct vai__iowait *w);
/* Whether vai__desc_close was called. */
bool vai__desc_is_closed(struct vai__desc *d);

/* Takes a direction; goroutines queue for it, first come, first served. VAI_OK: it is the caller's until
 * vai__desc_give. */
int vai__desc_take(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w);
/* Gives the direction back, to the first goroutine in the queue. */
void vai__desc_give(struct vai__desc *d, enum vai__dir dir);
/* A number that changes with every edge of the direction. It is odd once no other edge may come however much there is
 * to read: the peer has ended the stream, or an error or urgent data wait. */
uint32_t vai__desc_edges(const struct vai__desc *d, enum vai__dir dir);
/* Parks the goroutine that has the direction. VAI_OK: try the system call again. VAI_SHEDS (only if w->rest is set):
 * the wait has begun; once it is over the goroutine calls vai__desc_wait_end as soon as it runs, for the result.
 * VAI__RENEW (only if w->renews): nothing has come for some seconds, and nobody else wants the direction, so the caller
 * may give its resources back and wait anew. */
enum { VAI__RENEW = -24 };
int vai__desc_wait(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w);
int vai__desc_wait_end(vai_g *self, struct vai__desc *d, enum vai__dir dir, struct vai__rest *rest);
/* As vai__desc_wait, on the stack, for what no event tells of: returns VAI_OK also after `pause` ns. */
int vai__desc_nap(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w, int64_t pause);
/* Between vai__desc_hold and vai__desc_unhold the file descriptor stays open, for system calls that do not wait. False:
 * d is closed already, and there is nothing to unhold. */
bool vai__desc_hold(struct vai__desc *d);
void vai__desc_unhold(struct vai__desc *d);

/* Makes all waits of this direction end at `when` (absolute) at the latest, also those under way; VAI_FOREVER removes
 * the deadline. */
void vai__desc_set_deadline(struct vai__desc *d, enum vai__dir dir, int64_t when);
/* Makes the goroutines that have or want this direction look again, after the caller has changed what they look at. */
void vai__desc_nudge(struct vai__desc *d, enum vai__dir dir);

/* ---- waiting for several at once, or without a goroutine ---- */

/* Leaves the ticket of a wait that the caller has begun: it is fired with VAI_WAKE_USER when the direction is ready or
 * d is closed. False: that is so already, or another goroutine has the direction. The caller ends this by
 * vai__desc_retract in either case, and counts itself among those that wait for the poller (vai__poll_count). */
bool vai__desc_publish(vai_g *self, struct vai__desc *d, enum vai__dir dir, vai_ticket ticket);
void vai__desc_retract(vai_g *self, struct vai__desc *d, enum vai__dir dir);

/* A direction as one of several things that a goroutine waits for (vai.select). During the select the goroutine has the
 * direction, or queues for it as others do. */
struct vai__among {
	struct vai__desc *d; /* set by the caller, as is dir; the rest begins as 0 */
	enum vai__dir dir;
	bool has;         /* the goroutine has the direction */
	bool queued;      /* used inside */
	int64_t deadline; /* the direction's, when it was looked at last */
	struct vai__waiter waiter;
};
/* Tries to take the direction. VAI_OK: the goroutine has it. VAI_EAGAIN: another goroutine has it. VAI_ECLOSED.
 * VAI_ETIMEOUT: another goroutine has it, and the deadline is over. */
int vai__desc_among_look(struct vai__among *a);
/* Leaves the ticket of the select's wait. It is fired with VAI_WAKE_USER when the direction is ready; while the
 * goroutine queues, with `code` when it gets the direction and with code + 1 when it shall look again. VAI_EAGAIN: look
 * again at once. VAI__ERRNO(e): the descriptor cannot be waited for. */
int vai__desc_among_wait(vai_g *self, struct vai__among *a, vai_ticket ticket, int code);
/* Called after the wait. given: the wait ended with `code`. woken: it ended with VAI_WAKE_USER, and the goroutine looks
 * again. */
void vai__desc_among_end(vai_g *self, struct vai__among *a, bool given, bool woken);
/* Gives the direction back if the goroutine has it. */
void vai__desc_among_leave(struct vai__among *a);

/* A function that is called once, when a direction is ready or d is closed: without a lock, on the thread that is in
 * the poller or closes d. It must not park, run Lua code or start goroutines. */
struct vai__watch {
	void (*fn)(struct vai__watch *w);
	/* Called on the host's thread if the runtime has ended: the descriptor is gone and fn is never called. May be
	 * NULL. */
	void (*gone)(struct vai__watch *w);
};
/* Sets a watch. False: d is ready or closed already, and fn is not called. No goroutine may wait for the direction
 * while it has a watch. */
bool vai__desc_watch(struct vai__desc *d, enum vai__dir dir, struct vai__watch *w);
/* Forgets the edges that have come so far, as the caller, who has the direction, is about to ask the system itself. */
void vai__desc_forget_edge(struct vai__desc *d, enum vai__dir dir);
/* Takes the watch away. True: fn has not been called and never will be. False: it has been called, or is being
 * called. */
bool vai__desc_unwatch(struct vai__desc *d, enum vai__dir dir);

/* The number of records that are open. Tests look whether all are closed again. */
int64_t vai__desc_count(void);

#endif
