/* SPDX-License-Identifier: MIT */
/* Execution contexts and the switch between them. A context is switched to by one thread at a time, which may be
 * another thread each time.
 *
 * A switch keeps the callee-saved registers, the stack pointer and the floating point control words. It does not
 * keep signal masks and thread-locals. */
#ifndef VAI_CTX_H
#define VAI_CTX_H

#include <stddef.h>
#include <stdint.h>
#include "base/base.h"
#include "base/san.h"

#ifdef VAI_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef VAI_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct vai__ctx {
	void *sp;
#ifdef VAI_ASAN
	void *fake;
	const void *lo;
	size_t size;
#endif
#ifdef VAI_TSAN
	void *fiber; /* costly to make: kept from one use of the record to the next */
	unsigned
		uses; /* each leaves a few frames on the fiber's shadow stack, so all stacks that TSan notes are new ones */
#endif
};

#if defined(__x86_64__) && !defined(VAI_UCONTEXT)
#include "mach/ctx_amd64.h"
#else
/* Saves the caller in *save and continues what `load` was saved from. */
void vai__ctx_swap(void **save, void *load);

/* Elsewhere a switch reads the control words itself. */
static inline uint64_t vai__ctx_words(void)
{
	return 0;
}

static inline void vai__ctx_swap_known(void **save, void *load, uint64_t words)
{
	(void)words;
	vai__ctx_swap(save, load);
}
#endif
/* Prepares a stack that ends below `top` so that the first switch to the returned stack pointer calls
 * entry(arg), which must not return. */
void *vai__ctx_prepare(void *top, void (*entry)(void *arg), void *arg);

/* Makes c a context that runs entry(arg) on the stack [lo, top). The record was zeroed once, or has been used
 * before. */
static inline void vai__ctx_make(struct vai__ctx *c, char *lo, char *top, void (*entry)(void *), void *arg)
{
	c->sp = vai__ctx_prepare(top, entry, arg);
	(void)lo;
#ifdef VAI_ASAN
	c->fake = NULL;
	c->lo = lo;
	c->size = (size_t)(top - lo);
#endif
#ifdef VAI_TSAN
	if (c->fiber && ++c->uses == 32) {
		__tsan_destroy_fiber(c->fiber);
		c->fiber = NULL;
	}
	if (!c->fiber) {
		c->fiber = __tsan_create_fiber(0);
		c->uses = 0;
	}
#endif
}

/* Makes c the context of the calling thread's own stack. */
void vai__ctx_native(struct vai__ctx *c);

/* Called when the record will not be used again. */
static inline void vai__ctx_free(struct vai__ctx *c)
{
	(void)c;
#ifdef VAI_TSAN
	if (c->fiber)
		__tsan_destroy_fiber(c->fiber);
	c->fiber = NULL;
#endif
}

/* Must be the first call on a context that is switched to for the first time: it tells AddressSanitizer that the
 * switch is over. */
static inline void vai__ctx_entered(void)
{
#ifdef VAI_ASAN
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

/* The two halves of a switch around the swap. `dying`: from will never be switched to again. */
static inline __attribute__((always_inline)) void vai__ctx_before(
	struct vai__ctx *from, struct vai__ctx *to, bool dying)
{
	(void)from, (void)to, (void)dying;
#ifdef VAI_ASAN
	__sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->lo, to->size);
#endif
#ifdef VAI_TSAN
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
}

static inline __attribute__((always_inline)) void vai__ctx_after(struct vai__ctx *from)
{
	(void)from;
#ifdef VAI_ASAN
	__sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
#endif
}

static inline __attribute__((always_inline)) void vai__ctx_switch(
	struct vai__ctx *from, struct vai__ctx *to, bool dying)
{
	vai__ctx_before(from, to, dying);
	vai__ctx_swap(&from->sp, to->sp);
	vai__ctx_after(from);
}

/* The same for a caller that has not changed its control words since they were vai__ctx_words(): faster. */
static inline __attribute__((always_inline)) void vai__ctx_switch_known(
	struct vai__ctx *from, struct vai__ctx *to, uint64_t words)
{
	vai__ctx_before(from, to, false);
	vai__ctx_swap_known(&from->sp, to->sp, words);
	vai__ctx_after(from);
}

#endif
