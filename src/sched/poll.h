/* SPDX-License-Identifier: MIT */
/* The poller as the scheduler sees it; implemented in net/. One thread at a time is in it. */
#ifndef VAI_POLL_H
#define VAI_POLL_H

#include <stdbool.h>
#include <stdint.h>

/* Host thread, before and after everything else. VAI_OK or VAI_ESYS. */
int vai__poll_start(void);
void vai__poll_stop(void);
/* Waits until `until` (0: does not wait), something is ready or vai__poll_wake; what is ready
 * fires its goroutines. Called by one thread at a time. */
void vai__poll_wait(int64_t until);
/* Ends the current or the next vai__poll_wait. Any thread. */
void vai__poll_wake(void);
/* Operations under way whose end may wake a goroutine: each counts until that has been fired, or an M
 * about to sleep would see a deadlock in between. Any thread. */
int64_t vai__poll_pending(void);

#endif
