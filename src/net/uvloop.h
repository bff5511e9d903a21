/* SPDX-License-Identifier: MIT */
/* The process's libuv loop, for what libuv does and vai does not. It is opened when it is first asked for, so a
 * program that does not need it has none. It is nested in the poller: the thread that is in the poller turns the
 * loop when the loop's descriptor is readable or one of its timers is due.
 *
 * A loop needs mutual exclusion, not one thread: between vai__uvloop_enter and vai__uvloop_leave only the calling
 * thread is in it, and may start, stop and close handles. Callbacks run on whatever thread turns the loop, under the
 * same lock. They fire tickets and free memory, and must not park, run Lua code or call vai__uvloop_enter. A
 * goroutine does not park between the two. */
#ifndef VAI_UVLOOP_H
#define VAI_UVLOOP_H

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;

/* NULL: the system refused; then without vai__uvloop_leave. */
struct uv_loop_s *vai__uvloop_enter(void);
/* Lets libuv take up what was started (it is queued until the loop turns), and wakes the poller. */
void vai__uvloop_leave(void);

/* ---- for the pollers ---- */

bool vai__uvloop_is_open(void);
int vai__uvloop_fd(void);       /* can be read when the loop has something to do; the loop is open */
int64_t vai__uvloop_next(void); /* when the next of its timers is due; VAI_FOREVER: none */
void vai__uvloop_turn(void);    /* without waiting */
/* No M is left. Handles that are still there are closed. */
void vai__uvloop_stop(void);
/* A loop that has its first descriptors: libuv aborts where it gets none. 0 or -1. */
int vai__uvloop_init(struct uv_loop_s *loop);
/* Ends the program with a message if other code has closed the loop's descriptors, of which libuv aborts. */
void vai__uvloop_check(const struct uv_loop_s *loop);

#endif
