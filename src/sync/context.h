/* SPDX-License-Identifier: MIT */
/* Contexts, after Go's package context: a tree of things that can be over, which bound waits. Any goroutine may call;
 * the caller holds a reference. Nothing here parks. Times are absolute, in ns. */
#ifndef VAI_CONTEXT_H
#define VAI_CONTEXT_H

#include "base/obj.h"
#include "sched/sched.h"
#include "sync/chan.h"

typedef struct vai_context vai_context; /* a struct vai_obj */
typedef struct vai_after vai_after;     /* a struct vai_obj: a call that a context makes at its end */
extern const struct vai_class vai__context_class, vai__context_after_class;

/* Makes a context that is never done. Here and in the next, the caller gets the one reference; NULL: out of memory. */
vai_context *vai__context_new(vai_drop_fn *drop);
/* A child that can be ended, at `deadline` at the latest (VAI_FOREVER: none). */
vai_context *vai__context_child(vai_g *self, vai_context *parent, int64_t deadline);
/* A child with a value: takes over both messages, unless it returns NULL. */
vai_context *vai__context_with_value(vai_context *parent, vai_msg *key, vai_msg *value);

/* Ends ctx and all contexts below it; when this returns everything that waited for them is woken. *cause, which may
 * be empty, is taken over and zeroed by the call that really ends the context. */
void vai__context_cancel(vai_context *ctx, vai_msg *cause);

/* VAI_OK, or why it is over: VAI_ECONTEXT or VAI_ECONTEXT_DEADLINE. */
int vai__context_err(vai_context *ctx);
/* The cause that the cancel was given, while ctx is over; NULL: none. Valid as long as ctx. */
const vai_msg *vai__context_cause(vai_context *ctx);
/* The deadline of ctx; VAI_FOREVER: it has none. */
int64_t vai__context_deadline(const vai_context *ctx);
/* Returns the nearest context with a value, ctx or one above it; NULL: there is none. Its key and value are next,
 * and where to go on. */
vai_context *vai__context_valued(vai_context *ctx);
/* Of a context with a value, as long as it lives; immutable. */
const vai_msg *vai__context_key(const vai_context *ctx);
const vai_msg *vai__context_value(const vai_context *ctx);
/* The one above it, borrowed; NULL: it is the root. */
vai_context *vai__context_parent(const vai_context *ctx);
/* The channel that is closed when ctx is done (vai__chan_is_kept); a reference for the caller. NULL: out of memory. */
vai_chan *vai__context_done(vai_context *ctx);

/* Has fire(arg) called once ctx is over, or at once if it is. That may happen under a timer's lock, so fire may
 * start goroutines and must do nothing else. release(arg) is called at the end, without locks: at once, where ctx is
 * never over. The caller gets a reference. NULL: out of memory, and arg is still the caller's. */
vai_after *vai__context_after(vai_context *ctx, bool (*fire)(void *arg), void (*release)(void *arg), void *arg);
/* True: it was pending and is not called. */
bool vai__context_after_stop(vai_after *after);
/* Releases calls that have been made, which timers cannot do. Called by vai__timer_object_reap. */
void vai__context_reap(void);

/* From now on, until the call with NULL, self's waits end when ctx is over (vai_g.bound). VAI_OK, or the error of a
 * context that is over already. */
int vai__context_bound(vai_g *self, vai_context *ctx);

#endif
