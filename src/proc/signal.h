/* SPDX-License-Identifier: MIT */
/* Signals that are told to channels. What was set for a signal before is kept, and set again by vai__signal_reset and
 * when the runtime ends. Any goroutine may call; nothing parks. */
#ifndef VAI_SIGNAL_H
#define VAI_SIGNAL_H

#include "sync/chan.h"

/* The signal's number, from its name ("SIGINT") or its number as text; 0: there is no such signal. */
int vai__signal_number(const char *name);
/* The name of a signal, "SIGINT", or "an unknown signal"; a constant string. */
const char *vai__signal_name(int sig);
/* Whether scripts may have the signal. False: it cannot be caught, or the runtime needs it. */
bool vai__signal_is_free(int sig);

/* Sends the signal's name into ch each time it comes; a full channel misses it. make: gives the message, called without
 * a goroutine and under a lock; false: out of memory. drop: as for vai__chan_new. VAI_OK, VAI_ENOMEM or
 * VAI__ERRNO(e). */
int vai__signal_notify(vai_chan *ch, int sig, bool (*make)(vai_msg *msg, const char *name), vai_drop_fn *drop);
/* Makes this process ignore the signal, and the children that it starts from now on. VAI_OK or VAI__ERRNO(e). */
int vai__signal_ignore(int sig);
/* Undoes both for one signal, or for all (0): no channel is told of it, and what was set for it before is set again,
 * unless other code has set something since. */
void vai__signal_reset(int sig);

#endif
