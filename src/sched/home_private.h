/* SPDX-License-Identifier: MIT */
/* Private to sched/: the inside of homes (home.h). Included by rt.h. "Lock held": sched.lock; where nothing else is
 * said, any thread calls. */
#ifndef VAI_HOME_PRIVATE_H
#define VAI_HOME_PRIVATE_H

#include "sched/rt.h"

struct home {
	struct vai__home pub;        /* first */
	struct m *m;                 /* the host's M; constant while it is open */
	_Atomic(struct home *) next; /* sched.homes, or the list of unused records; changed under sched.lock */
	_Atomic(int64_t) ended;      /* how many of its goroutines have ended since it began to close */
	_Atomic(int64_t) wake_at;    /* main, which waits for them to end, is woken when `ended` is so large, */
	_Atomic(vai_ticket) ticket;  /* by this ticket */
	struct frame frame;
	atomic_bool serial;          /* none of its goroutines runs but main (serial.c); changed under sched.lock */
	atomic_bool serial_waits;    /* main sleeps on `looks`; main's */
	atomic_uint looks;           /* futex: changes when a goroutine was put aside */
	struct gqueue held;          /* goroutines that were put aside for a serial phase; sched.lock */
	_Atomic(uint64_t) interrupt; /* the id of the opening whose main is to be interrupted (sigint.c); 0: none */
	struct home *next_made;      /* list of all records, the latest first; sched.lock */
	bool has_left;               /* goroutines are left that did not end; used by the thread that closes it */
	bool stuck; /* main is to be told of a deadlock, if it still is in the wait `stuck_in`; sched.lock */
	vai_ticket stuck_in;
};

/* The record of a home, whose first part is all that other rooms see of it. */
static inline struct home *home_of(struct vai__home *home)
{
	return (struct home *)(void *)home;
}

/* Whether m is a host's M: not NULL, nor one of the marks OFF_MAIN and OFF_FRAME. */
static inline bool is_hosts(const struct m *m)
{
	return m && m->home;
}

/* The first of all records, by next_made. No M runs. */
struct home *vai__home_made(void);
/* Ends the wait of every main with this code. */
void vai__home_fire_all(int code);
/* The runtime has stopped: all homes are closed. */
void vai__home_forget_all(void);
/* The calling thread, which is no M, becomes the host's of a home. NULL: the system refused *call (errno). */
struct home *vai__home_begin(const char **call);
/* The next three are called only while sched.nwatched > 0. g, which has just begun to wait and may run again by now, is
 * asked to end if its home closes. */
void vai__home_parked(struct g *g);
/* The same for g, which the calling M is about to run. */
void vai__home_tell(struct g *g);
/* One of the home's goroutines has ended. */
void vai__home_note_end(struct vai__home *home);
/* The M on which goroutines of vai__g_new_on_main run: the home's, or M0 if it has none. */
struct m *vai__home_m(const struct vai__home *home);
/* Whether every main waits, and no goroutine is ready that only a host's M may run. Lock held. */
bool vai__home_all_wait(void);

/* serial.c */
/* m's thread is about to run g, which is m's curg. True: g's home is in a serial phase, so g was put aside, and m has
 * no curg. */
bool vai__serial_holds(struct m *m, struct g *g);
/* self comes back from a block: if its home is in a serial phase, it yields, and runs again after that. */
void vai__serial_pass(vai_g *self);

/* g.c, park.c: what homes need of goroutines */
/* As vai__g_alloc, without a P and without an id. NULL: out of memory. */
struct g *vai__g_alloc_outside(void);
/* Makes a fresh record a goroutine of that home, which will run entry(g, arg). */
void vai__g_begin_new(struct g *g, void (*entry)(vai_g *g, void *arg), void *arg, struct vai__home *home);
/* The records of slab i, SLAB of them; NULL: there are no more slabs. */
struct g *vai__g_slab(int64_t i);
/* Asks g to end (VAI_END_CLOSED) by ending the wait whose word was `word`. False: that wait has ended, or g was asked
 * so before, unless `force`. On an M. */
bool vai__fire_end(struct g *g, uint64_t word, bool force);

#endif
