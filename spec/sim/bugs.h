/* SPDX-License-Identifier: MIT */
/* The bugs that can be put into the code under test, each at the points of src/ that name it; included before every
 * source. Which one is on is decided when the program starts (explore.c). */
#ifndef VAI_SIM_BUGS_H
#define VAI_SIM_BUGS_H

/* Name, the tests that find it, what it does. */
// clang-format off
#define SIM_BUGS(BUG) \
	BUG(alone_closed, "sides_close", "a sender by itself does not look whether the channel is closed") \
	BUG(alone_recv, "pipe buffered", "a sender by itself does not look whether somebody waits for its message") \
	BUG(alone_send, "pipe buffered", "a receiver by itself does not look whether somebody waits for room") \
	BUG(alone_unlocked, "sides_two", "a send takes the lock of its side only after its attempt there") \
	BUG(close_forgets, "close", "close leaves the receivers where they are") \
	BUG(commit_blind, "cancel", "vai__park_commit does not look at g->end") \
	BUG(commit_store, "fire outside", "vai__park_commit compares and stores in two steps") \
	BUG(deadlock_early, "input", "a deadlock is told while the poller has something under way") \
	BUG(desc_await_blind, "net_await", "who waits for a close does not look whether it is done already") \
	BUG(desc_close_blind, "net_close", "a wait does not look whether the descriptor is closed") \
	BUG(desc_close_early, "net_close", "a close takes the descriptor from who uses it") \
	BUG(desc_deadline_silent, "net_moved", "a deadline that is moved is told to nobody who waits") \
	BUG(desc_edge_lost, "net_ready", "an edge that nobody waits for is forgotten") \
	BUG(desc_gone_late, "net_await", "the file goes after those who wait for that were told") \
	BUG(desc_pass_lost, "net_queue", "a direction goes to a goroutine that has given up") \
	BUG(desc_ready_ignored, "net_ready", "a wait does not look whether an edge has come before it") \
	BUG(empty_once, "empty", "vai__runq_empty does not look whether tail has moved") \
	BUG(fire_any_ticket, "fire timeout", "vai__fire does not compare the ticket") \
	BUG(fire_no_ready, "outside", "a waker that finds PARKED leaves it at that") \
	BUG(fire_store, "fire timeout", "vai__fire reads and stores its code in two steps") \
	BUG(hand_over_lost, "send_timeout", "a send counts as done although its receiver was gone") \
	BUG(last_spinner, "spread", "a spinner that finds work wakes nobody") \
	BUG(link_unlocked, "rendezvous", "a wait is linked after the lock was released") \
	BUG(look_before, "submit spread", "the look at the queues comes before the end of spinning") \
	BUG(look_early, "idle_timer", "sysmon looked at the timers before all Ms slept, and nobody tells it when they do") \
	BUG(mutex_alone, "mutex_timeout mutex_cancel", "a waiter that was woken and gives up wakes nobody") \
	BUG(mutex_kept, "mutex_starved_cancel", "a goroutine that was handed the mutex and is to end keeps it") \
	BUG(mutex_silent, "mutex", "an unlock wakes nobody") \
	BUG(mutex_torn, "mutex", "the mutex is taken with a load and a store") \
	BUG(mutex_unmarked, "mutex", "who queues up for a mutex does not say so in its word") \
	BUG(mutex_woken_stays, "mutex", "a waiter that was woken in vain and waits again is still taken for woken") \
	BUG(next_barrier, "steal_next", "a thief looks whether the owner takes runnext without a barrier before it") \
	BUG(next_store, "steal_next", "runnext is replaced with a load and a store") \
	BUG(next_unsaid, "steal_next", "the owner takes runnext without saying so") \
	BUG(no_second_look, "submit", "no look at the queues after the P was given up") \
	BUG(overflow_commit, "steal_two", "a batch goes to the global queue by a load and a store") \
	BUG(poll_alone, "watched_input", "who looks into the poller leaves it to nobody") \
	BUG(poll_blind, "submit outside input cancel", "an M sleeps in the poller without a look whether it was woken") \
	BUG(poll_late, "late_input", "nobody looks into the poller while all Ms have work") \
	BUG(polled_unseen, "sourced", "who asks a source for those that wait does not see whom it has just woken") \
	BUG(pop_commit, "steal", "the owner pops with a load and a store") \
	BUG(renew_any, "net_renew", "any wait that lasts long is begun anew, not only those that want it") \
	BUG(retake_barrier, "retake", "no barrier between asking for a P and the look whether its M is busy") \
	BUG(retake_blind, "retake", "a P is taken without a second look whether its M is busy") \
	BUG(seat_forever, "seat_call", "the place in the poller is kept for an M that has lost its P") \
	BUG(seat_unwatched, "seat_compute", "nobody takes the place in the poller from an M that computes") \
	BUG(select_blind, "select_pair select_close", "a select queues up for a case that is ready") \
	BUG(select_deaf, "select_pair select_close", "a select does not see that it was served while it queued up") \
	BUG(select_left, "select_pair select_close", "a select leaves its records in the queues of the other cases") \
	BUG(select_unlocked, "select_same", "a select lets go of the locks between looking and linking") \
	BUG(semaphore_behind, "semaphore_timeout", "who gives up does not let those behind it through") \
	BUG(semaphore_kept, "semaphore_cancel", "a goroutine that was served and is to end keeps its permits") \
	BUG(semaphore_torn, "semaphore", "permits are taken with a load and a store") \
	BUG(semaphore_unmarked, "semaphore_cancel semaphore_timeout", "who queues up for permits does not say so") \
	BUG(share_fence, "submit spread", "no barrier between the queue and the look who sleeps") \
	BUG(shed_blind, "net_shed_ready", "a goroutine that has shed its stack is parked although its wait is over") \
	BUG(shed_late, "shed", "a goroutine that has shed its stack has it until after the commit") \
	BUG(steal_commit, "steal steal_two", "a thief commits with a load and a store") \
	BUG(tail_first, "steal", "tail is published before the slot is written") \
	BUG(timer_left, "timeout", "the timer of a wait that something else ended is not stopped") \
	BUG(waiter_left, "send_timeout", "a send that timed out leaves its record in the queue") \
	BUG(waitgroup_blind, "waitgroup", "a wait group is not looked at again under its lock") \
	BUG(wake_order, "outside input cancel", "who wakes looks first whether the M polls")
// clang-format on

#define SIM_BUG_NUMBER(name, tests, what) SIM_BUG_##name,
enum { SIM_BUG_NONE, SIM_BUGS(SIM_BUG_NUMBER) };
extern int sim_bug;

#define VAI_BUG(name) (sim_bug == SIM_BUG_##name)
#define VAI_BUG_DO(name, ...) \
	do { \
		if (VAI_BUG(name)) { \
			__VA_ARGS__; \
		} \
	} while (0)
#define VAI_BUG_TEAR(name) sim_tear(VAI_BUG(name))
void sim_tear(int on);

#endif
