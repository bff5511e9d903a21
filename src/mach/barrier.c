/* SPDX-License-Identifier: MIT */
/* The heavy side of the barrier: membarrier(2), or a fence on both sides if the system has none. Any thread. */
#include "mach/barrier.h"
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

bool vai__barrier_by_kernel;

void vai__barrier_init(void)
{
#ifndef VAI_HARD /* the hostile build tests how it works without membarrier */
	vai__barrier_by_kernel = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
#endif
}

void vai__barrier_heavy(void)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (vai__barrier_by_kernel)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}
