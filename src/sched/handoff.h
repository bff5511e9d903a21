/* SPDX-License-Identifier: MIT */
/* Private to sched/: Ps that change hands, and when an M may touch its own (handoff.c); threads of one goroutine
 * (locked_thread.c). Included by rt.h. "Lock held": sched.lock. */
#ifndef VAI_HANDOFF_H
#define VAI_HANDOFF_H

#include "sched/rt.h"

/* The slow path of m_enter: another thread wants m's P, or has taken it. */
void vai__m_enter_slowly(struct m *m);
/* m's thread enters vai: until m_leave, no other thread takes its P. Returns what m_leave is to get, so that the two
 * nest. m may have no P. On m's thread; does not park. */
static inline bool m_enter(struct m *m)
{
	bool was = atomic_load_relaxed(&m->busy);
	atomic_store_relaxed(&m->busy, true);
	vai__barrier_light();
	if (VAI_UNLIKELY(atomic_load_relaxed(&m->retake)))
		vai__m_enter_slowly(m);
	return was;
}
static inline void m_leave(struct m *m, bool was)
{
	atomic_store_release(&m->busy, was);
}
/* m_enter for the goroutine of *m, repeated until the M has a P, which is returned. May park, after which *m is another
 * M. *was: for m_leave. */
struct p *vai__m_need_p(struct m **m, bool *was);
/* Makes p m's own; NULL: m has none from now on. On m's thread; lock held. */
void vai__m_own(struct m *m, struct p *p);
/* Gives m's P, if it has one, to another M. On m's thread. */
void vai__m_hand_off(struct m *m);
/* m, a host's M, gives g and its P to another M. False: there is no other, and m runs g. On m's thread. */
bool vai__m0_leave_to_others(struct m *m, struct g *g);
/* Makes p, which has no owner, idle, or gives it to an M that wants it. Lock held. */
void vai__p_release(struct p *p);
/* Gives p, which has lost its owner, to an M that goes on with its work, or makes it idle. Without the lock. */
void vai__p_hand_off(struct p *p);
/* Whether p's next round belongs to the queues, not to a goroutine of one M. The caller may touch p. */
bool vai__p_owes_turn(const struct p *p);
/* m sleeps, a goroutine that only m may run is ready, and no P is idle: m gets the next one. Lock held. */
void vai__handoff_want(struct m *m);
/* m needs none any more, or has got one. Lock held. */
void vai__handoff_unwant(struct m *m);
/* Takes m's P unless m is busy, that is in its loop or in vai. Returns the P, which the caller hands on after it has
 * released the lock; NULL: m keeps it, or has none. Any thread but m's; lock held. */
struct p *vai__handoff_retake(struct m *m);

/* Sleeps until m's goroutine, which has the thread for itself, is ready and m has a P; returns it. NULL: the runtime
 * stops. On m's thread. */
struct g *vai__locked_next(struct m *m);

#endif
