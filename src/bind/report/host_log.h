/* SPDX-License-Identifier: MIT */
/* Lines that scripts cause in the host's log. A script in a sandbox decides how many there are and how long, so there
 * they are cut, and those that come too fast are dropped and counted: a log is bounded, as everything else is. */
#ifndef VAI_HOST_LOG_H
#define VAI_HOST_LOG_H

#include "bind/main_state.h"

/* As vai__log. The line counts for the sandbox of the calling goroutine's state, if that has one. May block, as the
 * host's function may. */
void vai__host_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Tells how many lines of the state's scripts were dropped and not told of yet. For main, when the state ends, and
 * before another one takes over the record. */
void vai__host_log_end(struct vai__main *main);

#endif
