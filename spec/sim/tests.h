/* SPDX-License-Identifier: MIT */
/* The tests, each a whole run of the machine. */
#ifndef VAI_SIM_TESTS_H
#define VAI_SIM_TESTS_H

#include "sim.h"

/* queue_test.c: run queues without a scheduler */
void test_steal(void);
void test_steal_next(void);
void test_steal_two(void);
void test_empty(void);
void test_global(void);
/* sched_test.c: who sleeps, who runs */
void test_submit(void);
void test_spread(void);
void test_outside(void);
void test_input(void);
void test_late_input(void);
void test_watched_input(void);
void test_seat_call(void);
void test_seat_compute(void);
void test_seat_wait(void);
void test_deadlock(void);
void test_idle_timer(void);
void test_sourced(void);
void test_fire(void);
void test_timeout(void);
void test_cancel(void);
void test_retake(void);
void test_frames(void);
void test_frames_two(void);
/* sync_test.c: channels, select, wait groups */
void test_rendezvous(void);
void test_shed(void);
void test_shed_close(void);
void test_buffered(void);
void test_pipe(void);
void test_sides(void);
void test_sides_two(void);
void test_sides_close(void);
void test_send_timeout(void);
void test_close(void);
void test_select_pair(void);
void test_select_same(void);
void test_select_close(void);
void test_waitgroup(void);
/* lock_test.c: mutexes, semaphores */
void test_mutex(void);
void test_mutex_timeout(void);
void test_mutex_cancel(void);
void test_mutex_starved(void);
void test_mutex_starved_cancel(void);
void test_semaphore(void);
void test_semaphore_timeout(void);
void test_semaphore_cancel(void);
/* net_test.c: descriptor records */
void test_net_ready(void);
void test_net_close(void);
void test_net_await(void);
void test_net_deadline(void);
void test_net_moved(void);
void test_net_queue(void);
void test_net_shed_ready(void);
void test_net_shed_close(void);
void test_net_shed_limit(void);
void test_net_shed_cancel(void);
void test_net_renew(void);

#endif
