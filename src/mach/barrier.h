/* SPDX-License-Identifier: MIT */
/* Two barriers that pair: the light one is for a path that is taken all the time, the heavy one for its rare
 * opponent. After "write A, light, read B" on one thread and "write B, heavy, read A" on another, one of the two
 * reads sees the other thread's write. Where the kernel can make all threads of the process pass a barrier
 * (membarrier(2)), the light one costs nothing. */
#ifndef VAI_BARRIER_H
#define VAI_BARRIER_H

#include "base/atomic.h"
#include "base/base.h"

/* Finds out which kind the kernel offers. Called once, before any thread uses a barrier. */
void vai__barrier_init(void);
/* The barrier of the side that is rare: a system call of some microseconds. Any thread may call. */
void vai__barrier_heavy(void);

extern bool vai__barrier_by_kernel; /* constant after vai__barrier_init */

/* The barrier of the side that is taken all the time. */
static inline void vai__barrier_light(void)
{
	if (VAI_LIKELY(vai__barrier_by_kernel))
		atomic_signal_fence(memory_order_seq_cst);
	else
		atomic_thread_fence(memory_order_seq_cst);
}

#endif
