/* SPDX-License-Identifier: MIT */
/* What the scheduler asks of replay.c. Outside of a run each of these is one test of a word that is at hand: the
 * goroutine's number in the run, which is 0. */
#ifndef VAI_TURNS_H
#define VAI_TURNS_H

#include "sched/replay.h"
#include "sched/rt.h"

static inline uint32_t turn_of(const struct g *g)
{
	return atomic_load_relaxed(&g->turn);
}

/* g has become ready. True: it waits for its turn, and the caller does nothing more with it. */
bool vai__replay_hold(struct g *g);
static inline bool turn_hold(struct g *g)
{
	return VAI_UNLIKELY(turn_of(g) != 0) && vai__replay_hold(g);
}
/* g, a goroutine of the run, has switched to the loop and, if it waits, is committed. Only its address is used, but
 * for OP_TURN. */
void vai__replay_settled(struct g *g, enum op op);
/* g is about to be started by self, or by a timer of the run's. */
void vai__replay_adopt(struct g *self, struct g *g);
/* In place of the rest of vai__wait and of vai__yield. */
int vai__replay_wait(struct g *g, enum vai_wait_reason reason, int64_t deadline);
void vai__replay_yield(struct g *g);
/* The heap for timers that the calling thread starts; NULL: it does so outside of the run. */
struct timers *vai__replay_timers(const struct m *m);

/* g.c: what goroutine g does at this moment */
void vai__g_info(struct g *g, struct vai_g_info *info);
/* timer.c: adds so many ns to the time of each timer; tells whether one of them may wake a goroutine */
void vai__timers_shift(struct timers *ts, int64_t ns);
bool vai__timers_would_wake(struct timers *ts);

/* There is a run. */
extern atomic_bool vai__replay_on;

#endif
