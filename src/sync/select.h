/* SPDX-License-Identifier: MIT */
/* Waiting for one of several channel operations. Called by goroutine self. */
#ifndef VAI_SELECT_H
#define VAI_SELECT_H

#include "sync/chan.h"

enum vai_dir { VAI_DIR_NONE, VAI_DIR_SEND, VAI_DIR_RECV };
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
/* For dumps. obj is what a goroutine waits for with VAI_WAIT_SELECT; it cannot wake meanwhile. Returns its next case
 * that can become ready after case i (-1: its first); -1: there is none. */
int vai__select_waits(const void *obj, int i, vai_chan **ch, enum vai_dir *dir);

#endif
