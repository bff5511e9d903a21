/* SPDX-License-Identifier: MIT */
/* Private to sched/: homes, of which each Lua state that has opened vai is one. Included by rt.h. */
#ifndef VAI_HOME_PRIVATE_H
#define VAI_HOME_PRIVATE_H

#include "sched/rt.h"

struct home {
	struct vai__home pub;        /* first */
	struct m *m;                 /* constant while it is open */
	_Atomic(struct home *) next; /* sched.homes, or the list of unused ones; changed under sched.lock */
	_Atomic(int64_t) ended;      /* goroutines that have ended since it closes */
	_Atomic(int64_t) wake_at;    /* how many it takes until main has to look again */
	_Atomic(vai_ticket) ticket;  /* of main's wait for that */
	struct frame frame;
	atomic_bool serial;          /* none of its goroutines runs, but main (serial.c); changed under sched.lock */
	atomic_bool serial_waits;    /* main's */
	atomic_uint looks;           /* futex: main is to look again whether one runs */
	struct gqueue held;          /* those that would run; sched.lock */
	_Atomic(uint64_t) interrupt; /* the id of the opening whose main is to be interrupted (sigint.c); 0: none */
	struct home *next_made;      /* all records, the latest first; sched.lock */
	bool has_left;               /* goroutines that did not end; the closer's */
	bool stuck;                  /* main is to be told of a deadlock, in that wait; lock */
	vai_ticket stuck_in;
};

/* The record of a home, whose first part is all that other rooms see of it. */
static inline struct home *home_of(struct vai__home *home)
{
	return (struct home *)(void *)home;
}

/* OFF_MAIN belongs to no host. */
static inline bool is_hosts(const struct m *m)
{
	return m && m->home;
}

struct home *vai__home_made(void); /* the first of all records; no M runs */
void vai__home_fire_all(int code); /* ends what every main waits in */
void vai__home_forget_all(void);   /* the runtime has stopped */
/* The calling thread, which is no M, becomes the host's of a home. NULL: the system refused *call (errno). */
struct home *vai__home_begin(const char **call);
void vai__home_parked(struct g *g); /* sched.nwatched: g, which waits or has waited, is asked if its home closes */
void vai__home_tell(struct g *g);   /* sched.nwatched: g, the caller's, is asked to end if its home closes */
void vai__home_note_end(struct vai__home *home);     /* sched.nwatched: one of its goroutines has ended */
struct m *vai__home_m(const struct vai__home *home); /* the M on which its host-side goroutines run */
bool vai__home_all_wait(void); /* all mains wait, and nothing is there that only they may run; sched.lock held */
/* serial.c. m is about to run g, which is its curg: false, or g is put aside and m has none */
bool vai__serial_holds(struct m *m, struct g *g);
void vai__serial_pass(vai_g *self); /* self comes back from a block */
/* g.c, park.c: what homes need of goroutines */
struct g *vai__g_alloc_outside(void); /* a record, without a P; NULL: out of memory. Any thread */
/* Makes a fresh record a goroutine that belongs there. */
void vai__g_begin_new(struct g *g, void (*entry)(vai_g *g, void *arg), void *arg, struct vai__home *home);
/* The goroutines of a slab, SLAB of them; NULL: there are not so many slabs. Any thread. */
struct g *vai__g_slab(int64_t i);
/* Asks g to end (VAI_END_CLOSED) by ending the wait whose word was `word`. False: that wait has ended, or g was asked
 * so before, unless `force`. On an M. */
bool vai__fire_end(struct g *g, uint64_t word, bool force);

#endif
