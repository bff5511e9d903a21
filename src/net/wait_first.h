/* SPDX-License-Identifier: MIT */
/* Waiting for the first of several connections, listeners or datagram sockets. */
#ifndef VAI_WAIT_FIRST_H
#define VAI_WAIT_FIRST_H

#include "net/conn.h"

struct vai__wait_first {
	struct vai__desc *desc;
	vai_conn *conn; /* for reading: what its buffer holds counts, too; or NULL */
	enum vai__dir dir;
	bool ready; /* the answer: a call would not wait, or would fail at once */
	bool asked; /* used inside */
};

/* Parks until one of the n entries is ready or `limit` (absolute, ns; 0: only looks). VAI_OK: at least one is, and
 * `ready` says which; VAI_ETIMEOUT, VAI_ECANCELED, VAI_EDEADLOCK, VAI_ENOMEM. The caller is a goroutine, holds
 * references to all entries, and does not move the list. */
int vai__wait_first(vai_g *self, struct vai__wait_first *list, int n, int64_t limit);

#endif
