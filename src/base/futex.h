/* SPDX-License-Identifier: MIT */
/* Sleeping on a word and waking its sleepers; Linux futexes. Any thread may call. */
#ifndef VAI_FUTEX_H
#define VAI_FUTEX_H

#include "base/atomic.h"
#include "base/base.h"

/* Sleeps while *word is `expect`, until `deadline` at most (in the time of vai__clock_now()). It may return early,
 * so callers loop. errno does not change. */
void vai__futex_wait(atomic_uint *word, unsigned expect, int64_t deadline);
/* Wakes at most n threads that sleep on the word. */
void vai__futex_wake(atomic_uint *word, int n);

/* A pause inside a spin loop. */
static inline void vai__cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
