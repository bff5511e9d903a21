/* SPDX-License-Identifier: MIT */
/* Descriptor records: what vai knows of one non-blocking file descriptor that goroutines wait for; the model is
 * Go's pollDesc and fdMutex. Sockets, pipes, pidfds, eventfds: whatever epoll takes (not regular files).
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
 * Any goroutine may call; the caller sees to it that nobody has released d. Results are VAI_OK,
 * VAI_ECLOSED, VAI_ETIMEOUT (the limit or the direction's deadline), VAI_ECANCELED, VAI_EDEADLOCK, VAI_ENOMEM,
 * and VAI__ERRNO(e) for an errno. */
#ifndef VAI_DESCRIPTOR_H
#define VAI_DESCRIPTOR_H

#include "base/base.h"
#include "sched/sched.h"
#include "sync/waitq.h"

enum vai__dir { VAI__READ, VAI__WRITE };

/* An errno among results, and back: 0 for those that are none. */
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
/* The same wait for who keeps the stack and has no use for VAI__RENEW. */
static inline struct vai__iowait vai__iowait_plain(const struct vai__iowait *w)
{
	return (struct vai__iowait){.reason = w->reason, .obj = w->obj, .limit = w->limit};
}

/* Takes over fd, which is non-blocking and close-on-exec. NULL: *rc says why, and fd is the caller's still. */
struct vai__desc *vai__desc_new(int fd, int *rc);
/* The same for one that perhaps nobody ever waits for, and that the poller may not take (a regular file): it joins the
 * poller with the first wait. borrowed: fd stays open when d goes. For calls that take a direction only. */
struct vai__desc *vai__desc_new_unpolled(int fd, bool borrowed, int *rc);
/* Its number, which is another file's once d is closed: for those that have a direction or hold d. */
int vai__desc_fd(const struct vai__desc *d);
/* The owner forgets d, closing it. */
void vai__desc_release(struct vai__desc *d);

/* Closes d. True for the first call. Every goroutine that waits for d, in either direction, gets VAI_ECLOSED. */
bool vai__desc_close(struct vai__desc *d);
/* The same for a socket with the file `path` ("": none), which the first call removes before the address is free. */
bool vai__desc_close_named(struct vai__desc *d, const char *path);
/* Waits until the descriptor of d, which is closed, is gone: until the goroutines that the close has woken have let go
 * of it. From then on its address is free. Returns at once where a call of theirs may stay in the system (a descriptor
 * that blocks: a regular file, a terminal). The caller uses d in no other way. */
int vai__desc_await(vai_g *self, struct vai__desc *d, const struct vai__iowait *w);
/* Whether vai__desc_close was called. */
bool vai__desc_is_closed(struct vai__desc *d);

/* Takes the direction; goroutines queue for it, first come, first served. VAI_OK: it is the caller's until it gives
 * it back. */
int vai__desc_take(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w);
/* Gives it back; the next in the queue has it then. */
void vai__desc_give(struct vai__desc *d, enum vai__dir dir);
/* How many edges the direction has had, in some way: another value than before says that there was one since. Odd:
 * there may be no other one, however much there is to read: the peer has ended, or an error or urgent data wait. */
uint32_t vai__desc_edges(const struct vai__desc *d, enum vai__dir dir);
/* Parks the goroutine that has the direction. VAI_OK: try again. VAI_SHEDS, if w->rest is set: the wait is begun only,
 * and once it is over the second function, to be called by the goroutine as soon as it runs, gives the result.
 * VAI__RENEW, if w->renews: nothing has come for some seconds, and nobody else wants the direction. */
enum { VAI__RENEW = -24 };
int vai__desc_wait(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w);
int vai__desc_wait_end(vai_g *self, struct vai__desc *d, enum vai__dir dir, struct vai__rest *rest);
/* The same, on the stack, for what no event tells of: VAI_OK also once `pause` nanoseconds are over. */
int vai__desc_nap(vai_g *self, struct vai__desc *d, enum vai__dir dir, const struct vai__iowait *w, int64_t pause);
/* Between these two calls the descriptor is not closed, for calls that do not wait. False: it is closed already. */
bool vai__desc_hold(struct vai__desc *d);
void vai__desc_unhold(struct vai__desc *d);

/* Makes waits of this direction end at `when` at the latest, those under way included; VAI_FOREVER takes that back. */
void vai__desc_set_deadline(struct vai__desc *d, enum vai__dir dir, int64_t when);
/* Makes goroutines that have or want this direction look again, for something that the caller has changed. */
void vai__desc_nudge(struct vai__desc *d, enum vai__dir dir);

/* ---- waiting for several at once, or without a goroutine ---- */

/* Has the ticket of a wait, which the caller has begun, fired with VAI_WAKE_USER when the direction is ready or d is
 * closed. False: that is so already, or another goroutine has the direction. It is taken back by vai__desc_retract
 * in any case. The caller counts itself (vai__poll_count). */
bool vai__desc_publish(vai_g *self, struct vai__desc *d, enum vai__dir dir, vai_ticket ticket);
void vai__desc_retract(vai_g *self, struct vai__desc *d, enum vai__dir dir);

/* A direction as one of several things that a goroutine waits for (vai.select). It has the direction for all of that
 * time, or queues for it as others do. */
struct vai__among {
	struct vai__desc *d; /* set by the caller, as is dir; the rest begins with 0 */
	enum vai__dir dir;
	bool has;         /* the direction is the goroutine's */
	bool queued;      /* used inside */
	int64_t deadline; /* the direction's, as of the last look */
	struct vai__waiter waiter;
};
/* VAI_OK: the goroutine has the direction. VAI_EAGAIN: another has it. VAI_ECLOSED. VAI_ETIMEOUT: another has it, and
 * the deadline is over. */
int vai__desc_among_look(struct vai__among *a);
/* Leaves the ticket: it is fired with VAI_WAKE_USER when there is news; or with code when the goroutine gets the
 * direction, code + 1: news in the queue. VAI_EAGAIN: look again at once. VAI__ERRNO(e): it cannot be waited for. */
int vai__desc_among_wait(vai_g *self, struct vai__among *a, vai_ticket ticket, int code);
/* After the wait. given: it ended with the code. woken: with VAI_WAKE_USER; the goroutine looks again. */
void vai__desc_among_end(vai_g *self, struct vai__among *a, bool given, bool woken);
/* Gives the direction back, if the goroutine has it. */
void vai__desc_among_leave(struct vai__among *a);

/* A function that is called once, when the direction is ready or d is closed: on the thread that is in the poller or
 * closes d, without a lock. It must not park, run Lua code or start goroutines. */
struct vai__watch {
	void (*fn)(struct vai__watch *w);
	/* The runtime has ended, fn is never called and the descriptor is gone. Host's thread. May be NULL. */
	void (*gone)(struct vai__watch *w);
};
/* Sets a watch. False: d is ready or closed already, and fn is not called. While a watch is set nobody may wait. */
bool vai__desc_watch(struct vai__desc *d, enum vai__dir dir, struct vai__watch *w);
/* The caller, who has the direction, is about to look by a system call: what has come so far is no news after that. */
void vai__desc_forget_edge(struct vai__desc *d, enum vai__dir dir);
/* Takes the watch away. True: fn was not called and never will be. */
bool vai__desc_unwatch(struct vai__desc *d, enum vai__dir dir);

/* The number of descriptors that are open. */
int64_t vai__desc_count(void);

#endif
