/* SPDX-License-Identifier: MIT */
/* What a poller does for the descriptors of descriptor.h. There are two: epoll's own, and one on libuv's
 * uv_poll_t for systems without epoll, which VAI_POLL=uv chooses. */
#ifndef VAI_POLLER_H
#define VAI_POLLER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/fatal.h"
#include "net/descriptor.h"

struct vai__poller {
	/* As the functions vai__poll_... of the same names in sched/poll.h. */
	int (*start)(const char **call);
	void (*stop)(void);
	void (*wait)(int64_t until);
	void (*wake)(void);
	void (*check)(void);
	/* Begins to report events of d to vai__desc_event. 0 or an errno. Any thread, as for arm and retire. */
	int (*add)(struct vai__desc *d);
	/* Says that a goroutine waits for this direction of d. NULL: the poller need not be told. */
	void (*arm)(struct vai__desc *d, enum vai__dir dir);
	/* Takes d out, now or later, and then calls vai__desc_dispose. Nothing else uses d any more. */
	void (*retire)(struct vai__desc *d);
};

extern const struct vai__poller vai__poller_epoll, vai__poller_uv;

/* ---- what a poller asks of descriptor.c ---- */

/* A number that names d until it is disposed of; no other record ever has the same. */
uint64_t vai__desc_key(const struct vai__desc *d);
/* Reports that the descriptor with that key is ready in these directions. last: no other edge may come
 * (vai__desc_edges). A key whose record is gone is ignored. */
void vai__desc_event(uint64_t key, bool readable, bool writable, bool last);
/* Closes the file descriptor of d. */
void vai__desc_dispose(struct vai__desc *d);
/* The place in d for the poller's own pointer. */
void **vai__desc_slot(struct vai__desc *d);
/* Closes the records that are still open. Called on the host's thread when the runtime has ended. */
void vai__desc_stop(void);

/* The poller in use; set by the host's thread while the runtime does not run. */
extern const struct vai__poller *vai__desc_poller;

/* Ends the program, as this call on a descriptor of the poller's own has failed with errno. Any thread. */
static _Noreturn inline void vai__poller_lost(const char *call)
{
	vai__fatal_give_up("%s: %m: other code has closed descriptors of vai's, so the program ends", call);
}

#endif
