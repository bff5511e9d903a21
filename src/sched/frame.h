/* SPDX-License-Identifier: MIT */
/* Private to sched/: what has to do with hosts, file by file. Included by rt.h. */
#ifndef VAI_FRAME_H
#define VAI_FRAME_H

#include <signal.h>
#include "sched/rt.h"

/* The frames of one host. Its thread's, but for what says otherwise. */
struct frame {
	enum { NO_TIMER, TIMER_THERE, NO_TIMERS } has_timer;
	timer_t timer;
	vai_ticket ticket;             /* of main's wait */
	atomic_bool on;                /* main waits in vai__frame_poll */
	_Atomic(int64_t) end;          /* when the frame is over; 0: main is in none. All read it */
	atomic_bool due;               /* the signal says that it is over; the M has not come to its loop since */
	uint32_t nput_off, put_off_at; /* so many goroutines in a row were put off; the round of the last one */
	_Atomic(int) fd;               /* one more than the descriptor; 0: nobody has asked for it */
	int kept_fd;      /* the same, since the record was made: a late ring may still come, so it is not closed before */
	atomic_bool rung; /* it can be read */
};

/* As locked_m of a goroutine in a queue: it has computed for long, and no host's thread runs it in its frame. */
#define OFF_FRAME (&vai__sched.off_frame)

/* handoff.c */
void vai__m_give_back(struct m *m); /* vai__m_hand_off at a frame's end: an idle P goes to where it came from */
/* sysmon_watch.c */
struct p *vai__watch_evict(void); /* sched.lock held */
/* park.c */
bool vai__fire_here(vai_g *g, vai_ticket ticket, int code); /* true: the caller runs g */
/* frame.c: a host's thread between its frames. m is the host's M. */
bool vai__frame_idle(struct m *m);    /* m has nothing to do: true: the frame is over */
void vai__frame_ring(struct home *h); /* a goroutine that only its M may run is ready */
bool vai__frame_alarm(struct m *m, const siginfo_t *info, bool *over); /* whether it is a frame's; *over: m's is over */
bool vai__frame_due(void);          /* some frame is due: the signal that ends it has come, its M has not; any thread */
void vai__frame_check(struct m *m); /* ends a frame that is due */
bool vai__frame_wants(void);        /* some main is in a frame, or wants a P for one */
void vai__frame_nap(struct m *m);   /* m: any. sched.lock held, as for the next one */
bool vai__frame_left_to_a_napper(struct home *h);   /* the time is over, and an M will look for idle Ps by itself */
bool vai__frame_puts_off(struct m *m, struct g *g); /* m is not to run g, which has used up a slice */
int64_t vai__frame_end(const struct home *h);       /* when its time is over; 0: it is in none */
struct g *vai__frame_return(struct m *m);           /* m has no P: main, if it is to run all the same */
void vai__frame_close(struct home *h);              /* its thread ends as an M */
void vai__frame_stop(void);                         /* the runtime has stopped */
/* outside.c: threads that are no Ms */
void vai__outside_shut(void); /* the runtime is to stop: waits until they have left */
/* threads.c: as the host wishes */
int vai__threads_wish(const struct vai_options *host);
int vai__threads_create(void *(*run)(void *), void *arg, size_t stack); /* that nobody joins. 0 or an errno */
void vai__threads_begin(const char *name);                              /* by the thread itself */
void vai__threads_end(void);                                            /* likewise, as its last call */
void vai__threads_gone(void); /* one of live_ms is less when nothing of the calling thread runs any more */

#endif
