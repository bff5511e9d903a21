/* SPDX-License-Identifier: MIT */
/* Waiting for one of several channel operations. Called by goroutine self, which holds a reference to each channel; it
 * parks unless `deadline` (absolute) is 0. */
#ifndef VAI_SELECT_H
#define VAI_SELECT_H

#include "sync/chan.h"

/* VAI_DIR_OTHER: something that is no channel, for vai__select_also; ch is NULL, and msg.w[0] is its struct vai_obj. */
enum vai_dir { VAI_DIR_NONE, VAI_DIR_SEND, VAI_DIR_RECV, VAI_DIR_OTHER };
struct vai__case {
	vai_chan *ch; /* NULL or VAI_DIR_NONE: never ready */
	enum vai_dir dir;
	int result;  /* of the chosen case: VAI_OK, or VAI_ECLOSED */
	vai_msg msg; /* to send, or received */
};
/* Waits until one of n cases can go and does it; of several, a random one. Returns its index, or VAI_EAGAIN
 * (deadline 0), VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK, VAI_ENOMEM. Messages of send cases that were not chosen
 * stay the caller's. A send on a closed channel chooses that case with the result VAI_ECLOSED. The same channel may
 * occur in several cases. The msg of a receive that was not chosen, or whose result is not VAI_OK, owns nothing. */
int vai__select(vai_g *self, struct vai__case *cases, int n, int64_t deadline);
/* Other things than channels that end the wait of a select. */
struct vai__also {
	/* Called before the goroutine parks, without a lock: leaves the ticket where these things will fire it, with
	 * VAI_WAKE_USER or the code of their case. False: one of them is ready already. Must not wait. */
	bool (*begin)(struct vai__also *also, vai_g *self, vai_ticket ticket);
	/* Called after the wait, which ended with that code. */
	void (*end)(struct vai__also *also, int code);
};
/* The wake code of case i, to which the next number belongs as well (the object was closed). */
#define VAI__SELECT_CODE(i) (VAI_WAKE_USER + 1 + 2 * (i))
/* As vai__select; besides, what `also` waits for may wake the goroutine, and then the result is VAI_EAGAIN. This
 * function does no more for cases of VAI_DIR_OTHER: the caller looks at them before and after. */
int vai__select_also(vai_g *self, struct vai__case *cases, int n, int64_t deadline, struct vai__also *also);
/* A random number below n. */
uint64_t vai__select_random(uint64_t n);
/* For dumps. obj is what a goroutine waits for with VAI_WAIT_SELECT; it cannot wake meanwhile. Returns its next case
 * that can become ready after case i (-1: its first); -1: there is none. */
int vai__select_waits(const void *obj, int i, const struct vai__case **c);

#endif
