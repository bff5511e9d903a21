/* SPDX-License-Identifier: MIT */
/* Threads that are no Ms and use what goroutines use: channels, goroutines that they post. Such a thread says that it
 * is there and then looks whether the runtime runs. The end of the runtime says that it does not run and then looks
 * whether such a thread is there. So one of the two sees the other. None of these threads waits in between, so they are
 * soon gone. What hosts call from such threads is in capi/; to post is vai__g_post (g.c). */
#include "sched/rt.h"

bool vai__outside_enter(void)
{
	atomic_fetch_add_seq_cst(&vai__sched.outside, 1);
	if (VAI_LIKELY(atomic_load_seq_cst(&vai__sched.running)))
		return true;
	vai__outside_leave();
	return false;
}

void vai__outside_leave(void)
{
	atomic_fetch_sub_seq_cst(&vai__sched.outside, 1);
}

void vai__outside_shut(void)
{
	atomic_store_seq_cst(&vai__sched.running, false);
	while (atomic_load_seq_cst(&vai__sched.outside) > 0)
		vai__cpu_relax();
}
