/* SPDX-License-Identifier: MIT */
/* Private to sched/: what has to do with hosts, file by file: their frames, and threads as they wish them. Included by
 * rt.h. Where nothing else is said, the host's thread calls, and m is its M. "Lock held": sched.lock. */
#ifndef VAI_FRAME_H
#define VAI_FRAME_H

#include <signal.h>
#include "sched/rt.h"

/* The frames of one host. Its thread alone uses the fields, but for those that are atomic. */
struct frame {
	enum { NO_TIMER, TIMER_THERE, NO_TIMERS } has_timer; /* NO_TIMERS: the system refuses them */
	timer_t timer;                                       /* sends the signal at a frame's end */
	vai_ticket ticket;                                   /* of main's wait */
	atomic_bool on;                                      /* main waits in vai__frame_poll */
	_Atomic(int64_t) end;                                /* when the frame is over; 0: main is in none */
	atomic_bool due;               /* the signal has come, and the M has not come to its loop since */
	uint32_t nput_off, put_off_at; /* how many goroutines in a row were put off; the round of the last one */
	_Atomic(int) fd;               /* vai__frame_fd's descriptor plus 1; 0: it was not asked for */
	/* The same, kept when the home closes and for the next that gets the record: a late vai__frame_ring may still
	 * write to it, so it is closed only when the runtime ends. */
	int kept_fd;
	atomic_bool rung; /* fd can be read */
};

/* As locked_m of a goroutine in a queue: it has computed for a slice, and a host's M does not run it in a frame. */
#define OFF_FRAME (&vai__sched.off_frame)

/* handoff.c: as vai__m_hand_off, at a frame's end: an idle P goes back to the M that it was taken from. */
void vai__m_give_back(struct m *m);
/* sysmon_watch.c: takes the P of a goroutine that runs, for the caller. NULL: every M is in its loop or in vai. Lock
 * held. */
struct p *vai__watch_evict(void);
/* park.c: as vai__fire. True: g waited, is not put into a queue, and the caller runs it. */
bool vai__fire_here(vai_g *g, vai_ticket ticket, int code);

/* frame.c */
/* m has nothing to do: ends the frame. False: main is in none. */
bool vai__frame_idle(struct m *m);
/* A goroutine that only the home's M may run is ready: makes the descriptor readable. Any thread, without the lock. */
void vai__frame_ring(struct home *h);
/* In the signal's handler, on m's thread; m may be NULL. Whether the signal is that of a frame. *over: m's frame is
 * over. */
bool vai__frame_alarm(struct m *m, const siginfo_t *info, bool *over);
/* Whether the signal that ends some frame has come, and its M has not come to its loop. Any thread. */
bool vai__frame_due(void);
/* Ends m's frame if it is due. m has a P. */
void vai__frame_check(struct m *m);
/* Whether some main is in a frame, or wants a P for one. Any thread. */
bool vai__frame_wants(void);
/* m, any M, goes idle while there are frames: it wakes by itself after the first of them is over. Lock held. */
void vai__frame_nap(struct m *m);
/* Whether the frame's time is over, and an M that naps will look for an idle P by itself. Lock held. */
bool vai__frame_left_to_a_napper(struct home *h);
/* Whether m is not to run g, which has used up a slice, because main is in a frame. If so, g is in a queue. */
bool vai__frame_puts_off(struct m *m, struct g *g);
/* When the time of the home's frame is over; 0: main is in none. Any thread. */
int64_t vai__frame_end(const struct home *h);
/* m, which has no P, is to run main all the same, and its frame ends: returns main. NULL: not so. */
struct g *vai__frame_return(struct m *m);
/* The host's thread ends as an M. Any thread. */
void vai__frame_close(struct home *h);
/* The runtime has stopped: closes what is left of all frames. */
void vai__frame_stop(void);

/* outside.c: the runtime is to stop. Blocks until all threads between vai__outside_enter and _leave have left. */
void vai__outside_shut(void);

/* threads.c: threads as the host wishes them */
/* Takes over the host's options, before there is a thread; NULL: the defaults of a script. VAI_OK; VAI_EINVAL: one
 * makes no sense. */
int vai__threads_wish(const struct vai_options *host);
/* Starts a thread that nobody joins, with so many bytes of stack. 0, or an errno. Any thread. */
int vai__threads_create(void *(*run)(void *), void *arg, size_t stack);
/* Called by a thread of the runtime first, and last. */
void vai__threads_begin(const char *name);
void vai__threads_end(void);
/* Counts the calling thread out of sched.live_ms, when nothing of it runs any more. */
void vai__threads_gone(void);

#endif
