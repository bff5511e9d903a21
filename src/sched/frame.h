/* SPDX-License-Identifier: MIT */
/* Private to sched/: what has to do with hosts, file by file. Included by rt.h. */
#ifndef VAI_FRAME_H
#define VAI_FRAME_H

#include <signal.h>
#include "sched/rt.h"

/* As locked_m of a goroutine in a queue: it has computed for long, and M0 does not run it in this frame. */
#define OFF_FRAME (&vai__sched.off_frame)

/* handoff.c */
void vai__m_give_back(struct m *m); /* vai__m_hand_off at a frame's end: an idle P goes to where it came from */
/* sysmon_watch.c */
struct p *vai__watch_evict(void); /* sched.lock held */
/* park.c */
bool vai__fire_here(vai_g *g, vai_ticket ticket, int code); /* true: the caller runs g */
/* frame.c: main's thread between the frames of a host */
bool vai__frame_idle(void);                               /* M0 has nothing to do: true: the frame is over */
void vai__frame_ring(void);                               /* a goroutine that only M0 may run is ready */
bool vai__frame_alarm(const siginfo_t *info, bool *over); /* whether it is a frame's; *over: whether one is over */
bool vai__frame_due(void);                                /* the signal that ends it has come, M0 has not; any thread */
void vai__frame_check(void);                              /* ends a frame that is due */
bool vai__frame_wants(void);                              /* main is in a frame, or wants a P for one */
void vai__frame_nap(struct m *m);                         /* sched.lock held, as for the next one */
bool vai__frame_left_to_a_napper(void);             /* the time is over, and an M will look for idle Ps by itself */
bool vai__frame_puts_off(struct m *m, struct g *g); /* M0 is not to run g, which has used up a slice */
int64_t vai__frame_end(void);                       /* when its time is over; 0: it is in none */
struct g *vai__frame_return(void);                  /* M0 has no P: main, if it is to run all the same */
void vai__frame_stop(void);                         /* the runtime ends; no other M runs */
/* outside.c: threads that are no Ms */
void vai__outside_shut(void); /* the runtime is to stop: waits until they have left */
/* threads.c: as the host wishes */
int vai__threads_wish(const struct vai_options *host);
int vai__threads_create(void *(*run)(void *), void *arg, size_t stack); /* that nobody joins. 0 or an errno */
void vai__threads_begin(const char *name);                              /* by the thread itself */
void vai__threads_end(void);                                            /* likewise, as its last call */

#endif
