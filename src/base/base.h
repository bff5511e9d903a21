/* SPDX-License-Identifier: MIT */
/* What every layer shares: result codes, the opaque message, compiler helpers. */
#ifndef VAI_BASE_H
#define VAI_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Results of C functions: 0 or more is success. */
enum vai_result {
	VAI_OK = 0,
	VAI_ENOMEM = -1,             /* out of memory */
	VAI_ECLOSED = -2,            /* the channel is closed */
	VAI_ETIMEOUT = -3,           /* the deadline passed first */
	VAI_EAGAIN = -4,             /* the call would have to wait */
	VAI_ECANCELED = -5,          /* the goroutine was canceled while it waited */
	VAI_EDEADLOCK = -6,          /* every goroutine waits and nothing can wake one */
	VAI_ERANGE = -7,             /* a number is out of range */
	VAI_EINVAL = -8,             /* an argument makes no sense */
	VAI_ESYS = -9,               /* the system refused (threads, mappings) */
	VAI_ECONTEXT = -10,          /* the context that bounds the wait was canceled */
	VAI_ECONTEXT_DEADLINE = -11, /* or its deadline has passed */
	VAI_EINTERRUPTED = -12       /* main has to come to a hook that a signal's handler has set */
};

/* No deadline, for every function that takes one. Deadlines are absolute, in
 * nanoseconds of vai__clock_now(). */
#define VAI_FOREVER INT64_MAX

/* A value on its way between goroutines. It is opaque below transfer/ and bind/: channels and tasks move it by plain
 * copy and drop it with the function that they were given. A message that is all zero owns nothing and means nil. */
typedef struct vai_msg {
	uint64_t w[4];
} vai_msg;

/* Releases what a message owns that nothing will receive. Called without any lock held, on any thread that may call
 * the runtime. */
typedef void vai_drop_fn(vai_msg *msg);

#define VAI_NOINLINE __attribute__((noinline))
#define VAI_LIKELY(x) __builtin_expect(!!(x), 1)
#define VAI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define VAI_CONTAINER(ptr, type, field) ((type *)(void *)((char *)(ptr)-offsetof(type, field)))
#define VAI_CACHELINE 64

/* Points at which spec/sim puts a bug into its build, to see that its tests find it (spec/sim/bugs.h). VAI_BUG:
 * whether this bug is on. VAI_BUG_DO: what the bug does then. VAI_BUG_TEAR: the next read-modify-write of this
 * thread becomes a load and a store. */
#ifndef VAI_BUG
#define VAI_BUG(name) false
#define VAI_BUG_DO(name, ...) ((void)0)
#define VAI_BUG_TEAR(name) ((void)0)
#endif

#endif
