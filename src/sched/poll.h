/* SPDX-License-Identifier: MIT */
/* The poller as the scheduler sees it; implemented in net/. One thread at a time is in vai__poll_wait: an idle M
 * sleeps there, Ms without work look in, busy ones do so now and then, and sysmon does when no other thread has for
 * a while.
 *
 * Code that waits for a file descriptor uses net/descriptor.h, the other side of the poller. What is finished by other
 * means (a thread that looks up a name: net/resolve.h) follows one rule: the goroutine that waits is counted by
 * vai__poll_count(1) before it parks, and takes that back itself after it has woken. As long as anything is counted
 * the runtime sees no deadlock and looks into the poller. The wait is ended by vai__fire, on any thread. */
#ifndef VAI_POLL_H
#define VAI_POLL_H

#include <stdbool.h>
#include <stdint.h>

/* Called on the host's thread before and after everything else. VAI_OK, or VAI_ESYS with errno, and the call that the
 * system refused in *call. When the stop is called no M is left; it releases what abandoned goroutines held
 * (descriptors, requests). */
int vai__poll_start(const char **call);
void vai__poll_stop(void);
/* Waits until something is ready, until vai__poll_wake, or until `until` (0: does not wait), and fires the
 * goroutines that wait for what is ready. Called by one thread at a time. */
void vai__poll_wait(int64_t until);
/* Ends the current or the next vai__poll_wait. Any thread. */
void vai__poll_wake(void);
/* Ends the program with a message if other code has closed the poller's own descriptors. Any thread, now and then:
 * what sleeps in the poller then may sleep for ever. */
void vai__poll_check(void);
/* How many goroutines wait for the poller, or for what else is counted by the next. While there are any, there is no
 * deadlock. A waiter counts until it runs again; otherwise an M about to sleep could see none in between. Any
 * thread. */
int64_t vai__poll_pending(void);
/* Counts n goroutines more, or less. Any thread. */
void vai__poll_count(int n);

/* A source puts messages of the system (signals, changes of files) into channels at any time, whether or not a
 * goroutine waits for them. It keeps a program from a deadlock only where one does, which sysmon asks when all else is
 * quiet. */
struct vai__source {
	/* Whether a goroutine waits at one of its channels. Takes the lock under which the source puts messages there. */
	bool (*awaited)(void);
	struct vai__source *next; /* list of all sources; they stay in it */
	_Atomic(bool) known;      /* it is in that list */
};
/* s has n channels more, or less. s lasts for ever. Any thread. */
void vai__poll_source(struct vai__source *s, int n);
/* How many channels all sources have. Any thread. */
int64_t vai__poll_sources(void);
/* Whether a goroutine waits at one of them. sysmon. */
bool vai__poll_sources_awaited(void);

#endif
