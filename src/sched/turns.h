/* SPDX-License-Identifier: MIT */
/* What the scheduler asks of replay.c, for the turns of a seeded run (replay.h). Outside of a run each of these is one
 * test of a word that is at hand: the goroutine's number in the run, which is 0. */
#ifndef VAI_TURNS_H
#define VAI_TURNS_H

#include "sched/replay.h"
#include "sched/rt.h"

/* g's number in the run; 0: it is in none. */
static inline uint32_t turn_of(const struct g *g)
{
	return atomic_load_relaxed(&g->turn);
}

/* g has become ready. True: it waits for its turn, and the caller does nothing more with it. Any thread. */
bool vai__replay_hold(struct g *g);
static inline bool turn_hold(struct g *g)
{
	return VAI_UNLIKELY(turn_of(g) != 0) && vai__replay_hold(g);
}
/* g, a goroutine of the run, has switched to its M's loop and, if it waits, is committed: another goroutine gets the
 * turn. Only g's address is used, except for OP_TURN. In the loop. */
void vai__replay_settled(struct g *g, enum op op);
/* g is about to be started by self; NULL: by a timer's callback. If the starter is in the run, g gets a number. */
void vai__replay_adopt(struct g *self, struct g *g);
/* What vai__wait and vai__yield do for g, the caller, in a run. */
int vai__replay_wait(struct g *g, enum vai_wait_reason reason, int64_t deadline);
void vai__replay_yield(struct g *g);
/* The run's heap of timers, if the calling thread, whose M is m, acts for the run; NULL: it does not. */
struct timers *vai__replay_timers(const struct m *m);

/* g.c: what goroutine g does at this moment. Any thread. */
void vai__g_info(struct g *g, struct vai_g_info *info);
/* timer.c: adds ns to the time of each timer. */
void vai__timers_shift(struct timers *ts, int64_t ns);
/* timer.c: whether one of the timers may wake a goroutine when it fires. */
bool vai__timers_would_wake(struct timers *ts);

/* Whether there is a run. */
extern atomic_bool vai__replay_on;

#endif
