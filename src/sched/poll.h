/* SPDX-License-Identifier: MIT */
/* The poller as the scheduler sees it; implemented in net/. One thread at a time is in vai__poll_wait:
 * an idle M sleeps there, Ms without work and busy ones now and then look in, and so does sysmon
 * when nobody has for a while.
 *
 * What waits for a file descriptor uses net/desc.h, which is the other side of the poller. What is
 * finished by other means (a thread, a libuv callback: net/uvloop.h) follows one rule: the goroutine that
 * waits is counted by vai__poll_count(1) before it parks and uncounted by itself after it has woken.
 * As long as anybody is counted the runtime sees no deadlock and looks into the poller. Whoever ends
 * the wait calls vai__fire, on any thread. */
#ifndef VAI_POLL_H
#define VAI_POLL_H

#include <stdbool.h>
#include <stdint.h>

/* Host thread, before and after everything else. VAI_OK or VAI_ESYS. After the stop no M is left: what
 * abandoned goroutines held (descriptors, requests) is released there. */
int vai__poll_start(void);
void vai__poll_stop(void);
/* Waits until `until` (0: does not wait), something is ready or vai__poll_wake; what is ready
 * fires its goroutines. Called by one thread at a time. */
void vai__poll_wait(int64_t until);
/* Ends the current or the next vai__poll_wait. Any thread. */
void vai__poll_wake(void);
/* Goroutines that wait for the poller, and other reasons to hope: as long as there are some, there
 * is no deadlock. A waiter counts until it runs again, or an M about to sleep would see one in
 * between. Any thread. */
int64_t vai__poll_pending(void);
void vai__poll_count(int n);

#endif
