/* SPDX-License-Identifier: MIT */
/* Signals that are told to channels. What was set for a signal before is kept, and set again by a reset and
 * when the runtime ends. Any goroutine; nothing parks. */
#ifndef VAI_SIGNAL_H
#define VAI_SIGNAL_H

#include "sync/chan.h"

/* By name ("SIGINT") or, from 1 on, number; 0: there is no such. */
int vai__signal_number(const char *name);
/* The name of a signal, "SIGINT", or "an unknown signal"; a constant string. */
const char *vai__signal_name(int sig);
/* Whether scripts may have the signal. False: it cannot be caught, or the runtime needs it. */
bool vai__signal_is_free(int sig);

/* Sends the signal's name into ch whenever it comes; a full channel misses it. make: the message, without a
 * goroutine, under a lock; false: out of memory. VAI_OK, VAI_ENOMEM or VAI__ERRNO(e). */
int vai__signal_notify(vai_chan *ch, int sig, bool (*make)(vai_msg *msg, const char *name), vai_drop_fn *drop);
/* Has the signal ignored, and children that are started from now on ignore it, too. VAI_OK or VAI__ERRNO(e). */
int vai__signal_ignore(int sig);
/* Takes back both for one signal, or for all of them (0): no channel is told of it any more, and what was set for it
 * before the first of them is set again, unless other code has set something since. */
void vai__signal_reset(int sig);

#endif
